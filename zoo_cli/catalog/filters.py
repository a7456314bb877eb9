"""The filter language: `box_AP>=50 and collection=DDQ and not dataset~LVIS*`, from text to a tree.

Pure, and light to import: named tuples are made six times as fast as frozen dataclasses. Small, typed and total: every
text is either a tree or a `BadFilter` that points at the column. `not` binds tightest, then `and`, then `or`; a comma
is an `and` of all that is left and right of it (MIM's habit `box_AP>50,epochs>100`). What a field means, and the SQL,
is in `zoo_cli.catalog.filter_sql`.

    filter     = either ("," either)*
    either     = both ("or" both)*
    both       = single ("and" single)*
    single     = "not" single | "(" filter ")" | comparison
    comparison = field (op value | "in" "(" value ("," value)* ")")? | value op field (op value)?
    op         = "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "~"
    field      = word+          (`box AP` is `box_AP`)
    value      = word | 'text' | "text"
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from zoo_cli.errors import ExitCode, ZooError

LONGEST = 2000  # characters of a filter
DEEPEST = 8  # parentheses and nots within each other; SQLite's parser takes 100 steps down, a level costs up to nine
MOST_TERMS = 100
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "~", "in")


class Field(NamedTuple):
    """A field that every model has, known or not; `kind` is text, number or flag."""

    name: str
    kind: str
    description: str
    aliases: tuple[str, ...] = ()


FIELDS = (
    Field("name", "text", "the model's name", ("model",)),
    Field("package", "text", "its project, such as mmdet", ("project",)),
    Field("release", "text", "version of the package; naming it searches all releases, not only the newest"),
    Field("collection", "text", "family of models as upstream groups them, such as DDQ"),
    Field("dataset", "text", "a dataset it was measured on; binds the metrics beside it to that dataset"),
    Field(
        "task",
        "text",
        "a task it was measured in, by its label or one word of it (detection); binds metrics likewise",
    ),
    Field("training_data", "text", "a dataset it was trained on"),
    Field("config", "text", "path of its config in the release"),
    Field("paper", "text", "title of the paper"),
    Field("checkpoint", "text", "name of a checkpoint file", ("weight", "weights")),
    Field("license", "text", "licence of the model as upstream states it; else unknown", ("licence",)),
    Field("architecture", "text", "a building block that upstream names, such as FPN or ResNet"),
    Field("backbone", "text", "the backbone, where upstream has a field for it; most do not: try name~*r50*"),
    Field("lr_schedule", "text", "learning-rate schedule as in the name: 1x, 3x, 100e, 160k", ("schedule", "lr_schd")),
    Field("digest", "text", "what is known of the checkpoint's digest: full, prefix or none"),
    Field("cpu_ok", "text", "whether it runs on the CPU: yes, no or unknown; zoo show tells why"),
    Field("hardware", "text", "what inference_ms was measured on, such as V100; binds inference_ms beside it"),
    Field("resolution", "text", "image size of that measurement, such as '(800, 1333)'; binds in the same way"),
    Field("mode", "text", "FP32 or FP16 of that measurement; binds in the same way"),
    Field("epochs", "number", "epochs of training", ("epoch",)),
    Field("iterations", "number", "iterations of training"),
    Field("batch_size", "number", "images in a batch of training"),
    Field("memory_gb", "number", "GB of memory that training took on each GPU", ("memory", "training_memory")),
    Field(
        "inference_ms",
        "number",
        "milliseconds an image, on its hardware: inference_ms<30 and hardware=V100",
        ("inference_time",),
    ),
    Field("params", "number", "parameters; 30M and 1.5G can be written", ("parameters",)),
    Field("flops", "number", "floating-point operations an image; 200G can be written"),
    Field("year", "number", "of the paper, by its arXiv number; else of the checkpoint, by the time stamp in its name"),
    Field("paper_year", "number", "year of the paper's arXiv number"),
    Field("checkpoint_year", "number", "year of the time stamp in the checkpoint's name"),
    Field("has_checkpoint", "flag", "whether a checkpoint is published; also alone: not has_checkpoint"),
    Field("has_config", "flag", "whether its config is in the release"),
)

_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}  # a comparison read from its value
_LOOKS_LIKE_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)[a-zA-Z%]?")
_EXPECTED_OPERATOR = "expected one of  " + "  ".join(OPERATORS)
_TOKEN = re.compile(
    r"""\s*(?:(?P<punctuation>[(),])|(?P<operator>[=!<>~]+)|(?P<quoted>'[^']*'|"[^"]*")|(?P<word>[^\s(),=!<>~'"]+))"""
)


class BadFilter(ZooError):
    """A filter cannot be understood; `column` counts from 0."""

    code = "bad-filter"
    exit_code = ExitCode.USAGE

    text: str
    column: int
    length: int
    problem: str  # what is wrong there, such as "expected one of = != < <= > >= ~ in"
    field: str | None = None  # the field of that comparison
    is_unknown: bool = False  # no field or metric is called so
    near: tuple[str, ...] = ()  # names it may have meant


class Comparison(NamedTuple):
    """`field op values`; `op` is one of `OPERATORS`, or `is` for a field that stands alone."""

    field: str  # words joined by "_"
    op: str
    values: tuple[str, ...]
    start: int  # columns of the whole, of the operator and of the first value: for errors
    end: int
    op_at: int = 0
    value_at: int = 0


class Not(NamedTuple):
    """What does not match `inner`."""

    inner: Node


class And(NamedTuple):
    """What matches all `parts`."""

    parts: tuple[Node, ...]


