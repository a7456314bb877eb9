"""What was read from the files of installed projects and around them, as values.

Pure. `extensions` and `surroundings` read it, `diagnose` judges it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.trust.fatbin import DeviceCode


COMPILED_KINDS = ("ops", "companion", "lite")  # projects whose files matter


class OpsEvidence(NamedTuple):
    """What the files of an installed project with compiled code say."""

    project: str
    extensions: tuple[str, ...]  # its own compiled files that are on disk
    missing_libraries: tuple[str, ...] = ()  # torch libraries it links that the target's torch lacks
    unresolved: tuple[str, ...] = ()  # torch symbols that the target's torch does not export
    module_version: str | None = None  # what the import package says of itself
    problem: str = ""  # the first compiled file that cannot be read, and why
    machines: tuple[str, ...] = ()  # processors its files are for
    pythons: tuple[str, ...] = ()  # tags in its file names, such as "cp311"; () when they fit every Python
    code: DeviceCode | None = None  # its CUDA code
    cuda_major: int | None = None  # it was linked with the CUDA runtime of this major
    needs_cuda: bool = False  # it links the CUDA parts of torch
    glibc: str | None = None  # the lowest glibc it runs on
    glibcxx: str | None = None  # the symbol version its C++ library must have
    glibcxx_here: str | None = None  # the newest that the target's C++ library has

    @property
    def is_cpu_only(self) -> bool:
        """Whether it has no code for any GPU."""
        return bool(self.extensions) and self.code is None and not self.needs_cuda

    @property
    def is_sound(self) -> bool:
        """Whether there are compiled files and nothing in them speaks against the target's torch."""
        return bool(self.extensions) and not (self.missing_libraries or self.unresolved or self.problem)


_LISTS = ("extensions", "missing_libraries", "unresolved", "machines", "pythons")


def from_document(document: Mapping[str, Any] | None) -> OpsEvidence | None:
    """The evidence that was kept as JSON; None when it is none of this form."""
    from zoo_cli.trust.fatbin import DeviceCode

    try:
        values = dict(document or {})
        values |= {name: tuple(map(str, values[name])) for name in _LISTS}
        if values["code"] is not None:
            parts, sass, ptx, compression, is_relocatable = values["code"]
            pairs = [tuple((str(name), int(count)) for name, count in each) for each in (sass, ptx)]
            values["code"] = DeviceCode(int(parts), pairs[0], pairs[1], tuple(compression), bool(is_relocatable))
        return OpsEvidence(**values)
    except (LookupError, TypeError, ValueError):
        return None


class Surroundings(NamedTuple):
    """What was found beside the projects of the index."""

    numpy1: tuple[tuple[str, str, str], ...] = ()  # (project, version, file) built for numpy 1 where numpy 2 is
    cached: tuple[tuple[str, str, str], ...] = ()  # (project, wheel, "pip" or "uv") without ops, in a cache
