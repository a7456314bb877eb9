"""Which file of a release a metafile means by its `Config`.

Pure. Upstream's paths are often a little wrong: quoted (`gn%2Bws`), without folder, under a folder that was renamed,
with `.py` twice or not at all, or a GitHub address. The rules here are general, no table of names; what is not
exactly there is either found by one of them, and said so, or missing.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GITHUB = re.compile(r"^/[^/]+/[^/]+/(?:blob|tree|raw)/[^/]+/(?P<path>.+)$")


@dataclass(frozen=True, slots=True)
class ConfigPath:
    """Where a config is: `path` in the release's tree (None unless found or repaired) and `state`.

    `state` is `found` (it is where the metafile says), `repaired` (a rule found it elsewhere), `missing` (named, not
    in the release) or `none` (not named).
    """

    path: str | None
    state: str


class ConfigPaths:
    """The config files of one release, by posix path from the folder that holds `configs/`."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)
        self._folded: dict[str, list[str]] = {}
        self._names: dict[str, list[str]] = {}
        for path in sorted(self._paths):
            self._folded.setdefault(path.casefold(), []).append(path)
            self._names.setdefault(posixpath.basename(path), []).append(path)

    def __contains__(self, path: str) -> bool:
        return path in self._paths

    def find(self, asked: str, metafile: str) -> ConfigPath:
        """The config that an entry of `metafile` (its path in the tree) calls `asked`."""
        if asked in self._paths:
            return ConfigPath(asked, "found")
        folder = posixpath.dirname(metafile)
        candidates = list(dict.fromkeys(_candidates(asked, folder)))
        for candidate in candidates:
            if candidate in self._paths:
                return ConfigPath(candidate, "repaired")
        for candidate in candidates:
            if len(same := self._folded.get(candidate.casefold(), [])) == 1:
                return ConfigPath(same[0], "repaired")
        for candidate in candidates:
            if len(same := self._names.get(posixpath.basename(candidate), [])) == 1:
                return ConfigPath(same[0], "repaired")
        return ConfigPath(None, "missing")


def _candidates(asked: str, folder: str) -> Iterator[str]:
    """Paths that may be meant, the least changed first."""
    for text in dict.fromkeys((asked, unquote(asked))):
        path = posixpath.normpath(_cut_address(text)).lstrip("/")
        stem = re.sub(r"(\.py)+$", "", path)
        for spelling in dict.fromkeys((path, stem + ".py")):
            yield spelling
            yield f"configs/{spelling}"
            yield f"{folder}/{spelling}"
            yield f"{folder}/{posixpath.basename(spelling)}"


def _cut_address(text: str) -> str:
    """The path inside the repository when the text is an address on a code host; else the text."""
    if "://" not in text:
        return text
    try:
        path = urlsplit(text).path
    except ValueError:  # "A://[" is no address
        return text
    match = _GITHUB.match(path)
    if match:
        return match["path"]
    return path[path.find("/configs/") + 1 :] if "/configs/" in path else path
