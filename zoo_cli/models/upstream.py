"""A release of a model package as upstream published it: its file on the package index, and the config tree in it.

Edge: reads the package index and keeps the file in zoo's cache. The whole file is fetched and its SHA-256 compared
with the page's (PEP 691), so what the index is built from is known byte for byte; a wheel of configs is a few MB.
Nothing is unpacked to disk and nothing in it is run.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.events import Listener, nothing
from zoo_cli.transfer.fetch import fetch, read_document
from zoo_cli.transfer.hashes import parse_sha256
from zoo_cli.transfer.sources import Mirrors, Wanted
from zoo_cli.transfer.store import Store
from zoo_cli.trust.archive import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from zoo_cli.transfer.settings import Settings

SIMPLE_INDEX = "https://pypi.org/simple"
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"  # PEP 691
MAX_PAGE_BYTES = 64 * 1024 * 1024
MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_MEMBERS = 50_000
MAX_MEMBER_BYTES = 4 * 1024 * 1024


class NoRelease(ZooError):
    """The package index has no such project, or no file of that release that holds its configs."""

    code = "no-release"
    exit_code = ExitCode.USAGE

    project: str
    version: str
    page: str
    versions: tuple[str, ...]  # the newest that are there


class BadRelease(ZooError):
    """What the package index sent about a release, or the release file itself, cannot be read."""

    code = "bad-release"
    exit_code = ExitCode.INTEGRITY

    project: str
    version: str
    what: str
    problem: str


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One release of a project, and the file of it that holds its configs.

    `config_root` is the folder in the archive that holds `configs/` (such as "mmdet/.mim/"); "" until it was opened.
    """

    project: str
    version: str
    name: str
    url: str
    sha256: str
    size_bytes: int | None
    date: str  # ISO day of upload
    source: str  # the page that lists it
    config_root: str = ""
    record_sha256: str = ""  # of the wheel's RECORD, which has the digest of every member; "" for an sdist


def find_release(project: str, version: str, mirrors: Mirrors, settings: Settings) -> ReleaseFile:
    """The file of a release, from the project's page: its pure wheel, else its sdist.

    Raises:
        NoRelease: There is none.
        BadRelease: The page cannot be read.
    """
    page = _Page(project, version, mirrors, settings)
    found = page.file_of(version)
    if found is None:
        raise NoRelease(project, version, page.address, tuple(map(str, page.versions[:-6:-1])))
    return found


def find_releases(project: str, mirrors: Mirrors, settings: Settings) -> tuple[ReleaseFile, ...]:
    """The file of every release that has one such, the oldest release first; those withdrawn (PEP 592) are left out.

    Raises:
        BadRelease: The page cannot be read.
    """
    page = _Page(project, "", mirrors, settings)
    found = (page.file_of(str(version), withdrawn=False) for version in page.versions)
    return tuple(each for each in found if each is not None)


