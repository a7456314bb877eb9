"""The pages of a mirror: what pip, uv and zoo read to find wheels, as plain files for any server.

Pure. `simple/` is a package index as PEP 503 has it in HTML and PEP 691 in JSON; `wheels/` lists all wheels for
find-links; a directory that upstream has a page for gets its own, with the wheels that are here. Links are relative,
so the tree works under any address, with digests, Requires-Python and PEP 658 metadata. Wheels of one file name with
different bytes (upstream's mmcv, one for each torch) stand on a page of their directory only: elsewhere nobody could
tell them apart.
"""

from __future__ import annotations

import html
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zoo_cli.mirror.manifest import Held

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "text/html; charset=utf-8"
_API = "1.1"  # PEP 700: sizes and versions


def make_pages(files: Iterable[Held]) -> dict[str, bytes]:
    """Every page of a tree by its path.

    Args:
        files: All files of the tree; wheels are listed, `metadata` files beside them are named by digest.
    """
    all_files = list(files)
    metadata = {each.path: each.sha256 for each in all_files if each.kind == "metadata"}
    wheels = sorted(each for each in all_files if each.kind == "wheel")
    alone = _alone(wheels)
    names = {each.name for each in alone}
    own_page = [each for each in wheels if each.pages or each.name not in names]
    return {**_index(alone, metadata), **_directories(own_page, metadata)}


def shared_names(files: Iterable[Held]) -> tuple[str, ...]:
    """Names of wheels that several different files have."""
    wheels = [each for each in files if each.kind == "wheel"]
    alone = {each.name for each in _alone(wheels)}
    return tuple(sorted({each.name for each in wheels} - alone))


def _alone(wheels: Sequence[Held]) -> list[Held]:
    """The wheels whose name means one file, each once."""
    digests: dict[str, set[str]] = defaultdict(set)
    for each in wheels:
        digests[each.name].add(each.sha256)
    first = {each.name: each for each in reversed(wheels) if len(digests[each.name]) == 1}
    return [first[name] for name in sorted(first)]


def project_of(name: str) -> str:
    """The project of a wheel's file name, normalised as PEP 503 says."""
    return canonicalize_name(name.partition("-")[0])


def _index(wheels: Sequence[Held], metadata: Mapping[str, str]) -> dict[str, bytes]:
    projects: dict[str, list[Held]] = defaultdict(list)
    for each in wheels:
        projects[project_of(each.name)].append(each)
    rows = [f'<a href="{quote(name)}/">{html.escape(name)}</a><br>' for name in sorted(projects)]
    listed = {"meta": {"api-version": _API}, "projects": [{"name": name} for name in sorted(projects)]}
    pages = {
        "simple/index.html": _page("Simple index", rows), "simple/index.json": _json(listed),
        "wheels/index.html": _listing("all wheels", "wheels", wheels, metadata),
    }  # fmt: skip
    for name, held in projects.items():
        folder = f"simple/{name}"
        pages[f"{folder}/index.html"] = _listing(name, folder, held, metadata)
        pages[f"{folder}/index.json"] = _json(_project(name, folder, held, metadata))
    return pages


def _directories(wheels: Sequence[Held], metadata: Mapping[str, str]) -> dict[str, bytes]:
    """A page for each directory, and one for each project below it, as download.pytorch.org/whl has them."""
    folders: dict[str, list[Held]] = defaultdict(list)
    for each in wheels:
        folder = each.path.rpartition("/")[0]
        folders[folder].append(each)
        folders[f"{folder}/{project_of(each.name)}"].append(each)
    return {f"{folder}/index.html": _listing(folder, folder, held, metadata) for folder, held in folders.items()}


def _listing(title: str, folder: str, wheels: Sequence[Held], metadata: Mapping[str, str]) -> bytes:
    return _page(f"Links for {title}", [_anchor(each, folder, metadata) for each in wheels])


def _anchor(wheel: Held, folder: str, metadata: Mapping[str, str]) -> str:
    attributes = ""
    if wheel.requires_python:
        attributes += f' data-requires-python="{html.escape(wheel.requires_python)}"'
    if digest := metadata.get(f"{wheel.path}.metadata"):
        attributes += f' data-core-metadata="sha256={digest}" data-dist-info-metadata="sha256={digest}"'
    href = html.escape(f"{_relative(wheel.path, folder)}#sha256={wheel.sha256}")
    return f'<a href="{href}"{attributes}>{html.escape(wheel.name)}</a><br>'


def _project(name: str, folder: str, wheels: Sequence[Held], metadata: Mapping[str, str]) -> dict[str, Any]:
    return {
        "meta": {"api-version": _API},
        "name": name,
        "versions": sorted({each.name.split("-")[1] for each in wheels}),
        "files": [_file(each, folder, metadata) for each in wheels],
    }


def _file(wheel: Held, folder: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    digest = metadata.get(f"{wheel.path}.metadata")
    return {
        "filename": wheel.name,
        "url": _relative(wheel.path, folder),
        "hashes": {"sha256": wheel.sha256},
        "size": wheel.size_bytes,
        **({"requires-python": wheel.requires_python} if wheel.requires_python else {}),
        **({"core-metadata": {"sha256": digest}} if digest else {}),
    }


def _relative(path: str, folder: str) -> str:
    """The address of a path as seen from a page in the folder; `+` is escaped: some stores read it as a blank."""
    return "../" * (folder.count("/") + 1) + quote(path)


def _page(title: str, rows: Sequence[str]) -> bytes:
    head = f'<!DOCTYPE html>\n<html><head><meta name="pypi:repository-version" content="{_API}">'
    body = "".join(f"{row}\n" for row in rows)
    return f"{head}<title>{html.escape(title)}</title></head><body>\n{body}</body></html>\n".encode()


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()
