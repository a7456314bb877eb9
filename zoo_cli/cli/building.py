"""What `zoo build` and `zoo install --build` share: a request from the machine, the index and the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.builder import BuildRequest
    from zoo_cli.packages.sources import Source


def build_request(
    catalog: sqlite3.Connection,
    project: str,
    version: str,
    python: str,
    machine: Machine,
    environ: Mapping[str, str],
    source: Source | None = None,
) -> BuildRequest:
    """A request with the project's recipe, for the machine's GPUs or those that TORCH_CUDA_ARCH_LIST names."""
    from zoo_cli.catalog.compat import recipe
    from zoo_cli.packages.builder import BuildRequest
    from zoo_cli.packages.nvcc import architectures_of

    capabilities = [str(gpu.capability) for gpu in machine.gpus if gpu.vendor == "nvidia" and gpu.capability]
    architectures = architectures_of(environ.get("TORCH_CUDA_ARCH_LIST"), capabilities)
    return BuildRequest(project, version, python, recipe(catalog, project), source, architectures=architectures)
