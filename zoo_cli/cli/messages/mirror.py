"""Sentences for the errors of `zoo_cli.mirror`."""

from __future__ import annotations

import shlex

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.cli.messages.transfer import same_command
from zoo_cli.mirror.manifest import NAME, BadMirror, NotMirrorable
from zoo_cli.mirror.s3 import BadBucket, NoS3Client, S3Failed, is_bucket
from zoo_cli.mirror.serve import CannotServe
from zoo_cli.mirror.tree import MirrorBusy, MirrorUnusable

_KEYS = WayOut("Say who asks, or: aws configure", "export AWS_ACCESS_KEY_ID=KEY AWS_SECRET_ACCESS_KEY=SECRET")
_WHERE = WayOut("For a store that is not Amazon's say where it is", "export AWS_ENDPOINT_URL=URL")
_REGION = WayOut("Say in which region the bucket is", "export AWS_DEFAULT_REGION=REGION")
_MAY = WayOut("Who asks needs s3:ListBucket, GetObject, PutObject, DeleteObject there", "aws sts get-caller-identity")
_CLOCK = WayOut("Set this computer's clock", "sudo timedatectl set-ntp true")
_S3_WAYS = {
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError", "InvalidAccessKeyId"), _KEYS),
    **dict.fromkeys(("SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"), _KEYS),
    **dict.fromkeys(("EndpointConnectionError", "ConnectTimeoutError", "ValueError", "SSLError"), _WHERE),
    **dict.fromkeys(("NoRegionError", "PermanentRedirect", "AuthorizationHeaderMalformed"), _REGION),
    **dict.fromkeys(("AccessDenied", "403"), _MAY),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestExpired"), _CLOCK),
}
_EVERY = "0.0.0.0"  # noqa: S104 - shown, not listened on


@describe.register
def _(error: BadMirror) -> Message:
    manifest = f"{error.place.rstrip('/')}/{NAME}"
    if error.place.startswith("http"):
        way = WayOut("Make one in a directory, and serve it", "zoo mirror sync MODEL --to DIR && zoo mirror serve DIR")
    elif error.is_damaged:
        remove = ["aws", "s3", "rm", manifest] if is_bucket(error.place) else ["rm", manifest]
        way = WayOut("Remove it; a sync writes it anew, and keeps the files that are right", shlex.join(remove))
    else:
        way = WayOut("Make one there", shlex.join(["zoo", "mirror", "sync", "MODEL", "--to", error.place]))
    return Message(f"{error.place} cannot be used as a mirror", (f"reason  {error.problem}",), (way,))


@describe.register
def _(error: NotMirrorable) -> Message:
    return Message(
        "an address has no place in a mirror",
        (f"address  {error.url}", f"reason   {error.reason}"),
        (WayOut("Leave out what has this address: narrow the request with --filter"),),
    )


@describe.register
def _(error: MirrorUnusable) -> Message:
    return Message(
        f"the mirror {error.place} cannot be used",
        (f"failed  {error.doing}: {error.reason}",),
        (WayOut("Mend that, then run it again; what is there is kept", same_command()),),
    )


@describe.register
def _(error: MirrorBusy) -> Message:
    wait = WayOut("Wait for it, then run it again", same_command())
    return Message(f"another process is syncing {error.place}", (), (wait,))


@describe.register
def _(error: CannotServe) -> Message:
    ways = {
        "directory": (),
        "port": (WayOut("On another port, any that is free", same_command("--port", "0")),),
        "host": (WayOut("On every address of this computer, for all who reach it", same_command("--host", _EVERY)),),
    }
    return Message(f"cannot serve: {error.what}", (f"reason  {error.reason}",), ways[error.trouble])


@describe.register
def _(error: BadBucket) -> Message:
    return Message(
        f"{error.text} names no bucket",
        ("It is s3://BUCKET/PREFIX, in small letters; keys and passwords come from AWS_* variables or ~/.aws",),
        (WayOut("For example", "zoo mirror sync MODEL --to s3://my-bucket/zoo"),),
    )


@describe.register
def _(error: NoS3Client) -> Message:
    install = shlex.join([error.python, "-m", "pip", "install", "zoo-cli[s3]"])
    return Message(f"{error.place} needs boto3, which is not installed", (), (WayOut("Install it", install),))


@describe.register
def _(error: S3Failed) -> Message:
    bucket = error.place.removeprefix("s3://").partition("/")[0]
    makes = WayOut("Make the bucket", shlex.join(["aws", "s3", "mb", f"s3://{bucket}"]))
    first = makes if error.cause == "NoSuchBucket" else _S3_WAYS.get(error.cause)
    again = WayOut(
        "Then try again; what is there is kept" if first else "Try again; what is there is kept", same_command()
    )
    return Message(
        f"the store of {error.place} did not do as asked",
        (f"failed  {error.doing}: {error.reason}",),
        (first, again) if first else (again,),
    )
