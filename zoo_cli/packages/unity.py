"""Few compiler runs over unchanged sources: which C++ files can be compiled together as one translation unit.

Pure. Parsing torch's headers costs about six seconds a file and is most of the work of building its extensions, so
files are grouped and each group is compiled as one unit of `#include` lines (a "unity" build). Two files cannot share a
unit when both define the same thing for themselves: a static or inline function, a template, a class, or a name in an
unnamed namespace. The check is by name and errs on the safe side. Files that open other scopes to their unit (`using
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
    r"^(?:template[ \t]*<[^;{}]*?>\s*)?(?:struct|class|enum(?: class)?|union)\s+(\w+)\s*[:{]", re.MULTILINE
)
_ALIAS = re.compile(r"^(?:using\s+(\w+)\s*=|typedef\s(?:[^;{}]|\{[^}]*\})*?(\w+)\s*;)", re.MULTILINE)
_FUNCTION = re.compile(
    r"^(?:template[ \t]*<[^;{}]*?>\s*|static\s+|inline\s+|constexpr\s+|const\s+|__\w+\s+)*"
    r"[A-Za-z_][\w:<>,*& \t]*?[\s*&](\w+)\s*\([^;{}]*\)\s*(?:const\s*)?\{",
    re.MULTILINE,
)
_VALUE = re.compile(r"^(?:static|const|constexpr)\s[^;(){}]*?(\w+)\s*(?:\[[^]]*\]\s*)?=", re.MULTILINE)
_OPENED = re.compile(r"^using\s+((?:namespace\s+)?[\w:]+)\s*;", re.MULTILINE)

_BINDING_WEIGHT = 1000  # characters that one pybind11 definition is worth to the compiler


def own_names(text: str) -> frozenset[str]:
    """The names that a source file defines at its top level, roughly."""
    text = _COMMENT.sub("", text)
    found = {hit[1] for pattern in (_TYPE, _FUNCTION, _VALUE) for hit in pattern.finditer(text)}
    return frozenset(found | {hit[1] or hit[2] for hit in _ALIAS.finditer(text)})


def opened(text: str) -> frozenset[str]:
    """What a source file takes into its own scope: "namespace std", "at::Tensor"."""
    return frozenset(" ".join(hit[1].split()) for hit in _OPENED.finditer(_COMMENT.sub("", text)))


def group_sources(texts: Mapping[str, str], units: int) -> tuple[tuple[str, ...], ...]:
    """Files as groups that can be compiled together: `units` of about the same size, more where names clash.

    In a group, the files that open scopes come last, so that they open them to nobody else.

    Args:
        texts: content of each file, by its path.
        units: how many groups to aim at.
    """
    names = {path: own_names(text) for path, text in texts.items()}
    scopes = {path: opened(text) for path, text in texts.items()}
    weights = {path: len(text) + _BINDING_WEIGHT * text.count(".def(") for path, text in texts.items()}
    shared = Counter(name for found in names.values() for name in found)
    groups: list[list[str]] = [[] for _ in range(units)]

    def weight(group: list[str]) -> int:
        return sum(weights[member] for member in group)

    # Files with many rivals choose first, then the heavy ones.
    for path in sorted(texts, key=lambda each: (-sum(shared[name] - 1 for name in names[each]), -weights[each], each)):
        free = [group for group in groups if _agrees(path, group, names, scopes)]
        if not free:
            free = [[]]
            groups += free
        min(free, key=weight).append(path)
    full = sorted(filter(None, groups), key=weight, reverse=True)  # the longest run starts first
    return tuple(tuple(sorted(group, key=lambda each: (bool(scopes[each]), each))) for group in full)


def _agrees(
    path: str, group: list[str], names: Mapping[str, frozenset[str]], scopes: Mapping[str, frozenset[str]]
) -> bool:
    if not all(names[path].isdisjoint(names[member]) for member in group):
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
        macros = {hit[1] for hit in _MACRO.finditer(_COMMENT.sub("", texts[path]))}
        lines += [f"#undef {name}" for name in sorted(macros)]
    return "\n".join(lines) + "\n"
