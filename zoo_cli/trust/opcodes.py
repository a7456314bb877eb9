"""The harmless opcodes of pickles: numbers, texts, containers, stack and memo, on symbolic values.

Pure; standard library without `pickle`. Follows CPython's `Unpickler` (`Modules/_pickle.c` of 3.13), within limits.
"""

from __future__ import annotations

import struct
from codecs import escape_decode
from typing import TYPE_CHECKING, Any

from zoo_cli.trust.values import MAX_DEPTH, Malformed, Objection, Storages, Value, kind_of
from zoo_cli.trust.verdict import MAX_FINDINGS, Finding, Policy

if TYPE_CHECKING:
    from zoo_cli.trust.window import Window

MAX_OPCODES = 2_000_000
MAX_STACK = 300_000  # values between marks, all together
MAX_MARKS = 1_000
MAX_TEXT = 256  # longer texts are skipped: no name is so long
MAX_KEPT_TEXT = 16 << 20  # characters of short texts, all together
MAX_NAME = 400
MAX_GLOBALS = 10_000


class Scan:
    """What the pickles of one file have in common.

    Attributes:
        findings: In the order found.
        globals: Every name asked for.
        trusted: Names that passed by the policy.
        storages: Memory that the pickles name.
        tensors: How many were rebuilt.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.findings: list[Finding] = []
        self.globals: set[str] = set()
        self.trusted: set[str] = set()
        self.storages = Storages()
        self.tensors = 0
        self.opcodes = 0
        self.kept_text = 0
        self._known: set[tuple[str, str, str]] = set()
        self._counts: dict[str, int] = {}

    def find(self, level: Any, code: str, what: str, where: str, at: int | None = None) -> None:
        """Notes a finding, each once, and so many of each level that harmless ones never hide a grave one."""
        key, count = (code, what[:400], where), self._counts.get(level, 0)
        if count < MAX_FINDINGS and key not in self._known:
            self._known.add(key)
            self._counts[level] = count + 1
            self.findings.append(Finding(level, code, what[:400], where, at))

    def ask_for(self, name: str) -> None:
        """Notes a global by its full name.

        Raises:
            Malformed: It is absurdly long, or there are too many.
        """
        self.globals.add(name)
        if len(name) > MAX_NAME or len(self.globals) > MAX_GLOBALS:
            raise Malformed(f"a global with more than {MAX_NAME} letters, or more than {MAX_GLOBALS} globals")


class Stack:
    """The part of the machine that makes numbers, texts and containers and moves them; no opcode here runs code.

    Args:
        window: The bytes, at the first opcode.
        scan: Where findings go.
        where: What the bytes are, to show.
        keep_lists: Whether lists keep their values (the list of storages of a legacy file).
    """

    def __init__(self, window: Window, scan: Scan, where: str, *, keep_lists: bool = False) -> None:
        self._window, self._scan, self._where, self._keep_lists = window, scan, where, keep_lists
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._below = 0  # values under the marks
        self._memo: dict[int, Any] = {}
        self._protocol = 0
        self._seen_protocol = False

    def _check_limits(self) -> None:
        if self._scan.opcodes > MAX_OPCODES:
            raise Malformed(f"more than {MAX_OPCODES} opcodes")
        if len(self._stack) + self._below > MAX_STACK:
            raise Malformed(f"more than {MAX_STACK} values on the stack")

    # -- numbers and constants --------------------------------------------------------------------------------------

    def _on_none(self) -> None:
        self._stack.append(None)

    def _on_true(self) -> None:
        self._stack.append(True)

    def _on_false(self) -> None:
        self._stack.append(False)

    def _on_int1(self) -> None:
        self._stack.append(self._window.byte())

    def _on_int2(self) -> None:
        self._stack.append(int.from_bytes(self._window.take(2), "little"))

    def _on_int4(self) -> None:
        self._stack.append(int.from_bytes(self._window.take(4), "little", signed=True))

    def _on_int_line(self) -> None:
        line = self._window.line()
        if line in (b"00", b"01"):
            self._stack.append(line == b"01")
        else:
            self._number(line)

    def _on_long_line(self) -> None:
        self._number(self._window.line().removesuffix(b"L"))

    def _number(self, line: bytes) -> None:
        self._stack.append(int(line, 0) if len(line) <= 40 else Value("number"))

    def _on_float_line(self) -> None:
        self._stack.append(float(self._window.line()))

    def _on_float8(self) -> None:
        self._stack.append(struct.unpack(">d", self._window.take(8))[0])

    def _on_long1(self) -> None:
        self._stack.append(int.from_bytes(self._window.take(self._window.byte()), "little", signed=True))

    def _on_long4(self) -> None:
        size = self._length(4)
        if size > MAX_TEXT:
            self._window.skip(size)
            self._stack.append(Value("number"))
        else:
            self._stack.append(int.from_bytes(self._window.take(size), "little", signed=True))

    # -- texts and bytes --------------------------------------------------------------------------------------------

    def _length(self, count: int) -> int:
        return int.from_bytes(self._window.take(count), "little")

    def _text(self, size: int) -> None:
        if size > MAX_TEXT or self._scan.kept_text > MAX_KEPT_TEXT:
            self._window.skip(size)
            self._stack.append(Value("text", detail=size))
            return
        self._scan.kept_text += size
        self._stack.append(self._window.take(size).decode("utf-8", "surrogatepass"))

    def _on_text1(self) -> None:
        self._text(self._window.byte())

    def _on_text4(self) -> None:
        self._text(self._length(4))

    def _on_text8(self) -> None:
        self._text(self._length(8))

    def _on_text_line(self) -> None:
        self._old_text(self._window.line().decode("raw-unicode-escape"))

    def _on_string_line(self) -> None:
        line = self._window.line().strip()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise Malformed("a string without quotes")
        self._string(escape_decode(line[1:-1])[0])

    def _on_string1(self) -> None:
        self._string_of(self._window.byte())

    def _on_string4(self) -> None:
        self._string_of(int.from_bytes(self._window.take(4), "little", signed=True))

    def _string_of(self, size: int) -> None:
        if size < 0:
            raise Malformed("a string of negative length")
        if size > MAX_TEXT:
            self._window.skip(size)
            self._stack.append(Value("text", detail=size))
        else:
            self._string(self._window.take(size))

    def _string(self, data: bytes) -> None:
        """A string of Python 2: what it is in Python 3 depends on the reader, unless it is ASCII."""
        self._old_text(data.decode("ascii") if data.isascii() else None)

    def _old_text(self, text: str | None) -> None:
        if text is None or len(text) > MAX_TEXT or self._scan.kept_text > MAX_KEPT_TEXT:
            self._stack.append(Value("text"))
            return
        self._scan.kept_text += len(text)
        self._stack.append(text)

    def _bytes(self, size: int) -> None:
        self._window.skip(size)
        self._stack.append(Value("bytes", detail=size))

    def _on_bytes1(self) -> None:
        self._bytes(self._window.byte())

    def _on_bytes4(self) -> None:
        self._bytes(self._length(4))

    def _on_bytes8(self) -> None:
        self._bytes(self._length(8))

    def _on_bytearray8(self) -> None:
        self._window.skip(self._length(8))
        self._stack.append(Value("plain"))

    # -- containers -------------------------------------------------------------------------------------------------

    def _on_empty_list(self) -> None:
        self._stack.append(Value("list", [] if self._keep_lists else ()))

    def _on_empty_dict(self) -> None:
        self._stack.append(Value("dict"))

    def _on_empty_set(self) -> None:
        self._stack.append(Value("set"))

    def _on_empty_tuple(self) -> None:
        self._stack.append(Value("tuple"))

    def _tuple(self, items: tuple[Any, ...]) -> None:
        depth = 1
        for item in items:
            if type(item) is Value and item.depth >= depth:
                depth = item.depth + 1
        if depth > MAX_DEPTH:
            raise Malformed(f"containers more than {MAX_DEPTH} deep")
        self._stack.append(Value("tuple", items, None, depth))

    def _on_tuple1(self) -> None:
        self._tuple((self._stack.pop(),))

    def _on_tuple2(self) -> None:
        last = self._stack.pop()
        self._tuple((self._stack.pop(), last))

    def _on_tuple3(self) -> None:
        last, middle = self._stack.pop(), self._stack.pop()
        self._tuple((self._stack.pop(), middle, last))

    def _on_tuple_of_marked(self) -> None:
        self._tuple(tuple(self._pop_mark()))

    def _made(self, kind: str) -> None:
        items = self._pop_mark()
        value = Value(kind, list(items) if kind == "list" and self._keep_lists else ())
        self._stack.append(value)
        self._put_into(value, items)

    def _on_list_of_marked(self) -> None:
        self._made("list")

    def _on_dict_of_marked(self) -> None:
        items = self._pop_mark()
        if len(items) % 2:
            raise Malformed("a dict with an odd number of keys and values")
        value = Value("dict")
        self._stack.append(value)
        self._put_into(value, items)

    def _on_frozenset_of_marked(self) -> None:
        self._made("set")

    def _put_into(self, target: Any, items: list[Any]) -> None:
        """Puts values into what lies on the stack; an objection leaves it there."""
        try:
            target.holds(items)
        except Objection as objection:
            self._scan.find(objection.level, objection.code, objection.what, self._where, self._window.at)

    def _extend(self, items: list[Any], kinds: tuple[str, ...], verb: str) -> None:
        target = self._stack[-1]
        if kind_of(target) == "opaque":
            return
        if kind_of(target) not in kinds:
            self._stack.pop()
            raise Objection("malformed", "odd-container", f"{kind_of(target)} {verb}")
        if "__setstate__" in items:
            self._scan.find("dangerous", "odd-key", "a key __setstate__", self._where, self._window.at)
        if self._keep_lists and kind_of(target) == "list":
            target.items.extend(items)
        self._put_into(target, items)

    def _on_append(self) -> None:
        self._extend([self._stack.pop()], ("list",), "that is appended to")

    def _on_appends(self) -> None:
        self._extend(self._pop_mark(), ("list",), "that is appended to")

    def _on_add_items(self) -> None:
        self._extend(self._pop_mark(), ("set",), "that is added to")

    def _on_set_item(self) -> None:
        value = self._stack.pop()
        self._extend([self._stack.pop(), value], ("dict", "mapping"), "that gets an item")

    def _on_set_items(self) -> None:
        items = self._pop_mark()
        if len(items) % 2:
            raise Malformed("an odd number of keys and values")
        self._extend(items, ("dict", "mapping"), "that gets an item")

    # -- stack and memo ---------------------------------------------------------------------------------------------

    def _on_mark(self) -> None:
        if len(self._marks) >= MAX_MARKS:
            raise Malformed(f"more than {MAX_MARKS} marks")
        self._marks.append(self._stack)
        self._below += len(self._stack)
        self._stack = []

    def _pop_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marks.pop()
        self._below -= len(self._stack)
        return items

    def _on_pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def _on_pop_mark(self) -> None:
        self._pop_mark()

    def _on_duplicate(self) -> None:
        self._stack.append(self._stack[-1])

    def _put(self, index: int) -> None:
        if not 0 <= index <= MAX_OPCODES:
            raise Malformed(f"memo entry {index}")
        self._memo[index] = self._stack[-1]

    def _on_put_line(self) -> None:
        self._put(int(self._window.line()))

    def _on_put1(self) -> None:
        self._put(self._window.byte())

    def _on_put4(self) -> None:
        self._put(self._length(4))

    def _on_memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _on_get_line(self) -> None:
        self._stack.append(self._memo[int(self._window.line())])

    def _on_get1(self) -> None:
        self._stack.append(self._memo[self._window.byte()])

    def _on_get4(self) -> None:
        self._stack.append(self._memo[self._length(4)])

    def _on_protocol(self) -> None:
        version = self._window.byte()
        if version > 5:
            raise Malformed(f"protocol {version}")
        if self._seen_protocol:
            self._scan.find("malformed", "second-protocol", "the protocol is told twice", self._where, self._window.at)
        self._protocol, self._seen_protocol = version, True

    def _on_frame(self) -> None:
        self._window.take(8)  # only says how much to read ahead
