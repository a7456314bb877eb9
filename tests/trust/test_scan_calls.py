"""Names of the allow list with arguments that no ordinary checkpoint gives them."""

from __future__ import annotations

import pytest

from tests.support.pickles import (
    call,
    lookup,
    mapping,
    number,
    numbers,
    pickle,
    storage,
    tensor,
    text,
    torch_legacy,
    torch_zip,
)
from tests.trust.scanned import codes, verdict_on

ZEROS = {"0": b"\0" * 24}  # six floats
DTYPE = call(lookup("numpy", "dtype"), text("f8"), b"\x89", b"\x88")
OBJECTS = call(lookup("numpy", "dtype"), text("O8"), b"\x89", b"\x88")
EMPTY_ARRAY = call(lookup("numpy.core.multiarray", "_reconstruct"), lookup("numpy", "ndarray"), numbers(0), b"C\x01b")


def array(dtype: bytes, state: bytes, data: bytes, flags: int = 0) -> bytes:
    """An array as numpy pickles it, its type with these flags."""
    full = b"(" + number(3) + text("<") + b"NNN" + number(-1) + number(-1) + number(flags) + b"tb"
    return EMPTY_ARRAY + b"(" + number(1) + state + dtype + full + b"\x89" + data + b"tb"


@pytest.mark.parametrize(
    "value",
    [
        tensor("0", 2, 3),
        tensor("0", 2, 3, stride=(0, 1), offset=3),
        tensor("0", 6, stride=(1,)),
        tensor("0", 0, 9, count=6),
        tensor("0", count=6, offset=5),
    ],
)
def test_views_inside_their_storage(value: bytes) -> None:
    assert not verdict_on(torch_zip(value, ZEROS)).findings


@pytest.mark.parametrize(
    "value",
    [
        tensor("0", 7, count=6),
        tensor("0", 2, 3, offset=1),
        tensor("0", 2, 3, stride=(4, 1), count=6),
        tensor("0", 1, offset=6, count=6),
        tensor("0", 2, stride=(1 << 62,), count=6),
    ],
)
def test_views_beyond_their_storage(value: bytes) -> None:
    assert codes(torch_zip(value, ZEROS)) == {"malformed/beyond-storage"}


@pytest.mark.parametrize(
    "value",
    [
        tensor("0", 6, offset=-1),
        tensor("0", 2, 3, stride=(-1, 1), count=6),
        tensor("0", 2, 3, stride=(1,), count=6),
        tensor("0", *(1,) * 65, count=6),
    ],
)
def test_what_is_no_view(value: bytes) -> None:
    assert codes(torch_zip(value, ZEROS)) == {"malformed/bad-tensor"}


def test_storages_have_the_size_that_is_in_the_file() -> None:
    assert codes(torch_zip(tensor("0", 7), ZEROS)) == {"malformed/wrong-size"}
    assert codes(torch_zip(tensor("0", 5), ZEROS)) == {"malformed/wrong-size"}
    assert codes(torch_zip(tensor("1", 6), ZEROS)) == {"malformed/wrong-size"}
    assert not codes(torch_zip(tensor("0", 3, kind="DoubleStorage"), ZEROS))
    twice = mapping(a=tensor("0", 6), b=tensor("0", 3, kind="DoubleStorage"))
    assert codes(torch_zip(twice, ZEROS)) == {"malformed/storage-conflict"}


def test_legacy_storages_are_compared_too() -> None:
    value = tensor("7", 6, legacy=True)
    assert not codes(torch_legacy(value, {"7": (6, b"\0" * 24)}))
    assert codes(torch_legacy(value, {"7": (5, b"\0" * 24)})) == {"malformed/wrong-size"}
    assert codes(torch_legacy(value, {"7": (6, b"\0" * 23)})) == {"malformed/wrong-size"}
    assert codes(torch_legacy(value, {"7": (6, b"\0" * 25)})) == {"malformed/wrong-size"}
    assert codes(torch_legacy(value, {"8": (6, b"\0" * 24)})) == {"malformed/wrong-size"}
    assert codes(torch_legacy(tensor("7", 9, count=6, legacy=True), {"7": (6, b"\0" * 24)})) == {
        "malformed/beyond-storage"
    }


