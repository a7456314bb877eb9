"""Going on from kept bytes: what to ask for, and what an answer to it means.

Pure. Kept bytes belong to the same file when the server says so (If-Range with a strong validator, RFC 9110) or when
a digest of the whole will decide; then another mirror may send the rest. Anything else starts from zero. What a power
cut has left of them is told by the digest; without one, only what the disk had for sure counts after it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from zoo_cli.transfer.failures import BadAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.transfer.ranges import Range
    from zoo_cli.transfer.sources import Wanted

MAX_STATE_BYTES = 64 * 1024


class State(NamedTuple):
    """What is known of the bytes in a part file; kept beside it as JSON."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    size_bytes: int | None = None
    digest: str | None = None  # what the whole must have: full digest, or a prefix
    is_mixed: bool = False  # another address has brought some of them
    boot: str | None = None  # without a digest: the start of the machine that they came in
    kept: tuple[Range, ...] = ()  # and which of them the disk has for sure

    def to_json(self) -> bytes:
        """The state as a document."""
        return json.dumps(self._asdict(), sort_keys=True).encode()

    @property
    def validator(self) -> str | None:
        """What If-Range may carry: a strong ETag, else the date. A weak ETag does not promise equal bytes."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return None if self.etag else self.last_modified

    def may_resume(self, wanted: Wanted, url: str) -> bool:
        """Whether the kept bytes can be the beginning of this file from this address."""
        sizes = {self.size_bytes, wanted.size_bytes} - {None}
        if self.digest != wanted.digest or len(sizes) > 1:
            return False
        return wanted.digest is not None or (url == self.url and self.validator is not None)


def read_state(data: bytes) -> State | None:
    """The state in a document; None for anything that is not exactly one (another program's, damaged, tampered)."""
    try:
        value = json.loads(data)
        state = State(**value)
        state = state._replace(kept=tuple((first, after) for first, after in state.kept))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (state.etag, state.last_modified, state.digest, state.boot)
    good = isinstance(state.url, str) and isinstance(state.is_mixed, bool)
    good &= all(text is None or isinstance(text, str) for text in texts)
    good &= all(type(at) is int and at >= 0 for each in state.kept for at in each)
    size = state.size_bytes
    good_size = size is None or (isinstance(size, int) and not isinstance(size, bool) and size >= 0)
    headers = (state.etag or "") + (state.last_modified or "")
    return state if good and good_size and headers.isascii() and headers.isprintable() else None


def range_headers(state: State, have_bytes: int, url: str, until: int | None = None) -> dict[str, str]:
    """The headers that ask for the rest, or for the bytes before `until` when those after it are here."""
    headers = {"Range": f"bytes={have_bytes}-{'' if until is None else until - 1}"}
    if url == state.url and state.validator:
        headers["If-Range"] = state.validator
    return headers


Verdict = Literal["append", "from-zero", "complete", "ask-again"]


def judge(status: int, headers: Mapping[str, str], asked_from: int, state: State | None, url: str) -> Verdict:
    """What an answer means when `asked_from` bytes are kept (0: no range was asked).

    append: its body is the rest. from-zero: its body is the whole file. complete: the kept bytes are the whole.
    ask-again: it lies or the file changed; ask for the whole.

    Raises:
        BadAnswer: A part came though the whole was asked.
    """
    if status == 200:
        return "from-zero"
    first, total = content_range(headers.get("content-range", ""))
    if status == 416:
        return "complete" if asked_from and total == asked_from else "ask-again"
    if not asked_from or state is None:
        raise BadAnswer(url, "it sends a part of the file though the whole was asked")
    same_size = total is None or state.size_bytes is None or total == state.size_bytes
    same_file = not (url == state.url and state.etag and headers.get("etag", state.etag) != state.etag)
    return "append" if first == asked_from and same_size and same_file else "ask-again"


def content_range(text: str) -> tuple[int | None, int | None]:
    """First byte and total size of a Content-Range; None for what is not said or not well formed."""
    found = re.fullmatch(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(?:(\d{1,18})|\*)", text.strip())
    if not found:
        return None, None
    first, last, total = (int(number) if number else None for number in found.groups())
    if first is not None and last is not None and (last < first or (total is not None and last >= total)):
        return None, None
    return first, total
