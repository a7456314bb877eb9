"""The short run of the fuzzers of readers; `make fuzz` is the long one."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.reader_targets import TARGETS
from tests.fuzz.reader_texts import an_input, ordinary
from tests.fuzz.watch import Broken, watched


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_inputs_of_the_generator(kind: str) -> None:
    chance = random.Random(20261123)
    assert sum(TARGETS[kind](data) for data in ordinary(kind))
    understood = sum(TARGETS[kind](an_input(chance, kind, hostile=0)) for _ in range(150))
    assert understood > 20  # the generator reaches what is behind the parser


@settings(max_examples=100)
@given(st.sampled_from(sorted(TARGETS)), st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes(kind: str, data: bytes) -> None:
    TARGETS[kind](data)


@pytest.mark.parametrize(
    "act",
    [
        lambda: exec(compile("1", "a config", "exec")),
        lambda: eval("1 + 1"),
        lambda: os.system("true"),
        lambda: subprocess.run(["true"], check=False),
        lambda: Path("/etc/hostname").read_bytes(),
    ],
)
def test_the_oracle_would_see_it(act: Callable[[], object]) -> None:
    with pytest.raises(Broken), watched():
        act()
