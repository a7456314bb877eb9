"""What is fuzzed: for each kind of input the function that checks it, beginnings, and how the next one is made.

Nothing of zoo is imported before a kind is asked for, so that a guided run can instrument it.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

DOCUMENTS = (
    "lock", "bundle", "receipt", "mirrors", "requirements", "manifest", "root", "metadata", "journal", "machine",
    "source", "library",
)  # fmt: skip
READERS = ("config", "metafile", "page", "wheel")
TEXTS = {"filter": "filter_target", "search": "search_target", "name": "search_target"}
KINDS = ("checkpoint", *READERS, *DOCUMENTS, *TEXTS)
MODELS = ("alpha_r50", "Beta-LVIS", "gamma", "delta", "alpha r50 coco", "betalvis", "mmx/alpha_r50", "open-mmlab://x")
LONGEST = 20_000  # bytes of one input
SHARES = {"checkpoint": 4, "config": 4, "wheel": 2}  # of the time; 1 of all others


class Kind(NamedTuple):
    """How one kind of input is fuzzed."""

    check: Callable[[bytes], bool]  # raises what is a finding; whether the input was understood
    beginnings: Sequence[bytes]
    following: Callable[[random.Random, bytes], bytes]  # the next input, perhaps out of an earlier one


def kind_of(name: str) -> Kind:
    """The kind of a name."""
    if name == "checkpoint":
        return _checkpoint()
    if name in TEXTS:
        return _text(name)
    family = "reader" if name in READERS else "document"
    targets, texts = (importlib.import_module(f"tests.fuzz.{family}_{part}") for part in ("targets", "texts"))
    beginnings = (texts.ordinary if family == "reader" else texts.seeds)(name)  # hostile configs cost a second each
    return Kind(targets.TARGETS[name], beginnings, lambda chance, _earlier: bytes(texts.an_input(chance, name)))


def _checkpoint() -> Kind:
    from tests.fuzz.pickle_target import check_checkpoint
    from tests.fuzz.pickle_texts import a_file, mutated, seeds

    def following(chance: random.Random, earlier: bytes) -> bytes:
        return a_file(chance) if chance.random() < 0.4 else mutated(chance, earlier)

    return Kind(check_checkpoint, seeds(), following)


def _text(name: str) -> Kind:
    from tests.fuzz.filter_texts import a_text, mutated

    check: Any = getattr(importlib.import_module(f"tests.fuzz.{TEXTS[name]}"), f"check_{name}")
    chance = random.Random(1)
    texts = MODELS if name == "name" else tuple(a_text(chance) for _ in range(200))

    def following(chance: random.Random, earlier: bytes) -> bytes:
        fresh = chance.choice(MODELS) if name == "name" else a_text(chance)
        text = fresh if chance.random() < 0.3 else mutated(chance, earlier.decode("utf-8", "surrogateescape"))
        return text.encode("utf-8", "surrogatepass")

    beginnings = [text.encode("utf-8", "surrogatepass") for text in texts]
    return Kind(lambda data: bool(check(data.decode("utf-8", "surrogateescape"))), beginnings, following)
