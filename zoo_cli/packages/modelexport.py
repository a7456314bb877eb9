"""The models of a lock in the words of other tools: configs as they are, other files by address and SHA-256.

Pure. What fetches them is a few lines of Python's standard library, since an image has no curl, and a shell no way to
compare digests that is the same everywhere. No file appears under its name before its digest was compared.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.packages.locked import Lock

_FETCH = """\
import hashlib, os, time, urllib.request

def fetch(name, url, digest):
    found = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=60) as reply, open(name + ".part", "wb") as file:
        for block in iter(lambda: reply.read(1 << 20), b""):
            found.update(block)
            file.write(block)
    if found.hexdigest() != digest:
        raise SystemExit(f"{name} from {url} has another SHA-256: {found.hexdigest()}")
    os.replace(name + ".part", name)

for name, url, digest in FILES:
    for pause in (2, 8, None):
        try:
            fetch(name, url, digest)
            break
        except OSError as error:
            if pause is None:
                raise SystemExit(f"{name} from {url}: {error}")
            time.sleep(pause)
"""


def fetching(lock: Lock) -> list[str]:
    """The lines of a Python program that brings the models' files into its working directory."""
    files = {each.name: each for model in lock.models for each in model.files}
    rows = [f"    ({each.name!r}, {each.url!r}, {each.sha256!r})," for _name, each in sorted(files.items())]
    return ["FILES = [", *rows, "]", *_FETCH.splitlines()]


def shell_lines(lock: Lock, configs: Mapping[str, str], python: str, folder: str) -> Iterator[str]:
    """Lines for a POSIX shell that bring the models into a folder.

    Args:
        lock: a lock.
        configs: the texts of its models' configs, by file name.
        python: the interpreter, as a word for the shell.
        folder: where they go, as a word for the shell.
    """
    if not lock.models:
        return
    yield f"mkdir -p {folder}"
    yield "("
    yield f"cd {folder}"
    for name, text in sorted(configs.items()):
        yield from (f"cat > {shlex.quote(name)} <<'{end(text)}'", *text.splitlines(), end(text))
    yield from (f"{python} - <<'ZOO'", *fetching(lock), "ZOO")
    yield ")"


def end(text: str) -> str:
    """A word that ends a here-document and is no line of it."""
    lines = set(text.splitlines())
    return next(word for word in ("ZOO", *(f"ZOO{number}" for number in range(len(lines) + 1))) if word not in lines)
