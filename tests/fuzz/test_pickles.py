"""The checkpoint fuzzer's short run; `make fuzz` is the long one."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.pickle_target import Broken, CTracer, PythonTracer, check_checkpoint, trace
from tests.fuzz.pickle_texts import BARE, a_file, a_pickle, a_value, mutated, seeds
from tests.support.pickles import call, lookup, number, pickle, text


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    check_checkpoint(data)
    check_checkpoint(b"\x80\x04" + data)


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(BARE) | st.randoms(use_true_random=False).map(lambda chance: a_value(chance, 4)), max_size=20
    )
)
def test_any_opcodes(parts: list[bytes]) -> None:
    check_checkpoint(pickle(b"".join(parts), 4))


def test_files_of_the_generator_and_their_mutations() -> None:
    chance = random.Random(20261123)
    passed = sum(check_checkpoint(pickle(a_value(chance, 3), 4)) for _ in range(400))
    passed += sum(check_checkpoint(a_file(chance)) for _ in range(400))
    for _ in range(400):
        check_checkpoint(mutated(chance, chance.choice(seeds())))
        check_checkpoint(mutated(chance, a_pickle(chance)))
    assert passed > 100  # the generator reaches what is allowed


@pytest.mark.parametrize("tracer", [PythonTracer, CTracer])
@pytest.mark.parametrize(
    "value",
    [
        lookup("os", "system"),
        text("lab") + text("Net") + b"\x93",
        call(lookup("builtins", "getattr"), lookup("collections", "OrderedDict"), text("mro")),
        call(lookup("_codecs", "encode"), text("x"), text("zlib")),
        call(lookup("builtins", "bytearray"), number(1 << 30)),
        call(lookup("torch", "FloatStorage"), number(1 << 30)),
    ],
)
def test_the_oracle_would_see_it(tracer: type[PythonTracer | CTracer], value: bytes) -> None:
    with pytest.raises(Broken):
        trace(io.BytesIO(pickle(value, 4)), tracer)
