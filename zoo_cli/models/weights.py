"""Checkpoint addresses as metafiles write them -> files that can be fetched, and an issue for everything odd.

Pure; general rules, no table of names. An address is repaired only where what is meant is evident from itself, and
nothing was fetched to find that out: the issue says what was written and what it is read as.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from zoo_cli.models.records import Issue, Weights
from zoo_cli.transfer.hashes import prefix_in_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from urllib.parse import SplitResult

    from zoo_cli.models.entry import Notes
    from zoo_cli.models.records import ModelEntry

# A host that is one of these with some letters more is a slip of the keyboard, and a stranger's to register.
KNOWN_HOSTS = ("download.openmmlab.com",)
_MOST_STRAY_LETTERS = 4
_CHECKPOINT = re.compile(r"\.(pth|pt|pkl|bin|zip|ckpt|safetensors|tar|onnx)$")
_LOG = re.compile(r"\.(json|log|txt)$")
_TIME = re.compile(r"_(?:19|20)\d{6}_(\d{2})(\d{2})(\d{2})(?!\d)")


@dataclass(frozen=True, slots=True)
class Addresses:
    """What stood under `Weights`: checkpoints, and training logs that stood among them."""

    weights: tuple[Weights, ...]
    logs: tuple[str, ...]


def read_weights(asked: Iterable[str], notes: Notes) -> Addresses:
    """The checkpoint files that can be fetched, in upstream's order, each address once."""
    kept: dict[str, Weights] = {}
    logs: list[str] = []
    for text in asked:
        url = _address(text)
        if url is None:
            notes.add("bad-weights", f"{text!r} is no address of a file; left out")
            continue
        if url != text:
            notes.add("weights-repaired", f"{text!r} read as {url!r}")
        parts = urlsplit(url)
        name = posixpath.basename(unquote(parts.path))
        if _LOG.search(parts.path):
            notes.add("misplaced", f"the log {url} stood as Weights")
            logs.append(url)
            continue
        for problem in _oddities(parts, name):
            notes.add("odd-weights", f"{url} {problem}")
        kept.setdefault(url, Weights(url, name, prefix_in_name(name)))
    if not kept:
        notes.add("no-weights", "has no checkpoint")
    return Addresses(tuple(kept.values()), tuple(logs))


def _address(text: str) -> str | None:
    """The address of a file that the text means; None when it means none."""
    try:
        parts = urlsplit(text.strip("()<> "))
        host = parts.hostname
    except ValueError:  # "https://[" is no address
        return None
    if parts.scheme not in ("http", "https") or not host or parts.path.endswith("/") or not parts.path:
        return None
    if host == "huggingface.co" and "/tree/" in parts.path:  # a page with a list of files
        return None
    if host == "huggingface.co":  # /blob/ is the page about a file, /resolve/ the file
        parts = parts._replace(path=parts.path.replace("/blob/", "/resolve/", 1))
    known = next((each for each in KNOWN_HOSTS if _has_stray_letters(host, each)), None)
    if known is not None:
        parts = parts._replace(netloc=known)
    return urlunsplit(parts._replace(path=re.sub(r"\.pthh+$", ".pth", parts.path)))


def _has_stray_letters(host: str, known: str) -> bool:
    """Whether `host` is `known` with one to four letters or digits put in at one place."""
    more = len(host) - len(known)
    if not 0 < more <= _MOST_STRAY_LETTERS:
        return False
    places = (at for at in range(len(known) + 1) if host[:at] + host[at + more :] == known)
    return any(host[at : at + more].isalnum() for at in places)


def _oddities(parts: SplitResult, name: str) -> Iterable[str]:
    if not _CHECKPOINT.search(parts.path):
        yield "does not end like a checkpoint"
    if "//" in parts.path:
        yield "has an empty folder in its path"
    if (found := _TIME.search(name)) and (int(found[1]) > 23 or int(found[2]) > 59 or int(found[3]) > 59):
        yield f"has an impossible time of day in its name, {found[1]}:{found[2]}:{found[3]}"


def shared_digests(models: Iterable[ModelEntry]) -> Iterable[Issue]:
    """An issue for each model whose file name carries the digest of a file of another name: one name is made up."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    models = list(models)
    for model in models:
        for file in model.weights:
            if file.prefix:
                names[file.prefix].add(file.name)
    for model in models:
        for file in model.weights:
            if file.prefix and len(others := names[file.prefix] - {file.name}):
                detail = f"{file.name} carries the digest of {', '.join(sorted(others))}"
                yield Issue("shared-digest", model.at, model.name, detail)
