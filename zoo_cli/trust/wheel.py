"""Looks into a wheel before any installer does: is it what its name says, and will it stay in its place.

Edge: opens the wheel and streams every member once, large ones in threads of their own (inflating and digesting let
other threads run). Standard library only; nothing is imported or executed. What is found is a value, `WheelReport`.
pip and uv let pass a wheel with a wrong RECORD and with METADATA of another version: zoo does not.
Standards: PEP 427 and the binary distribution format, PEP 376 (RECORD), core metadata.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import tempfile
import zipfile
from contextlib import ExitStack
from email.parser import HeaderParser
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.trust.archive import DAMAGE, MAX_ENTRIES, collisions, name_problem
from zoo_cli.trust.binary import Binary, read_binary
from zoo_cli.trust.wheelreport import Extension, Problem, WheelReport, is_vendored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from email.message import Message
    from pathlib import Path
    from typing import IO

MAX_TOTAL = 16 << 30  # bytes unpacked; CUDA builds of torch have about 5 GB
MAX_METADATA = 16 << 20  # bytes of METADATA, WHEEL or RECORD
MAX_RATIO = 300  # unpacked to packed, for members over 64 MB
_CHUNK = 1 << 20  # larger ones cost more: each is memory that the system makes zeros of first
_LARGE = 4 << 20  # bytes unpacked, from which on a member is worth a thread, and a library too large for memory
_EXTENSION = re.compile(r"\.(so|pyd|dylib)\Z|\.so\.\d")


class UnreadableWheel(ZooError):
    """A file is not a zip archive, or breaks off."""

    code = "unreadable-wheel"
    exit_code = ExitCode.INTEGRITY

    path: str
    reason: str


def inspect_wheel(path: Path) -> WheelReport:
    """Reads a wheel whole and reports what it is and what is wrong with it; its name is compared with its content.

    Raises:
        UnreadableWheel: the file is no zip archive, is cut off, or has no METADATA or WHEEL.
    """
    try:
        with path.open("rb") as stream:
            digest, size = _digest(stream)
            with zipfile.ZipFile(stream) as archive:
                return _Inspection(path, archive, digest, size).report()
    except DAMAGE as exc:
        raise UnreadableWheel(str(path), str(exc) or type(exc).__name__) from exc


def look_into(name: str, stream: IO[bytes], reads: Callable[[str], bool] | None = None) -> WheelReport:
    """Reads of a wheel only what tells what it is: names, METADATA, WHEEL, its own compiled files; so it may be remote.

    RECORD is not compared, and the report has no digest: nothing is installed after this alone.

    Args:
        name: the wheel's file name.
        stream: the wheel, seekable.
        reads: which compiled files are read, by their path in the wheel; all that are not vendored when None.

    Raises:
        UnreadableWheel: as `inspect_wheel`.
    """
    from pathlib import Path

    try:
        with zipfile.ZipFile(stream) as archive:
            wanted = reads or (lambda path: not is_vendored(path))
            return _Inspection(Path(name), archive, "", stream.seek(0, 2), wanted).report()
    except DAMAGE as exc:
        raise UnreadableWheel(name, str(exc) or type(exc).__name__) from exc


class _Inspection:
    """One pass over one archive; collects problems on the way."""

    def __init__(
        self, path: Path, archive: zipfile.ZipFile, digest: str, size: int, only: Callable[[str], bool] | None = None
    ) -> None:
        self.path, self.archive, self.sha256, self.size = path, archive, digest, size
        self.only = only  # which compiled files are read, and nothing else; everything when None
        self.problems: list[Problem] = []
        self.extensions: list[Extension] = []
        self.digests: dict[str, str] = {}  # member -> sha256 as RECORD writes it

    def say(self, code: str, detail: str, *, is_fatal: bool = True) -> None:
        self.problems.append(Problem(code, detail, is_fatal))

    def report(self) -> WheelReport:
        members = self.archive.infolist()
        self._check_names(members)
        if self._check_sizes(members):
            self._read_members([each for each in members if self._is_wanted(each)])
        info = self._dist_info(members)
        metadata, wheel = self._headers(f"{info}/METADATA"), self._headers(f"{info}/WHEEL")
        tags = _expand(wheel.get_all("Tag", []))
        self._check_claims(info, metadata, tags)
        if self.only is None:
            self._check_record(info)
        self._check_contents(metadata)
        return WheelReport(
            path=self.path,
            name=str(metadata.get("Name", "")),
            version=str(metadata.get("Version", "")),
            tags=tags,
            root_is_purelib=str(wheel.get("Root-Is-Purelib", "")).strip().lower() == "true",
            requires=tuple(map(str, metadata.get_all("Requires-Dist", []))),
            requires_python=str(metadata["Requires-Python"]) if metadata["Requires-Python"] else None,
            extensions=tuple(self.extensions),
            problems=tuple(self.problems),
            sha256=self.sha256,
            size_bytes=self.size,
        )

    def _check_names(self, members: list[zipfile.ZipInfo]) -> None:
        for member in members:
            # orig_filename: zipfile itself cuts names at NUL and turns the system's separator into "/".
            if problem := name_problem(member.orig_filename):
                self.say("unsafe-path", f"{member.orig_filename!r} {problem}")
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                self.say("link", f"{member.filename!r} is a symbolic link")
        for first, second in collisions(member.filename for member in members):
            self.say("collision", f"{first!r} and {second!r} are one place")
        end = -1
        for member in sorted(members, key=lambda each: each.header_offset):
            if member.header_offset < end:
                self.say("overlap", f"{member.filename!r} begins inside another member")
            end = member.header_offset + 30 + member.compress_size

    def _check_sizes(self, members: list[zipfile.ZipInfo]) -> bool:
        """Whether the archive is small enough to be read through."""
        before = len(self.problems)
        if len(members) > MAX_ENTRIES:
            self.say("too-large", f"{len(members)} members")
        total = sum(member.file_size for member in members)
        if total > MAX_TOTAL:
            self.say("too-large", f"unpacks to {total} bytes")
        for member in members:
            if member.file_size > 64 << 20 and member.file_size > MAX_RATIO * max(member.compress_size, 1):
                self.say("too-large", f"{member.filename!r} unpacks to {member.file_size} bytes")
        return len(self.problems) == before

    def _is_wanted(self, member: zipfile.ZipInfo) -> bool:
        """Whether a member is read: all files, or those compiled ones that were asked for."""
        name = member.filename
        return not member.is_dir() and (self.only is None or (_is_library(name) and self.only(name)))

    def _read_members(self, members: list[zipfile.ZipInfo]) -> None:
        """Reads every member once; what is found is put together in the archive's order."""
        from concurrent.futures import ThreadPoolExecutor

        threads = 1 if self.only else min(4, os.cpu_count() or 1)  # a remote wheel is read in its own order
        pool = ThreadPoolExecutor(max_workers=threads)
        try:
            ahead = [pool.submit(self._read, each) if each.file_size >= _LARGE else None for each in members]
            small = [None if future else self._read(each) for each, future in zip(members, ahead, strict=True)]
            for member, future, read in zip(members, ahead, small, strict=True):
                self._take(member.filename, *(read or (future.result() if future else ("", None))))
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, member: zipfile.ZipInfo) -> tuple[str, Binary | None]:
        """A member's SHA-256 as RECORD writes it and, of a compiled library, what it is."""
        digest = hashlib.sha256()
        with self.archive.open(member) as source, ExitStack() as stack:
            copy: IO[bytes] | None = None
            if _is_library(member.filename):  # its tables are read in their own order
                copy = stack.enter_context(tempfile.TemporaryFile()) if member.file_size >= _LARGE else io.BytesIO()
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                if copy:
                    copy.write(chunk)
            binary = read_binary(copy) if copy else None
        return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode(), binary

    def _take(self, name: str, digest: str, binary: Binary | None) -> None:
        self.digests[name] = digest
        if binary is None:
            return
        if binary.problem and binary.kind != "unknown":
            self.say("bad-extension", f"{name}: {binary.problem}")
        self.extensions.append(Extension(name, binary))

    def _dist_info(self, members: list[zipfile.ZipInfo]) -> str:
        found = sorted({top for each in members if (top := each.filename.split("/")[0]).endswith(".dist-info")})
        if not found:
            raise UnreadableWheel(str(self.path), "it has no .dist-info directory")
        if len(found) > 1:
            self.say("dist-info", f"has {len(found)} of them: {', '.join(found[:3])}")
        own = "-".join(self.path.name.split("-")[:2]) + ".dist-info"
        return own if own in found else found[0]

    def _headers(self, name: str) -> Message:
        return HeaderParser().parsestr(self._text(name))

    def _text(self, name: str) -> str:
        try:
            member = self.archive.getinfo(name)
        except KeyError as exc:
            raise UnreadableWheel(str(self.path), f"it has no {name}") from exc
        if member.file_size > MAX_METADATA:
            raise UnreadableWheel(str(self.path), f"its {name} has {member.file_size} bytes")
        return self.archive.read(member).decode("utf-8", "replace")

    def _check_claims(self, info: str, metadata: Message, tags: tuple[str, ...]) -> None:
        """File name, .dist-info directory, METADATA and WHEEL must tell the same."""
        parts = self.path.name.removesuffix(".whl").split("-")
        if len(parts) not in (5, 6):
            self.say("name-mismatch", f"{self.path.name} is not the name of a wheel")
            return
        name, version = str(metadata.get("Name", "")), str(metadata.get("Version", ""))
        folder_name, _, folder_version = info.removesuffix(".dist-info").partition("-")
        for where, told in (("METADATA", name), (info, folder_name)):
            if _plain(told) != _plain(parts[0]):
                self.say("name-mismatch", f"{where} says {told!r}, the file name {parts[0]!r}")
        for where, told in (("METADATA", version), (info, folder_version)):
            if _plain_version(told) != _plain_version(parts[1]):
                self.say("version-mismatch", f"{where} says {told!r}, the file name {parts[1]!r}")
        claimed = _expand(["-".join(parts[-3:])])
        if tags != claimed:
            told = f"WHEEL says {', '.join(tags[:3]) or 'none'}, the file name {', '.join(claimed[:3])}"
            self.say("tag-mismatch", told, is_fatal=_renamed(tags) != _renamed(claimed))

    def _check_record(self, info: str) -> None:
        record = f"{info}/RECORD"
        try:
            rows = list(csv.reader(io.StringIO(self._text(record))))
        except (UnreadableWheel, csv.Error) as exc:
            self.say("record-missing", str(exc))
            return
        listed = {row[0]: row[1] for row in rows if len(row) >= 2}
        for name, digest in sorted(self.digests.items()):
            if name in (record, f"{record}.jws", f"{record}.p7s"):
                continue
            told = listed.get(name)
            if told is None:
                self.say("record-incomplete", f"RECORD does not list {name}")
            elif told.startswith("sha256=") and told[7:].rstrip("=") != digest:
                # torchvision 0.12.0 on PyPI: its METADATA was mended after RECORD was written, and nothing runs it.
                is_fatal = name != f"{info}/METADATA"
                self.say("record-mismatch", f"{name} is not what RECORD promises", is_fatal=is_fatal)
            elif not told.startswith(("sha256=", "sha384=", "sha512=")):
                self.say("record-incomplete", f"RECORD has no strong digest of {name}")
        for name in sorted(listed.keys() - self.digests.keys())[:20] if self.digests else ():
            self.say("record-incomplete", f"RECORD lists {name}, which is not there", is_fatal=False)

    def _check_contents(self, metadata: Message) -> None:
        for requirement in metadata.get_all("Requires-Dist", []):
            if re.match(r"[\w.-]+\s*(\[[^]]*\])?\s*@", requirement):
                self.say("direct-url", f"requires {requirement[:200]}")
        for name in sorted(self.digests):
            base = name.rpartition("/")[2]
            is_top = "/" not in name
            if is_top and (base.endswith(".pth") or base in ("sitecustomize.py", "usercustomize.py", "_manylinux.py")):
                self.say("startup-code", f"{name} runs whenever Python starts", is_fatal=False)


def _is_library(name: str) -> bool:
    """Whether a file is a compiled library, by its name."""
    return bool(_EXTENSION.search(name))


def _digest(stream: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    stream.seek(0)
    return digest.hexdigest(), size


def _expand(tags: Iterable[object]) -> tuple[str, ...]:
    """Compressed tag sets as simple tags, sorted."""
    found: set[str] = set()
    for tag in tags:
        parts = str(tag).strip().split("-")
        if len(parts) == 3 and len(str(tag)) < 1000:
            found |= {
                f"{python}-{abi}-{platform}"
                for python in parts[0].split(".")
                for abi in parts[1].split(".")
                for platform in parts[2].split(".")
            }
    return tuple(sorted(found))


def _renamed(tags: Iterable[str]) -> set[str]:
    """Tags without the standing of a Linux wheel: torch and torchvision were renamed from linux to manylinux only."""
    return {re.sub(r"-(manylinux\w*?|linux)_(?=x86_64|aarch64)", "-linux_", tag) for tag in tags}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _plain_version(version: str) -> str:
    """A version for comparison only: escaping, case and separators of the local part do not count."""
    return re.sub(r"[-_.]+", ".", version.strip().lower().replace("%2b", "+"))
