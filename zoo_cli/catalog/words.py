"""Texts as a search takes them: words, trigrams, and the short forms that names of models are written in.

Pure. What is indexed and what is asked go through the same functions, so they meet.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zoo_cli.catalog.names import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable

GRAM = 3  # letters; what SQLite's trigram tokenizer makes
MOST_GRAMS = 24  # of a pattern; more would hardly tell more
_WORD = re.compile(r"[^\W_]+")
_PLAIN = re.compile(r"[0-9a-z-]{3,}")  # of which the tokenizer's grams are surely those made here
_END = re.compile(r"[\[\0]")
_WILDCARD = re.compile(r"[*?]")

# How names of models shorten what papers write out: OpenMMLab's rules for config names (r50 is ResNet-50, x101 is
# ResNeXt-101) and the letters that Swin, ViT, ConvNeXt, YOLOX, RTMDet and others have for their sizes.
_SIZES = {
    "nano": "n", "tiny": "t", "small": "s", "medium": "m", "base": "b", "large": "l", "huge": "h", "giant": "g",
}  # fmt: skip
_SHORT = (("resnext", "x"), ("resnet", "r"), ("mobilenetv", "mbv"))
_LONG = {short: long for long, short in _SIZES.items()}
_LENGTH = re.compile(
    r"(\d{1,4})(?:epochs?|ep)|(\d{1,4}k)(?:iterations?|iters?)"
)  # 50 epochs is 50e, 160k iterations 160k
_DEPTH = re.compile(r"(r|x|mbv)(\d{1,3})")


def words_of(text: str) -> tuple[str, ...]:
    """The runs of letters and digits, without case: `Faster R-CNN` is faster, r, cnn."""
    return tuple(_WORD.findall(text.casefold()))


def grams_of(text: str) -> frozenset[str]:
    """The trigrams of a normalised text that can be looked up."""
    return frozenset(run[at : at + GRAM] for run in _PLAIN.findall(text) for at in range(len(run) - GRAM + 1))


def grams_of_glob(pattern: str) -> tuple[str, ...]:
    """Trigrams that the normalised form of every text matching a glob has; none when nothing is sure.

    What follows the first `[`, or a NUL (where SQLite ends a pattern), is not looked at. Neither are separators at the
    end of a piece: the text may end there, or go on with another separator.
    """
    pieces = _WILDCARD.split(_END.split(pattern)[0])
    return tuple(sorted(frozenset[str]().union(*(grams_of(normalised(piece)) for piece in pieces)))[:MOST_GRAMS])


def other_forms(word: str) -> tuple[str, ...]:
    """How names also write a word: resnet50 and r50, large and l."""
    if same := _SIZES.get(word) or _LONG.get(word):
        return (same,)
    if length := _LENGTH.fullmatch(word):
        return (length[2] or f"{length[1]}e",)
    for long, short in _SHORT:
        if word.startswith(long) and word[len(long) :].isdecimal():
            return (short + word[len(long) :],)
    found = _DEPTH.fullmatch(word)
    return tuple(long + found[2] for long, short in _SHORT if found and short == found[1])


def joined(texts: Iterable[str | None]) -> str:
    """The words of several texts, each once, as one text to index."""
    return " ".join(dict.fromkeys(word for text in texts if text for word in words_of(text)))
