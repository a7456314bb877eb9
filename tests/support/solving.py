"""The catalogue of this checkout and described machines, for tests of the solver."""

from __future__ import annotations

from functools import lru_cache

from zoo_cli.catalog.compat import gpu_models, official_providers, projects, read_matrix
from zoo_cli.catalog.database import open_catalog
from zoo_cli.catalog.entries import Matrix
from zoo_cli.machine.describe import parse_machine
from zoo_cli.machine.facts import Machine
from zoo_cli.machine.gpus import name_to_capability

_CATALOG = open_catalog()
CATALOG_PROJECTS = projects(_CATALOG)
OFFICIAL_PROVIDERS = official_providers(_CATALOG)
_GPUS = name_to_capability((row.name, row.capability) for row in gpu_models(_CATALOG))


@lru_cache(maxsize=16)
def matrix_for(platform: str) -> Matrix:
    """The facts for a platform."""
    return read_matrix(_CATALOG, platform)


def matrix_of(machine: Machine) -> Matrix:
    """The facts for a machine's platform."""
    return matrix_for(machine.platform)


def described(text: str) -> Machine:
    """A machine from key=value facts."""
    return parse_machine(text, _GPUS)
