"""Reading the YAML files of the index as rows.

Scalars stay text, so nothing is converted behind a reviewer's back; mappings know their line; a key that stands twice,
an alias and a file that is too big are refused. The C loader of PyYAML is used where it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.catalog.compiler.rows import BrokenRow, Record, Row

if TYPE_CHECKING:
    from pathlib import Path

    import yaml

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
    import yaml

    loader_class = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BrokenRow(file, 0, "", f"bigger than {MAX_FILE_BYTES} bytes")
        loader = loader_class(path.read_bytes())
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except OSError as problem:
        raise BrokenRow(file, 0, "", f"cannot be read: {problem.strerror}") from problem
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as problem:
        mark = getattr(problem, "problem_mark", None)
        raise BrokenRow(file, mark.line + 1 if mark else 0, "", f"no YAML: {str(problem).splitlines()[0]}") from problem
    value = _value(node, file, set(), 0)
    if not isinstance(value, Record):
        raise BrokenRow(file, 0, "", "must be a mapping")
    return Row(value, file)


def _value(node: yaml.Node | None, file: str, seen: set[int], depth: int) -> object:
    """A node as text, list or Record."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return node.value
    if node is None:
        return None
    line = node.start_mark.line + 1
    if id(node) in seen or depth > MAX_DEPTH:
        raise BrokenRow(file, line, "", "aliases and deep nesting are not used in the index")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, file, seen, depth + 1) for each in node.value]
    record = Record()
    record.line = line
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise BrokenRow(file, line, "", "keys must be plain")
        if key.value in record:
            raise BrokenRow(file, key.start_mark.line + 1, "", f"key {key.value} stands twice")
        record[key.value] = _value(value, file, seen, depth + 1)
    return record
