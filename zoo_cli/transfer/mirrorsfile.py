"""What a mirrors file may say, and reading it: every key known, every mistake told with its line.

The YAML is read event by event: no tags, anchors or merge keys. The tables of keys below are the schema;
docs/mirrors.md has them in words, and a test compares the two. Takes bytes, touches no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.addresses import local_path, parse_address, redacted
from zoo_cli.transfer.failures import BadAddress
from zoo_cli.transfer.headers import NAME, OURS, VARIABLE, Header
from zoo_cli.transfer.sources import KINDS, ORDERS, Host, Known, Mirrors, Order, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    import yaml

_MAX_DEPTH = 6
_LONGEST = 400  # letters of a complaint
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
_DATE = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z")
USE_ORDERS = ("before", "fastest")

SCHEMA: dict[str, dict[str, bool]] = {
    "file": {"version": True, "mirrors": False, "known": False, "use": False, "use-order": False, "headers": False,
             "find-links": False, "hosts": False},
    "mirrors": {"from": True, "to": True, "kinds": False, "order": False, "source": False, "date": False},
    "known": {"name": True, "region": True, "from": True, "to": True, "kinds": False, "source": True, "date": False},
    "headers": {"for": True, "name": True, "from-environment": True, "scheme": False},
    "hosts": {"url": True, "kinds": False, "source": True, "date": False},
}  # fmt: skip
"""The keys of each mapping, and whether they must be there."""


class BadMirrors(ZooError):
    """A mirrors file is not as it must be, at a line and key."""

    code = "bad-mirrors"
    exit_code = ExitCode.USAGE

    file: str
    line: int  # from 1; 0 when the whole file is meant
    key: str
    why: str


def parse_mirrors(file: str, data: bytes) -> Mirrors:
    """The rules and hosts of one file.

    Args:
        file: Its path, for complaints; also the source of rules that name none.
        data: What is in it.

    Raises:
        BadMirrors: Anything in it is not known.
    """
    return _Reader(file).mirrors(data)


def start_of(text: str) -> str:
    """What addresses begin with, scheme and host as all addresses have them: small letters, no port that goes without.

    Raises:
        BadAddress: They cannot begin so.
    """
    if text in ("http://", "https://"):
        return text
    address = parse_address(text)
    _check_bare(text)
    if address.credentials:
        raise BadAddress(redacted(text[:300]), "addresses are compared without user names")
    return f"{address.scheme}://{address.authority}{urlsplit(text).path}"


def _check_bare(text: str) -> None:
    """Something is put behind it: that must not end up in a query or fragment."""
    if "?" in text or "#" in text:
        raise BadAddress(redacted(text[:300]), "it has a query or a fragment, and a path has to follow it")


def target_of(text: str, *, may_be_relative: bool = False) -> str:
    """An address that rewritten ones begin with; a directory becomes a file: address, so `%2B` keeps its meaning.

    Raises:
        BadAddress: It is none.
    """
    path = local_path(text)
    if path is None:
        parse_address(text)
        _check_bare(text)
        return text
    if not (may_be_relative or Path(path).is_absolute()):
        raise BadAddress(text[:300], "it is neither an address nor an absolute path")
    return Path(path).absolute().as_uri()


@dataclass
class _Node:
    """A piece of YAML with its line; scalars stay text."""

    line: int
    value: str | list[_Node] | dict[str, _Node] = field(default="")


def _short(text: str) -> str:
    """As much of a text as helps to find it in the file."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _line_of(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


