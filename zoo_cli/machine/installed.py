"""The distributions installed in the directories of an interpreter, read from their metadata files.

Edge: reads files. Nothing is imported or run; no `.pth` line is followed, only setuptools' `.egg-link` names the place
of an editable install. A distribution that cannot be read is told as `BrokenMetadata`, the others are still found.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.machine.facts import BrokenMetadata, DirectUrl, Distribution, TorchFacts
from zoo_cli.machine.files import is_there, names_in, read_text
from zoo_cli.machine.metadata import (
    normalized_name,
    parse_direct_url,
    parse_headers,
    parse_record,
    parse_requires_txt,
    parse_torch_version,
    parse_wheel_tags,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_METADATA_BYTES = 512 * 1024  # the headers come first; long descriptions are cut off
MAX_RECORD_BYTES = 32 * 1024 * 1024  # torch's is about 2 MB


class Installed(NamedTuple):
    """What the directories hold; distributions sorted by name, those found first on the path first."""

    distributions: tuple[Distribution, ...]
    problems: tuple[BrokenMetadata, ...]
    torch: TorchFacts | None


def read_installed(directories: Iterable[Path], record_for: frozenset[str] = frozenset()) -> Installed:
    """The distributions in these directories, in import order.

    `record_for`: normalised names of the projects whose RECORD (the list of their files) is wanted.
    """
    distributions: list[Distribution] = []
    problems: list[BrokenMetadata] = []
    torch: TorchFacts | None = None
    for directory in directories:
        for name in names_in(directory):
            for metadata, location, is_linked in _metadata_of(directory, name):
                found = _read(metadata, location, is_linked, record_for)
                if isinstance(found, Distribution):
                    distributions.append(found)
                else:
                    problems.append(found)
        torch = torch or _read_torch(directory / "torch" / "version.py")
    distributions.sort(key=lambda each: each.name)  # stable: import order stays within a name
    return Installed(tuple(distributions), tuple(problems), torch)


def read_files(here: Distribution) -> tuple[str, ...]:
    """The files of an installed distribution, from its RECORD; () where it has none."""
    return parse_record(read_record(here))


def read_record(here: Distribution) -> str:
    """The RECORD of an installed distribution; "" where it has none."""
    directory = Path(here.location)
    for name in names_in(directory):
        stem, _, version = name.removesuffix(".dist-info").rpartition("-")
        if name.endswith(".dist-info") and normalized_name(stem) == here.name and version == here.version:
            return read_text(directory / name / "RECORD", MAX_RECORD_BYTES) or ""
    return ""


def _metadata_of(directory: Path, name: str) -> Iterator[tuple[Path, Path, bool]]:
    """Metadata directories or files that an entry stands for, where the code is, and whether through an egg-link."""
    if name.startswith("~"):  # pip's half-removed leavings
        return
    if name.endswith((".dist-info", ".egg-info")):
        yield directory / name, directory, False
    elif name.endswith(".egg"):
        yield directory / name / "EGG-INFO", directory / name, False
    elif name.endswith(".egg-link"):
        project = Path((read_text(directory / name, 8192) or "").partition("\n")[0].strip() or "/nowhere")
        for inner in names_in(project, 10_000):
            if inner.endswith(".egg-info"):
                yield project / inner, project, True


def _read(metadata: Path, location: Path, is_linked: bool, record_for: frozenset[str]) -> Distribution | BrokenMetadata:
    is_wheel = metadata.suffix == ".dist-info"
    text = read_text(metadata / ("METADATA" if is_wheel else "PKG-INFO"), MAX_METADATA_BYTES)
    if text is None and not is_wheel:
        text = read_text(metadata, MAX_METADATA_BYTES)  # distutils wrote one file
    if text is None:
        return BrokenMetadata(str(metadata), "unreadable")
    headers = parse_headers(text)
    if not headers.name or not headers.version:
        return BrokenMetadata(str(metadata), "no-version" if headers.name else "no-name")
    name = normalized_name(headers.name)
    if not is_wheel:
        requires = headers.requires or parse_requires_txt(read_text(metadata / "requires.txt", 1 << 20) or "")
        linked = DirectUrl(_uri(location), editable=True) if is_linked else None
        return Distribution(name, headers.version, str(location), linked, requires)
    record = read_text(metadata / "RECORD", MAX_RECORD_BYTES) if name in record_for else None
    return Distribution(
        name,
        headers.version,
        str(location),
        parse_direct_url(read_text(metadata / "direct_url.json", 65536) or ""),
        requires=headers.requires,
        files=parse_record(record or ""),
        wheel_tags=parse_wheel_tags(read_text(metadata / "WHEEL", 65536) or ""),
        installer=(read_text(metadata / "INSTALLER", 200) or "").partition("\n")[0].strip(),
    )


def _uri(directory: Path) -> str:
    """The file: address of a directory that an egg-link names; "" for one that it names in part only."""
    return directory.as_uri() if directory.is_absolute() else ""


def _read_torch(path: Path) -> TorchFacts | None:
    """Version, CUDA and ROCm from torch's own version module; None when it is absent or says no version."""
    text = read_text(path, 65536) if is_there(path) else None
    facts = parse_torch_version(text) if text is not None else {}
    version = facts.get("__version__")
    if not version:
        return None
    return TorchFacts(version[:200], facts.get("cuda"), facts.get("hip"), str(path))
