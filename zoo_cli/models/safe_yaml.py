"""YAML of strangers as plain values, with the line on which each entry begins.

Pure. The document is checked before anything is built from it: as an event stream (size, depth, tags, number of
aliases) and as a node graph (cycles, and what the aliases would expand to), so that neither a deep nor a
self-repeating document costs time or memory. Only mappings, sequences, strings, numbers, booleans and null come out;
a date stays the text it was. Follows YAML 1.1 as PyYAML's safe loader reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may cost."""

    bytes: int = 4 * 1024 * 1024
    depth: int = 40
    nodes: int = 200_000  # after expansion of aliases
    digits: int = 100  # of one whole number


@dataclass(eq=False)
class UnreadableYaml(ValueError):
    """The document is no YAML, or one that is not built; `problem` says why, `line` where (from 1) if known."""

    problem: str
    line: int | None = None

    def __str__(self) -> str:
        return self.problem if self.line is None else f"line {self.line}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Document:
    """A document's value, and the line (from 1) of each item of its sequences.

    `lines[("Models", 2)]` is where the third entry of the top-level key `Models` begins; the key is "" when the
    document itself is a sequence.
    """

    value: Value
    lines: Mapping[tuple[str, int], int]


_TUPLE = "tag:yaml.org,2002:python/tuple"  # mmengine's dump writes tuples so


def read_yaml(body: bytes, limits: Limits | None = None) -> Document:
    """The one document in `body`.

    Raises:
        UnreadableYaml: It is no YAML, holds a tag, repeats itself, or is over the limits.
    """
    value, node = _constructed(body, limits or Limits(), frozenset())
    return Document(_plain(value), _lines(node))


def read_config(body: bytes, limits: Limits | None = None) -> Any:
    """The value of a config: keys stay what they are, and tuples are read; see `read_yaml`."""
    return _constructed(body, limits or Limits(), frozenset({_TUPLE}))[0]


def _constructed(body: bytes, limits: Limits, tags: frozenset[str]) -> tuple[Any, Any]:
    """The value and the root node of a document in which no other tags than those stand."""
    import yaml

    loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if tags:
        loader_class = type("ConfigLoader", (loader_class,), {})
        loader_class.add_constructor(_TUPLE, lambda loader, node: tuple(loader.construct_sequence(node, deep=True)))
    if len(body) > limits.bytes:
        raise UnreadableYaml(f"larger than {limits.bytes} bytes")
    try:
        text = body.decode("utf-8-sig")
        _check_events(yaml.parse(text, loader_class), limits, tags)
        loader = loader_class(text)
        try:
            node = loader.get_single_node()
            _check_size(node, limits)
            value = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except UnicodeDecodeError as exc:
        raise UnreadableYaml(f"not UTF-8 (byte {exc.start})") from exc
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        raise UnreadableYaml(str(exc.problem or exc.context), mark.line + 1 if mark else None) from exc
    except (yaml.YAMLError, ValueError, TypeError) as exc:  # a bad date, an unhashable key
        if isinstance(exc, UnreadableYaml):
            raise
        raise UnreadableYaml(str(exc).splitlines()[0]) from exc
    return value, node


def _check_events(events: Any, limits: Limits, tags: frozenset[str]) -> None:
    import yaml

    depth = 0
    for count, event in enumerate(events):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        line = event.start_mark.line + 1
        if depth > limits.depth:
            raise UnreadableYaml(f"nested deeper than {limits.depth}", line)
        if count > limits.nodes:
            raise UnreadableYaml(f"more than {limits.nodes} nodes", line)
        if getattr(event, "tag", None) not in (None, "!", *tags):
            raise UnreadableYaml(f"tag {event.tag} is not read", line)


def _check_size(root: Any, limits: Limits) -> None:
    """Refuses a graph with a cycle, a huge number, or one too large once its aliases are expanded."""
    import yaml

    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Any) -> int:  # as deep as the document: limited by then
        line = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            if node.tag == "tag:yaml.org,2002:int" and len(node.value) > limits.digits:
                raise UnreadableYaml(f"a number of more than {limits.digits} digits", line)
            return 1
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise UnreadableYaml("an anchor holds itself", line)
        open_nodes.add(id(node))
        children = node.value if isinstance(node, yaml.SequenceNode) else [each for pair in node.value for each in pair]
        total = 1 + sum(size(child) for child in children)
        open_nodes.discard(id(node))
        if total > limits.nodes:
            raise UnreadableYaml(f"more than {limits.nodes} nodes when its aliases are expanded", line)
        sizes[id(node)] = total
        return total

    if root is not None:
        size(root)


def _plain(value: object) -> Value:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def _lines(root: Any) -> dict[tuple[str, int], int]:
    import yaml

    if isinstance(root, yaml.SequenceNode):
        named = [("", root)]
    elif isinstance(root, yaml.MappingNode):
        named = [(str(key.value), node) for key, node in root.value if isinstance(node, yaml.SequenceNode)]
    else:
        return {}
    return {(key, at): item.start_mark.line + 1 for key, node in named for at, item in enumerate(node.value)}
