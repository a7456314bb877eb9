"""What the compiled extensions of installed ops projects say, read as files and never imported.

Edge: opens the extensions (ELF) and version files of the target's site-packages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.packages.diagnose import OpsEvidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.catalog.entries import Project
    from zoo_cli.machine.facts import Distribution, Interpreter
    from zoo_cli.trust.elf import Elf

_VERSION_LINE = re.compile(r"^__version__\s*=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)
_MAX_SOURCE = 1 << 16  # bytes of a version.py that are looked at


def read_evidence(python: Interpreter, projects: Mapping[str, Project]) -> dict[str, OpsEvidence]:
    """Project -> what its files say, for every installed project with compiled ops."""
    return {
        here.name: _read_ops(here, projects[here.name], python)
        for here in python.distributions
        if here.name in projects and projects[here.name].kind == "ops"
    }


def _read_ops(here: Distribution, project: Project, python: Interpreter) -> OpsEvidence:
    from zoo_cli.trust.wheel import unresolved

    root = Path(here.location)
    names = [name for name in here.files if re.search(r"\.(so|pyd)$|\.so\.", name)]
    files = [path for name in names if (path := root / name).is_file()]
    torch_lib = Path(python.torch.source).parent / "lib" if python.torch else None
    missing: list[str] = []
    symbols: list[str] = []
    for path in files:
        elf = _elf(path)
        if elf and torch_lib:
            missing += [
                name
                for name in elf.needed
                if name.startswith(("libtorch", "libc10")) and not (torch_lib / name).exists()
            ]
            symbols += unresolved(elf, torch_lib)
    return OpsEvidence(
        here.name,
        tuple(path.name for path in files),
        tuple(dict.fromkeys(missing)),
        tuple(dict.fromkeys(symbols)),
        _module_version(root / project.import_name / "version.py"),
    )


def _elf(path: Path) -> Elf | None:
    from zoo_cli.trust.elf import BadElf, read_elf

    if ".so" not in path.name:
        return None
    try:
        with path.open("rb") as stream:
            return read_elf(stream)
    except (BadElf, OSError):
        return None


def _module_version(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            found = _VERSION_LINE.search(stream.read(_MAX_SOURCE).decode("utf-8", "replace"))
    except OSError:
        return None
    return found[1] if found else None
