"""What a wheel is, as its content tells: a report, and the error of one that must not be installed.

Pure values; `wheel` finds them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from zoo_cli.trust.binary import Binary
    from zoo_cli.trust.elf import Elf
    from zoo_cli.trust.fatbin import DeviceCode


class UnsoundWheel(ZooError):
    """A wheel must not be installed: it is not what it says, or would not stay in its place."""

    code = "unsound-wheel"
    exit_code = ExitCode.INTEGRITY

    path: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a wheel.

    `code` is one of: unsafe-path, collision, link, overlap, too-large, dist-info, name-mismatch, version-mismatch,
    tag-mismatch, record-missing, record-mismatch, record-incomplete, direct-url, bad-extension, startup-code.
    """

    code: str
    detail: str
    is_fatal: bool = True


@dataclass(frozen=True, slots=True)
class Extension:
    """One compiled library in a wheel."""

    path: str  # inside the wheel
    binary: Binary

    @property
    def is_vendored(self) -> bool:
        """Whether it is somebody else's library that the wheel brings along, where auditwheel puts them."""
        return is_vendored(self.path)

    @property
    def kind(self) -> str:
        """Its form: elf | pe | mach-o | unknown."""
        return self.binary.kind

    @property
    def elf(self) -> Elf | None:
        """Its symbols; None for Windows and macOS files, and for ELF files not understood."""
        return self.binary.elf


@dataclass(frozen=True, slots=True)
class WheelReport:
    """What a wheel is, as its content tells."""

    path: Path
    name: str  # from METADATA, as written
    version: str
    tags: tuple[str, ...]  # from the WHEEL file, sorted
    root_is_purelib: bool
    requires: tuple[str, ...]  # Requires-Dist lines
    requires_python: str | None
    extensions: tuple[Extension, ...]
    problems: tuple[Problem, ...]
    sha256: str  # of the whole file; "" when only parts of it were read
    size_bytes: int

    @property
    def has_ops(self) -> bool:
        """Whether it has a compiled library at all."""
        return bool(self.extensions)

    @property
    def fatal(self) -> tuple[Problem, ...]:
        """The problems that forbid an install."""
        return tuple(problem for problem in self.problems if problem.is_fatal)

    @property
    def cuda_major(self) -> int | None:
        """The CUDA major its libraries were linked with; None when none was."""
        return next((each.elf.cuda_major for each in self.extensions if each.elf and each.elf.cuda_major), None)

    @property
    def needs_cuda(self) -> bool:
        """Whether a library in it needs the CUDA parts of torch."""
        return any(each.elf.needs_cuda for each in self.extensions if each.elf)

    @property
    def targets(self) -> tuple[str, ...]:
        """The code targets of its own CUDA code as published lists write them, ascending."""
        return merged_targets(
            [each.binary.code for each in self.extensions if each.binary.code and not each.is_vendored]
        )


def is_vendored(path: str) -> bool:
    """Whether a file of a wheel is a library that auditwheel or delocate put there."""
    return bool(re.match(r"[^/]+\.(libs|dylibs)/", path))


def require_sound(report: WheelReport) -> WheelReport:
    """The report itself, when nothing in it forbids an install.

    Raises:
        UnsoundWheel: something does.
    """
    if report.fatal:
        raise UnsoundWheel(str(report.path), report.fatal)
    return report


def merged_targets(codes: Iterable[DeviceCode]) -> tuple[str, ...]:
    """The code targets of several libraries as one list."""
    from zoo_cli.trust.fatbin import merged

    return merged(codes).targets
