"""A mirror in a bucket of an S3-compatible store, through boto3 (the extra `zoo-cli[s3]`).

Edge: the network, and a staging directory where a file stands between its address and the bucket. Keys are the paths of
the tree below a prefix; a page `x/index.html` is also the object `x/`, because stores have no index pages. Each object
carries its SHA-256 in its metadata; large files go up in parts. Credentials, region and endpoint come from where boto3
finds them (AWS_* variables, ~/.aws), never from a command line. Two syncs of one bucket at once are not kept apart.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.mirror.pages import HTML_TYPE, JSON_TYPE
from zoo_cli.transfer.hashes import parse_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from zoo_cli.mirror.manifest import Held
    from zoo_cli.mirror.tree import Bring, Look, State
    from zoo_cli.transfer.fetch import Received

_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^?#\s]*))?\Z")
_GONE = ("404", "NoSuchKey", "NotFound")
PART_BYTES = 16 << 20  # larger files go up in parts of this size
_READS = 3  # of an object whose answers break off
_PAGE = "index.html"


class BadBucket(ZooError):
    """A text is no s3://bucket/prefix."""

    code = "bad-bucket"
    exit_code = ExitCode.USAGE

    text: str


class NoS3Client(ZooError):
    """boto3 is not installed."""

    code = "no-s3-client"
    exit_code = ExitCode.ENVIRONMENT

    place: str
    python: str


class S3Failed(ZooError):
    """The store refused something, could not be reached, or nobody said who is asking."""

    code = "s3-failed"
    exit_code = ExitCode.NETWORK

    place: str
    doing: str
    reason: str
    cause: str = ""  # the store's word for it, such as NoSuchBucket, or the client's


@dataclass
class BucketTree:
    """A mirror below a prefix of a bucket; `staging` is emptied by use."""

    bucket: str
    prefix: str  # "" or "a/b/"
    client: Any  # of boto3
    staging: Path
    _sizes: dict[str, int] | None = field(default=None)
    _staged: dict[str, Received | bytes] = field(default_factory=dict)  # what waits for its name, by path

    @property
    def place(self) -> str:
        """As people write it."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The listing, read once for this sync."""
        self._sizes = dict(self._listed())
        yield

    def _listed(self) -> Iterator[tuple[str, int]]:
        with self._telling("list"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
            for page in pages:
                for each in page.get("Contents", ()):
                    yield each["Key"][len(self.prefix) :], each["Size"]

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """See `Tree`."""
        with self._telling(f"read {path}"):
            answer = self._get(path)
            body: bytes | None = answer["Body"].read(max_bytes) if answer else None
            return body

    def _get(self, path: str, *, head: bool = False) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        ask = self.client.head_object if head else self.client.get_object
        try:
            answer: dict[str, Any] = ask(Bucket=self.bucket, Key=self.prefix + path)
        except ClientError as exc:
            if exc.response.get("Error", {}).get("Code") in _GONE:
                return None
            raise
        return answer

    def write(self, path: str, body: bytes, *, aside: bool = False) -> None:
        """See `Tree`; a page becomes the object of its folder, too."""
        if aside:
            self._staged[path] = body
            return
        about = {"ContentType": _type_of(path), "Metadata": {"sha256": hashlib.sha256(body).hexdigest()}}
        with self._telling(f"write {path}"):
            for key in self._keys(path):
                self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **about)
        self._remember(path, len(body))

    def _keys(self, path: str) -> tuple[str, ...]:
        key = self.prefix + path
        return (key, key.removesuffix(_PAGE)) if path.endswith(f"/{_PAGE}") else (key,)

    def _remember(self, path: str, size: int) -> None:
        if self._sizes is not None:
            self._sizes[path] = size

    def has(self, held: Held) -> bool:
        """Whether the listing has it with its size; `check` reads it."""
        if self._sizes is None:
            self._sizes = dict(self._listed())
        return self._sizes.get(held.path) == held.size_bytes

    def take(self, path: str, bring: Bring, look: Look, *, aside: bool = False) -> tuple[Received, bytes | None]:
        """The file through the staging directory into the bucket; `aside` leaves it there."""
        stage = self._stage(path)
        received = bring(stage, None)
        seen = look(stage)
        self._staged[path] = received
        if not aside:
            self.publish(path)
        return received, seen

    def _stage(self, path: str) -> Path:
        return self.staging / hashlib.sha256(path.encode()).hexdigest()[:16] / path.rpartition("/")[2]

    def publish(self, path: str) -> None:
        """See `Tree`."""
        staged = self._staged.pop(path)
        if isinstance(staged, bytes):
            self.write(path, staged)
        else:
            self._upload(path, self._stage(path), staged)

    def _upload(self, path: str, stage: Path, received: Received) -> None:
        from boto3.s3.transfer import TransferConfig

        about = {"ContentType": _type_of(path), "Metadata": {"sha256": str(received.sha256)}}
        how = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
        with self._telling(f"write {path}"):
            self.client.upload_file(str(stage), self.bucket, self.prefix + path, ExtraArgs=about, Config=how)
        self._remember(path, received.size_bytes)
        with suppress(OSError):
            stage.unlink()
            stage.parent.rmdir()

    def check(self, held: Held) -> State:
        """See `Tree`; an object whose reading broke again and again is unreadable."""
        for _ in range(_READS):
            with self._telling(f"read {held.path}"):
                answer = self._get(held.path)
            if answer is None:
                return "missing"
            found = _digest(answer["Body"])
            if found == (held.size_bytes, parse_sha256(held.sha256)):
                return "ok"
            if found is not None:
                self._delete(held.path)
                return "damaged"
        return "unreadable"

    def forget(self, sha256: str) -> None:
        """Nothing to do: every key has its own bytes."""

    def remove(self, path: str, held: Held | None) -> bool:
        """See `Tree`."""
        if held and not self.has(held):
            return self._sizes is not None and path not in self._sizes
        if held is None and not self._may_be_ours(path):
            return False
        self._delete(path)
        return True

    def _may_be_ours(self, path: str) -> bool:
        """Whether an object is as a sync that did not end leaves it: with its digest beside it; or is not there."""
        with self._telling(f"read {path}"):
            answer = self._get(path, head=True)
        return answer is None or "sha256" in answer.get("Metadata", {})

    def _delete(self, path: str) -> None:
        with self._telling(f"remove {path}"):
            for key in self._keys(path):
                self.client.delete_object(Bucket=self.bucket, Key=key)
        if self._sizes is not None:
            self._sizes.pop(path, None)

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        """Foreign exceptions become one of ours."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError, HTTPClientError, HTTPError) as exc:
            raise S3Failed(self.place, doing, str(exc)[:500], _cause_of(exc)) from exc


def _cause_of(error: BaseException | None) -> str:
    """What a store calls the trouble, else the client's first word for it."""
    causes = []
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict) and (code := response.get("Error", {}).get("Code")):
            return str(code)[:100]
        causes.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    return causes[0]


