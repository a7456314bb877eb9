"""The scanner as a gate in a download: the `transfer.inspection.Inspector` of checkpoints."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from zoo_cli.trust.checkpoint import scan_beginning, scan_checkpoint
from zoo_cli.trust.verdict import CheckpointRefused, Policy, Verdict

if TYPE_CHECKING:
    from typing import BinaryIO


class Screening:
    """Judges one checkpoint; `verdict` is that on the complete file, once it was seen.

    Args:
        name: Of the file, to show.
        policy: What the user trusts.
    """

    def __init__(self, name: str, policy: Policy | None = None) -> None:
        self._name, self._policy = name, policy or Policy()
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
            raise CheckpointRefused(self._name, verdict)
        self.verdict = verdict
