"""The scanner as a gate in a download: the `transfer.inspection.Inspector` of checkpoints."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from zoo_cli.trust.checkpoint import scan_beginning, scan_checkpoint
from zoo_cli.trust.verdict import CheckpointRefused, Policy, Verdict

if TYPE_CHECKING:
    from typing import BinaryIO

    from zoo_cli.trust.quarantine import Quarantine


class Screening:
    """Judges one checkpoint; `verdict` is that on the complete file, once it was seen.

    Args:
        name: Of the file, to show.
        policy: What the user trusts.
        quarantine: Where a complete file that is refused is kept; nowhere when None.
    """

    def __init__(self, name: str, policy: Policy | None = None, quarantine: Quarantine | None = None) -> None:
        self._name, self._policy, self._quarantine = name, policy or Policy(), quarantine
        self.verdict: Verdict | None = None

    def beginning(self, data: bytes) -> None:
        """Refuses by the first bytes, so that the rest need not come.

        Raises:
            CheckpointRefused: They ask for something outside the allow list.
        """
        verdict = scan_beginning(data, self._policy)
        if verdict is not None:
            raise CheckpointRefused(self._name, verdict, early=True)

    def whole(self, file: BinaryIO) -> None:
        """Refuses the complete file, or notes the verdict on it.

        Raises:
            CheckpointRefused: It is not what an ordinary checkpoint is.
        """
        verdict = scan_checkpoint(file, file.seek(0, io.SEEK_END), self._policy)
        if verdict.is_refused:
            refusal = CheckpointRefused(self._name, verdict)
            if self._quarantine and not refusal.may_be_kept:  # one that waits for another decision stays where it is
                kept = self._quarantine.keep(file, {"code": refusal.code, **refusal.fields()})
                refusal.quarantine = str(kept) if kept else None
            raise refusal
        self.verdict = verdict
