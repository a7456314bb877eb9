"""Looking into a file while it is fetched: what the engine asks of an inspector, and how that one says no.

Pure. The engine knows nothing of what is looked for: `Wanted.inspector` sees the beginning while the rest still comes,
and the whole file before it gets its final name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from typing import BinaryIO

BEGINNING_BYTES = 1 << 20
"""So much of a file is shown while it is fetched."""
FIRST_LOOK_BYTES = 16 * 1024


class Refused(ZooError):
    """An inspector does not let a file through; no other address is tried."""

    code = "refused"
    exit_code = ExitCode.INTEGRITY

    @property
    def may_be_kept(self) -> bool:
        """Whether the bytes wait in the part file for another decision of the user; else they are dropped."""
        return False


class Inspector(Protocol):
    """Looks into a file before it is delivered. Both raise `Refused`."""

    def beginning(self, data: bytes) -> None:
        """The first bytes of the file, up to `BEGINNING_BYTES`; called again with more. Not yet checked for damage."""
        ...

    def whole(self, file: BinaryIO) -> None:
        """The complete file, seekable, before it has its final name."""
        ...
