"""Beginnings for the fuzzers of readers: ordinary inputs, hostile pieces, and mutations of both."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.models.hostile_configs import PYTHON
from tests.support.wheels import write_wheel

_CONFIGS = (
    "_base_ = ['base.py']\nmodel = dict(depth=101, list=dict(_delete_=True, a=1))\n",
    "a = [i * 2 for i in range(4) if i]\nb = dict(type='X', **dict(c=a[1:]))\nd = f'{a[0]}-{b}'\n",
    "_base_ = './base.py'\nx = _base_.model.depth + 1\ny = {{_base_.lr}}\nfor i in range(3):\n    x += i\n",
    "if 1 < 2:\n    a = 'b' * 3\nelse:\n    a = None\nc = (1, 2.5e3, True, -1, b'z')\n",
    '#json\n{"_base_": "base.py", "model": {"depth": 18}}',
    "#yaml\n_base_: base.py\nmodel: {depth: 18}\n",
)
_METAFILES = (
    "Collections:\n- Name: A\n  Metadata:\n    Training Data: COCO\n    Training Resources: 8x V100 GPUs\n"
    "  Paper: {URL: 'https://h/p', Title: T}\nModels:\n- Name: a\n  In Collection: A\n  Config: configs/a/a.py\n"
    "  Metadata: {Epochs: 12, Training Memory (GB): 3.5}\n  Results:\n  - Task: Object Detection\n    Dataset: COCO\n"
    "    Metrics: {box AP: 40.1}\n  Weights: https://h/a-12345678.pth\n",
    "- Name: b\n  Config: a.py\n  Results: []\n  Weights: https://h/b.pth\n",
    "a: &x [1, 2]\nb: *x\nModels:\n- {Name: &n c, Alias: [*n]}\n",
)
_PAGES = (
    '<html><title>Links for x</title><a href="x-1.0-py3-none-any.whl#sha256=' + "ab" * 32 + '">x</a>',
    '<base href="/other/"><a href="../x%2B-1.0.tar.gz" data-yanked="bad" data-requires-python="&gt;=3.8">y</a>',
    '{"meta": {"api-version": "1.1"}, "name": "x", "files": [{"filename": "x-1.0-py3-none-any.whl", "url": "a/x.whl", '
    '"hashes": {"sha256": "' + "cd" * 32 + '"}, "yanked": true, "size": 3}]}',
)
_PIECES = (
    "{0.__class__}", "__import__('os')", "!!python/object/apply:os.system [id]", "&a [*a]", "<<: *x", "\x1b[2J",
    "\u202e", "javascript:alert(1)", "file:///etc/passwd", "//evil.example/x.whl", "../" * 9, "%2e%2e%2f", "\x00",
    "1e999", ".inf", "9" * 400, "[" * 60, "{" * 60, "**" * 30, "1 << 99999999", "'a' * 10 ** 12", "_base_ = 'x.py'\n",
    "\ud83d", "# coding: utf-7\n", "0x" + "f" * 99, "2001-99-99", "null", "~", "@", "lambda: 0", "(" * 90, "data:,x",
    "http://[::1", "https://u:p@h/x.whl",
)  # fmt: skip


@lru_cache
def _wheel() -> bytes:
    with TemporaryDirectory() as folder:
        return write_wheel(Path(folder), requires=["x>=1"]).read_bytes()


@lru_cache
def seeds(kind: str) -> tuple[bytes, ...]:
    """Ordinary inputs of a reader, and hostile ones."""
    if kind == "wheel":
        return (_wheel(), _rezipped(random.Random(1), _wheel()))
    texts: Iterable[str] = {
        "config": (*_CONFIGS, *PYTHON.values()), "metafile": _METAFILES, "page": _PAGES,
    }[kind]  # fmt: skip
    return tuple(text.encode("utf-8", "replace") for text in texts)


def ordinary(kind: str) -> tuple[bytes, ...]:
    """The seeds that are not hostile."""
    return seeds(kind)[: len(_CONFIGS)] if kind == "config" else seeds(kind)


def an_input(chance: random.Random, kind: str, hostile: float = 0.1) -> bytes:
    """A seed, a mutation of one, or two of them spliced; so many of the beginnings hostile (configs cost much each)."""
    data = chance.choice(seeds(kind) if chance.random() < hostile else ordinary(kind))
    if kind == "wheel" and chance.random() < 0.6:
        data = _rezipped(chance, data)
    for _ in range(chance.randrange(4)):
        data = _mutated(chance, kind, data)
    return data[:20_000]


def _mutated(chance: random.Random, kind: str, data: bytes) -> bytes:
    at, to = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    how = chance.randrange(7)
    if how == 0:
        return data[:at] + chance.choice(_PIECES).encode("utf-8", "replace") + data[at:]
    if how == 1:
        return data[:at] + data[min(to, at + 40) :]
    if how == 2:
        return data[:at] + data[at : at + 60] * chance.randrange(2, 9) + data[at:]
    if how == 3:
        return data[:at] + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 5))) + data[at + 1 :]
    if how == 4:
        other = chance.choice(ordinary(kind))
        return data[:at] + other[chance.randrange(len(other) + 1) :]
    if how == 5:
        lines = data.split(b"\n")
        chance.shuffle(lines)
        return b"\n".join(lines)
    return data[:at] + chance.choice(_PIECES).encode("utf-8", "replace") + data[to:]


def _rezipped(chance: random.Random, data: bytes) -> bytes:
    """A wheel whose archive is right and whose members are not."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(each.filename, archive.read(each)) for each in archive.infolist()]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError):
        return data
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, body in members:
            if chance.random() < 0.3:
                body = _mutated(chance, "page", body)
            if chance.random() < 0.1:
                name = chance.choice(_PIECES)[:60] + name
            if chance.random() < 0.05:
                continue
            archive.writestr(zipfile.ZipInfo(name.encode("utf-8", "replace").decode()), body)
    return stream.getvalue()
