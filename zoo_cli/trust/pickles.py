"""A pickle run without objects: every opcode of protocols 0 to 5 on a symbolic stack and memo.

Pure; standard library without `pickle`. The machine follows CPython's `Unpickler`, so that it knows which (module,
name) each opcode would ask for, however the name comes about. A global outside the allow list, a call that no ordinary
checkpoint makes, an extension code, a persistent id that names no storage: each is a finding, and the machine goes on.
What CPython itself would refuse, and what goes over a limit, stops it: `Malformed`. References: `Lib/pickletools.py`,
`Modules/_pickle.c` of CPython 3.13.
"""

from __future__ import annotations

import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import TYPE_CHECKING, Any

from zoo_cli.trust import calls
from zoo_cli.trust.allowed import ALLOWED, level_of
from zoo_cli.trust.opcodes import Scan, Stack
from zoo_cli.trust.values import Malformed, Objection, Value, kind_of, name_of

if TYPE_CHECKING:
    from zoo_cli.trust.window import Window

_CHECKED_EVERY = 4096
_MODULES_RENAMED = {"torch.tensor": "torch._tensor"}  # torch.load does so, whatever the protocol


class Machine(Stack):
    """Runs one pickle; `run` it once.

    Args:
        window: The bytes, at the first opcode.
        scan: Where findings go.
        where: What the bytes are, to show.
        persistent: "zip" or "legacy" when ids name storages, None when there may be none.
        keep_lists: Whether lists keep their values (the list of storages of a legacy file).
    """

    def __init__(
        self, window: Window, scan: Scan, where: str, persistent: str | None = None, *, keep_lists: bool = False
    ) -> None:
        super().__init__(window, scan, where, keep_lists=keep_lists)
        self._persistent = persistent

    def run(self) -> Any:
        """The symbolic object that the pickle makes.

        Raises:
            Malformed: No unpickler would go on, or a limit is reached.
            Ended: The bytes end before the pickle does.
        """
        table = [getattr(self, f"_on_{name}") if name else None for name in _HANDLERS]
        window, scan, stop = self._window, self._scan, ord(".")
        try:
            while True:
                code = window.byte()
                scan.opcodes += 1
                if code == stop:
                    return self._stack.pop()
                handler = table[code]
                if handler is None:
                    raise Malformed(f"byte {code:#04x} is no opcode")
                try:
                    handler()
                except Objection as objection:
                    scan.find(objection.level, objection.code, objection.what, self._where, window.at)
                    self._stack.append(Value("opaque"))
                if scan.opcodes % _CHECKED_EVERY == 0:
                    self._check_limits()
        except IndexError:
            raise Malformed("an opcode takes more from the stack than there is") from None
        except KeyError:
            raise Malformed("a memo entry is asked for that was never made") from None
        except (ValueError, struct.error) as exc:  # UnicodeError is a ValueError
            raise Malformed(f"a value cannot be read: {str(exc)[:80]}") from None

    # -- what may run code ------------------------------------------------------------------------------------------

    def _global(self, module: str, name: str) -> Value:
        """The global that the unpickler would look up, judged."""
        if self._protocol < 3:
            if (module, name) in NAME_MAPPING:
                module, name = NAME_MAPPING[(module, name)]
            elif module in IMPORT_MAPPING:
                module = IMPORT_MAPPING[module]
        module = _MODULES_RENAMED.get(module, module)
        shown, level = f"{module}.{name}", level_of(module, name)
        self._scan.ask_for(shown)
        role: str = ALLOWED.get((module, name), "opaque")
        if level == "known":
            self._scan.find("warning", "model-code", shown, self._where, self._window.at)
        elif level == "unknown" and shown in self._scan.policy.trusted:
            self._scan.trusted.add(shown)
        elif level in ("unknown", "dangerous"):
            self._scan.find(level, f"{level}-global", shown, self._where, self._window.at)
        return Value("global", detail=(module, name, role))

    def _on_global_lines(self) -> None:
        module, name = self._window.line().decode("utf-8"), self._window.line().decode("utf-8")
        self._stack.append(self._global(module, name))

    def _on_global_of_stack(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            if kind_of(name) == "text" or kind_of(module) == "text":
                raise Objection("dangerous", "hidden-global", "a global whose name is too long or not ASCII")
            raise Malformed("a global whose name is no text")
        self._stack.append(self._global(module, name))

    def _extension(self, size: int) -> None:
        self._window.take(size)
        raise Objection("dangerous", "extension-code", "an object of the extension registry (copyreg)")

    def _on_extension1(self) -> None:
        self._extension(1)

    def _on_extension2(self) -> None:
        self._extension(2)

    def _on_extension4(self) -> None:
        self._extension(4)

    def _callable(self, value: Any) -> Value | None:
        """The global to call; None when nothing is known of it."""
        if kind_of(value) == "opaque":
            return None
        if kind_of(value) != "global":
            raise Objection("dangerous", "computed-call", f"a call of a {kind_of(value)}")
        found: Value = value
        return found

    def _args(self, value: Any) -> tuple[Any, ...]:
        if kind_of(value) == "opaque":
            return ()
        if kind_of(value) != "tuple":
            raise Malformed("arguments of a call that are no tuple")
        return tuple(value.items)

    def _result(self, value: Value) -> None:
        if value.kind == "tensor":
            self._scan.tensors += 1
        self._stack.append(value)

    def _on_reduce(self) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        found = self._callable(function)
        self._result(calls.call(found, self._args(args), self._scan.storages) if found else Value("opaque"))

    def _on_new_object(self) -> None:
        args, kind = self._stack.pop(), self._stack.pop()
        found = self._callable(kind)
        self._result(calls.new(found, self._args(args), self._scan.storages) if found else Value("opaque"))

    def _on_new_object_with_names(self) -> None:
        _names, args, kind = self._stack.pop(), self._stack.pop(), self._stack.pop()
        found = self._callable(kind)
        self._args(args)
        if found and found.detail[2] != "opaque":
            raise Objection("malformed", "odd-call", f"{name_of(found)} with keyword arguments")
        self._stack.append(Value("opaque"))

    def _instance(self, function: Any, items: tuple[Any, ...]) -> None:
        found = self._callable(function)
        self._result(calls.call(found, items, self._scan.storages) if found else Value("opaque"))

    def _on_instance_lines(self) -> None:
        module, name = self._window.line().decode("utf-8"), self._window.line().decode("utf-8")
        items = tuple(self._pop_mark())
        self._instance(self._global(module, name), items)

    def _on_object_of_marked(self) -> None:
        items = self._pop_mark()
        self._instance(items[0], tuple(items[1:]))

    def _on_build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        kind = kind_of(target)
        try:
            self._check_state(kind, target, state)
        except Objection as objection:
            self._scan.find(objection.level, objection.code, objection.what, self._where, self._window.at)

    def _check_state(self, kind: str, target: Any, state: Any) -> None:
        if kind == "opaque":
            return
        if kind == "array":
            calls.check_array_state(state)
        elif kind == "dtype":
            calls.check_dtype_state(target, state)
        elif kind not in ("object", "mapping", "module"):
            level = "dangerous" if kind == "global" else "malformed"
            raise Objection(level, "odd-state", f"attributes are set on a {kind}")
        elif kind_of(state) not in ("dict", "mapping", "NoneType"):
            raise Objection("malformed", "odd-state", f"attributes are set from a {kind_of(state)}")

    def _stored(self, saved: Any) -> None:
        if self._persistent is None:
            raise Objection("malformed", "odd-persistent-id", "a persistent id outside of a torch file")
        self._stack.append(calls.storage_of(saved, self._scan.storages, is_legacy=self._persistent == "legacy"))

    def _on_persistent_line(self) -> None:
        self._window.line()
        raise Objection("malformed", "odd-persistent-id", "a persistent id as text")

    def _on_persistent(self) -> None:
        self._stored(self._stack.pop())

    def _on_buffer(self) -> None:
        raise Malformed("a buffer from outside of the file")


def _handlers() -> tuple[str | None, ...]:
    by_code = {
        b"(": "mark", b"0": "pop", b"1": "pop_mark", b"2": "duplicate", b"F": "float_line", b"I": "int_line",
        b"J": "int4", b"K": "int1", b"L": "long_line", b"M": "int2", b"N": "none", b"P": "persistent_line",
        b"Q": "persistent", b"R": "reduce", b"S": "string_line", b"T": "string4", b"U": "string1", b"V": "text_line",
        b"X": "text4", b"a": "append", b"b": "build", b"c": "global_lines", b"d": "dict_of_marked",
        b"}": "empty_dict", b"e": "appends", b"g": "get_line", b"h": "get1", b"i": "instance_lines", b"j": "get4",
        b"l": "list_of_marked", b"]": "empty_list", b"o": "object_of_marked", b"p": "put_line", b"q": "put1",
        b"r": "put4", b"s": "set_item", b"t": "tuple_of_marked", b")": "empty_tuple", b"u": "set_items",
        b"G": "float8", b"\x80": "protocol", b"\x81": "new_object", b"\x82": "extension1", b"\x83": "extension2",
        b"\x84": "extension4", b"\x85": "tuple1", b"\x86": "tuple2", b"\x87": "tuple3", b"\x88": "true",
        b"\x89": "false", b"\x8a": "long1", b"\x8b": "long4", b"B": "bytes4", b"C": "bytes1", b"\x8c": "text1",
        b"\x8d": "text8", b"\x8e": "bytes8", b"\x8f": "empty_set", b"\x90": "add_items",
        b"\x91": "frozenset_of_marked", b"\x92": "new_object_with_names", b"\x93": "global_of_stack",
        b"\x94": "memoize", b"\x95": "frame", b"\x96": "bytearray8", b"\x97": "buffer", b"\x98": "buffer",
    }  # fmt: skip
    return tuple(by_code.get(bytes((code,))) for code in range(256))


_HANDLERS = _handlers()
