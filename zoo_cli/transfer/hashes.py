"""Digests: full SHA-256 as the only proof, and the eight hex digits in a file name as a hint.

Pure. A prefix is 32 bits: a forged file with a chosen prefix takes minutes, so it finds damage and never proves origin.
"""

from __future__ import annotations

import re
from typing import Literal, NewType

from zoo_cli.errors import ExitCode, ZooError

Sha256 = NewType("Sha256", str)
"""A full SHA-256 digest as 64 lower-case hex digits; made by `parse_sha256`."""

Evidence = Literal["signed", "locked", "agreed", "given", "prefix", "none"]
"""What a file's identity rests on.

signed: size and SHA-256 in a signed index. locked: a SHA-256 recorded earlier (lock, index, package index).
agreed: two operators sent the same. given: the user typed the SHA-256. prefix: 8 digits in the name. none: TLS only.
"""

# `-<8 hex>.pth` (torch.hub), `-<8 hex>_<date>.pth` (mmpose), `_<8 hex>-<date>.pth` (nine files of mmocr).
_DATE = r"20[0-3]\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_EXTENSION = r"(?:\.[A-Za-z][A-Za-z0-9]*)+"
_NAMED = rf"(?:-([0-9a-f]{{8}})(?:_{_DATE})?|_([0-9a-f]{{8}})-{_DATE}){_EXTENSION}\Z"


class BadDigest(ZooError):
    """A text is no SHA-256 digest."""

    code = "bad-digest"
    exit_code = ExitCode.USAGE

    text: str


def parse_sha256(text: str) -> Sha256:
    """The digest written as 64 hex digits, with or without `sha256:` or `sha256=` before it.

    Raises:
        BadDigest: It is anything else; a shortened digest is never taken for a full one.
    """
    found = re.fullmatch(r"(?:sha256[:=])?([0-9a-fA-F]{64})", text.strip())
    if not found:
        raise BadDigest(text[:100])
    return Sha256(found[1].lower())


def is_full(digest: str | None) -> bool:
    """Whether a digest, or the first digits of one, is a full SHA-256: proof of what bytes are."""
    return digest is not None and len(digest) == 64


def prefix_in_name(file_name: str) -> str | None:
    """The first eight hex digits of the SHA-256 that a checkpoint's publisher put into its name, if they are there.

    `x_20220719_112030-5a0be7c4.pth` gives "5a0be7c4", `x-8edcf0d7_20230127.pth` gives "8edcf0d7"; a date is never
    taken for digits, nor is a job number or an accuracy such as `bbox_mAP-0.386_`.
    """
    name = file_name[-300:]
    if not re.search("[-_][0-9a-f]{8}[-_.]", name):  # compiling the whole expression takes milliseconds
        return None
    found = re.search(_NAMED, name)
    if not found:
        return None
    digits: str = found[1] or found[2]
    return None if re.fullmatch(_DATE, digits) else digits
