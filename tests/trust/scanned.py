"""The scanner on bytes in memory, for tests."""

from __future__ import annotations

import io

from zoo_cli.trust.checkpoint import scan_checkpoint
from zoo_cli.trust.verdict import Policy, Verdict


def verdict_on(data: bytes, *trusted: str) -> Verdict:
    return scan_checkpoint(io.BytesIO(data), len(data), Policy(frozenset(trusted)))


def codes(data: bytes) -> set[str]:
    """What was found, each as level/code."""
    return {f"{finding.level}/{finding.code}" for finding in verdict_on(data).findings}