def _digest(body: Any) -> tuple[int, str] | None:
    """Size and SHA-256 of an answer's body; None when it broke off."""
    from botocore.exceptions import BotoCoreError
    from urllib3.exceptions import HTTPError

    digest, size = hashlib.sha256(), 0
    try:
        for block in body.iter_chunks(1 << 20):
            digest.update(block)
            size += len(block)
    except (BotoCoreError, HTTPError):
        return None
    return size, digest.hexdigest()


def _type_of(path: str) -> str:
    if path.endswith(".html"):
        return HTML_TYPE
    if path.startswith("simple/") and path.endswith(".json"):
        return JSON_TYPE
    return "application/json" if path.endswith(".json") else "application/octet-stream"


def is_bucket(text: str) -> bool:
    """Whether a place is meant to be in a bucket."""
    return text.startswith("s3://")


def open_bucket(text: str, staging: Path, environ: Mapping[str, str] | None = None) -> BucketTree:
    """The tree of s3://bucket/prefix.

    Args:
        text: The place.
        staging: A directory for files on their way.
        environ: The environment; the process's own when None.

    Raises:
        BadBucket: It is no such text; user names and keys have no place in it.
        NoS3Client: The extra is not installed.
        S3Failed: The client cannot be made, as without a region.
    """
    found = _PLACE.match(text)
    if not found or any(part in ("", ".", "..") for part in (found[2] or "x").strip("/").split("/")):
        raise BadBucket(re.sub(r"//[^/@]*@", "//...@", text[:200]))
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as exc:
        import sys

        raise NoS3Client(text, sys.executable) from exc
    environ = os.environ if environ is None else environ
    # Checksums in trailers, which boto3 sends since 1.36, are more than many S3-compatible stores know.
    asked = environ.get("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required").lower()
    answered = environ.get("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required").lower()
    try:
        how = Config(
            request_checksum_calculation=asked, response_checksum_validation=answered, max_pool_connections=32,
            connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 5},
        )  # fmt: skip
        client = boto3.client("s3", config=how)
    except (BotoCoreError, ValueError) as exc:
        raise S3Failed(text, "connect", str(exc)[:500], _cause_of(exc)) from exc
    prefix = (found[2] or "").strip("/")
    return BucketTree(found[1], f"{prefix}/" if prefix else "", client, staging)
