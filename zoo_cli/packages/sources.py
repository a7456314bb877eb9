"""Where the source of a build comes from: an sdist, a folder, or a commit of a git repository.

Edge: archives, folders, and git as a child process. Nothing of a source runs here. git is asked for one commit of one
repository: over https, ssh or a local path only, without hooks, submodules, filters of large files, or prompts.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.executor import StepFailed, run_step
from zoo_cli.packages.steps import Step
from zoo_cli.packages.wheels import normalise
from zoo_cli.transfer.addresses import redacted
from zoo_cli.transfer.failures import OfflineRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.transfer.settings import Settings

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_GIT_SCHEMES = ("https", "ssh", "file")
_LEFT_OUT = frozenset({".git", ".hg", ".svn", ".tox", ".venv", "__pycache__", "build", ".mypy_cache", ".ruff_cache"})
# Nothing of a repository runs by itself, and git may use no protocol that runs programs (ext::).
_GIT_SETTINGS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "submodule.recurse=false")
_GIT_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": ":".join(_GIT_SCHEMES), "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1",
}  # fmt: skip


class BadSource(ZooError):
    """What was given as a source of a project is none."""

    code = "bad-source"
    exit_code = ExitCode.USAGE

    place: str
    reason: str
    example: str = ""  # a command that would do, where it is another one than usual


class Source(NamedTuple):
    """The source of one project at one state."""

    kind: str  # sdist (a file) | folder | git
    place: str  # path of the file or folder; address of the repository, without a user's password
    digest: str  # sha256 of the file, or of the folder's files; the commit
    is_editable: bool = False
    requested: str = ""  # of git: the branch, tag or commit that was asked for; "" for the repository's own
    subdirectory: str = ""  # of the project in it; "" for its top
    url: str = ""  # of an archive that was fetched

    @property
    def address(self) -> str:
        """Where it comes from, as an address."""
        return self.url or (self.place if self.kind == "git" else Path(self.place).as_uri())

    @property
    def shown(self) -> str:
        """Where it comes from, with what pins it."""
        inside = f"#subdirectory={self.subdirectory}" if self.subdirectory else ""
        return (f"git+{self.place}@{self.digest}" if self.kind == "git" else self.url or self.place) + inside


def is_place(word: str) -> bool:
    """Whether a word means a source rather than a project: `./dir`, `x-1.0.tar.gz`, `git+https://...`."""
    if word.startswith(("https://", "http://")):
        return word.partition("#")[0].endswith(".tar.gz")
    return word.startswith(("git+", "./", "../", "/", "~")) or word in (".", "..") or word.endswith(".tar.gz")


def find_source(
    word: str, checkouts: Path, *, is_editable: bool = False, project: str = "", offline: bool = False
) -> Source:
    """The source that a word means; a repository is fetched, and its branch or tag becomes a commit.

    Args:
        word: `./folder`, `path/x-1.0.tar.gz`, or `git+https://host/project@ref`.
        checkouts: directory for what git fetches.
        is_editable: whether the folder itself is to be used.
        project: what it is the source of, where that is known; an error names it.
        offline: whether no connection may be made.

    Raises:
        BadSource: it is not there, or is no source that zoo takes.
        OfflineRefused: a repository elsewhere would have to be asked.
        StepFailed: git could not fetch it.
    """
    if word.startswith("git+"):
        if is_editable:
            raise BadSource(word, "only a folder of this computer can be installed editable")
        return _from_git(word, checkouts, project, offline=offline)
    path = Path(word).expanduser()
    if path.is_dir():
        if not any((path / name).is_file() for name in ("pyproject.toml", "setup.py")):
            raise BadSource(word, "the folder has neither pyproject.toml nor setup.py")
        return Source("folder", str(path.resolve()), _digest_of(path), is_editable)
    if is_editable and path.exists():
        raise BadSource(word, "only a folder of this computer can be installed editable")
    if not path.is_file():
        raise BadSource(word, "there is no such file or folder")
    if not path.name.endswith(".tar.gz"):
        raise BadSource(word, "a source archive is a .tar.gz file (PEP 625)")
    return Source("sdist", str(path.resolve()), hashlib.sha256(path.read_bytes()).hexdigest())


def fetch_archive(word: str, cache: Path, settings: Settings) -> Source:
    """A source archive at an address, fetched into the cache: `https://host/x-1.0.tar.gz#sha256=...`.

    Raises:
        BadSource: over http without a digest, so that anybody on the way could have changed it.
        ZooError: of the transfer; other bytes than the digest says.
    """
    from zoo_cli.packages.indexes import user_index
    from zoo_cli.transfer.fetch import Wanted, fetch
    from zoo_cli.transfer.hashes import parse_sha256
    from zoo_cli.transfer.store import Store

    address, _, fragment = word.partition("#")
    named = dict(part.partition("=")[::2] for part in fragment.split("&"))
    digest = parse_sha256(named["sha256"]) if named.get("sha256") else None
    shown = redacted(address)
    if address.startswith("http:") and not digest:
        raise BadSource(shown, "over http it needs its digest: #sha256=...")
    name = unquote(urlsplit(address).path.rpartition("/")[2])
    if not name.endswith(".tar.gz"):
        raise BadSource(shown, "a source archive is a .tar.gz file (PEP 625)")
    place = cache / "sdists" / hashlib.sha256(address.encode()).hexdigest()[:32] / name
    wanted = Wanted(name, (user_index().with_credentials(address),), sha256=digest)
    received = fetch(wanted, place, settings, store=Store(cache), replace=True)
    return Source("sdist", str(received.path), received.sha256, subdirectory=_subdirectory(word, fragment), url=shown)


def put_source(source: Source, directory: Path, checkouts: Path) -> Path:
    """Puts the source's files into a new directory, and gives the folder that has its setup.py or pyproject.toml.

    Raises:
        UnsafeArchive: an archive with entries that lead elsewhere.
        BadSource: it is not what it was any more.
    """
    from zoo_cli.trust.archive import unpack_sdist

    directory.mkdir()
    if source.kind == "sdist":
        return _inside(unpack_sdist(Path(source.place), directory), source)
    place = _checkout(checkouts, source.place) if source.kind == "git" else Path(source.place)
    copy = directory / "source"
    if source.kind == "git":
        _git(place, "--work-tree", str(_made(copy)), "checkout", "--force", "--detach", source.digest, "--")
        return _inside(copy, source)
    shutil.copytree(place, copy, symlinks=True, ignore=lambda _folder, names: _LEFT_OUT & set(names))
    return copy


def _inside(directory: Path, source: Source) -> Path:
    """The project's folder in a source, which no link leads out of.

    Raises:
        BadSource: there is none.
    """
    found = (directory / source.subdirectory).resolve()
    if not found.is_relative_to(directory.resolve()) or not found.is_dir():
        raise BadSource(source.shown, f"it has no folder {source.subdirectory}")
    return found if source.subdirectory else directory


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _digest_of(folder: Path) -> str:
    """One digest of all files of a folder, by name, content and whether they can be run."""
    total = hashlib.sha256()
    for path in sorted(_files(folder)):
        about = path.lstat()
        total.update(f"{path.relative_to(folder).as_posix()}\0{about.st_size}\0{about.st_mode & 0o100}\0".encode())
        total.update(str(path.readlink()).encode() if path.is_symlink() else path.read_bytes())
    return total.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each not in _LEFT_OUT and not each.endswith(".egg-info")]
        yield from (Path(top) / name for name in names if not name.endswith((".pyc", ".so", ".o")))


def _from_git(word: str, checkouts: Path, project: str, *, offline: bool) -> Source:
    address, reference, subdirectory = _parse_git(word)
    place = _checkout(checkouts, address)
    if not (place / "HEAD").is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        _run_git("init", "--quiet", "--bare", "--", str(place), about=address)
    commit = reference
    if not _is_whole(place, commit):
        if offline and not address.startswith("file:"):
            raise OfflineRefused(redacted(address))
        words = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", address, reference)
        _git(place, *words, reason=f"fetch {project or 'the source'} from the repository {address}")
        commit = "".join(_git(place, "rev-parse", "--verify", "FETCH_HEAD^{commit}")[-1:])
    if not _COMMIT.match(commit):
        raise BadSource(word, "git did not tell the commit")
    return Source("git", address, commit, requested="" if reference == "HEAD" else reference, subdirectory=subdirectory)


def _is_whole(repository: Path, reference: str) -> bool:
    """Whether it is a commit that is here with all its files; a fetch that was cut off may have left some of them."""
    if not _COMMIT.match(reference):
        return False
    with contextlib.suppress(StepFailed):
        _git(repository, "rev-list", "--objects", "--quiet", reference, "--")
        return True
    return False


def _parse_git(word: str) -> tuple[str, str, str]:
    """The address, the reference and the folder of `git+URL@ref#subdirectory=folder`.

    Raises:
        BadSource: an address git would not take as one, or one that runs programs (`ext::`).
    """
    text, _, fragment = word.removeprefix("git+").partition("#")
    parts = urlsplit(text)
    if parts.scheme not in _GIT_SCHEMES:
        raise BadSource(
            word, f"a repository's address begins with one of {', '.join(f'git+{s}://' for s in _GIT_SCHEMES)}"
        )
    if parts.password:
        raise BadSource(word, "it holds a password, which git would keep; git's own credential store is the place")
    path, at, reference = parts.path.rpartition("@")
    address = parts._replace(path=path if at else parts.path).geturl()
    reference = unquote(reference) if at else "HEAD"
    if reference.startswith("-") or not re.fullmatch(r"[\w./+-]+", reference) or ".." in reference:
        raise BadSource(word, f"{reference!r} is no branch, tag or commit")
    if (parts.hostname or "").startswith("-") or (parts.username or "").startswith("-"):
        raise BadSource(word, "a host or user does not begin with '-'")
    return address, reference, _subdirectory(word, fragment)


def _subdirectory(word: str, fragment: str) -> str:
    """The folder that the fragment of an address names, as pip and uv have it; `egg=` names what the files say.

    Raises:
        BadSource: it is no path inside.
    """
    named = dict(part.partition("=")[::2] for part in fragment.split("&")).get("subdirectory", "")
    path = PurePosixPath(unquote(named))
    if path.is_absolute() or ".." in path.parts or "\0" in named:
        raise BadSource(word, "its subdirectory is no path inside")
    return path.as_posix() if path.parts else ""


def _checkout(checkouts: Path, address: str) -> Path:
    return checkouts / hashlib.sha256(address.encode()).hexdigest()[:32]


def _git(repository: Path, *words: str, reason: str = "read the source with git") -> tuple[str, ...]:
    return _run_git("--git-dir", str(repository), *words, about=str(repository), reason=reason)


def _run_git(*words: str, about: str, reason: str = "make a place for the source with git") -> tuple[str, ...]:
    git = shutil.which("git")
    if not git:
        raise BadSource(about, "git is not on PATH")
    settings = [word for setting in _GIT_SETTINGS for word in ("-c", setting)]
    return run_step(Step((git, *settings, *words), _GIT_ENVIRONMENT, reason)).tail


def name_of_archive(filename: str) -> tuple[str, str] | None:
    """Project and version that the name of an sdist says (PEP 625, and older spellings)."""
    name, dash, version = filename.removesuffix(".tar.gz").rpartition("-")
    return (normalise(name), version) if dash and name and version else None
