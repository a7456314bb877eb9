"""What an installed distribution came from (PEP 610), put right where an installer was given a cached file.

Edge: `direct_url.json` and RECORD in site-packages. uv and pip write down the file that they were given. Where zoo
built it from a repository, an archive or a directory, that is recorded, as uv and pip do for the same words; where the
project came by its name from the package index, nothing is. Each file is written whole, never through a hard link.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_cli.atomic import write_whole
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.metadata import normalized_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zoo_cli.machine.facts import DirectUrl
    from zoo_cli.packages.sources import Source

_NAME = "direct_url.json"


class NotRecorded(ZooError):
    """Where an installed project came from could not be written down."""

    code = "source-not-recorded"
    exit_code = ExitCode.ENVIRONMENT

    project: str
    path: str
    reason: str


def document_of(source: DirectUrl) -> dict[str, Any]:
    """The tables of a direct_url.json."""
    document: dict[str, Any] = {"url": source.url}
    if source.vcs:
        asked = {"requested_revision": source.requested_revision} if source.requested_revision else {}
        document["vcs_info"] = {"vcs": source.vcs, "commit_id": source.commit_id, **asked}
    elif source.sha256:
        document["archive_info"] = {"hash": f"sha256={source.sha256}", "hashes": {"sha256": source.sha256}}
    else:
        document["dir_info"] = {"editable": True} if source.editable else {}
    return {**document, "subdirectory": source.subdirectory} if source.subdirectory else document


def direct_url_of(source: Source) -> DirectUrl:
    """What is recorded of a source."""
    from zoo_cli.machine.facts import DirectUrl

    if source.kind == "git":
        return DirectUrl(source.place, "git", source.digest, source.requested, source.subdirectory)
    if source.kind == "folder":
        return DirectUrl(Path(source.place).as_uri(), subdirectory=source.subdirectory, editable=source.is_editable)
    return DirectUrl(source.address, subdirectory=source.subdirectory, sha256=source.digest)


def record(sources: Mapping[str, DirectUrl | None], sites: Iterable[Path]) -> None:
    """Writes down where installed projects came from; None: from the package index, by name.

    Args:
        sources: by normalised name.
        sites: the directories of the environment's packages.

    Raises:
        NotRecorded: a file cannot be read or written.
    """
    for site in dict.fromkeys(sites):
        for metadata in site.glob("*.dist-info"):
            name = normalized_name(metadata.name.partition("-")[0])
            if name in sources:
                try:
                    _record(metadata, sources[name])
                except (OSError, csv.Error, UnicodeDecodeError) as exc:
                    raise NotRecorded(name, str(metadata), str(exc)) from exc


def _record(metadata: Path, source: DirectUrl | None) -> None:
    """The file first where it comes, its row in RECORD first where it goes: no row is without its file."""
    place, listed = metadata / _NAME, metadata / "RECORD"
    if source is None and not place.exists():
        return
    text = json.dumps(document_of(source), sort_keys=True).encode() if source else b""
    if source:
        write_whole(place, text)
    name = f"{metadata.name}/{_NAME}"
    rows = [row for row in csv.reader(io.StringIO(listed.read_text(encoding="utf-8"), newline="")) if row]
    rows = [row for row in rows if row[0] != name]
    if source:
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).decode().rstrip("=")
        rows.append([name, f"sha256={digest}", str(len(text))])
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    write_whole(listed, out.getvalue().encode())
    if source is None:
        place.unlink()
