"""Where an installed distribution came from, in words and as JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo_cli.machine.facts import DirectUrl


def source_words(source: DirectUrl) -> str:
    """As "git https://host/p at 0123456789ab (main)", "editable from /work/p", "from https://host/p-1.0.tar.gz"."""
    inside = f", folder {source.subdirectory}" if source.subdirectory else ""
    url = source.url.partition("#")[0]
    place = url.removeprefix("file://") if url.startswith("file:///") else url
    if source.vcs:
        asked = source.requested_revision
        named = f" ({asked})" if asked and asked != source.commit_id else ""
        return f"{source.vcs} {place} at {source.commit_id[:12]}{named}{inside}"
    return f"{'editable ' if source.editable else ''}from {place}{inside}"


def source_document(source: DirectUrl | None) -> dict[str, object] | None:
    """For --json; None where it came from a package index."""
    return source._asdict() if source else None
