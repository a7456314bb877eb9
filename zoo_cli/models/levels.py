"""What the identity of a model's file can rest on before it is fetched. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.transfer.hashes import prefix_in_name

if TYPE_CHECKING:
    from zoo_cli.catalog.models import ModelFile
    from zoo_cli.transfer.hashes import Evidence


def level_of(file: ModelFile, *, is_signed: bool = False, is_seen: bool = False) -> Evidence:
    """The level of evidence with which a file would come (see `hashes.Evidence`); a second host can raise it.

    Args:
        file: as the index has it.
        is_signed: whether the facts on it are under signatures.
        is_seen: whether its digest was recorded when it first came.
    """
    if file.sha256:
        return "signed" if is_signed else "locked"
    if is_seen:
        return "locked"
    return "prefix" if known_prefix(file) else "none"


def known_prefix(file: ModelFile) -> str | None:
    """The digits to compare; other digests than SHA-256 (detectron2's MD5) say nothing here, nor do those of a log."""
    if file.role == "log":
        return None
    if file.prefix and file.prefix_algorithm in (None, "sha256"):
        return file.prefix
    if file.stale:
        return None
    return prefix_in_name(file.name) if not file.prefix_algorithm else None