class _Reader:
    """Checks one file; every complaint has file, line and key."""

    def __init__(self, file: str) -> None:
        self._file = file

    def _bad(self, line: int, key: str, why: str) -> BadMirrors:
        return BadMirrors(self._file, line, _short(key), _short(why))

    def mirrors(self, data: bytes) -> Mirrors:
        top = self._tree(data)
        fields = self._mapping(top, "file")
        if fields["version"].value != "1":
            raise self._bad(fields["version"].line, "version", "it must be 1")
        rules = [self._rule(each) for each in self._list(fields.get("mirrors"), "mirrors")]
        hosts = [self._host(each) for each in self._list(fields.get("hosts"), "hosts")]
        known = [self._known(each) for each in self._list(fields.get("known"), "known")]
        used = [self._name(each, "use") for each in self._list(fields.get("use"), "use")]
        headers = [self._header(each) for each in self._list(fields.get("headers"), "headers")]
        use_order = cast("Order", self._one_of(fields, "use-order", USE_ORDERS))
        listed = self._list(fields.get("find-links"), "find-links")
        pages = tuple(self._address(each, "find-links", self._string(each, "find-links")) for each in listed)
        return Mirrors(tuple(rules), tuple(hosts), tuple(known), tuple(used), tuple(headers), use_order, pages=pages)

    def _header(self, node: _Node) -> Header:
        """A field for the addresses of one host; the value itself never stands in the file."""
        fields = self._mapping(node, "headers")
        start = self._text(fields, "for")
        try:
            address = parse_address(start)
        except BadAddress as exc:
            raise self._bad(fields["for"].line, "for", f"{exc.url}: {exc.why}") from exc
        if address.credentials or "?" in address.target or "#" in address.target:
            raise self._bad(fields["for"].line, "for", "it must be host and path, without a user name or a query")
        name = self._matching(fields, "name", NAME, "it is no name of a header")
        if name.lower() in OURS:
            raise self._bad(fields["name"].line, "name", f"{name} is set by zoo itself")
        variable = self._matching(fields, "from-environment", VARIABLE, "it must be the name of a variable")
        return Header(address.url, name, variable, self._matching(fields, "scheme", NAME, "it must be one word"))

    def _matching(self, fields: dict[str, _Node], key: str, form: re.Pattern[str], why: str) -> str:
        """The text of a key; empty when it is not there."""
        text = self._text(fields, key)
        if key in fields and not form.match(text):
            raise self._bad(fields[key].line, key, why)
        return text

    def _one_of(self, fields: dict[str, _Node], key: str, words: tuple[str, ...]) -> str:
        """The word of a key; the first of them when it is not there."""
        text = self._text(fields, key, words[0])
        if text not in words:
            raise self._bad(fields[key].line, key, f"{text} is not one of {', '.join(words)}")
        return text

    def _known(self, node: _Node) -> Known:
        fields = self._mapping(node, "known")
        name, region = (self._name(fields[key], key) for key in ("name", "region"))
        return Known(name, region, self._rule_of(fields))

    def _name(self, node: _Node, key: str) -> str:
        text = self._string(node, key)
        if not _NAME.match(text):
            raise self._bad(node.line, key, "a name has small letters, digits and dashes")
        return text

    def _rule(self, node: _Node) -> Rule:
        fields = self._mapping(node, "mirrors")
        return self._rule_of(fields)._replace(order=cast("Order", self._one_of(fields, "order", ORDERS)))

    def _rule_of(self, fields: dict[str, _Node]) -> Rule:
        to, start = fields["to"], self._address(fields["from"], "from", self._text(fields, "from"), is_start=True)
        targets = [to] if isinstance(to.value, str) else self._list(to, "to")
        if not targets:
            raise self._bad(to.line, "to", "it names no address")
        rewritten = tuple(self._address(each, "to", self._string(each, "to")) for each in targets)
        source = self._text(fields, "source", self._file)
        return Rule(start, rewritten, self._kinds(fields), source=source, date=self._date(fields))

    def _date(self, fields: dict[str, _Node]) -> str:
        return self._matching(fields, "date", _DATE, "it must be a day: 2026-11-23")

    def _host(self, node: _Node) -> Host:
        fields = self._mapping(node, "hosts")
        url = self._text(fields, "url")
        self._address(fields["url"], "url", url)
        return Host(url, self._kinds(fields), self._text(fields, "source"), self._date(fields))

    def _kinds(self, fields: dict[str, _Node]) -> tuple[str, ...]:
        kinds = self._list(fields.get("kinds"), "kinds")
        for each in kinds:
            if self._string(each, "kinds") not in KINDS:
                raise self._bad(each.line, "kinds", f"{each.value} is not one of {', '.join(KINDS)}")
        return tuple(str(each.value) for each in kinds)

    def _address(self, node: _Node, key: str, text: str, *, is_start: bool = False) -> str:
        try:
            return start_of(text) if is_start else target_of(text)
        except BadAddress as exc:
            raise self._bad(node.line, key, f"{exc.url}: {exc.why}") from exc

    def _mapping(self, node: _Node, where: str) -> dict[str, _Node]:
        keys, shown = SCHEMA[where], "the file" if where == "file" else where
        if not isinstance(node.value, dict):
            raise self._bad(node.line, shown, f"it must have the keys {', '.join(sorted(keys))}")
        for key, value in node.value.items():
            if key not in keys:
                raise self._bad(value.line, key, f"no such key; there are {', '.join(sorted(keys))}")
        for key, is_required in keys.items():
            if is_required and key not in node.value:
                raise self._bad(node.line, key, "it is missing")
        return node.value

    def _list(self, node: _Node | None, key: str) -> list[_Node]:
        if node is None:
            return []
        if not isinstance(node.value, list):
            raise self._bad(node.line, key, "it must be a list")
        return node.value

    def _string(self, node: _Node, key: str) -> str:
        if not isinstance(node.value, str) or not node.value:
            raise self._bad(node.line, key, "it must be a text")
        return node.value

    def _text(self, fields: dict[str, _Node], key: str, default: str = "") -> str:
        return self._string(fields[key], key) if key in fields else default

    def _tree(self, data: bytes) -> _Node:
        import yaml

        try:
            text = data.decode("utf-8")
            events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            found = self._node(iter(events), 0)
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    raise self._bad(_line_of(event), "", "a second document begins here")
        except UnicodeDecodeError as exc:
            raise self._bad(data.count(b"\n", 0, exc.start) + 1, "", "it is not UTF-8") from exc
        except yaml.reader.ReaderError as exc:
            line = text.count("\n", 0, text.find(chr(cast("int", exc.character)))) + 1
            raise self._bad(line, "", f"it has a character that no text has: U+{exc.character:04X}") from exc
        except yaml.YAMLError as exc:
            mark = getattr(exc, "problem_mark", None)
            why = str(getattr(exc, "problem", None) or "it is no YAML")
            raise self._bad(mark.line + 1 if mark else 0, "", why) from exc
        if found is None:
            raise self._bad(0, "", "it is empty")
        return found

    def _node(self, events: Iterator[object], depth: int) -> _Node | None:
        """The next value; None at the end of a collection or of the file."""
        import yaml

        for event in events:
            line = _line_of(cast("yaml.Event", event))
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise self._bad(line, "", "anchors, aliases and tags are not used here")
            if depth > _MAX_DEPTH:
                raise self._bad(line, "", "it is nested too deeply")
            if isinstance(event, yaml.ScalarEvent):
                return _Node(line, str(event.value))
            if isinstance(event, yaml.SequenceStartEvent):
                return _Node(line, list(iter(lambda: self._node(events, depth + 1), None)))
            if isinstance(event, yaml.MappingStartEvent):
                return _Node(line, self._pairs(events, depth))
            if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent, yaml.StreamEndEvent)):
                return None
        return None

    def _pairs(self, events: Iterator[object], depth: int) -> dict[str, _Node]:
        pairs: dict[str, _Node] = {}
        while (key := self._node(events, depth + 1)) is not None:
            name = self._string(key, "")
            if name in pairs:
                raise self._bad(key.line, name, "it is there twice")
            value = self._node(events, depth + 1)
            if value is None:
                raise self._bad(key.line, name, "it has no value")
            pairs[name] = value
        return pairs
