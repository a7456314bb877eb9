"""zoo: installs PyTorch stacks with compiled ops and fetches models from model zoos.

The names in `__all__` are the public API; all else may change between releases.
"""

TYPE_CHECKING = False  # as type checkers have it; `typing` itself would be imported for nothing
if TYPE_CHECKING:
    from zoo_cli.models.localconfigs import load_config

__all__ = ["__version__", "load_config"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Imports `load_config` when it is first asked for, so that `import zoo_cli` costs nothing (PEP 562)."""
    if name != "load_config":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from zoo_cli.models.localconfigs import load_config

    return load_config
