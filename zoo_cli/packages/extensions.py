"""What the compiled extensions of installed projects say, read as files and never imported.

Edge: opens the extensions and version files of the target's site-packages, and torch's libraries beside them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli import __version__
from zoo_cli.packages.evidence import OpsEvidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zoo_cli.catalog.entries import Project
    from zoo_cli.machine.facts import Distribution, Interpreter
    from zoo_cli.trust.binary import Binary
    from zoo_cli.trust.fatbin import DeviceCode

_COMPILED = re.compile(r"\.(so|pyd|dylib)\Z|\.so\.\d")
_VENDORED = re.compile(r"[^/]+\.(libs|dylibs)/")
_FOR_PYTHON = re.compile(r"\.(?:cpython-(\d{2,3}t?)-|(cp\d{2,3}t?)-win)")
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
    return {
        here.name: _kept_or_read(here, projects[here.name], python, root, cache)
        for here in python.distributions
        if here.name in projects and projects[here.name].kind in ("ops", "companion")
    }


def _kept_or_read(
    here: Distribution, project: Project, python: Interpreter, root: Path, cache: Path | None
) -> OpsEvidence:
    if cache is None:
        return _read_ops(here, project, python, root)
    from zoo_cli.machine.remembered import place_of, recall, remember
    from zoo_cli.packages.evidence import from_document

    identity = _identity(here, project, python, root)
    place = place_of(cache, "extensions", identity)
    kept = from_document(recall(place, identity))
    if kept is not None:
        return kept
    found = _read_ops(here, project, python, root)
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
    root = Path(here.location)
    names = [name for name in here.files if _COMPILED.search(name) and not _VENDORED.match(name)]
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


def _read_ops(here: Distribution, project: Project, python: Interpreter, root: Path) -> OpsEvidence:
    files = own_libraries(here)
    binaries = [read_library(path) for path in files]
    missing, symbols = _against_torch(binaries, python)
    glibcxx = _newest(each.elf.glibcxx for each in binaries if each.elf)
    bad = [(path.name, each.problem) for path, each in zip(files, binaries, strict=True) if each.problem]
    return OpsEvidence(
        here.name,
        tuple(path.name for path in files),
        missing,
        symbols,
        _module_version(Path(here.location) / project.import_name / "version.py"),
        problem=f"{bad[0][0]}: {bad[0][1]}" if bad else "",
        machines=tuple(sorted({machine for each in binaries for machine in each.machines})),
        pythons=tuple(sorted({f"cp{hit[1]}" if hit[1] else hit[2] for hit in map(_for_python, files) if hit})),
        code=_code(binaries),
        cuda_major=next((each.elf.cuda_major for each in binaries if each.elf and each.elf.cuda_major), None),
        needs_cuda=any(each.elf.needs_cuda for each in binaries if each.elf),
        glibc=_newest(each.elf.glibc for each in binaries if each.elf),
        glibcxx=glibcxx,
        glibcxx_here=_libstdcxx(root, python) if glibcxx else None,
    )


def _for_python(path: Path) -> re.Match[str] | None:
    return _FOR_PYTHON.search(path.name)


def _code(binaries: Iterable[Binary]) -> DeviceCode | None:
    from zoo_cli.trust.fatbin import merged

    codes = [each.code for each in binaries if each.code]
    return merged(codes) if codes else None


def _newest(versions: Iterable[str | None]) -> str | None:
    known = [each for each in versions if each]
    return max(known, key=lambda each: [int(part) for part in each.split(".")], default=None)


def _against_torch(binaries: Iterable[Binary], python: Interpreter) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The torch libraries that are linked and missing, and the torch symbols that are needed and not exported."""
    from zoo_cli.trust.wheel import unresolved

    if python.torch is None:
        return (), ()
    torch_lib = Path(python.torch.source).parent / "lib"
    missing: dict[str, None] = {}
    symbols: dict[str, None] = {}
    for each in binaries:
        if each.elf:
            linked = [name for name in each.needed if name.startswith(("libtorch", "libc10"))]
            missing |= dict.fromkeys(name for name in linked if not (torch_lib / name).exists())
            symbols |= dict.fromkeys(unresolved(each.elf, torch_lib))
    return tuple(missing), tuple(symbols)


def _libstdcxx(root: Path, python: Interpreter) -> str | None:
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
