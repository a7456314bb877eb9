"""What is installed in a target, seen with the index: its torch build, its projects, their releases.

Pure. The metadata itself is read by `zoo_cli.machine.installed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.machine.cuda import cuda_to_variant
from zoo_cli.packages.versions import public

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.catalog.entries import FrameworkRelease, Matrix, Project, TorchBuild
    from zoo_cli.machine.facts import Distribution, Interpreter


def torch_variant(cuda: str | None, hip: str | None) -> str:
    """The variant of an installed torch by what its version file says."""
    if cuda:
        return cuda_to_variant(".".join(cuda.split(".")[:2]))
    return f"rocm{'.'.join(hip.split('.')[:2])}" if hip else "cpu"


def find_build(matrix: Matrix, torch: str, variant: str, platform: str) -> TorchBuild | None:
    """The row of the index for an installed torch."""
    wanted = (public(torch), variant, platform)
    return next((b for b in matrix.torch if (b.version, b.variant, b.platform) == wanted), None)


def providing(
    python: Interpreter, projects: Mapping[str, Project], kinds: tuple[str, ...]
) -> list[tuple[Distribution, Project]]:
    """The installed projects of these kinds, in the order of the target's path."""
    return [
        (here, projects[here.name])
        for here in python.distributions
        if here.name in projects and projects[here.name].kind in kinds
    ]


def releases_here(python: Interpreter, matrix: Matrix) -> list[FrameworkRelease]:
    """The installed frameworks, as far as the index knows their releases."""
    return [
        release
        for here in python.distributions
        for release in matrix.frameworks.get(here.name, ())
        if release.version == here.version
    ]
