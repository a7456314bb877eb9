"""What the functions and classes of the allow list may be called with.

Pure. A name alone is not harmless: `getattr`, `encode` or `bytearray` depend on their arguments, and a tensor that
reaches beyond its storage reads foreign memory. Each rule looks at symbolic arguments, returns the symbolic result or
raises `Objection`. What stands in torch's, numpy's and CPython's own `__reduce__` decides what is ordinary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from zoo_cli.trust.allowed import DTYPE_BYTES, STORAGE_BYTES
from zoo_cli.trust.values import Objection, Storage, Storages, Value, kind_of, name_of

MAX_DIMENSIONS = 64
MAX_BYTEARRAY = 1 << 20
MAX_OBJECTS = 2_000_000  # each needs an opcode
_STATISTICS = frozenset({"min", "max", "mean", "current", "statistics", "data"})
_FACTORIES = frozenset({"list", "dict", "tuple", "int", "float", "str", "bool", "set", "OrderedDict"})
_NUMPY_DTYPE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32)|[SUVa]\d{0,9}|[mM]8|O8?)\Z")
_OBJECT_FLAGS = (63,)  # of dtype('O'): items are objects, counted and pickled as a list
_TEXT_FLAGS = (0, 8)  # of dtype('U') and dtype('S'): fresh memory is set to zero

_DATA = frozenset({"dict", "mapping", "list", "set", "tensor", "parameter", "storage", "NoneType", "bytes", "plain"})

Rule = Callable[[tuple[Any, ...], Storages], Value]


def _no(what: str, level: str = "malformed", code: str = "odd-call") -> Objection:
    return Objection(level, code, what)


def _is_int(value: object) -> bool:
    return type(value) is int


def _expect(name: str, args: tuple[Any, ...], *kinds: str) -> None:
    """Arguments of these kinds, alternatives with |; kinds behind a * may be missing; "any" is any harmless value."""
    least = sum(not kind.startswith("*") for kind in kinds)
    if not least <= len(args) <= len(kinds):
        raise _no(f"{name} with {len(args)} arguments")
    for arg, kind in zip(args, kinds, strict=False):
        wanted = kind.lstrip("*").split("|")
        found = kind_of(arg)
        # What nothing is known of was found or trusted before; it may be data, never a name, a codec or a type.
        is_data = found == "opaque" and not _DATA.isdisjoint(wanted)
        if wanted != ["any"] and found not in wanted and not is_data:
            raise _no(f"{name} with {found} where {' or '.join(wanted)} belongs")


# -- Python ----------------------------------------------------------------------------------------------------------


def _getattr(args: tuple[Any, ...], _storages: Storages) -> Value:
    """Only the statistics of an OpenMMLab training log: `getattr(HistoryBuffer, "min")`."""
    owner = name_of(args[0]) if len(args) == 2 and kind_of(args[0]) == "global" else ""
    if owner == "mmengine.logging.history_buffer.HistoryBuffer" and args[1] in _STATISTICS:
        return Value("plain")
    shown = f"{owner}, {args[1]!r}" if owner and type(args[1]) is str else "..."
    raise _no(f"getattr({shown[:200]})", "dangerous", "reaches-into-code")


def _encode(args: tuple[Any, ...], _storages: Storages) -> Value:
    """How bytes are written in pickles of protocol 2; other codecs unpack or transform."""
    _expect("encode", args, "str|text", "str")
    if args[1] not in ("latin1", "latin-1"):
        raise _no(f"encode to {str(args[1])[:40]!r}", "dangerous", "odd-codec")
    return Value("bytes", detail=None)


def _bytearray(args: tuple[Any, ...], _storages: Storages) -> Value:
    if len(args) == 1 and _is_int(args[0]) and 0 <= args[0] <= MAX_BYTEARRAY:
        return Value("plain")
    _expect("bytearray", args, "*bytes|str|text", "*str")
    return Value("plain")


def _numbers(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("a number", args, *["*int|float|bool|NoneType|bytes"] * 9)
    return Value("plain")


def _texts(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("a path", args, *["*str"] * 100)
    return Value("plain")


def _set(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("set", args, "*list|tuple|set")
    return Value("set", depth=2 if not args else args[0].depth + 1)


def _list(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("list", args, "*list|tuple|set")
    return Value("list", depth=2 if not args else args[0].depth + 1)


def _tuple(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("tuple", args, "*list|tuple|set")
    return args[0] if args and args[0].kind == "tuple" else Value("plain")


def _mapping(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("a dict", args, "*dict|list|tuple|mapping")
    return Value("mapping", depth=2 if not args else args[0].depth + 1)


def _bytes(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("bytes", args, "*bytes")
    return args[0] if args and type(args[0]) is Value else Value("bytes", detail=0)


def _defaultdict(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("defaultdict", args, "*global|NoneType", "*dict|list|mapping")
    if args and kind_of(args[0]) == "global" and args[0].detail[1] not in _FACTORIES:
        raise _no(f"defaultdict that calls {name_of(args[0])}", "dangerous")
    return Value("mapping")


def _reconstructor(args: tuple[Any, ...], _storages: Storages) -> Value:
    """`copyreg._reconstructor(class, base, state)`: how protocol 0 and 1 make instances."""
    _expect("_reconstructor", args, "global", "global", "any")
    role = args[0].detail[2]
    if role == "opaque" or args[1].detail[2] == "opaque":
        return Value("opaque")
    base = name_of(args[1])
    if role in ("object", "module") and base == "builtins.object" and args[2] is None:
        return Value(role)
    if role == "mapping" and base in ("builtins.dict", "builtins.object") and kind_of(args[2]) in ("dict", "NoneType"):
        return Value("mapping")
    raise _no(f"_reconstructor of {name_of(args[0])} on {base}")


# -- torch -----------------------------------------------------------------------------------------------------------


def _shape(value: object, what: str) -> tuple[int, ...]:
    if type(value) is not Value or value.kind not in ("tuple", "size"):
        raise _no(f"a tensor with {kind_of(value)} as {what}", code="bad-tensor")
    items: tuple[Any, ...] = value.items
    if len(items) > MAX_DIMENSIONS or not all(_is_int(item) and item >= 0 for item in items):
        raise _no(f"a tensor whose {what} is not up to {MAX_DIMENSIONS} numbers from 0 on", code="bad-tensor")
    return items


def check_view(offset: object, size: object, stride: object, count: int, name: str) -> None:
    """Whether a view stays inside its storage of `count` elements.

    Raises:
        Objection: It does not (the class of CVE-2026-24747), or is no view.
    """
    sizes, strides = _shape(size, "size"), _shape(stride, "stride")
    if type(offset) is not int or offset < 0 or len(sizes) != len(strides):
        raise _no(f"{name} with an offset or strides that fit no tensor", code="bad-tensor")
    last = offset + sum((length - 1) * step for length, step in zip(sizes, strides, strict=True))
    if 0 not in sizes and last >= count:
        raise _no(f"a tensor reaches element {last} of a storage with {count}", code="beyond-storage")


def _rebuild_tensor(args: tuple[Any, ...], _storages: Storages) -> Value:
    """Versions 1 and 2: (storage, offset, size, stride, requires_grad, hooks, metadata)."""
    kinds = ("storage", "int", "any", "any", "*bool|int", "*mapping|dict|NoneType", "*dict|NoneType|mapping")
    _expect("a tensor", args, *kinds)
    if kind_of(args[0]) == "storage":
        check_view(args[1], args[2], args[3], args[0].detail.count, "a tensor")
    return Value("tensor")


def _rebuild_tensor_v3(args: tuple[Any, ...], _storages: Storages) -> Value:
    """(storage, offset, size, stride, requires_grad, hooks, dtype, metadata); the storage counts bytes."""
    _expect("a tensor", args, "storage", "int", "any", "any", "bool|int", "mapping|dict|NoneType", "global", "*any")
    if kind_of(args[0]) == "storage":
        storage: Storage = args[0].detail
        check_view(args[1], args[2], args[3], storage.count * storage.item_bytes // _dtype_bytes(args[6]), "a tensor")
    return Value("tensor")


def _dtype_bytes(value: Value) -> int:
    module, name = value.detail[:2]
    if module != "torch" or name not in DTYPE_BYTES:
        raise _no(f"a tensor of type {name_of(value)}", code="bad-tensor")
    return DTYPE_BYTES[name]


def _rebuild_qtensor(args: tuple[Any, ...], _storages: Storages) -> Value:
    """(storage, offset, size, stride, quantizer, requires_grad, hooks)."""
    _expect("a quantized tensor", args, "storage", "int", "any", "any", "tuple", "bool|int", "mapping|dict|NoneType")
    if kind_of(args[0]) == "storage":
        check_view(args[1], args[2], args[3], args[0].detail.count, "a quantized tensor")
    return Value("tensor")


def _rebuild_parameter(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("a parameter", args, "tensor|parameter", "bool|int", "mapping|dict|NoneType", "*any")
    return Value("parameter")


def _rebuild_meta(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("a tensor without memory", args, "global", "tuple|size", "tuple|size", "bool|int")
    _dtype_bytes(args[0])
    return Value("tensor")


def _rebuild_sparse(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("a sparse tensor", args, "plain", "tuple")
    for item in args[1].items:
        if kind_of(item) not in ("tensor", "size", "tuple", "bool", "NoneType"):
            raise _no(f"a sparse tensor with {kind_of(item)} in it", code="bad-tensor")
    return Value("tensor")


def _rebuild_from_type(args: tuple[Any, ...], storages: Storages) -> Value:
    """(function, class, arguments, state): a tensor with attributes."""
    _expect("a tensor with attributes", args, "global", "global", "tuple", "dict|mapping|NoneType|tuple")
    function, kind, inner = args[:3]
    if function.detail[2] == "opaque" or kind.detail[2] == "opaque":
        return Value("opaque")
    is_tensor = kind.detail[:2] in (("torch", "Tensor"), ("torch.nn.parameter", "Parameter"))
    if not is_tensor or function.detail[0] != "torch._utils" or not function.detail[1].startswith("_rebuild_"):
        raise _no(f"a tensor made by {name_of(function)} as {name_of(kind)}", "dangerous")
    return call(function, tuple(inner.items), storages)


def _size(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("Size", args, "tuple|list")
    return Value("size", args[0].items if args[0].kind == "tuple" else ())


def _device(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("device", args, "str", "*int|NoneType")
    return Value("plain")


def _layout(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("layout", args, "str")
    return Value("plain")


# -- numpy -----------------------------------------------------------------------------------------------------------


def _array(args: tuple[Any, ...], _storages: Storages) -> Value:
    """`_reconstruct(ndarray, (0,), b"b")`, an empty array that BUILD fills."""
    _expect("an array", args, "global", "tuple", "bytes|str")
    if args[0].detail[:2] != ("numpy", "ndarray") or args[1].items != (0,):
        raise _no(f"an array of class {name_of(args[0])}")
    return Value("array")


def _dtype(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("dtype", args, "str", "*bool|int", "*bool|int")
    if not _NUMPY_DTYPE.match(args[0]):
        raise _no(f"a numpy type {args[0][:40]!r}", code="odd-dtype")
    return Value("dtype", detail=args[0].lstrip("<>|="))


def _scalar(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("a numpy scalar", args, "dtype", "bytes|str|text")
    if args[0].detail.startswith("O"):
        raise _no("a numpy scalar of objects")
    return Value("plain")


def _frombuffer(args: tuple[Any, ...], _storages: Storages) -> Value:
    _expect("an array", args, "bytes|plain", "dtype", "tuple", "str")
    if args[1].detail.startswith("O"):
        raise _no("an array of objects from bytes")
    return Value("array")


def check_array_state(state: object) -> None:
    """The state of an array: (version, shape, dtype, is_fortran, bytes or list).

    Raises:
        Objection: Bytes that would be taken for objects, or another form.
    """
    if type(state) is not Value or state.kind != "tuple" or len(state.items) != 5:
        raise _no("an array with a state of another form")
    _version, shape, dtype, _fortran, data = state.items
    _shape(shape, "shape")
    if kind_of(dtype) != "dtype":
        raise _no(f"an array of {kind_of(dtype)}")
    if dtype.detail.startswith("O") and math.prod(shape.items) > MAX_OBJECTS:
        raise _no(f"an array of more than {MAX_OBJECTS} objects", code="bad-array")
    wanted = ("list",) if dtype.detail.startswith("O") else ("bytes", "str", "text")
    if kind_of(data) not in wanted:
        raise _no(f"an array of {dtype.detail} filled from a {kind_of(data)}", code="bad-array")


def check_dtype_state(value: Value, state: object) -> None:
    """The state of a numpy type: (version, byte order, None, None, None, item size, alignment, flags[, metadata]).

    Flags decide whether bytes are taken for objects, so they must be those of the type.

    Raises:
        Objection: Another form, or flags that are not the type's own.
    """
    items: tuple[Any, ...] = state.items if type(state) is Value and state.kind == "tuple" else ()
    if len(items) not in (8, 9) or items[2:5] != (None, None, None) or items[1] not in ("<", ">", "|", "="):
        raise _no("a numpy type with a state of another form")
    flags = _OBJECT_FLAGS if value.detail.startswith("O") else _TEXT_FLAGS if value.detail[:1] in "USa" else (0,)
    if not all(map(_is_int, items[5:8])) or items[7] not in flags or items[5] > 1 << 30:
        raise _no("a numpy type with flags that are not its own", "dangerous", "bad-dtype")


_RULES: dict[tuple[str, str], Rule] = {
    ("builtins", "getattr"): _getattr, ("builtins", "bytearray"): _bytearray, ("builtins", "complex"): _numbers,
    ("builtins", "range"): _numbers, ("builtins", "slice"): _numbers, ("builtins", "set"): _set,
    ("builtins", "frozenset"): _set, ("builtins", "list"): _list, ("builtins", "tuple"): _tuple,
    ("builtins", "dict"): _mapping, ("builtins", "bytes"): _bytes, ("_codecs", "encode"): _encode,
    ("copyreg", "_reconstructor"): _reconstructor, ("collections", "defaultdict"): _defaultdict,
    ("torch", "Size"): _size, ("torch", "device"): _device, ("torch.serialization", "_get_layout"): _layout,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor, ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch._utils", "_rebuild_qtensor"): _rebuild_qtensor,
    ("torch._utils", "_rebuild_sparse_tensor"): _rebuild_sparse,
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _rebuild_meta,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type, ("numpy", "dtype"): _dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
    **{("datetime", name): _numbers for name in ("datetime", "date", "timedelta")},
}  # fmt: skip


def call(function: Value, args: tuple[Any, ...], storages: Storages) -> Value:
    """The symbolic result of calling a global of the allow list, or one that was found or trusted already.

    Raises:
        Objection: The arguments are not those of an ordinary checkpoint.
    """
    module, name, role = function.detail
    if role == "opaque":
        return Value("opaque")
    rule = _RULES.get((module, name))
    if rule is None and role == "function" and module.startswith("pathlib"):
        rule = _texts
    if rule is None and role == "mapping":
        rule = _mapping
    if rule is not None:
        return rule(args, storages)
    if role in ("object", "module") and not args:
        return Value(role)
    raise _no(f"{name_of(function)} is called")


def new(kind: Value, args: tuple[Any, ...], storages: Storages) -> Value:
    """The symbolic result of `class.__new__(class, *args)`.

    Raises:
        Objection: As `call`.
    """
    role = kind.detail[2]
    if role in ("object", "module", "mapping") and not args:
        return Value(role)
    return call(kind, args, storages)


def storage_of(value: object, storages: Storages, *, is_legacy: bool) -> Value:
    """What a persistent id means: ("storage", kind, key, location, count[, view]), or a class with its source.

    Raises:
        Objection: Anything else.
    """
    items: tuple[Any, ...] = value.items if type(value) is Value and value.kind == "tuple" else ()
    is_class = len(items) == 4 and kind_of(items[1]) == "global" and items[1].detail[2] in ("module", "opaque")
    if is_legacy and is_class and items[0] == "module":
        result: Value = items[1]
        return result
    if len(items) != (6 if is_legacy else 5) or items[0] != "storage" or kind_of(items[1]) != "global":
        raise _no("a persistent id that names no storage", code="odd-persistent-id")
    if items[1].detail[2] == "opaque":
        return Value("opaque")
    key, location, count = items[2:5]
    if items[1].detail[2] != "storage" or type(key) is not str or not key.isdecimal() or not key.isascii():
        raise _no(f"a storage of {name_of(items[1])}", code="odd-persistent-id")
    if type(location) is not str or type(count) is not int or not 0 <= count < 1 << 60:
        raise _no(f"storage {key} with a place or size that it cannot have", code="odd-persistent-id")
    kind = items[1].detail[1]
    storage = Storage(key, kind, count, STORAGE_BYTES[kind])
    storages.declare(storage)
    if is_legacy and items[5] is not None:
        storage = _legacy_view(storage, items[5])
    return Value("storage", detail=storage)


def _legacy_view(storage: Storage, view: object) -> Storage:
    """A storage that is a part of another: (key, offset, count)."""
    items: tuple[Any, ...] = view.items if type(view) is Value and view.kind == "tuple" else ()
    if len(items) != 3 or not _is_int(items[1]) or not _is_int(items[2]) or min(items[1:]) < 0:
        raise _no("a part of a storage of another form", code="odd-persistent-id")
    if items[1] + items[2] > storage.count:
        raise _no(
            f"a part reaches element {items[1] + items[2]} of a storage with {storage.count}", code="beyond-storage"
        )
    return Storage(storage.key, storage.kind, items[2], storage.item_bytes)
