"""mirrors.yaml and --mirror: where bytes may come from, read and checked.

Edge: reads files and the environment. Asked in this order: `--mirror FROM=TO`, the user's file (ZOO_MIRRORS, else
mirrors.yaml in zoo's config directory), what it chose of the known mirrors with `use`, the file that comes with zoo. A
file in the working directory is never read. `write_mirrors` writes the user's file, unless it was written by hand.
The YAML is read event by event: no tags, anchors or merge keys, every key known, every mistake with its line.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.addresses import local_path, parse_address, redacted
from zoo_cli.transfer.failures import BadAddress
from zoo_cli.transfer.headers import NAME, OURS, VARIABLE, Header
from zoo_cli.transfer.keptrules import keep_rules, kept_rules
from zoo_cli.transfer.sources import KINDS, ORDERS, Host, Known, Mirrors, Order, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_FILE_BYTES = 256 * 1024
_MAX_DEPTH = 6
_RULE_KEYS = {"from", "to", "kinds", "order", "source"}
_HOST_KEYS = {"url", "kinds", "source"}
_KNOWN_KEYS = {"name", "region", "from", "to", "kinds", "source"}
_HEADER_KEYS = {"for", "name", "from-environment", "scheme"}
_FILE_KEYS = {"version", "hosts", "mirrors", "known", "use", "headers"}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
WRITTEN_BY_ZOO = "# Written by `zoo mirror`; it writes this file anew each time.\n"


@dataclass(eq=False)
class BadMirrors(ZooError):
    """A mirrors file is not as it must be, at a line and key."""

    code = "bad-mirrors"
    exit_code = ExitCode.USAGE

    file: str
    line: int  # from 1; 0 when the whole file is meant
    key: str
    why: str


@dataclass(eq=False)
class UnknownMirror(ZooError):
    """A name of a mirror that no file knows."""

    code = "unknown-mirror"
    exit_code = ExitCode.USAGE

    name: str
    known: tuple[str, ...]
    file: str = ""  # that names it


@dataclass(eq=False)
class MirrorsByHand(ZooError):
    """The user's mirrors file was not written by zoo, so zoo does not rewrite it; `lines` are what would be in it."""

    code = "mirrors-by-hand"

    file: str
    lines: tuple[str, ...]


@dataclass(eq=False)
class MirrorsUnwritable(ZooError):
    """The user's mirrors file cannot be written."""

    code = "mirrors-unwritable"

    file: str
    reason: str


@dataclass(eq=False)
class BadMirrorOption(ZooError):
    """A --mirror FROM=TO cannot be read."""

    code = "bad-mirror-option"
    exit_code = ExitCode.USAGE

    text: str
    why: str


def load_mirrors(options: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Mirrors:
    """All mirror rules of this run, in the order they are asked.

    Args:
        options: The values of `--mirror`, each FROM=TO.
        environ: The environment; the process's own when None.

    Raises:
        BadMirrors: A file is wrong or ZOO_MIRRORS cannot be read.
        BadMirrorOption: An option is wrong.
    """
    user, bundled = read_user_file(os.environ if environ is None else environ), read_mirrors(bundled_file())
    known = (*user.known, *bundled.known)
    chosen = [each.rule for name in user.used for each in _named(known, name)]
    rules = (*(parse_option(text) for text in options), *user.rules, *chosen, *bundled.rules)
    return Mirrors(rules, (*user.hosts, *bundled.hosts), known, user.used, user.headers)


def _named(known: Sequence[Known], name: str) -> list[Known]:
    """The rules of a known mirror.

    Raises:
        UnknownMirror: There is none of that name.
    """
    found = [each for each in known if each.name == name]
    if not found:
        raise UnknownMirror(name, tuple(dict.fromkeys(each.name for each in known)))
    return found


def read_user_file(environ: Mapping[str, str]) -> Mirrors:
    """What stands in the user's file; nothing when there is none."""
    path = user_file(environ)
    return read_mirrors(path) if path is not None else Mirrors()


def bundled_file() -> Path:
    """mirrors.yaml as it comes with zoo: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parent.parent
    checkout = package.parent / "mirrors.yaml"
    return checkout if (package.parent / "pyproject.toml").is_file() else package / "mirrors.yaml"


def config_directory(environ: Mapping[str, str]) -> Path:
    """Where the user's own files of zoo are: XDG_CONFIG_HOME/zoo, else ~/.config/zoo."""
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "zoo"


def user_file(environ: Mapping[str, str]) -> Path | None:
    """The user's mirrors file, if there is one."""
    named = environ.get("ZOO_MIRRORS")
    if named:
        return Path(named)
    usual = config_directory(environ) / "mirrors.yaml"
    return usual if usual.is_file() else None


def write_mirrors(mirrors: Mirrors, environ: Mapping[str, str]) -> Path:
    """Writes the user's file: its rules and the names it uses.

    Raises:
        MirrorsByHand: The file has other things in it, or was not written by zoo.
        MirrorsUnwritable: It cannot be written.
    """
    from zoo_cli.atomic import write_whole

    path = user_file(environ) or config_directory(environ) / "mirrors.yaml"
    lines = _lines_of(mirrors)
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(WRITTEN_BY_ZOO):
            raise MirrorsByHand(str(path), tuple(lines))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (WRITTEN_BY_ZOO + "".join(f"{line}\n" for line in lines)).encode())
    except (OSError, UnicodeDecodeError) as exc:
        raise MirrorsUnwritable(str(path), getattr(exc, "strerror", None) or str(exc)) from exc
    return path


