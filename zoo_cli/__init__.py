"""zoo: installs PyTorch stacks with compiled ops and fetches models from model zoos.

The names in `__all__` are the public API; all else may change between releases.
"""

TYPE_CHECKING = False  # as type checkers have it; `typing` itself would be imported for nothing
if TYPE_CHECKING:
    from zoo_cli import transfer
    from zoo_cli.models.localconfigs import load_config

__all__ = ["__version__", "load_config", "transfer"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for, so that `import zoo_cli` costs nothing (PEP 562)."""
    if name == "load_config":
        from zoo_cli.models.localconfigs import load_config

        return load_config
    if name == "transfer":
        from importlib import import_module

        return import_module("zoo_cli.transfer")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