class _Page:
    """The page of a project on the package index: its files, and its versions in order."""

    def __init__(self, project: str, version: str, mirrors: Mirrors, settings: Settings) -> None:
        from packaging.utils import canonicalize_name

        self.address = f"{SIMPLE_INDEX}/{canonicalize_name(project)}/"
        self._asked = (project, version)
        addresses = mirrors.addresses(self.address, "package-index")
        answer = read_document(addresses, MAX_PAGE_BYTES, settings, accept=SIMPLE_JSON)
        try:
            found = json.loads(answer.body)
            self._name = str(found["name"])
            self._rows = [(row, _version_of(row["filename"])) for row in found["files"]]
            self.versions = sorted({parsed for _row, parsed in self._rows if parsed is not None})
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise self._bad(exc) from exc

    def file_of(self, version: str, *, withdrawn: bool = True) -> ReleaseFile | None:
        """The file of a release that holds its configs; None when there is none."""
        try:
            chosen = _choose([row for row in self._rows if withdrawn or not row[0].get("yanked")], version)
            if chosen is None:
                return None
            return ReleaseFile(
                project=self._name,
                version=version,
                name=chosen["filename"],
                url=chosen["url"],
                sha256=parse_sha256(chosen["hashes"]["sha256"]),
                size_bytes=chosen.get("size"),
                date=str(chosen["upload-time"])[:10],
                source=self.address,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise self._bad(exc) from exc

    def _bad(self, problem: Exception) -> BadRelease:
        return BadRelease(*self._asked, self.address, f"no page of the simple API (PEP 691): {problem!r}"[:200])


def _version_of(file_name: str) -> Any:
    from packaging.utils import parse_sdist_filename, parse_wheel_filename

    try:
        if file_name.endswith(".whl"):
            return parse_wheel_filename(file_name)[1]
        return parse_sdist_filename(file_name)[1]
    except ValueError:  # eggs, installers: not ours; or a number of too many digits
        return None


def _choose(rows: list[tuple[dict[str, Any], Any]], version: str) -> dict[str, Any] | None:
    from packaging.version import Version

    wanted = Version(version)
    ours = [row for row, parsed in rows if parsed == wanted]
    # A wheel for one platform has the same Python modules as its siblings: where there is no other file, one is taken.
    for ending in ("-none-any.whl", ".tar.gz", "manylinux1_x86_64.whl", "manylinux_2_28_x86_64.whl"):
        for row in sorted(ours, key=lambda each: str(each["filename"])):
            if row["filename"].endswith(ending):
                return row
    return None


def fetch_release(
    release: ReleaseFile, cache: Path, mirrors: Mirrors, settings: Settings, listen: Listener = nothing
) -> Path:
    """The release's file in the cache, its SHA-256 as the page promised."""
    wanted = Wanted(
        name=release.name,
        urls=mirrors.addresses(release.url, "package-index"),
        size_bytes=release.size_bytes,
        sha256=parse_sha256(release.sha256),
        max_bytes=MAX_FILE_BYTES,
    )
    return fetch(wanted, cache / "releases" / release.name, settings, listen, store=Store(cache)).path


class Tree:
    """The config tree in a wheel or sdist, open for reading; close it, or use it in a `with`."""

    def __init__(self, path: Path, release: ReleaseFile) -> None:
        """Opens the archive.

        Raises:
            BadRelease: It is none, or is over the limits.
        """
        self._file: zipfile.ZipFile | tarfile.TarFile
        self.release = release
        try:
            self._file = zipfile.ZipFile(path) if path.suffix == ".whl" else tarfile.open(path, "r:gz")  # noqa: SIM115
            self._members = dict(self._list())
        except DAMAGE as exc:
            raise BadRelease(release.project, release.version, release.name, str(exc)) from exc
        root = self._root()
        self.release = replace(release, config_root=root, record_sha256=self._record_digest())
        self.paths = tuple(sorted(name[len(root) :] for name in self._members if name.startswith(root)))

    def __enter__(self) -> Tree:  # noqa: PYI034 (typing.Self is 3.11)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

    def read(self, path: str) -> bytes:
        """The content of one file of the tree.

        Raises:
            BadRelease: It is damaged, or larger than 4 MiB.
        """
        member = self._members[self.release.config_root + path]
        try:
            with self._open(member) as file:
                body: bytes = file.read(MAX_MEMBER_BYTES + 1)
        except DAMAGE as exc:
            raise BadRelease(self.release.project, self.release.version, path, str(exc)) from exc
        if len(body) > MAX_MEMBER_BYTES:
            raise BadRelease(self.release.project, self.release.version, path, f"over {MAX_MEMBER_BYTES} bytes")
        return body

    def _list(self) -> Iterator[tuple[str, Any]]:
        if isinstance(self._file, zipfile.ZipFile):
            members: Iterator[Any] = iter(self._file.infolist())
        else:
            members = iter(self._file)
        for count, member in enumerate(members):
            if count >= MAX_MEMBERS:
                raise ValueError(f"more than {MAX_MEMBERS} files")
            if isinstance(member, zipfile.ZipInfo):
                if not member.is_dir():
                    yield member.filename, member
            elif member.isreg():
                yield member.name, member

    def _open(self, member: Any) -> AbstractContextManager[Any]:
        if isinstance(self._file, zipfile.ZipFile):
            return self._file.open(member)
        file = self._file.extractfile(member)
        if file is None:
            raise tarfile.ReadError("not a regular file")
        return file

    def _record_digest(self) -> str:
        """SHA-256 of the wheel's RECORD; with it one member read by range is as good as the whole wheel."""
        record = next((name for name in self._members if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)), None)
        if record is None:
            return ""
        with self._open(self._members[record]) as file:
            return hashlib.sha256(file.read(MAX_MEMBER_BYTES)).hexdigest()

    def _root(self) -> str:
        """The folder with the model index that lies nearest to the top; "" when there is none."""
        found = [name for name in self._members if name.rpartition("/")[2] in ("model-index.yml", "model-index.yaml")]
        best = min(found, key=lambda name: (name.count("/"), name), default="")
        return best[: best.rfind("/") + 1]
