from __future__ import annotations

import ast
import keyword
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.config_cases import settings_of
from tests.models.config_results import RESULTS
from zoo_cli.models.configs import RESERVED
from zoo_cli.models.writer import CannotWrite, Header, write_config

HEADER = Header("rtmdet_x", "mmdet 3.3.0", ("configs/_base_/a.py", "configs/rtmdet/rtmdet_x.py"), "0.1.0")


def reload(text: str) -> dict[str, Any]:
    return settings_of("config.py", {"config.py": text.encode("utf-8")}.get)


def is_top_level_name(name: str) -> bool:
    import unicodedata

    plain = name.isidentifier() and not keyword.iskeyword(name) and unicodedata.normalize("NFKC", name) == name
    return plain and not name.startswith("__") and name not in {"_base_", "_deprecation_", *RESERVED}


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**4000), 2**4000)
    | st.floats(allow_nan=False)
    | st.text(max_size=30)
    | st.binary(max_size=10).filter(lambda value: b"{{" not in value)
)
PIECES = st.lists(
    st.sampled_from(["{", "}", "{{", "}}", " ", "_base_.a", "fileDirname", "$X:1", "\\", "'", '"', "\0", "\n"])
)
KEYS = (
    st.text(max_size=8)
    | st.integers()
    | st.sampled_from(["type", "_delete_", "class", "a.b", "__debug__", "ﬁ", "self"])
)
VALUES = st.recursive(
    SCALARS | PIECES.map("".join),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS | st.tuples(st.integers(), st.text(max_size=3)), inner, max_size=5)
    ),
    max_leaves=25,
)
NAMES = st.text(alphabet="abcxyz_ABC019é", min_size=1, max_size=8) | st.sampled_from(
    ["dict", "float", "len", "model", "_x"]
)
SETTINGS = st.dictionaries(NAMES.filter(is_top_level_name), VALUES, max_size=5)


@given(SETTINGS)
def test_what_is_written_loads_as_it_was(settings: dict[str, Any]) -> None:
    try:
        text = write_config(settings, HEADER)
    except CannotWrite as error:  # only where a key hides the function that a value needs
        assert error.key == "float" and "hides" in error.reason
        return
    again = reload(text)
    assert again == settings
    assert shape(again) == shape(settings)
    assert write_config(again, HEADER) == text


def shape(value: Any) -> Any:
    """Equality does not tell True from 1, 1.0 from 1, or orders of keys: this does."""
    if isinstance(value, dict):
        return [(shape(key), shape(item)) for key, item in sorted(value.items(), key=str)]
    if isinstance(value, list | tuple):
        return (type(value), [shape(item) for item in value])
    return (type(value), repr(value))


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_results_of_mmengine_come_back(name: str) -> None:
    settings = RESULTS[name]
    assert reload(write_config(settings)) == settings


def test_reads_well() -> None:
    settings = {
        "model": {
            "type": "RTMDet",
            "backbone": {"type": "CSPNeXt", "arch": "P5", "out_indices": (1, 2, 3), "norm_cfg": {"type": "SyncBN"}},
            "test_cfg": None,
        },
        "img_scale": (640, 640),
        "keypoint_info": {0: {"name": "nose", "id": 0}, 1: {"name": "left_eye", "id": 1}},
        "sigmas": [round(0.026 + index / 10, 3) for index in range(17)],
        "one": (1,),
    }
    assert write_config(settings, HEADER) == (
        "# rtmdet_x, flattened by zoo 0.1.0 from mmdet 3.3.0; nothing was executed.\n"
        "# Made from, bases first:\n"
        "#   configs/_base_/a.py\n"
        "#   configs/rtmdet/rtmdet_x.py\n"
        "\n"
        "img_scale = (640, 640)\n"
        "keypoint_info = {0: dict(name='nose', id=0), 1: dict(name='left_eye', id=1)}\n"
        "model = dict(\n"
        "    type='RTMDet',\n"
        "    backbone=dict(\n"
        "        type='CSPNeXt',\n"
        "        arch='P5',\n"
        "        out_indices=(1, 2, 3),\n"
        "        norm_cfg=dict(type='SyncBN'),\n"
        "    ),\n"
        "    test_cfg=None,\n"
        ")\n"
        "one = (1,)\n"
        "sigmas = [\n"
        "    0.026, 0.126, 0.226, 0.326, 0.426, 0.526, 0.626, 0.726, 0.826, 0.926, 1.026, 1.126, 1.226, 1.326, 1.426, "
        "1.526,\n"
        "    1.626,\n"
        "]\n"
    )


def test_order_inside_is_kept_and_outside_sorted() -> None:
    text = write_config({"b": {"z": 1, "a": 2}, "a": 1})
    assert text == "a = 1\nb = dict(z=1, a=2)\n"


def test_numbers_that_have_no_literal() -> None:
    again = reload(write_config({"a": [math.inf, -math.inf], "b": math.nan}))
    assert again["a"] == [math.inf, -math.inf]
    assert math.isnan(again["b"])


def test_a_key_named_dict_does_not_harm() -> None:
    settings = {"dict": {"a": 1}, "model": {"type": "X"}}
    text = write_config(settings)
    assert "dict(" not in text
    assert reload(text) == settings


@pytest.mark.parametrize("key", ["a b", "class", "1", "", "__x", "_base_", "_deprecation_", "ﬁ", 5, "a\nimport os"])
def test_a_key_that_is_no_name_is_refused(key: Any) -> None:
    with pytest.raises(CannotWrite):
        write_config({key: 1})


def test_a_value_without_a_literal_is_refused() -> None:
    with pytest.raises(CannotWrite) as caught:
        write_config({"a": [object()]})
    assert caught.value.key == "a"


def test_strings_that_mmengine_would_fill_in_are_broken_up() -> None:
    text = write_config({"a": "x{{ fileDirname }}{{_base_.b}}", "c": "{{$HOME:/x}}"})
    assert text == "a = 'x{' '{ fileDirname }}{' '{_base_.b}}'\nc = '{{$HOME:/x}}'\n"


@given(st.text(max_size=60) | st.just("coding: latin-1 é"))
def test_a_header_cannot_become_code(name: str) -> None:
    text = write_config({"a": 1}, Header(name, name, (name,), name))
    tree = ast.parse(text)
    assert [type(node) for node in tree.body] == [ast.Assign]
    assert reload(text) == {"a": 1}
