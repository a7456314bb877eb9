"""zoo: installs PyTorch stacks with compiled ops and fetches models from model zoos.

The names in `__all__` are the public API; all else may change between releases.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
