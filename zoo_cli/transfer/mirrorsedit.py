"""Changing the user's mirrors file by the lines that differ, so that all else in it stays as its user wrote it.

Edge: that file, and a lock beside it, so that two commands at once lose nothing. `edited` is the pure part. Whether the
new text says what it shall is seen by reading it; where that fails (rules in braces) nothing is written, and the
user is told the lines. (Libraries that keep comments, ruamel.yaml among them, write the whole file anew, indented and
broken into lines as they do it.)
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from zoo_cli import filelock
from zoo_cli.atomic import write_whole
from zoo_cli.errors import ZooError
from zoo_cli.transfer.addresses import check_keepable
from zoo_cli.transfer.mirrors import MAX_FILE_BYTES, config_directory, read_mirrors, user_file
from zoo_cli.transfer.sources import Mirrors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from zoo_cli.transfer.sources import Rule

_FIRST = "# What may stand here: zoo help mirrors\nversion: 1\n"
_WAIT_SECONDS = 30.0  # for another command that changes the file; it takes milliseconds


class MirrorsByHand(ZooError):
    """The user's mirrors file has a form that zoo cannot change line by line; `lines` are what should be in it."""

    code = "mirrors-by-hand"

    file: str
    lines: tuple[str, ...]


class MirrorsUnwritable(ZooError):
    """The user's mirrors file cannot be written."""

    code = "mirrors-unwritable"

    file: str
    reason: str


def change_mirrors(change: Callable[[Mirrors], Mirrors], environ: Mapping[str, str]) -> tuple[Path, Mirrors]:
    """Changes rules and choices in the user's file; gives its path and what it says now.

    Args:
        change: Gives what the file shall say, from what it says. It may raise.
        environ: Tells which file that is.

    Raises:
        BadMirrors: The file is wrong as it is.
        PasswordKept: An address that is added has a user name, a password or a key.
        MirrorsByHand: The file cannot be changed line by line.
        MirrorsUnwritable: It cannot be written.
    """
    path = user_file(environ) or config_directory(environ) / "mirrors.yaml"
    try:
        real = path.resolve()  # a link to where somebody keeps such files stays one
        if not real.exists():
            change(Mirrors())  # a mistake leaves nothing behind
        real.parent.mkdir(parents=True, exist_ok=True)
        with filelock.hold(real.with_name(f".{real.name}.lock"), "changes mirrors", _WAIT_SECONDS):
            return path, _change(real, change)
    except OSError as exc:
        raise MirrorsUnwritable(str(path), exc.strerror or str(exc)) from exc


def _change(path: Path, change: Callable[[Mirrors], Mirrors]) -> Mirrors:
    before = read_mirrors(path) if path.exists() else Mirrors()
    after = change(before)
    for rule in after.rules:
        if rule not in before.rules:
            for address in rule.to:
                check_keepable(address, str(path))
    old = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
    body = edited(old, before, after).encode()
    if not _says(path, body, after):
        raise MirrorsByHand(str(path), tuple(_lines_of(after)))
    if len(body) > MAX_FILE_BYTES:
        raise MirrorsUnwritable(str(path), f"it would be larger than {MAX_FILE_BYTES} bytes")
    if body.decode() != old:
        write_whole(path, body)
    return after


def _says(path: Path, body: bytes, wanted: Mirrors) -> bool:
    from zoo_cli.transfer.mirrorsfile import BadMirrors, parse_mirrors

    try:
        return parse_mirrors(str(path), body) == wanted
    except BadMirrors:
        return False


def edited(text: str, before: Mirrors, after: Mirrors) -> str:
    """The text of a mirrors file with other rules and choices; headers, known mirrors and comments are not touched.

    Args:
        text: The file; empty when there is none.
        before: What it says.
        after: What it shall say. If the form of the file is too unusual, the text that is given says something else.
    """
    lines = (text or _FIRST).split("\n")
    ending = "\r" if lines[0].endswith("\r") else ""
    if lines[-1]:
        lines.append("")  # the last line had no end
    if before.rules != after.rules:
        _put_rules(lines, before.rules, after.rules, ending)
    if before.used != after.used:
        _put_line(lines, "use", _json(list(after.used)) if after.used else "", ending)
    if before.use_order != after.use_order:
        _put_line(lines, "use-order", "" if after.use_order == "before" else after.use_order, ending)
    if before.pages != after.pages:
        _put_line(lines, "find-links", _json(list(after.pages)) if after.pages else "", ending)
    return "\n".join(lines)


