"""Symbols between torch's libraries and the extensions that are linked with them.

Edge: reads torch's libraries. A symbol of torch's namespaces that an extension needs and a torch does not have proves a
bad match. That none is missing proves nothing: layouts may still differ.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zoo_cli.trust.elf import Elf, read_elf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TORCH_LIBRARY = re.compile(r"lib(torch|c10|caffe2)\w*\.so")
_SYSTEM_LIBRARY = re.compile(
    r"(lib(c|m|dl|rt|pthread|util|stdc\+\+|gcc_s|gomp|cudart|cublas|cublasLt|cusparse|cusolver|curand|nvrtc|nvToolsExt|cuda)"
    r"|ld-linux[\w-]*)\.so"
)


def torch_needs(extension: Elf) -> frozenset[str]:
    """The symbols of torch's namespaces that an extension needs and nobody but torch can have.

    An extension that also needs libraries zoo does not know gives none, since those may have the symbols.
    """
    strangers = [name for name in extension.needed if not (TORCH_LIBRARY.match(name) or _SYSTEM_LIBRARY.match(name))]
    return frozenset() if strangers else extension.torch_symbols


def torch_libraries(directory: Path) -> Iterator[Elf]:
    """Torch's own libraries in a directory.

    Raises:
        BadBinary: one cannot be read.
    """
    for path in sorted(directory.glob("lib*.so*")):
        if TORCH_LIBRARY.match(path.name):
            with path.open("rb") as stream:
                yield read_elf(stream)
