"""The files inside a dist-info or egg-info directory, read as text.

Pure. Formats: core metadata (headers up to the first empty line), WHEEL and RECORD (Binary distribution format),
direct_url.json (PEP 610), setuptools' requires.txt and .egg-link. Readers take what broken writers leave: unknown or
damaged lines are passed over, never an error.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from zoo_cli.machine.facts import DirectUrl
from zoo_cli.plaintext import without_passwords

MAX_REQUIREMENTS = 2000
MAX_FILES = 200_000


class Headers(NamedTuple):
    """Name, version and requirements of a distribution; "" where the metadata has none."""

    name: str = ""
    version: str = ""
    requires: tuple[str, ...] = ()


def normalized_name(name: str) -> str:
    """A project's name as the simple index spells it (PEP 503): "MMCV_full" -> "mmcv-full"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_headers(text: str) -> Headers:
    """The headers of METADATA or PKG-INFO; a description below the empty line is not read."""
    found: dict[str, str] = {}
    requires: list[str] = []
    key = ""
    for line in text.splitlines():
        if not line.strip():
            break
        if line[0] in " \t":  # a folded header goes on
            if key == "requires-dist" and requires:
                requires[-1] = f"{requires[-1]} {line.strip()}"
            continue
        key, _, value = line.partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "requires-dist" and value and len(requires) < MAX_REQUIREMENTS:
            requires.append(value)
        else:
            found.setdefault(key, value)
    return Headers(found.get("name", "")[:200], found.get("version", "")[:200], tuple(requires))


def parse_requires_txt(text: str) -> tuple[str, ...]:
    """Requirements of an egg-info as Requires-Dist writes them; sections `[extra:marker]` become markers."""
    requires: list[str] = []
    marker = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            extra, _, condition = line[1:-1].partition(":")
            parts = [f"({condition})" if condition else "", f'extra == "{extra}"' if extra else ""]
            marker = " and ".join(part for part in parts if part)
        elif line and not line.startswith("#") and len(requires) < MAX_REQUIREMENTS:
            requires.append(f"{line} ; {marker}" if marker else line)
    return tuple(requires)


def parse_wheel_tags(text: str) -> tuple[str, ...]:
    """The tags of a WHEEL file, in its order."""
    lines = text.splitlines()[:1000]
    return tuple(line.partition(":")[2].strip() for line in lines if line.lower().startswith("tag:"))


def parse_record(text: str) -> tuple[str, ...]:
    """The paths of a RECORD, in its order, with forward slashes."""
    return tuple(row[0].replace("\\", "/") for row in _rows(text))


def parse_digests(text: str) -> dict[str, tuple[str, str]]:
    """The digests of a RECORD by path: algorithm, and the digest in base64 without padding; only rows that have one."""
    rows = ((row[0], row[1].partition("=")) for row in _rows(text) if len(row) > 1)
    return {path.replace("\\", "/"): (name, digest) for path, (name, _sign, digest) in rows if digest}


def _rows(text: str) -> list[list[str]]:
    """The rows of a RECORD that name a path."""
    if '"' not in text:
        return [line.split(",") for line in text.splitlines() if line and line[0] != ","][:MAX_FILES]
    import csv

    try:
        return [row for row in csv.reader(text.splitlines()) if row and row[0]][:MAX_FILES]
    except csv.Error:
        return []


def parse_direct_url(text: str) -> DirectUrl | None:
    """What a direct_url.json says, without user names and passwords; None when it is no such file."""
    import json

    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("url"), str):
        return None
    vcs, archive, directory = (_table(document, f"{kind}_info") for kind in ("vcs", "archive", "dir"))
    algorithm, _sign, digest = _text(archive, "hash").partition("=")
    return DirectUrl(
        _without_credentials(_text(document, "url")),
        _text(vcs, "vcs"),
        _text(vcs, "commit_id"),
        _text(vcs, "requested_revision"),
        _text(document, "subdirectory"),
        _text(_table(archive, "hashes"), "sha256") or (digest if algorithm == "sha256" else ""),
        directory.get("editable") is True,
    )


def _table(document: dict[str, object], key: str) -> dict[str, object]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _text(document: dict[str, object], key: str) -> str:
    found = document.get(key)
    return found[:4000] if isinstance(found, str) else ""


def _without_credentials(url: str) -> str:
    """PEP 610 wants none in it; a user name alone may be a token, but for ssh, which needs one."""
    return without_passwords(re.sub(r"(?i)^((?:\w+\+)?https?://)[^/?#@\s]*@", r"\1", url))


def parse_torch_version(text: str) -> dict[str, str | None]:
    """The texts and Nones that `torch/version.py` assigns, by name; read as a syntax tree, never run."""
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a bad escape in a foreign file is not our user's business
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, str | None] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        if isinstance(value, ast.Constant) and (value.value is None or isinstance(value.value, str)):
            found.update({target.id: value.value for target in targets if isinstance(target, ast.Name)})
    return found