class Or(NamedTuple):
    """What matches one of `parts` at least."""

    parts: tuple[Node, ...]


Node: TypeAlias = "Comparison | Not | And | Or"


class _Token(NamedTuple):
    kind: str  # word | quoted | operator | punctuation | end
    text: str
    start: int
    end: int

    def says(self, *texts: str) -> bool:
        """Whether it is one of these words or marks; quoted text never is."""
        return self.kind != "quoted" and self.text.casefold() in texts


def parse(text: str) -> Node:
    """The tree of a filter.

    Raises:
        BadFilter: It is none, or over the limits.
    """
    if len(text) > LONGEST:
        raise BadFilter(text[:80], 0, 1, f"longer than {LONGEST} characters")
    broken = next((column for column, letter in enumerate(text) if "\ud800" <= letter <= "\udfff"), None)
    if broken is not None:
        raise BadFilter(text, broken, 1, "bytes that are no text")
    return _Parser(text).whole()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            column = at + len(text[at:]) - len(text[at:].lstrip())
            raise BadFilter(text, column, 1, "a quote that is not closed")
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind], match.start(kind), match.end(kind)))
        at = match.end()
    return [*tokens, _Token("end", "", len(text.rstrip()), len(text.rstrip()) + 1)]


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0
        self._terms = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _fail(self, token: _Token, problem: str) -> BadFilter:
        return BadFilter(self._text, token.start, max(1, token.end - token.start), problem)

    def whole(self) -> Node:
        if self._next.kind == "end":
            raise self._fail(self._next, "it is empty")
        node = self._all()
        if self._next.kind != "end":
            raise self._fail(self._next, "expected and, or, a comma, or the end; quote a text with blanks")
        return node

    def _all(self) -> Node:
        parts = [self._either()]
        while self._next.says(","):
            self._take()
            parts.append(self._either())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _either(self) -> Node:
        parts = [self._both()]
        while self._next.says("or", "||"):
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Node:
        parts = [self._single()]
        while self._next.says("and", "&&", "&"):
            self._take()
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _single(self) -> Node:
        token = self._next
        if not token.says("not", "("):
            return self._turned() if self._is_turned() else self._comparison()
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._fail(token, f"more than {DEEPEST} levels deep")
        self._take()
        if token.says("not"):
            node: Node = Not(self._single())
        else:
            node = self._all()
            if not self._next.says(")"):
                raise self._fail(self._next, "expected )")
            self._take()
        self._depth -= 1
        return node

    def _is_turned(self) -> bool:
        """Whether a comparison begins with its value, as in `128<batch_size<=256` (MIM's habit)."""
        first, second = self._tokens[self._at], self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        return first.kind == "word" and second.text in _TURNED and bool(_LOOKS_LIKE_NUMBER.fullmatch(first.text))

    def _turned(self) -> Node:
        """`value op field`, and `value op field op value` as the `and` of two comparisons."""
        number, operator = self._take(), self._take()
        first = self._next
        field = self._field(first)
        end = self._tokens[self._at - 1].end
        op = _TURNED[operator.text]
        lower = Comparison(field, op, (number.text,), number.start, end, operator.start, number.start)
        if self._next.text not in _TURNED:
            return lower
        return And((lower, self._compared(field, first)))

    def _field(self, first: _Token) -> str:
        """The words of a field up to what is none, joined by "_"; counts as one comparison."""
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise self._fail(first, f"more than {MOST_TERMS} comparisons")
        words: list[str] = []
        while self._next.kind in ("word", "quoted") and not self._next.says("and", "or", "not", "in", "&&", "||", "&"):
            words.append(self._take().text.strip("'\""))
        if not words or not any(words):
            raise self._fail(first, "expected a field, such as box_AP, collection or dataset")
        return "_".join("_".join(words).split())

    def _comparison(self) -> Comparison:
        first = self._next
        return self._compared(self._field(first), first)

    def _compared(self, field: str, first: _Token) -> Comparison:
        """The comparison of a field that was read, from its operator on."""
        operator = self._next
        if operator.says("in"):
            return self._membership(field, first)
        if operator.kind != "operator":
            end = self._tokens[self._at - 1].end
            return Comparison(field, "is", (), first.start, end, first.start, first.start)
        if operator.text not in (*OPERATORS, "=="):
            raise BadFilter(self._text, operator.start, len(operator.text), _EXPECTED_OPERATOR, field)
        self._take()
        value = self._value()
        op = "=" if operator.text == "==" else operator.text
        return Comparison(field, op, (value[1],), first.start, value[0].end, operator.start, value[0].start)

    def _membership(self, field: str, first: _Token) -> Comparison:
        operator = self._take()
        opening = self._take()
        if not opening.says("("):
            raise self._fail(opening, "expected ( and a list, as in (COCO, LVIS)")
        values = [self._value()]
        while self._next.says(","):
            self._take()
            values.append(self._value())
            if len(values) > MOST_TERMS:
                raise self._fail(self._next, f"more than {MOST_TERMS} values")
        closing = self._take()
        if not closing.says(")"):
            raise self._fail(closing, "expected , or )")
        texts = tuple(text for _token, text in values)
        return Comparison(field, "in", texts, first.start, closing.end, operator.start, values[0][0].start)

    def _value(self) -> tuple[_Token, str]:
        token = self._take()
        if token.kind not in ("word", "quoted"):
            raise self._fail(token, "expected a value; quote a text with blanks")
        return token, token.text[1:-1] if token.kind == "quoted" else token.text
