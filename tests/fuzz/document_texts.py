"""Beginnings for the fuzzers of documents: ordinary ones as zoo writes them, then changed in their bytes and values."""

from __future__ import annotations

import hashlib
import io
import json
import random
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from tarfile import GNU_FORMAT, TarInfo
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w

from tests.support.fatbins import LZ4, PTX, SASS, SPECIFIC, container, library_with
from zoo_cli.machine.document import machine_to_json
from zoo_cli.machine.facts import Capability, Distribution, Gpu, Interpreter, Libc, Machine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PIECES = (
    b"\x1b[2J", "\u202e".encode(), b"\x00", b"\xff\xfe", b"9" * 5000, b"1e999", b"-1", b"NaN", b"Infinity", b"[" * 3000,
    b'{"a":' * 1500, b"../" * 9, b"/etc/passwd", b"file:///etc/passwd", b"https://u:p@h/x.whl", b"http://[::1", b"null",
    b"true", b'""', b"\\ud800", b"&a [*a]", b"!!python/object/apply:os.system [id]", b"<<: *x", b"2001-99-99T99:99:99",
    b"-r r.txt\n", b"--extra-index-url x\n", b"\r", b"\xe2\x80\xa8", b"'''", b'"""', b"# coding: utf-7\n", b"(" * 200,
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1.5, "", "x", "..", "../../x", "/etc/passwd", "a/b", ".x",
    "\x1b[31m", "\u202e", "\ud800", "x" * 6000, "https://u:p@h/x", "file:///etc/passwd", "http://[::1", "ab" * 32,
    "0" * 64, "CON", "x.py", "lib/x.py", "lib/../../x", "1.0", "9" * 50, "not a version!", ">=3", [], {}, [[]], [{}],
    {"": ""}, ["x"], {"path": "../x"}, {"sha256": "ab" * 32}, "2026-11-23T00:00:00Z",
)  # fmt: skip
_SHA = "ab" * 32
_PACKAGES: list[dict[str, Any]] = [
    {"name": "tiny", "version": "1.0", "marker": "python_version >= '3.10'", "wheels": [
        {"name": "tiny-1.0-py3-none-any.whl", "url": "https://h/tiny-1.0-py3-none-any.whl", "size": 7,
         "hashes": {"sha256": _SHA}}], "tool": {"zoo": {"evidence": "seen", "source": "https://h/"}}},
    {"name": "old", "version": "2", "sdist": {"name": "old-2.tar.gz", "url": "https://h/old-2.tar.gz",
                                              "hashes": {"sha256": _SHA}}},
    {"name": "put", "version": "3", "archive": {"url": "https://h/put-3-py3-none-any.whl",
                                                "hashes": {"sha256": _SHA}}},
]  # fmt: skip
_BUILT: list[dict[str, Any]] = [
    {"name": "far", "vcs": {"type": "git", "url": "https://h/far", "requested-revision": "main", "commit-id": "c" * 40,
                            "subdirectory": "python"}, "tool": {"zoo": {"version": "1.0"}}},
    {"name": "here", "marker": "python_version >= '3.10'", "directory": {"path": "../here", "editable": True}},
    {"name": "put", "version": "3",
     "archive": {"url": "https://h/put-3.tar.gz", "size": 3, "hashes": {"sha256": _SHA}}},
    {"name": "lies", "version": "4", "archive": {"path": "lies-4.tar.gz", "hashes": {"sha256": _SHA}}},
]  # fmt: skip
_LOCK = {
    "lock-version": "1.0", "environments": ["sys_platform == 'linux'"], "requires-python": ">=3.11",
    "created-by": "zoo",
    "packages": _PACKAGES,
    "tool": {"zoo": {
        "requested": ["tiny"], "index": "2026-11-01", "variant": "cu121", "machine": {"os": "linux"},
        "minimum": {"python": "3.11", "driver": "525"}, "targets": {"tiny": ["8.6", "9.0+PTX"]},
        "models": [{"name": "m", "package": "mmdet", "release": "3.3.0", "config": {"name": "m.py", "sha256": _SHA},
                    "files": [{"name": "m.pth", "url": "https://h/m.pth", "size": 3, "hashes": {"sha256": _SHA}}]}],
    }},
}  # fmt: skip
RECEIPT = {
    "schema": 1, "asked_as": "m", "name": "m", "package": "mmdet", "release": "3.3.0", "index_date": "2026-11-01",
    "date": "2026-11-23T00:00:00Z", "zoo": "0.1.0", "links": ["/home/u/.cache/torch/hub/checkpoints/m.pth"],
    "files": [
        {"path": "m.py", "role": "config", "size_bytes": 6, "sha256": hashlib.sha256(b"a = 1\n").hexdigest(),
         "evidence": "record"},
        {"path": "m.txt", "role": "log", "size_bytes": 3, "sha256": hashlib.sha256(b"log").hexdigest(),
         "evidence": "none", "url": "https://h/m.txt", "upstream": "https://h/m.txt"},
    ],
    "config": {"wheel": "mmdet-3.3.0-py3-none-any.whl", "wheel_sha256": _SHA, "path": "configs/m.py",
               "files": ["configs/m.py"], "imports": []},
}  # fmt: skip
_MIRRORS = b"""version: 1
use: [some]
hosts:
  - url: https://download.example/
    kinds: [checkpoints]
    source: a page
headers:
  - for: https://lab.example/
    name: Authorization
    from-environment: LAB_TOKEN
    scheme: Bearer
mirrors:
  - from: https://download.example/
    to: [https://mirror.example/, /srv/mirror]
    order: before
known:
  - {name: some, region: cn, from: "https://a.example/", to: "https://b.example/", source: a page}
"""
_REQUIREMENTS = (
    b"# a file\nmmdet>=3.0 # inline\ntorch==2.1.0\nnumpy<2; python_version < '3.12'\n-f https://h/page.html\n"
    b"--extra-index-url https://u:p@h/simple\nmmcv \\\n  ==2.1.0\nopencv-python @ https://h/x.whl\n",
    b"\xef\xbb\xbfmmcv\n-r other.txt\n",
)
_MANIFEST = {
    "zoo-mirror": 1, "index-date": "2026-11-01", "pending": ["h/x.pth"], "files": [
        {"path": "download.example/m.pth", "kind": "checkpoint", "sha256": _SHA, "size": 3, "upstream": "https://h/m.pth"},
        {"path": "index/zoo.db", "kind": "index", "sha256": "cd" * 32, "size": 9},
    ],
}  # fmt: skip
_CHANGE = {
    "number": 1, "command": ["zoo", "install", "tiny"], "started": "2026-11-23T00:00:00Z", "before": {},
    "after": {"tiny": "1.0"}, "undoes": None,
}  # fmt: skip
_SNAPSHOT = {
    "roots": ["PREFIX/lib"], "numbers": {"lib/kept.py": 0}, "tree": {
        "lib/kept.py": ["file", 420, 4, 0, 1, ""], "lib/link": ["link", 0, 0, 0, 0, "kept.py"],
        "lib/sub": ["directory", 493, 0, 0, 0, ""],
    },
}  # fmt: skip
# PREFIX becomes the environment's directory.
_AFTER = {"lib/ours.py": ["file", 420, 4, 0, 1, ""]}
_SOURCES = (
    b"Metadata-Version: 2.1\nName: x\nVersion: 1.0\nRequires-Dist: torch>=2\n folded\n\nA text.\n",
    b"[project]\nname = 'x'\nversion = '1.0'\ndependencies = ['torch']\ndynamic = []\n",
    b"[metadata]\nname = x\nversion = 1.0\n[options]\ninstall_requires =\n  torch\n",
    b"from setuptools import setup\nsetup(name='x', version='1.0')\n",
    b"__version__ = '1.0'\ncuda: str = None\nhip = '6'\n",
    b'{"url": "file:///x", "dir_info": {"editable": true}}',
    b'x/__init__.py,sha256=abc,3\n"x/a,b.py",,\n',
)


