"""Requirements files: what of them zoo decides, what it hands to the installer as it stands, what it leaves out.

Edge: reads the files (pip's requirements file format, https://pip.pypa.io/en/stable/reference/requirements-file-format/).
Packages that zoo chooses become words of the request; every other requirement goes to uv or pip untouched, under the
plan's bounds. Options about indexes are left out, because zoo knows where torch and compiled ops come from and the rest
is the user's own configuration; each is named. What cannot be kept (editable installs, hashes, constraints) is an
error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.request import CHOSEN_KINDS, BadRequirement, Requirements
from zoo_cli.packages.wheels import normalise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.catalog.entries import Project

MAX_FILE = 1 << 20  # bytes
MAX_DEPTH = 8  # files that name files
_COMMENT = re.compile(r"(^|\s+)#.*$")
_LEFT_OUT = ("-i", "--index-url", "--extra-index-url", "--trusted-host", "--prefer-binary", "--no-index")
_PLACES = ("-f", "--find-links")
_FILES = ("-r", "--requirement")


class UnreadableRequirements(ZooError):
    """A requirements file that cannot be read."""

    code = "unreadable-requirements"
    exit_code = ExitCode.USAGE

    path: str
    reason: str


def read_requirements(paths: tuple[str, ...], projects: Mapping[str, Project]) -> Requirements:
    """All of the files together.

    Raises:
        UnreadableRequirements: one cannot be read, is too large, or they name each other too deeply.
        BadRequirement: a line that zoo cannot keep to, with its file and number.
    """
    words: list[str] = []
    others: list[str] = []
    places: list[str] = []
    left_out: list[str] = []
    for where, line in (found for path in paths for found in _lines(Path(path), MAX_DEPTH)):
        if line.startswith("-"):
            name, value = _option(line)
            if name in _PLACES:
                places.append(value)
            elif name in _LEFT_OUT:
                left_out.append(f"{where}: {name}")
            else:
                raise BadRequirement(line, f"{where}: zoo does not take {name} in a requirements file")
            continue
        (words if _is_chosen(where, line, projects) else others).append(line)
    return Requirements(tuple(words), tuple(others), tuple(places), tuple(left_out))


def _lines(path: Path, depth: int) -> Iterator[tuple[str, str]]:
    """("FILE:NUMBER", logical line) of a file and of the files it names, without comments and blank lines."""
    joined = ""
    for number, text in enumerate(_read(path, depth), 1):
        joined += text.removesuffix("\\")
        if text.endswith("\\"):
            continue
        line, joined = _COMMENT.sub("", joined).strip(), ""
        name, value = _option(line) if line.startswith("-") else ("", "")
        if name in _FILES:
            yield from _lines(path.parent / value, depth - 1)
        elif line:
            yield f"{path}:{number}", line


def _read(path: Path, depth: int) -> list[str]:
    if depth < 0:
        raise UnreadableRequirements(str(path), f"files name files more than {MAX_DEPTH} deep")
    try:
        with path.open("rb") as stream:
            body = stream.read(MAX_FILE + 1)
    except (OSError, ValueError) as exc:
        raise UnreadableRequirements(str(path), getattr(exc, "strerror", None) or str(exc)) from exc
    if len(body) > MAX_FILE:
        raise UnreadableRequirements(str(path), f"it is larger than {MAX_FILE} bytes")
    try:
        return body.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as exc:
        raise UnreadableRequirements(str(path), f"byte {exc.start} is not UTF-8") from exc


def _option(line: str) -> tuple[str, str]:
    found = re.match(r"(--[a-z-]+|-[a-z])(?:\s*=\s*|\s*)(.*)$", line)
    return (found[1], found[2].strip()) if found else (line, "")


def _is_chosen(where: str, line: str, projects: Mapping[str, Project]) -> bool:
    """Whether zoo chooses the version of a line's package.

    Raises:
        BadRequirement: it does, and the line has a marker or an address; or the line is no requirement.
    """
    if " --" in line:
        raise BadRequirement(line, f"{where}: options of a single requirement (--hash ...) are not taken")
    try:
        requirement = Requirement(line)
    except InvalidRequirement as exc:
        raise BadRequirement(line, f"{where}: {str(exc).splitlines()[0]}") from exc
    project = projects.get(normalise(requirement.name))
    if project is None or project.kind not in CHOSEN_KINDS:
        return False
    if requirement.url or requirement.marker:
        raise BadRequirement(line, f"{where}: zoo chooses {project.name} itself, so no address and no marker")
    return True
