"""What the checkpoint scanner says of a file: findings, a verdict, and the policy that decides.

Pure. A verdict never says "safe": it says that no code was found, by which allow list, in how much of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from zoo_cli.errors import ZooError
from zoo_cli.transfer.inspection import Refused
from zoo_cli.trust.allowed import REVISION

Level = Literal["warning", "unknown", "dangerous", "malformed"]
LEVELS: tuple[Level, ...] = ("warning", "unknown", "malformed", "dangerous")
"""From harmless to worst; only a warning passes."""

MAX_FINDINGS = 100


class Finding(NamedTuple):
    """One thing that is not as in an ordinary checkpoint."""

    level: Level
    code: str  # kebab-case
    what: str  # a global's name, or the reason
    where: str  # member or part of the file
    at: int | None  # offset in that part

    @property
    def may_be_trusted(self) -> bool:
        """Whether `--trust-global` can let it pass: an unknown name that is one class or function of a module."""
        return self.level == "unknown"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user trusts by exact name: {"pkg.mod.Name"}."""

    trusted: frozenset[str] = frozenset()


NOTHING_TRUSTED = Policy()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a file is and what was found in it."""

    container: str  # "torch zip", "torch legacy", "pickle", "safetensors", or what it is instead
    size_bytes: int | None
    findings: tuple[Finding, ...]
    globals: tuple[str, ...] = ()  # every name the pickles ask for, sorted
    trusted: tuple[str, ...] = ()  # those of them that passed because the user said so
    tensors: int = 0
    is_whole: bool = True  # False: judged by parts of the file

    @property
    def worst(self) -> Level | None:
        """The gravest level; None when there is no finding."""
        found = {finding.level for finding in self.findings}
        return next((level for level in reversed(LEVELS) if level in found), None)

    @property
    def is_refused(self) -> bool:
        """Whether the file must not be delivered."""
        return self.worst not in (None, "warning")

    @property
    def may_be_trusted(self) -> bool:
        """Whether naming globals would let it pass."""
        return self.worst == "unknown"

    def document(self) -> dict[str, object]:
        """All of it for --json."""
        return {
            "verdict": "refused" if self.is_refused else "warning" if self.findings else "ok",
            "sentence": self.sentence,
            "allow_list": REVISION,
            "container": self.container,
            "is_whole": self.is_whole,
            "tensors": self.tensors,
            "globals": list(self.globals),
            "trusted": list(self.trusted),
            "findings": [finding._asdict() for finding in self.findings],
        }

    @property
    def sentence(self) -> str:
        """The verdict in one line, never more than was looked at."""
        if self.is_refused:
            first = next(finding for finding in self.findings if finding.level == self.worst)
            return f"refused: {first.what}"
        if self.container == "safetensors":
            return "no code found (safetensors cannot hold any)"
        names = f"{len(self.globals)} global{'s' if len(self.globals) != 1 else ''}"
        kept = f", trusted by you: {', '.join(self.trusted)}" if self.trusted else ""
        return f"no code found (allow list {REVISION}, {names}{kept})"


class CheckpointRefused(Refused):
    """A checkpoint that would, or might, do more than hold numbers."""

    code = "checkpoint-refused"

    file: str
    verdict: Verdict
    early: bool = False  # refused by its beginning, while it was being fetched
    quarantine: str | None = None  # where the complete file is kept, to be looked into

    def fields(self) -> dict[str, object]:
        """The facts, the verdict as a document."""
        return {"file": self.file, "early": self.early, "quarantine": self.quarantine, **self.verdict.document()}

    @property
    def may_be_kept(self) -> bool:
        """Naming globals would let it pass, so its bytes need not come a second time."""
        return self.verdict.may_be_trusted


class UnreadableCheckpoint(ZooError):
    """A file cannot be read at all."""

    code = "unreadable-checkpoint"

    file: str
    reason: str
