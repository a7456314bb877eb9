"""The short run of the fuzzers of documents; `make fuzz` is the long one."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.document_targets import TARGETS
from tests.fuzz.document_texts import RECEIPT, a_bundle, an_input, seeds

# What a long run found, each once an error that nobody had expected.
FOUND = {
    "lock": (
        b"lock-version='1.0'\ncreated-by='x'\n[[packages]]\nname='a'\nversion='1'\n"
        b"[[packages.wheels]]\nurl='http://[::1'\nhashes={sha256='" + b"ab" * 32 + b"'}\n",
        b"lock-version='1.0'\ncreated-by='x'\n" + b"[[packages]]\nname='a'\nversion='1'\n"
        b"[[packages]]\nname='a'\nversion='1'\nmarker='python_version > \"3\"'\n",
        b"lock-version='1.0'\ncreated-by='x'\npackages=[]\n[tool.zoo]\nrequested=1\n",
        b"lock-version=" + b"9" * 5000,
    ),
    "bundle": (
        a_bundle({}, [], lambda manifest: {**manifest, "blobs": [{"sha256": "ab" * 32, "size_bytes": 10**30}]}),
        a_bundle({"models": [{**RECEIPT, "name": "\ud800", "files": []}]}, []),
    ),
    "source": (b"[project]\nname='x'\nversion='" + b"9" * 5000 + b"'\n",),
    "receipt": (json.dumps({**RECEIPT, "zoo": "\ud800"}).encode(),),
    "journal": (
        b"[]",
        b'"x"',
        b'{"roots": ["/etc"], "tree": {"../x": ["file", 1, 1, 1, 1, ""]}, "numbers": {"../x": 0}}',
    ),
}


@pytest.mark.parametrize(("kind", "data"), [(kind, data) for kind, found in FOUND.items() for data in found])
def test_what_was_found_before(kind: str, data: bytes) -> None:
    TARGETS[kind](data)


# Each costs a verification of signatures, or a whole environment.
_FEW = {"metadata": 25, "journal": 100}


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_inputs_of_the_generator(kind: str) -> None:
    chance = random.Random(20261123)
    assert sum(TARGETS[kind](data) for data in seeds(kind)), "the ordinary ones are understood"
    for _ in range(_FEW.get(kind, 300)):
        TARGETS[kind](an_input(chance, kind))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(set(TARGETS) - {"metadata"})), st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes(kind: str, data: bytes) -> None:
    TARGETS[kind](data)