def test_arrays() -> None:
    ordinary = array(DTYPE, numbers(2), b"C\x10" + b"\0" * 16)
    assert not codes(pickle(ordinary, 3))
    assert not codes(pickle(array(OBJECTS, numbers(1), b"]Na", flags=63), 3))
    assert codes(pickle(array(OBJECTS, numbers(1), b"C\x08" + b"\0" * 8, flags=63), 3)) == {"malformed/bad-array"}
    # Objects that are said to be plain numbers: their bytes would be taken for addresses.
    assert "dangerous/bad-dtype" in codes(pickle(array(OBJECTS, numbers(1), b"C\x08" + b"\0" * 8, flags=0), 3))
    assert "dangerous/bad-dtype" in codes(pickle(array(DTYPE, numbers(1), b"]Na", flags=63), 3))
    assert codes(pickle(array(OBJECTS, numbers(1 << 40), b"]Na", flags=63), 3)) == {"malformed/bad-array"}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (call(lookup("builtins", "bytearray"), number(1 << 40)), "malformed/odd-call"),
        (call(lookup("_codecs", "encode"), text("x"), text("zlib")), "dangerous/odd-codec"),
        (
            call(lookup("builtins", "getattr"), lookup("collections", "OrderedDict"), text("mro")),
            "dangerous/reaches-into-code",
        ),
        (call(lookup("builtins", "getattr"), text("x"), text("min")), "dangerous/reaches-into-code"),
        (call(lookup("builtins", "list"), call(lookup("builtins", "range"), number(1 << 60))), "malformed/odd-call"),
        (call(lookup("collections", "defaultdict"), lookup("_codecs", "encode")), "dangerous/odd-call"),
        (call(lookup("torch", "FloatStorage"), number(1 << 60)), "malformed/odd-call"),
        (call(lookup("numpy", "ndarray"), numbers(1 << 60)), "malformed/odd-call"),
        (call(lookup("torch.nn.modules.linear", "Linear"), number(1 << 30), number(1 << 30)), "malformed/odd-call"),
        (call(lookup("numpy", "dtype"), text("f8,O")), "malformed/odd-dtype"),
        (b"}" + text("a") + lookup("builtins", "getattr") + b"s", "dangerous/function-as-value"),
        (text("os") + text("x") + b"R", None),
        (b"}N" + b"R", None),
        (b"})R", "dangerous/computed-call"),
        (lookup("collections", "OrderedDict") + b"}b", "dangerous/odd-state"),
        (b"(K\x01K\x02tQ", "malformed/odd-persistent-id"),
        (storage("0", 6), "malformed/odd-persistent-id"),
        (b"Pstorage\n", "malformed/odd-persistent-id"),
        (b"\x82\x01", "dangerous/extension-code"),
        (b"\x80\x04]", "malformed/second-protocol"),
        (b"}]a", "malformed/odd-container"),
        (b"]}}su", None),
        (b"\x97", None),
    ],
)
def test_what_no_checkpoint_does(value: bytes, found: str | None) -> None:
    verdict = verdict_on(pickle(value))
    assert verdict.is_refused
    assert found is None or found in codes(pickle(value))


def test_the_statistics_of_a_training_log_are_ordinary() -> None:
    history = lookup("mmengine.logging.history_buffer", "HistoryBuffer")
    methods = mapping(
        **{name: call(lookup("__builtin__", "getattr"), history, text(name)) for name in ("min", "max", "mean")}
    )
    assert not verdict_on(pickle(history + b")\x81" + mapping(statistics_methods=methods) + b"b")).findings
    assert verdict_on(pickle(call(lookup("__builtin__", "getattr"), history, text("__init__")))).worst == "dangerous"


def test_names_are_those_of_the_protocol() -> None:
    """Python 2's names are translated below protocol 3 only, as CPython does."""
    assert verdict_on(pickle(call(lookup("copy_reg", "_reconstructor"), lookup("argparse", "Namespace"),
                                  lookup("__builtin__", "object"), b"N"))).worst is None  # fmt: skip
    assert verdict_on(pickle(lookup("__builtin__", "set"), 4)).is_refused
    assert not verdict_on(pickle(lookup("__builtin__", "set"), 2)).is_refused


def test_what_a_trusted_class_makes_is_data_and_no_name() -> None:
    """Found by fuzzing: an unknown value in place of a class."""
    made = call(lookup("lab", "Net"))
    parts = {
        "array": call(lookup("numpy.core.multiarray", "_reconstruct"), made, numbers(0), b"C\x01b"),
        "getattr": call(lookup("builtins", "getattr"), made, text("min")),
        "codec": call(lookup("_codecs", "encode"), text("x"), made),
        "base": call(lookup("copyreg", "_reconstructor"), made, made, b"N"),
    }
    for value in parts.values():
        assert verdict_on(pickle(value, 4), "lab.Net").is_refused
    hooks = call(lookup("torch._utils", "_rebuild_parameter"), made, b"\x89", b"}")
    assert not verdict_on(pickle(hooks, 4), "lab.Net").is_refused