def _lines_of(mirrors: Mirrors) -> list[str]:
    """A mirrors file; texts in double quotes, as JSON has them, are YAML."""
    import json

    lines = ["version: 1"]
    if mirrors.used:
        lines.append(f"use: {json.dumps(list(mirrors.used))}")
    for header in mirrors.headers:
        lines += ["headers:"] if header is mirrors.headers[0] else []
        lines += [f"  - for: {json.dumps(header.start)}", f"    name: {json.dumps(header.name)}"]
        lines += [f"    from-environment: {header.variable}"]
        lines += [f"    scheme: {json.dumps(header.scheme)}"] if header.scheme else []
    lines += ["mirrors:"] if mirrors.rules else []
    for rule in mirrors.rules:
        lines += [f"  - from: {json.dumps(rule.start)}", f"    to: {json.dumps(list(rule.to))}"]
        lines += [f"    kinds: {json.dumps(list(rule.kinds))}"] if rule.kinds else []
        lines += [f"    order: {rule.order}", f"    source: {json.dumps(rule.source)}"]
    return lines


def parse_option(text: str) -> Rule:
    """The rule of one `--mirror FROM=TO`; tried before the original.

    `https://download.openmmlab.com=http://127.0.0.1:8000/openmmlab`; TO may be a directory.

    Raises:
        BadMirrorOption: It is not FROM=TO, or one side is no address.
    """
    found = re.fullmatch(r"(https?://[^=\s]*)=(\S.*)", text.strip())
    if not found:
        raise BadMirrorOption(redacted(text[:300]), "it must be FROM=TO, and FROM begins with https:// or http://")
    start, to = found.groups()
    try:
        _check_start(start)
        return Rule(start, (_target(to, may_be_relative=True),), source="--mirror")
    except BadAddress as exc:
        raise BadMirrorOption(redacted(text[:300]), exc.why) from exc


def _check_start(text: str) -> None:
    if text not in ("http://", "https://"):
        parse_address(text)


def _target(text: str, *, may_be_relative: bool = False) -> str:
    """An address that rewritten ones begin with; a directory becomes a file: address, so `%2B` keeps its meaning."""
    path = local_path(text)
    if path is None:
        parse_address(text)
        return text
    if not (may_be_relative or Path(path).is_absolute()):
        raise BadAddress(text[:300], "it is neither an address nor an absolute path")
    return Path(path).absolute().as_uri()


@dataclass
class _Node:
    """A piece of YAML with its line; scalars stay text."""

    line: int
    value: str | list[_Node] | dict[str, _Node] = field(default="")


