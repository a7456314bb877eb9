"""What was read from the files of projects with compiled code and around them, as values.

Pure. `extensions` and `surroundings` read it from an environment, `arrivals` from wheels that are not installed yet;
`compiled` and `diagnose` judge it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zoo_cli.trust.binary import Binary
    from zoo_cli.trust.fatbin import DeviceCode


COMPILED_KINDS = ("ops", "companion", "lite")  # projects whose files matter


_FOR_PYTHON = re.compile(r"\.(?:cpython-(\d{2,3}t?)-|(cp\d{2,3}t?)-win)")


class TorchLibraries(NamedTuple):
    """What a torch offers to extensions: that of an environment, or of a wheel that will be installed."""

    names: frozenset[str]  # files in torch/lib
    exported: frozenset[str]  # symbols of torch's own libraries among them


class OpsEvidence(NamedTuple):
    """What the files of a project with compiled code say."""

    project: str
    extensions: tuple[str, ...]  # its own compiled files, those on disk where it is installed
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


def evidence_of(project: str, files: Sequence[tuple[str, Binary]], torch: TorchLibraries | None) -> OpsEvidence:
    """What a project's own compiled files say; without a torch nothing is said about its libraries and symbols."""
    binaries = [binary for _name, binary in files]
    elfs = [each.elf for each in binaries if each.elf]
    missing, symbols = _against_torch(binaries, torch) if torch else ((), ())
    pythons = {f"cp{hit[1]}" if hit[1] else hit[2] for name, _ in files if (hit := _FOR_PYTHON.search(name))}
    return OpsEvidence(
        project,
        tuple(name for name, _binary in files),
        missing,
        symbols,
        problem=next((f"{name}: {each.problem}" for name, each in files if each.problem), ""),
        machines=tuple(sorted({machine for each in binaries for machine in each.machines})),
        pythons=tuple(sorted(pythons)),
        code=_code(binaries),
        cuda_major=next((each.cuda_major for each in elfs if each.cuda_major), None),
        needs_cuda=any(each.needs_cuda for each in elfs),
        glibc=_newest(each.glibc for each in elfs),
        glibcxx=_newest(each.glibcxx for each in elfs),
    )


def _against_torch(binaries: Iterable[Binary], torch: TorchLibraries) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The torch libraries that are linked and missing, and the torch symbols that are needed and not exported."""
    from zoo_cli.trust.torchsymbols import torch_needs

    missing: dict[str, None] = {}
    symbols: dict[str, None] = {}
    for each in binaries:
        linked = [name for name in each.needed if name.startswith(("libtorch", "libc10"))]
        missing |= dict.fromkeys(name for name in linked if each.elf and name not in torch.names)
        symbols |= dict.fromkeys(sorted(torch_needs(each.elf) - torch.exported) if each.elf else ())
    return tuple(missing), tuple(symbols)


def _code(binaries: Iterable[Binary]) -> DeviceCode | None:
    from zoo_cli.trust.fatbin import merged

    codes = [each.code for each in binaries if each.code]
    return merged(codes) if codes else None


def _newest(versions: Iterable[str | None]) -> str | None:
    known = [each for each in versions if each]
    return max(known, key=lambda each: [int(part) for part in each.split(".")], default=None)


_LISTS = ("extensions", "missing_libraries", "unresolved", "machines", "pythons")


def from_document(document: Mapping[str, Any] | None) -> OpsEvidence | None:
    """The evidence that was kept as JSON; None when it is none of this form."""
    from zoo_cli.trust.fatbin import code_from

    try:
        values = dict(document or {})
        values |= {name: tuple(map(str, values[name])) for name in _LISTS}
        if values["code"] is not None:
            values["code"] = code_from(values["code"])
        return OpsEvidence(**values)
    except (LookupError, TypeError, ValueError):
        return None


class Surroundings(NamedTuple):
    """What was found beside the projects of the index."""

    numpy1: tuple[tuple[str, str, str], ...] = ()  # (project, version, file) built for numpy 1 where numpy 2 is
    cached: tuple[tuple[str, str, str], ...] = ()  # (project, wheel, "pip" or "uv") without ops, in a cache
