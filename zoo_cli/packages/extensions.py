"""What the compiled extensions of installed projects say, read as files and never imported.

Edge: opens the extensions and version files of the target's site-packages, and torch's libraries beside them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli import __version__
from zoo_cli.packages.evidence import OpsEvidence, TorchLibraries, evidence_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo_cli.catalog.entries import Project
    from zoo_cli.machine.facts import Distribution, Interpreter
    from zoo_cli.trust.binary import Binary
    from zoo_cli.trust.fatbin import DeviceCode

_COMPILED = re.compile(r"\.(so|pyd|dylib)\Z|\.so\.\d")
_VERSION_LINE = re.compile(r"^__version__\s*=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)
_MAX_SOURCE = 1 << 16  # bytes of a version.py that are looked at
_LIBRARY_PLACES = ("lib64", "usr/lib64", "lib", "usr/lib", "usr/local/lib", "usr/lib/wsl/lib")


def read_evidence(
    python: Interpreter, projects: Mapping[str, Project], root: Path = Path("/"), cache: Path | None = None
) -> dict[str, OpsEvidence]:
    """Project -> what its files say, for every installed project with compiled files.

    `root` is for tests. `cache`: where what was read is kept, as long as none of the files has changed: torch alone
    has some 30 MB of symbols.
    """
    torch = lru_cache(lambda: read_torch_libraries(python))  # once for all, and only when something is read anew

    def read(here: Distribution) -> OpsEvidence:
        return _read_ops(here, projects[here.name], python, root, torch())

    return {
        here.name: read(here) if cache is None else _kept_or_read(here, projects[here.name], python, root, cache, read)
        for here in python.distributions
        if here.name in projects and projects[here.name].kind in ("ops", "companion")
    }


def _kept_or_read(
    here: Distribution,
    project: Project,
    python: Interpreter,
    root: Path,
    cache: Path,
    read: Callable[[Distribution], OpsEvidence],
) -> OpsEvidence:
    from zoo_cli.machine.remembered import place_of, recall, remember
    from zoo_cli.packages.evidence import from_document

    identity = _identity(here, project, python, root)
    place = place_of(cache, "extensions", identity)
    kept = from_document(recall(place, identity))
    if kept is not None:
        return kept
    found = read(here)
    remember(place, identity, found._asdict())
    return found


def _identity(here: Distribution, project: Project, python: Interpreter, root: Path) -> list[object]:
    """Every file that the evidence is read from, and what else it depends on."""
    from zoo_cli.machine.remembered import mark

    own = own_libraries(here)
    torch = Path(python.torch.source).parent / "lib" if python.torch else None
    linked = sorted(torch.glob("lib*.so*")) if torch else []
    version = Path(here.location) / project.import_name / "version.py"
    system = [place / "libstdc++.so.6" for place in _library_places(root, python)]
    files = [[str(path), mark(path)] for path in (*own, *linked, version, *system)]
    return [__version__, here.name, here.version, python.executable, files]


def own_libraries(here: Distribution) -> list[Path]:
    """The compiled files of an installed distribution that are on disk, without libraries it brings from others."""
    from zoo_cli.trust.wheelreport import is_vendored

    root = Path(here.location)
    names = [name for name in here.files if _COMPILED.search(name) and not is_vendored(name)]
    return [path for name in names if (path := root / name).is_file()]


def read_torch_code(python: Interpreter) -> DeviceCode | None:
    """The CUDA code of the target's torch; None for a build without any."""
    if python.torch is None or not python.torch.cuda:
        return None
    directory = Path(python.torch.source).parent / "lib"
    libraries = [read_library(directory / name) for name in ("libtorch_cuda.so", "torch_cuda.dll")]
    return next((each.code for each in libraries if each.code), None)


def read_library(path: Path) -> Binary:
    """One compiled file; what cannot be read is told in its `problem`."""
    from zoo_cli.trust.binary import Binary, read_binary

    try:
        with path.open("rb") as stream:
            return read_binary(stream)
    except OSError as exc:
        return Binary("unknown", problem=str(exc.strerror or type(exc).__name__))


def _read_ops(
    here: Distribution, project: Project, python: Interpreter, root: Path, torch: TorchLibraries | None
) -> OpsEvidence:
    files = [(path.name, read_library(path)) for path in own_libraries(here)]
    found = evidence_of(here.name, files, torch)
    return found._replace(
        module_version=_module_version(Path(here.location) / project.import_name / "version.py"),
        glibcxx_here=read_libstdcxx(python, root) if found.glibcxx else None,
    )


def read_torch_libraries(python: Interpreter) -> TorchLibraries | None:
    """What the installed torch of a target offers to extensions; None without one, or when it cannot be read."""
    return read_libraries_of_torch(Path(python.torch.source).parent) if python.torch else None


def read_libraries_of_torch(package: Path) -> TorchLibraries | None:
    """What the torch in a directory offers to extensions; None when it cannot be read."""
    from zoo_cli.trust.bounded import BadBinary
    from zoo_cli.trust.torchsymbols import torch_libraries

    directory = package / "lib"
    try:
        exported = frozenset[str]().union(*(each.defined for each in torch_libraries(directory)))
    except (BadBinary, OSError):
        return None
    return TorchLibraries(frozenset(path.name for path in directory.glob("lib*.so*")), exported)


def read_libstdcxx(python: Interpreter, root: Path = Path("/")) -> str | None:
    """The newest GLIBCXX of the C++ library that the target would load; None when none is found."""
    from zoo_cli.trust.elf import newest_version

    for place in _library_places(root, python):
        elf = read_library(place / "libstdc++.so.6").elf
        if elf:
            return newest_version(elf.offered_versions, "GLIBCXX")
    return None


def _library_places(root: Path, python: Interpreter) -> list[Path]:
    """Where the loader looks for the C++ library, in its order."""
    triplet = re.sub(r"^linux-", "", python.platform) + "-linux-gnu"
    places = [root / place / sub for place in _LIBRARY_PLACES for sub in ("", triplet)]
    return [Path(python.prefix, "lib"), *places] if python.is_conda else places


def _module_version(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            found = _VERSION_LINE.search(stream.read(_MAX_SOURCE).decode("utf-8", "replace"))
    except OSError:
        return None
    return found[1] if found else None
