"""Proposed rows of the index: what was read in a wheel, as text for index/compat.

Edge: reads the index, and writes its files when asked to. The compiler takes a proposal before anyone sees it. It is
added to the provider's own file, at the head of its `wheels`; a version that the file does not list yet is put in its
place among the `releases`. A provider without a file gets one.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from zoo_cli.catalog.compiler.compat import load_compat
from zoo_cli.catalog.compiler.sources import read_source

_RELEASES = r"(?m)^  {project}: \[((?:[^\]]|\n)*)\]"


class Proposal(NamedTuple):
    """One wheel, by its own content."""

    project: str
    provider: str
    platform: str
    torch: str  # minor
    variant: str
    version: str
    python_tags: tuple[str, ...]
    targets: tuple[str, ...]
    glibc: str | None
    file: str  # the address of that very wheel
    page: str
    sha256: str | None
    source: str  # the address, and what was read there
    date: str  # ISO

    @property
    def row(self) -> str:
        """The row of `wheels`, as index/compat writes it."""
        lines = [
            f"- project: {self.project}",
            f"  provider: {self.provider}",
            f"  platform: {self.platform}",
            f'  torch: "{self.torch}"',
            f"  variant: {self.variant}",
            f'  versions: ["{self.version}"]',
            f"  python: [{', '.join(self.python_tags)}]",
        ]
        if self.targets and self.variant != "cpu":
            lines.append(f"  targets: [{', '.join(f'{chr(34)}{each}{chr(34)}' for each in self.targets)}]")
        lines += [f'  glibc: "{self.glibc}"'] if self.glibc else []
        lines += [f"  page: {_quoted(self.page)}", f"  file: {_quoted(self.file)}"]
        lines += [f"  sha256: {self.sha256}"] if self.sha256 else []
        lines.append(f"  origin: {{source: {_quoted(self.source)}, date: {self.date}, evidence: seen}}")
        return "\n".join(lines) + "\n"


class Amended(NamedTuple):
    """A file of the index with proposals in it, which the compiler takes."""

    name: str  # compat/ops_mmcv.yaml
    text: str
    is_new: bool


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def amend(index: Path, proposals: list[Proposal]) -> list[Amended]:
    """The files of an index with proposals in them; nothing is written.

    Raises:
        BrokenRow: the compiler refuses one.
    """
    texts: dict[str, str] = {}
    for each in proposals:
        name = _file_of(index, each) or f"ops_{each.provider.replace('-', '_')}.yaml"
        place = index / "compat" / name
        text = texts.get(name) or (place.read_text(encoding="utf-8") if place.is_file() else _new_file(each))
        texts[name] = _with_row(_with_release(text, each), each)
    _check(index, texts)
    return [Amended(f"compat/{name}", text, not (index / "compat" / name).is_file()) for name, text in texts.items()]


def write(index: Path, amended: list[Amended]) -> None:
    """Writes the amended files, each whole."""
    from zoo_cli.atomic import write_whole

    for each in amended:
        write_whole(index / each.name, each.text.encode())


def _file_of(index: Path, proposal: Proposal) -> str | None:
    """The file with wheels of that project by that provider; the first of its provider's otherwise."""
    found = None
    for path in sorted((index / "compat").glob("ops_*.yaml")):
        text = path.read_text(encoding="utf-8")
        if re.search(rf"\bprovider: {re.escape(proposal.provider)}\b", text):
            if re.search(_RELEASES.format(project=re.escape(proposal.project)), text):
                return path.name
            found = found or path.name
    return found


def _new_file(proposal: Proposal) -> str:
    page = _quoted(proposal.page)
    return "\n".join(
        (
            f"# Wheels of {proposal.provider}, as their files were read.\n\nschema: 1\n",
            f"provider: {proposal.provider}\n\nreleases:\n  {proposal.project}: []\n",
            f"layouts:\n- id: {proposal.provider}\n  page: {page}",
            f"  origin: {{source: {page}, date: {proposal.date}, evidence: seen}}\n\nwheels:\n",
        )
    )


def _with_release(text: str, proposal: Proposal) -> str:
    """The text with the version among the releases of its project, in order."""
    from packaging.version import Version

    pattern = _RELEASES.format(project=re.escape(proposal.project))
    found = re.search(pattern, text)
    if found is None:
        return text.replace("\nreleases:\n", f'\nreleases:\n  {proposal.project}: ["{proposal.version}"]\n', 1)
    listed = re.findall(r"[^\s,\"']+", found[1])
    if proposal.version in listed:
        return text
    listed.insert(sum(Version(each) < Version(proposal.version) for each in listed), proposal.version)
    lines, line = [], f"  {proposal.project}: ["
    for number, each in enumerate(listed):
        word = f'"{each}"' + ("]" if number + 1 == len(listed) else ", ")
        if len(line) + len(word) > 118:
            lines.append(line.rstrip())
            line = "    "
        line += word
    return text[: found.start()] + "\n".join([*lines, line]) + text[found.end() :]


def _with_row(text: str, proposal: Proposal) -> str:
    if proposal.row in text:
        return text
    head, mark, rest = text.partition("\nwheels:\n")
    return head + mark + proposal.row + rest if mark else f"{text.rstrip()}\n\nwheels:\n{proposal.row}"


def _check(index: Path, texts: dict[str, str]) -> None:
    """Compiles every compatibility fact with the new texts."""
    paths = {path.name: path for path in sorted((index / "compat").glob("*.yaml"))}
    with tempfile.TemporaryDirectory() as directory:
        for name, text in texts.items():
            paths[name] = Path(directory, name)
            paths[name].write_text(text, encoding="utf-8")
        load_compat({Path(name).stem: read_source(path, f"compat/{name}") for name, path in sorted(paths.items())})
