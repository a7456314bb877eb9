"""Configs as lines: what one is made of, what it would do when built, how two differ.

Pure. Wide letters count as the terminal shows them; text from configs is made harmless before it is shown.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from zoo_cli.cli.text import columns, pad, width
from zoo_cli.models.writer import write_value
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo_cli.models.config_findings import Finding
    from zoo_cli.models.configsource import NamedConfig
    from zoo_cli.models.differences import Difference

_SENTENCES = {
    "imports": "loading it imports {what}",
    "calls": "building it imports and calls {what}",
    "fetches": "building it fetches {what}",
    "counts-on": "it counts on files below {what}, which is a path inside the package",
}
_MARKS = {"changed": "~", "added": "+", "removed": "-"}
_COLOURS = {"changed": "yellow", "added": "green", "removed": "red"}


def finding_line(finding: Finding) -> str:
    """One finding as a sentence: `note: building it imports and calls os.system (model.type)`."""
    place = f" ({finding.key})" if finding.key and finding.key != "custom_imports" else ""
    return printable(f"note: {_SENTENCES[finding.kind].format(what=finding.what)}{place}")


def summary_lines(config: NamedConfig, cells: int) -> Iterator[str]:
    """What a config is made from, and one line for each setting."""
    own = f"  {config.origin}" if config.origin != config.name else ""
    yield printable(config.name + own)
    yield ""
    yield "Made from, bases first:"
    yield from (f"  {printable(file)}" for file in config.flat.files)
    yield ""
    yield "Settings:"
    rows = [("", str(key), _short(config.flat.settings[key])) for key in sorted(config.flat.settings)]
    room = cells - 4 - max((width(printable(row[1])) for row in rows), default=0)
    yield from columns(
        [(*row[:2], row[2] if width(row[2]) <= room else _kind(config.flat.settings[row[1]])) for row in rows]
    )


def _short(value: Any) -> str:
    """A value in a few words: itself when it is plain, else its type and how much it holds."""
    if isinstance(value, dict | list | tuple | set | frozenset):
        return _kind(value)
    return one_line(value)


def _kind(value: Any) -> str:
    unit = "key" if isinstance(value, dict) else "letter" if isinstance(value, str) else "item"
    count = f"{len(value)} {unit}{'s' * (len(value) != 1)}" if hasattr(value, "__len__") else ""
    name = value.get("type") if isinstance(value, dict) else None
    if isinstance(name, str):
        return printable(f"{name}, {count}")
    return f"{type(value).__name__} of {count}" if count else type(value).__name__


def one_line(value: Any) -> str:
    """The value as source on one line."""
    return printable(" ".join(line.strip() for line in write_value(value).splitlines()))


def difference_lines(found: Sequence[Difference], cells: int) -> Iterator[tuple[str, str]]:
    """Colour and text of each line: a mark (~ changed, + added, - removed), the key, the values.

    Values that do not fit beside their key stand below it, a line of their own each.
    """
    room = max((width(printable(each.key)) for each in found if _beside(each, cells) is not None), default=0)
    for each in found:
        beside, mark, key = _beside(each, cells), _MARKS[each.kind], printable(each.key)
        colour = _COLOURS[each.kind]
        if beside is not None and room + 4 + width(beside) <= cells:
            yield colour, f"{mark} {pad(key, room)}  {beside}"
            continue
        yield colour, f"{mark} {key}"
        if each.kind != "added":
            yield from (("red", f"  - {line}" if at == 0 else f"    {line}") for at, line in _block(each.before, cells))
        if each.kind != "removed":
            yield from (
                ("green", f"  + {line}" if at == 0 else f"    {line}") for at, line in _block(each.after, cells)
            )


def _beside(each: Difference, cells: int) -> str | None:
    """The values on the line of their key; None when they are too long for it."""
    values = [value for kind, value in (("added", each.before), ("removed", each.after)) if kind != each.kind]
    text = " -> ".join(map(one_line, values))
    return text if width(printable(each.key)) + width(text) + 4 <= cells else None


def _block(value: Any, cells: int) -> Iterator[tuple[int, str]]:
    for at, line in enumerate(write_value(value, 0, max(cells - 4, 40)).splitlines()):
        yield at, printable(line)


def counted(found: Sequence[Difference]) -> str:
    """How many of each kind: `2 changed, 1 added`; `no difference`."""
    counts = Counter[str](each.kind for each in found)
    return ", ".join(f"{counts[kind]} {kind}" for kind in _MARKS if counts[kind]) or "no difference"