def _put_line(lines: list[str], key: str, value: str, ending: str) -> None:
    """Gives a key at the top another value, on one line; an empty one takes it away."""
    above = _section(lines, "use") or _section(lines, "version") or (0, len(lines) - 1)
    first, after = _section(lines, key) or (above[1], above[1])
    lines[first:after] = [f"{key}: {value}{ending}"] if value else []


def _put_rules(lines: list[str], before: Sequence[Rule], after: Sequence[Rule], ending: str) -> None:
    """Takes away the entries that are not to stay and adds what is new below the last one."""
    first, end = _section(lines, "mirrors") or (-1, 0)
    if first < 0:
        first = next((at for at, line in enumerate(lines) if line.startswith("...")), len(lines) - 1)
        end = first + 1
        lines.insert(first, f"mirrors:{ending}")
    entries = _entries(lines, first, end)
    if len(entries) != len(before):
        return  # not a list line by line
    kept = 0
    gone = list[tuple[int, int]]()
    for rule, entry in zip(before, entries, strict=True):
        if kept < len(after) and rule == after[kept]:
            kept += 1
        else:
            gone.append(entry)
    indent = _indent(lines[entries[0][0]]) if entries else "  "
    lines[end:end] = [f"{indent}{line}{ending}" for rule in after[kept:] for line in _rule_lines(rule)]
    for start, stop in reversed(gone):
        del lines[start:stop]
    if not after:
        del lines[first]
    elif not before:
        lines[first] = f"mirrors:{ending}"  # an empty list may have stood there


def _section(lines: Sequence[str], key: str) -> tuple[int, int] | None:
    """The first line of a key at the top and the line after its value; comments below that are not its own."""
    first = next((at for at, line in enumerate(lines) if re.match(rf"{key}\s*:", line)), None)
    if first is None:
        return None
    end = first + 1
    for at in range(first + 1, len(lines)):
        if _is_talk(lines[at]):
            continue
        if lines[at][0] not in " -":
            break
        end = at + 1
    return first, end


def _entries(lines: Sequence[str], first: int, end: int) -> list[tuple[int, int]]:
    """Where each entry of the list below a key begins and ends."""
    content = [at for at in range(first + 1, end) if not _is_talk(lines[at])]
    if not content:
        return []
    dash = f"{_indent(lines[content[0]])}-"
    starts = [at for at in content if lines[at].rstrip() == dash or lines[at].startswith(f"{dash} ")]
    pairs = zip(starts, [*starts[1:], end], strict=True)
    return [(at, 1 + max(each for each in content if each < stop)) for at, stop in pairs]


def _is_talk(line: str) -> bool:
    """Whether a line is blank or only a comment."""
    return not line.strip() or line.lstrip().startswith("#")


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]


def _lines_of(mirrors: Mirrors) -> list[str]:
    """The choices and rules of a file, for a user who puts them in."""
    lines = [f"use: {_json(list(mirrors.used))}", f"use-order: {mirrors.use_order}"] if mirrors.used else []
    lines += [f"find-links: {_json(list(mirrors.pages))}"] if mirrors.pages else []
    lines += ["mirrors:"] if mirrors.rules else []
    return [*lines, *(f"  {line}" for rule in mirrors.rules for line in _rule_lines(rule))]


def _rule_lines(rule: Rule) -> list[str]:
    lines = [f"- from: {_json(rule.start)}", f"  to: {_json(list(rule.to))}"]
    lines += [f"  kinds: {_json(list(rule.kinds))}"] if rule.kinds else []
    lines += [f"  order: {rule.order}", f"  source: {_json(rule.source)}"]
    return lines + ([f"  date: {rule.date}"] if rule.date else [])


def _json(value: object) -> str:
    """A text or a list of texts; in double quotes, as JSON has them, they are YAML."""
    return json.dumps(value, ensure_ascii=False)
