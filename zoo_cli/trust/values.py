"""Values of the symbolic pickle machine: what is known of an object without making it.

Pure. Numbers, short texts, None and truth values stand for themselves; everything else is a `Value`. Contents of lists
and dicts are not kept, only that they are one: nothing that is decided depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 500  # containers in containers
MAX_STORAGES = 1_000_000


class Malformed(Exception):
    """The bytes are no pickle that a checkpoint could hold: the machine stops."""


class Objection(Exception):
    """A call or an attribute that an ordinary checkpoint does not make; the machine goes on."""

    def __init__(self, level: str, code: str, what: str) -> None:
        super().__init__(what)
        self.level, self.code, self.what = level, code, what


class Value:
    """One symbolic object.

    Attributes:
        kind: global, tuple, list, dict, set, text, bytes, number, storage, tensor, parameter, array, dtype, object,
            mapping, module, size, plain (harmless and immutable), opaque (nothing is known: a finding or trust).
        items: of a tuple: its values; of a list, when they are kept.
        detail: global: (module, name, role); storage: `Storage`; text, bytes: their length; dtype: numpy's spelling.
        depth: containers below this one, itself included.
    """

    __slots__ = ("depth", "detail", "items", "kind")

    def __init__(self, kind: str, items: Any = (), detail: Any = None, depth: int = 1) -> None:
        self.kind, self.items, self.detail, self.depth = kind, items, detail, depth

    def holds(self, values: Any) -> None:
        """Notes what is put into a container.

        Raises:
            Malformed: Containers in containers, too deep.
            Objection: A function among them, which whoever uses the container would call.
        """
        deepest = self.depth
        function = None
        for value in values:
            if type(value) is Value:
                deepest = max(deepest, value.depth + 1)
                if value.kind == "global" and value.detail[2] == "function":
                    function = value
        self.depth = deepest
        if deepest > MAX_DEPTH:
            raise Malformed(f"containers more than {MAX_DEPTH} deep")
        if function is not None:
            raise Objection("dangerous", "function-as-value", f"{name_of(function)} is stored and not called")


def name_of(value: Value) -> str:
    """A global as it is shown and trusted: module.name."""
    return f"{value.detail[0]}.{value.detail[1]}"


def kind_of(value: object) -> str:
    """The kind of any value of the machine, also of those that stand for themselves."""
    return value.kind if type(value) is Value else type(value).__name__


@dataclass(frozen=True, slots=True)
class Storage:
    """What a pickle says of the memory of tensors."""

    key: str
    kind: str  # FloatStorage ...
    count: int  # elements that a view may use
    item_bytes: int


class Storages:
    """Every storage that a pickle names, each with one kind and one size."""

    def __init__(self) -> None:
        self.by_key: dict[str, Storage] = {}

    def declare(self, storage: Storage) -> None:
        """Notes a storage.

        Raises:
            Objection: The same key had another kind or size.
            Malformed: Too many of them.
        """
        known = self.by_key.setdefault(storage.key, storage)
        if known != storage:
            what = f"storage {storage.key!r} is declared twice, as {known.count} x {known.kind} and otherwise"
            raise Objection("malformed", "storage-conflict", what)
        if len(self.by_key) > MAX_STORAGES:
            raise Malformed(f"more than {MAX_STORAGES} storages")
