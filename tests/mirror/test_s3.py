"""A mirror in a bucket: moto's server in a process of its own, reached as any S3-compatible store is."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.models.site import BODIES, NAME, Site
from tests.support.s3 import s3_server, s3rver_server
from tests.support.server import Cut, Exchange, Server
from zoo_cli.cli.app import run
from zoo_cli.mirror import s3
from zoo_cli.mirror.manifest import Held, Manifest, read_manifest

TO = "s3://lab/zoo"
HOST = "upstream.example/zoo"


@pytest.fixture(scope="module", params=["moto", pytest.param("s3rver", marks=[pytest.mark.slow, pytest.mark.network])])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    started = s3_server() if request.param == "moto" else s3rver_server(tmp_path_factory.mktemp("s3rver"))
    with started as environ:
        yield environ


@pytest.fixture
def bucket(site: Site, store: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket with nothing but a file of somebody else."""
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()  # the one before remembers who asked
    found = boto3.resource("s3").Bucket("lab")
    if found.creation_date is None:
        found.create()
    found.objects.all().delete()
    found.put_object(Key="zoo/mine.txt", Body=b"mine")
    return found


def sync(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["mirror", "sync", *words, "--to", TO, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def keys(bucket: Any) -> dict[str, Any]:
    return {each.key: each.last_modified for each in bucket.objects.all()}


def read(bucket: Any, key: str) -> bytes:
    body: bytes = bucket.Object(key).get()["Body"].read()
    return body


def test_sync_again_change_and_prune(
    site: Site,
    store: dict[str, str],
    bucket: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 1 << 20)  # boto3 makes parts as large as S3 demands
    done = sync(capsys, "net_r50", "program")
    assert len(done["came"]) == 4 and done["failures"] == []
    assert read(bucket, f"zoo/{HOST}/{NAME['net_r50']}") == BODIES[NAME["net_r50"]]
    if store["AWS_ACCESS_KEY_ID"] == "test":  # moto writes the tags that S3 does
        assert bucket.Object("zoo/index/zoo.db").e_tag.endswith('-1"'), "in parts"
    assert read(bucket, "zoo/index/zoo.db") == Path(os.environ["ZOO_INDEX"]).read_bytes()
    assert bucket.Object("zoo/simple/").get()["ContentType"].startswith("text/html")
    before, asked = keys(bucket), len(site.server.requests)
    assert sync(capsys, "net_r50", "program")["came"] == []
    assert keys(bucket) == before and len(site.server.requests) == asked
    bucket.put_object(Key=f"zoo/{HOST}/{NAME['program']}", Body=b"another file")
    done = sync(capsys, "net_r50", "--prune")
    assert (done["removed"], done["stayed"]) == ([], [f"{HOST}/{NAME['program']}"])
    assert read(bucket, "zoo/mine.txt") == b"mine" and read(bucket, f"zoo/{HOST}/{NAME['program']}") == b"another file"
    assert not list(Path("cache", "bundling").glob("*")), "nothing is left on its way"


def test_verify_finds_planted_damage_and_the_next_sync_mends_it(
    site: Site, bucket: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sync(capsys, "net_r50")
    assert run(["mirror", "verify", TO]) == 0
    body = bytearray(BODIES[NAME["net_r50"]])
    body[777] ^= 1
    bucket.put_object(Key=f"zoo/{HOST}/{NAME['net_r50']}", Body=bytes(body))
    capsys.readouterr()
    assert run(["mirror", "verify", TO]) == 6
    assert capsys.readouterr().out == f"damaged\t{HOST}/{NAME['net_r50']}\n"
    assert [each["path"] for each in sync(capsys, "net_r50")["came"]] == [f"{HOST}/{NAME['net_r50']}"]
    assert run(["mirror", "verify", TO]) == 0


def test_killed_in_the_middle_nothing_that_is_there_comes_again(
    site: Site, bucket: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.support.server import Slow

    place = site.path_of(NAME["net_r101"])
    site.server.always(place, Slow(1_000_000))
    argv = [sys.executable, "-m", "zoo_cli", "mirror", "sync", "net_*", "--to", TO, "-j", "2"]
    environ = {**site.environ, **{name: value for name, value in os.environ.items() if name.startswith("AWS_")}}
    with subprocess.Popen(argv, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            parts = list(Path("cache").rglob(f".{NAME['net_r101']}.zoo-part"))
            if parts and parts[0].stat().st_size > 1_600_000:
                break
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGKILL)
    manifest = read_manifest(read(bucket, "zoo/mirror.json"), TO)
    assert f"{HOST}/{NAME['net_r101']}" in manifest.pending
    site.server.always(place, lambda exchange: exchange.honest())
    site.server.requests.clear()
    done = sync(capsys, "net_*")
    (request,) = [each for each in site.server.requests_for(place) if each.method == "GET"]
    assert done["failures"] == [] and int(str(request.range)[6:].partition("-")[0]) > 1_000_000, "kept bytes are used"
    assert read(bucket, f"zoo/{HOST}/{NAME['net_r101']}") == BODIES[NAME["net_r101"]]


def test_any_client_takes_everything_from_a_bucket_that_all_may_read(
    site: Site,
    store: dict[str, str],
    bucket: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    sync(capsys, "net_r50")
    if not store["AWS_ACCESS_KEY_ID"].startswith("S3RVER"):  # which lets all read
        for each in bucket.objects.all():
            each.Acl().put(ACL="public-read")
    for name in ("ZOO_MIRRORS", "ZOO_CACHE", "ZOO_STATE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "there" / name))
    asked = len(site.server.requests)
    assert run(["mirror", "use", f"{os.environ['AWS_ENDPOINT_URL']}/lab/zoo"]) == 0
    assert run(["download", "net_r50", "--dest", "got"]) == 0
    assert (tmp_path / "got" / NAME["net_r50"]).read_bytes() == BODIES[NAME["net_r50"]]
    assert (tmp_path / "got" / "net_r50.py").is_file() and len(site.server.requests) == asked


def test_refusals_are_one_error_without_a_secret(
    site: Site, bucket: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["mirror", "sync", "net_r50", "--to", "s3://none-such/zoo"]) == 5
    err = capsys.readouterr().err
    assert "s3-failed" in err and "NoSuchBucket" in err and os.environ["AWS_SECRET_ACCESS_KEY"] not in err
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert run(["mirror", "verify", TO]) == 5
    assert "127.0.0.1:1" in capsys.readouterr().err


@pytest.fixture
def staged(site: Site, store: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that answers as the store of a small mirror would, or as it is told."""
    body = b"one" * 1000
    held = Held("host/a.pth", "checkpoint", hashlib.sha256(body).hexdigest(), len(body))
    with Server() as server:
        server.files["/lab/zoo/host/a.pth"] = body
        server.files["/lab/zoo/mirror.json"] = Manifest({held.path: held}).to_bytes()
        for name, value in {**store, "AWS_ENDPOINT_URL": server.url()}.items():
            monkeypatch.setenv(name, value)
        boto3.setup_default_session()
        yield server


def test_an_object_whose_reading_breaks_off_is_read_again_and_never_removed_for_it(
    staged: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    staged.misbehave("/lab/zoo/host/a.pth", Cut(1000))
    assert run(["mirror", "verify", TO]) == 0
    staged.always("/lab/zoo/host/a.pth", Cut(1000))
    capsys.readouterr()
    assert run(["mirror", "verify", TO]) == 6
    assert capsys.readouterr().out == "unreadable\thost/a.pth\n"
    assert {each.method for each in staged.requests} == {"GET"}


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (404, "NoSuchBucket", "aws s3 mb s3://lab"), (403, "AccessDenied", "PutObject"),
        (403, "RequestTimeTooSkewed", "timedatectl"), (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (400, "AuthorizationHeaderMalformed", "AWS_DEFAULT_REGION"), (403, "Strange", "Try again"),
    ],
)  # fmt: skip
def test_each_trouble_has_its_way_out(
    staged: Server, capsys: pytest.CaptureFixture[str], status: int, code: str, says: str
) -> None:
    def refuse(exchange: Exchange) -> None:
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        exchange.handler.send_response(status)
        exchange.handler.send_header("Content-Length", str(len(body)))
        exchange.handler.end_headers()
        exchange.handler.wfile.write(body)

    staged.always("/lab/zoo/mirror.json", refuse)
    assert run(["mirror", "verify", TO]) == 5
    err = capsys.readouterr().err
    assert says in err and "zoo mirror verify" not in err.partition(says)[0] and "AWS_ENDPOINT_URL" not in err


def test_what_stands_where_a_sync_did_not_get_to_is_not_the_mirrors(
    site: Site, bucket: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, others = f"zoo/{HOST}/ours.pth", f"zoo/{HOST}/others.pth"
    bucket.put_object(Key=ours, Body=b"half of a sync", Metadata={"sha256": "0" * 64})
    bucket.put_object(Key=others, Body=b"somebody's")
    left = (f"{HOST}/ours.pth", f"{HOST}/others.pth", f"{HOST}/never.pth")
    bucket.put_object(Key="zoo/mirror.json", Body=Manifest({}, left).to_bytes())
    done = sync(capsys, "net_r50", "--prune")
    assert (done["removed"], done["stayed"]) == ([f"{HOST}/never.pth", f"{HOST}/ours.pth"], [f"{HOST}/others.pth"])
    assert others in keys(bucket) and ours not in keys(bucket)


def test_without_the_extra_it_says_what_to_install(site: Site, tmp_path: Path) -> None:
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "boto3.py").write_text("raise ImportError('hidden by a test')\n")
    path = f"{tmp_path / 'hide'}{os.pathsep}{site.environ['PYTHONPATH']}"
    argv = [sys.executable, "-m", "zoo_cli", "mirror", "sync", "net_r50", "--to", TO]
    done = subprocess.run(argv, env={**site.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 4 and "no-s3-client" in done.stderr and "zoo-cli[s3]" in done.stderr
