"""Reading the YAML files of the index as rows.

Scalars stay text, so nothing is converted behind a reviewer's back; mappings know their line; a key that stands twice,
an alias, deep nesting and a file that is too big are refused. The values are built from the parser's events, one at a
time: composing a tree recurses, and the C parser of PyYAML crashes the process on deep nesting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_cli.catalog.compiler.rows import BrokenRow, Record, Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Container = Record | list[object]

MAX_FILE_BYTES = 16 * 2**20
MAX_DEPTH = 12


def read_source(path: Path, file: str) -> Row:
    """The document of one source file as its top row.

    Args:
        path: The file.
        file: Its name in messages, relative to the index: "compat/torch.yaml".

    Raises:
        BrokenRow: The file cannot be read or is no mapping in plain YAML.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BrokenRow(file, 0, "", f"bigger than {MAX_FILE_BYTES} bytes")
        content = path.read_bytes()
    except OSError as problem:
        raise BrokenRow(file, 0, "", f"cannot be read: {problem.strerror}") from problem
    value = _value(_events(content, file), file)
    if not isinstance(value, Record):
        raise BrokenRow(file, 0, "", "must be a mapping")
    return Row(value, file)


def _events(content: bytes, file: str) -> Iterator[Any]:
    """The parser's events, from its C version where it is there."""
    import yaml

    try:
        yield from yaml.parse(content, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        mark = getattr(problem, "problem_mark", None)
        raise BrokenRow(file, mark.line + 1 if mark else 0, "", f"no YAML: {str(problem).splitlines()[0]}") from problem


def _value(events: Iterator[Any], file: str) -> object:
    """The one document of a stream as Records, lists and text."""
    import yaml

    top: list[object] = []
    stack: list[_Open] = [_Open(top, 0)]
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            stack[-1].put(event.value, file, line)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            container: Container = Record() if isinstance(event, yaml.MappingStartEvent) else []
            if isinstance(container, Record):
                container.line = line
            stack[-1].put(container, file, line)
            stack.append(_Open(container, line))
            if len(stack) > MAX_DEPTH:
                raise BrokenRow(file, line, "", f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            stack.pop()
        elif isinstance(event, yaml.AliasEvent):
            raise BrokenRow(file, line, "", "aliases are not used in the index")
    if len(top) != 1:
        raise BrokenRow(file, 0, "", "must be a mapping: one document, no more")
    return top[0]


class _Open:
    """A mapping or list whose end has not come yet."""

    def __init__(self, container: Container, line: int) -> None:
        self.container = container
        self.line = line
        self.key: str | None = None

    def put(self, value: object, file: str, line: int) -> None:
        """Take the next value: a list's item, or in turn a mapping's key and its value."""
        if isinstance(self.container, list):
            self.container.append(value)
        elif self.key is not None:
            self.container[self.key] = value
            self.key = None
        elif not isinstance(value, str):
            raise BrokenRow(file, line, "", "keys must be plain")
        elif value in self.container:
            raise BrokenRow(file, line, "", f"key {value[:80]} stands twice")
        else:
            self.key = value