def _machine() -> Any:
    python = Interpreter(
        "/e/bin/python", "3.11.7", prefix="/e", is_virtual=True, site_packages="/e/lib", platlib="/e/lib",
        distributions=(Distribution("tiny", "1.0", "/e/lib"),),
    )  # fmt: skip
    gpus = (Gpu("a GPU", Capability(8, 6)),)
    return machine_to_json(
        Machine("linux", "x86_64", "linux_x86_64", Libc("glibc", "2.36"), "535.1", gpus=gpus, python=python)
    )


def _dumped(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8")


def _toml(document: Any) -> bytes:
    try:
        return tomli_w.dumps(document).encode("utf-8", "replace")
    except (TypeError, ValueError, AttributeError, UnicodeEncodeError):  # None has no form in TOML
        return b"packages = 1\n"


_READ: dict[str, Callable[[bytes], Any]] = {"lock": lambda data: tomllib.loads(data.decode())}
_WRITE: dict[str, Callable[[Any], bytes]] = {"lock": _toml}
_JSON = ("lock", "receipt", "manifest", "root", "metadata", "journal", "machine")


@lru_cache
def _signed() -> dict[str, bytes]:
    from tests.fuzz.document_targets import repository

    place = repository()[0] / "metadata"
    return {each.name: each.read_bytes() for each in sorted(place.iterdir())}


@lru_cache
def _libraries() -> tuple[bytes, ...]:
    from tests.trust.test_binary import fat, macho, pe

    codes = (container([(SASS, 70, 0), (SASS, 86, LZ4), (PTX, 86, LZ4)]), container([(SASS, 90, SPECIFIC)]))
    with TemporaryDirectory() as folder:
        names = (".nv_fatbin", "__nv_relfatbin")
        library = library_with(Path(folder), dict(zip(names, codes, strict=True))).read_bytes()
    return (library, pe(cuda=codes[0]), macho(), fat(macho(), macho(0x01000007)))


def a_bundle(sections: Any, blobs: list[bytes], lie: Callable[[Any], Any] = lambda manifest: manifest) -> bytes:
    """A bundle with its frame in order; its manifest may lie."""
    ordered = sorted((hashlib.sha256(each).hexdigest(), each) for each in blobs)
    listed = [{"sha256": digest, "size_bytes": len(body)} for digest, body in ordered]
    manifest = lie({"schema": 1, **sections, "blobs": listed})
    entries = [("zoo-bundle.json", _dumped(manifest)), *((f"blobs/{digest}", body) for digest, body in ordered)]
    out = io.BytesIO()
    for name, body in entries:
        header = TarInfo(name)
        header.size = len(body)
        out.write(header.tobuf(GNU_FORMAT) + body + bytes(-len(body) % 512))
    return out.getvalue() + bytes(1024)


def _ordinary_bundle(lie: Callable[[Any], Any] = lambda manifest: manifest) -> bytes:
    wheel = b"a wheel"
    wheels = {**_LOCK, "packages": [each for each in _PACKAGES if "sdist" not in each]}  # a bundle holds nothing else
    lock = json.loads(json.dumps(wheels).replace(_SHA, hashlib.sha256(wheel).hexdigest()))
    return a_bundle({"models": [RECEIPT], "environment": lock}, [b"a = 1\n", b"log", wheel], lie)


@lru_cache
def seeds(kind: str) -> tuple[bytes, ...]:
    """Ordinary documents of a kind."""
    made: dict[str, Callable[[], tuple[bytes, ...]]] = {
        "lock": lambda: (_toml(_LOCK), _toml({**_LOCK, "packages": _BUILT})),
        "bundle": lambda: (_ordinary_bundle(),),
        "receipt": lambda: (_dumped(RECEIPT),),
        "mirrors": lambda: (_MIRRORS,),
        "requirements": lambda: _REQUIREMENTS,
        "manifest": lambda: (_dumped(_MANIFEST),),
        "root": lambda: (_signed()["1.root.json"],),
        "metadata": lambda: tuple(_signed().values()),
        "journal": lambda: tuple(map(_dumped, (_CHANGE, _SNAPSHOT, _AFTER, {**_CHANGE, **_SNAPSHOT}))),
        "machine": lambda: (_dumped(_machine()),),
        "source": lambda: _SOURCES,
        "library": _libraries,
    }
    return made[kind]()


def an_input(chance: random.Random, kind: str) -> bytes:
    """A document with values, then bytes of it changed; a third of them in one of the two ways only."""
    data, way = chance.choice(seeds(kind)), chance.random()
    if kind == "bundle" and way < 0.7:
        data = _ordinary_bundle(lambda manifest: changed(chance, manifest))
    elif kind in _JSON and way < 0.7:
        read, write = _READ.get(kind, json.loads), _WRITE.get(kind, _dumped)
        data = write(changed(chance, read(data)))
    if way > 0.4:
        for _ in range(chance.randrange(4)):
            data = mutated(chance, kind, data)
    return data[:60_000]


def changed(chance: random.Random, document: Any) -> Any:
    """The document with one to three of its values replaced, left out, doubled or moved."""
    document = deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(document))
        if not places:
            return chance.choice(_VALUES)
        above, key = chance.choice(places)
        other, place = chance.choice(places)
        how = chance.randrange(6)
        if how < 3:
            above[key] = deepcopy(chance.choice(_VALUES))
        elif how == 3:
            del above[key]
        elif how == 4:
            above[key] = deepcopy(other[place])
        elif isinstance(above, list):
            above.insert(0, deepcopy(above[key]))
        else:
            above[chance.choice(("../x", "x", "", "\x1b", "/etc/x", "lib/../../x", "__class__"))] = deepcopy(above[key])
    return document


def _places(value: Any) -> Any:
    """Every (container, key) of a document."""
    waiting = [value]
    while waiting:
        above = waiting.pop()
        pairs = above.items() if isinstance(above, dict) else enumerate(above) if isinstance(above, list) else ()
        for key, each in pairs:
            yield above, key
            if isinstance(each, (dict, list)):
                waiting.append(each)


def mutated(chance: random.Random, kind: str, data: bytes) -> bytes:
    """The document with a piece put in, cut out, repeated or overwritten, or the end of another one."""
    at = chance.randrange(len(data) + 1)
    to = min(len(data), at + chance.randrange(60))
    how = chance.randrange(6)
    if how == 0:
        return data[:at] + chance.choice(_PIECES) + data[at:]
    if how == 1:
        return data[:at] + data[to:]
    if how == 2:
        return data[:at] + data[at:to] * chance.randrange(2, 9) + data[at:]
    if how == 3:
        other = chance.choice(seeds(kind))
        return data[:at] + other[chance.randrange(len(other) + 1) :]
    if how == 4:
        return data[:at] + chance.choice(_PIECES) + data[to:]
    junk = bytes(chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256))) for _ in range(chance.randint(1, 8)))
    return data[:at] + junk + data[at + len(junk) :]
