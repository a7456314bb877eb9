"""Whether addresses answer, how soon, and how fast: for choosing mirrors.

Edge: the network, local files, threads and the clock. At most a megabyte of each answer is read.
"""

from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.transfer.addresses import file_name_of, local_path, redacted
from zoo_cli.transfer.failures import BadAddress, Failed
from zoo_cli.transfer.http import Session
from zoo_cli.transfer.resume import content_range
from zoo_cli.transfer.webpages import begins_page, is_binary, is_said_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.transfer.http import Answer
    from zoo_cli.transfer.settings import Settings

_READ_BYTES = 1 << 20
_LEAST_BYTES = 65536  # to tell of a rate


class Probe(NamedTuple):
    """What one address did."""

    url: str  # to show
    is_ok: bool
    seconds: float  # until the head of its answer was here
    bytes_per_second: int  # 0: too little was read to tell
    said: str  # its status, or the failure in a few words
    size_bytes: int | None = None  # of the file, when it was asked for and said


def probe_all(urls: Sequence[str], settings: Settings, *, for_file: bool) -> list[Probe]:
    """Asks every address at once.

    Args:
        urls: http, https or file addresses.
        settings: Limits.
        for_file: The addresses are of a file, which must be there; else any answer of a host, or a directory, will do.
    """
    from concurrent.futures import ThreadPoolExecutor

    if not urls:
        return []
    with ThreadPoolExecutor(min(16, len(urls))) as pool:
        return list(pool.map(lambda url: _probe(url, settings, for_file), urls))


def _probe(url: str, settings: Settings, for_file: bool) -> Probe:
    began, shown = time.monotonic(), redacted(url)
    try:
        path = local_path(url)
        if path is not None:
            return _look(Path(path), shown, for_file)
        with Session(settings) as session, session.get(url, {"Range": f"bytes=0-{_READ_BYTES - 1}"}) as answer:
            head_seconds = time.monotonic() - began
            body = answer.read(_READ_BYTES)
            spent = time.monotonic() - began - head_seconds
            is_there = answer.status in (200, 206) if for_file else answer.status < 500
            said = f"{answer.status} {answer.reason}".rstrip()
            if for_file and is_there and _is_page(url, answer, body):
                is_there, said = False, f"{said}: an HTML page in place of the file"
            if is_there:
                _remember(settings, url, len(body), head_seconds + spent)
            rate = int(len(body) / spent) if spent > 0.001 and len(body) >= _LEAST_BYTES else 0
            return Probe(shown, is_there, head_seconds, rate, said, _size(answer) if for_file and is_there else None)
    except Failed as failure:
        if settings.health:
            settings.health.failed(url, failure)
        return Probe(shown, False, time.monotonic() - began, 0, failure.brief)
    except BadAddress as error:
        return Probe(shown, False, 0.0, 0, error.why)


def _look(path: Path, shown: str, for_file: bool) -> Probe:
    """What is at a place of this computer."""
    try:
        about = path.stat()
    except (OSError, ValueError) as exc:
        return Probe(shown, False, 0.0, 0, getattr(exc, "strerror", None) or str(exc))
    if for_file and not stat.S_ISREG(about.st_mode):
        return Probe(shown, False, 0.0, 0, "it is no plain file")
    if not for_file and not stat.S_ISDIR(about.st_mode):
        return Probe(shown, False, 0.0, 0, "it is no directory")
    return Probe(shown, True, 0.0, 0, "it is there", about.st_size if for_file else None)


def _is_page(url: str, answer: Answer, body: bytes) -> bool:
    is_said = is_said_page(answer.headers.get("content-type", ""))
    return (is_said or begins_page(body)) and is_binary(file_name_of(url))


def _size(answer: Answer) -> int | None:
    if answer.status == 206:
        return content_range(answer.headers.get("content-range", ""))[1]
    return answer.length


def _remember(settings: Settings, url: str, size_bytes: int, seconds: float) -> None:
    """Notes what was found of the host; of a rate only where no transfer of the last day told more."""
    health = settings.health
    if health is None:
        return
    health.worked(url)
    if health.of(url).weight(health.now()) < 0.5:
        health.brought(url, size_bytes, seconds, least_bytes=_LEAST_BYTES)