def read_mirrors(path: Path) -> Mirrors:
    """The rules and hosts of one file.

    Raises:
        BadMirrors: It cannot be read, or anything in it is not known.
    """
    reader = _Reader(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise BadMirrors(str(path), 0, "", exc.strerror or str(exc)) from exc
    if len(data) > MAX_FILE_BYTES:
        raise BadMirrors(str(path), 0, "", f"it is larger than {MAX_FILE_BYTES} bytes")
    found = kept_rules(path, data)
    if found is None:
        found = reader.mirrors(data)
        keep_rules(path, data, found)
    return found


class _Reader:
    """Checks one file; every complaint has file, line and key."""

    def __init__(self, file: str) -> None:
        self._file = file

    def _bad(self, line: int, key: str, why: str) -> BadMirrors:
        return BadMirrors(self._file, line, key, why)

    def mirrors(self, data: bytes) -> Mirrors:
        top = self._tree(data)
        fields = self._mapping(top, "the file", _FILE_KEYS)
        version = fields.get("version")
        if version is None or version.value != "1":
            raise self._bad(version.line if version else top.line, "version", "it must be 1")
        rules = [self._rule(each) for each in self._list(fields.get("mirrors"), "mirrors")]
        hosts = [self._host(each) for each in self._list(fields.get("hosts"), "hosts")]
        known = [self._known(each) for each in self._list(fields.get("known"), "known")]
        used = [self._name(each, "use") for each in self._list(fields.get("use"), "use")]
        headers = [self._header(each) for each in self._list(fields.get("headers"), "headers")]
        return Mirrors(tuple(rules), tuple(hosts), tuple(known), tuple(used), tuple(headers))

    def _header(self, node: _Node) -> Header:
        """A field for the addresses of one host; the value itself never stands in the file."""
        fields = self._mapping(node, "headers", _HEADER_KEYS)
        start = self._text(node, fields, "for")
        try:
            address = parse_address(start)
        except BadAddress as exc:
            raise self._bad(fields["for"].line, "for", f"{exc.url}: {exc.why}") from exc
        if address.credentials or "?" in address.target or "#" in address.target:
            raise self._bad(fields["for"].line, "for", "it must be host and path, without a user name or a query")
        name = self._matching(node, fields, "name", NAME, "it is no name of a header")
        if name.lower() in OURS:
            raise self._bad(fields["name"].line, "name", f"{name} is set by zoo itself")
        variable = self._matching(node, fields, "from-environment", VARIABLE, "it must be the name of a variable")
        scheme = self._matching(node, fields, "scheme", NAME, "it must be one word", "")
        return Header(address.url, name, variable, scheme)

    def _matching(
        self,
        node: _Node,
        fields: dict[str, _Node],
        key: str,
        form: re.Pattern[str],
        why: str,
        default: str | None = None,
    ) -> str:
        text = self._text(node, fields, key, default)
        if key in fields and not form.match(text):
            raise self._bad(fields[key].line, key, why)
        return text

    def _known(self, node: _Node) -> Known:
        fields = self._mapping(node, "known", _KNOWN_KEYS)
        for key in ("name", "region", "source"):
            self._text(node, fields, key)
        rule = self._rule_of(node, fields)
        return Known(self._name(fields["name"], "name"), self._name(fields["region"], "region"), rule)

    def _name(self, node: _Node, key: str) -> str:
        text = self._string(node, key)
        if not _NAME.match(text):
            raise self._bad(node.line, key, "a name has small letters, digits and dashes")
        return text

    def _rule(self, node: _Node) -> Rule:
        return self._rule_of(node, self._mapping(node, "mirrors", _RULE_KEYS))

    def _rule_of(self, node: _Node, fields: dict[str, _Node]) -> Rule:
        start = self._text(node, fields, "from")
        self._address(fields["from"], "from", start, is_start=True)
        to = fields.get("to")
        if to is None:
            raise self._bad(node.line, "to", "it is missing")
        targets = [to] if isinstance(to.value, str) else self._list(to, "to")
        if not targets:
            raise self._bad(to.line, "to", "it names no address")
        rewritten = tuple(self._address(each, "to", self._string(each, "to")) for each in targets)
        order = self._text(node, fields, "order", "before")
        if order not in ORDERS:
            raise self._bad(fields["order"].line, "order", f"{order} is not one of {', '.join(ORDERS)}")
        source = self._text(node, fields, "source", self._file)
        return Rule(start, rewritten, self._kinds(fields), cast("Order", order), source)

    def _host(self, node: _Node) -> Host:
        fields = self._mapping(node, "hosts", _HOST_KEYS)
        url = self._text(node, fields, "url")
        self._address(fields["url"], "url", url)
        return Host(url, self._kinds(fields), self._text(node, fields, "source"))

    def _kinds(self, fields: dict[str, _Node]) -> tuple[str, ...]:
        kinds = self._list(fields.get("kinds"), "kinds")
        for each in kinds:
            if self._string(each, "kinds") not in KINDS:
                raise self._bad(each.line, "kinds", f"{each.value} is not one of {', '.join(KINDS)}")
        return tuple(str(each.value) for each in kinds)

    def _address(self, node: _Node, key: str, text: str, *, is_start: bool = False) -> str:
        try:
            if is_start:
                _check_start(text)
                return text
            return _target(text)
        except BadAddress as exc:
            raise self._bad(node.line, key, f"{exc.url}: {exc.why}") from exc

    def _mapping(self, node: _Node, where: str, known: set[str]) -> dict[str, _Node]:
        if not isinstance(node.value, dict):
            raise self._bad(node.line, where, f"it must have the keys {', '.join(sorted(known))}")
        for key, value in node.value.items():
            if key not in known:
                raise self._bad(value.line, key, f"no such key; there are {', '.join(sorted(known))}")
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

    def _text(self, parent: _Node, fields: dict[str, _Node], key: str, default: str | None = None) -> str:
        if key in fields:
            return self._string(fields[key], key)
        if default is None:
            raise self._bad(parent.line, key, "it is missing")
        return default

    def _tree(self, data: bytes) -> _Node:
        import yaml

        try:
            events = yaml.parse(data.decode("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            found = self._node(iter(events), 0)
        except UnicodeDecodeError as exc:
            raise self._bad(data.count(b"\n", 0, exc.start) + 1, "", "it is not UTF-8") from exc
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
            mark = cast("yaml.Event", event).start_mark
            line = mark.line + 1 if mark else 0
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
