"""Few compiler runs over unchanged sources: which C++ files can be compiled together as one translation unit.

Pure. Parsing torch's headers costs about six seconds a file and is most of the work of building its extensions, so
files are grouped and each group is compiled as one unit of `#include` lines (a "unity" build). Two files cannot share a
unit when both define the same thing for themselves: a static or inline function, a template, a class, or a name in an
unnamed namespace; nor when the project's own headers that they include do, or define a macro. The check is by name and
errs on the safe side. Files that open other scopes to their unit (`using
namespace std;`) come last in it and share it only with files that open the same; macros end with the file that
defined them.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/[ \t]*", re.DOTALL)
_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
_TYPE = re.compile(
    r"^(?:template[ \t]*<[^;{}]*?>\s*)?(?:struct|class|enum(?: class)?|union)\s+(\w+)\s*(?:<[^;{}]*>)?\s*[:{]",
    re.MULTILINE,
)
_ALIAS = re.compile(r"^(?:using\s+(\w+)\s*=|typedef\s(?:[^;{}]|\{[^}]*\})*?(\w+)\s*;)", re.MULTILINE)
_FUNCTION = re.compile(
    r"^(?:template[ \t]*<[^;{}]*?>\s*|static\s+|inline\s+|constexpr\s+|const\s+|__\w+\s+)*"
    r"[A-Za-z_][\w:<>,*& \t]*?[\s*&](\w+)\s*\([^;{}]*\)\s*(?:const\s*)?\{",
    re.MULTILINE,
)
_VALUE = re.compile(r"^(?:static|const|constexpr)\s[^;(){}]*?(\w+)\s*(?:\[[^]]*\]\s*)?=", re.MULTILINE)
_OPENED = re.compile(r"^using\s+((?:namespace\s+)?[\w:]+)\s*;", re.MULTILINE)

_INCLUDED = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)
_MACRO_OF_A_FILE = "a macro that ends with its file"

_BINDING_WEIGHT = 1000  # characters that one pybind11 definition is worth to the compiler


def own_names(text: str) -> frozenset[str]:
    """The names that a source file defines at its top level, roughly."""
    text = _COMMENT.sub("", text)
    found = {hit[1] for pattern in (_TYPE, _FUNCTION, _VALUE) for hit in pattern.finditer(text)}
    return frozenset(found | {hit[1] or hit[2] for hit in _ALIAS.finditer(text)})


def opened(text: str) -> frozenset[str]:
    """What a source file takes into its own scope: "namespace std", "at::Tensor"."""
    return frozenset(" ".join(hit[1].split()) for hit in _OPENED.finditer(_COMMENT.sub("", text)))


def definers(path: str, text: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Name -> which file defines it, for a source file with all headers of the project that it includes.

    Args:
        path: of the source file.
        text: its content.
        headers: content of the project's headers by file name.
    """
    found: dict[str, str] = {}
    waiting, seen = included(text), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in headers:
            continue
        seen.add(name)
        found |= dict.fromkeys(own_names(headers[name]) | macros(headers[name]), name)
        waiting |= included(headers[name])
    found |= dict.fromkeys(macros(text), _MACRO_OF_A_FILE)
    return found | dict.fromkeys(own_names(text), path)


def macros(text: str) -> frozenset[str]:
    """The macros that a file defines."""
    return frozenset(hit[1] for hit in _MACRO.finditer(_COMMENT.sub("", text)))


def included(text: str) -> set[str]:
    """The file names of the headers that a file includes by quoted names."""
    return {hit[1].rpartition("/")[2] for hit in _INCLUDED.finditer(_COMMENT.sub("", text))}


def group_sources(
    texts: Mapping[str, str], units: int, headers: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], ...]:
    """Files as groups that can be compiled together: `units` of about the same size, more where names clash.

    In a group, the files that open scopes come last, so that they open them to nobody else.

    Args:
        texts: content of each file, by its path.
        units: how many groups to aim at.
        headers: content of the project's own headers by file name.
    """
    names = {path: definers(path, text, headers or {}) for path, text in texts.items()}
    scopes = {path: opened(text) for path, text in texts.items()}
    weights = {path: len(text) + _BINDING_WEIGHT * text.count(".def(") for path, text in texts.items()}
    rivals = Counter(name for name, _who in {pair for found in names.values() for pair in found.items()})
    groups: list[list[str]] = [[] for _ in range(units)]

    def weight(group: list[str]) -> int:
        return sum(weights[member] for member in group)

    # Files with many rivals choose first, then the heavy ones.
    for path in sorted(texts, key=lambda each: (-sum(rivals[name] - 1 for name in names[each]), -weights[each], each)):
        free = [group for group in groups if _agrees(path, group, names, scopes)]
        if not free:
            free = [[]]
            groups += free
        min(free, key=weight).append(path)
    full = sorted(filter(None, groups), key=weight, reverse=True)  # the longest run starts first
    return tuple(tuple(sorted(group, key=lambda each: (bool(scopes[each]), each))) for group in full)


def _agrees(
    path: str, group: list[str], names: Mapping[str, Mapping[str, str]], scopes: Mapping[str, frozenset[str]]
) -> bool:
    mine = names[path]
    if any(names[member].get(name, who) != who for member in group for name, who in mine.items()):
        return False
    return not scopes[path] or all(_share(scopes[path], scopes[member]) for member in group)


def _share(first: frozenset[str], second: frozenset[str]) -> bool:
    """Whether two files with these scopes may follow each other: no whole namespace opened for one of them only."""
    return not second or not any(each.startswith("namespace ") for each in first ^ second)


def unit_text(group: Sequence[str], texts: Mapping[str, str]) -> str:
    """The source of one unit: each file of the group included, then the macros it defined taken back.

    Args:
        group: paths as the unit is to include them.
        texts: content by the same paths.
    """
    lines = []
    for path in group:
        lines.append(f'#include "{path}"')
        lines += [f"#undef {name}" for name in sorted(macros(texts[path]))]
    return "\n".join(lines) + "\n"
