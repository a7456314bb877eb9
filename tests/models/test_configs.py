from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.config_cases import CASES, settings_of
from tests.models.config_results import RESULTS
from zoo_cli.models.bounded import Limits
from zoo_cli.models.config_errors import BaseMissing, BrokenConfig, CannotEvaluate, ConfigTooLarge, OtherPackage
from zoo_cli.models.config_findings import imports_of
from zoo_cli.models.configs import ConfigTree, Read
from zoo_cli.models.merge import merged


def reader(**files: str) -> Read:
    """A config tree from keyword arguments: `a__b` is the file a/b.py."""
    return {f"{name.replace('__', '/')}.py": text.encode() for name, text in files.items()}.get


def flat(text: str) -> dict[str, object]:
    return settings_of("config.py", reader(config=text))


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_equals_mmengine(name: str) -> None:
    files = {path: text.encode() for path, text in CASES[name].items()}
    settings = settings_of("config.py", files.get)
    assert settings == RESULTS[name]
    assert repr(settings) == repr(RESULTS[name])  # also the order of keys, and tuples as tuples


def test_copies_as_python_makes_them() -> None:
    text = "import copy\nfrom copy import deepcopy as dc\na = dict(x=[1])\nb = copy.deepcopy(a)\nb['x'].append(2)\n"
    text += "c = dc(a)\nc['x'].append(3)\nd = copy.copy(a)\nd['y'] = 1\nd['x'].append(4)\n"
    assert flat(text) == {"a": {"x": [1, 4]}, "b": {"x": [1, 2]}, "c": {"x": [1, 3]}, "d": {"x": [1, 4], "y": 1}}


def test_base_of_a_folder_above_is_found_and_told() -> None:
    read = reader(configs___base___="", configs__x__a="_base_ = ['../base.py', './b.py']", configs__base="a = 1")
    tree = ConfigTree(lambda path: b"b = 2" if path == "configs/x/b.py" else read(path))
    found = tree.flatten("configs/x/a.py")
    assert found.settings == {"a": 1, "b": 2}
    assert found.files == ("configs/base.py", "configs/x/b.py", "configs/x/a.py")


def test_files_are_read_once_and_results_share_nothing() -> None:
    asked: list[str] = []
    files = {"base.py": b"a = dict(x=[1])", "one.py": b"_base_ = 'base.py'", "two.py": b"_base_ = 'base.py'"}

    def read(path: str) -> bytes | None:
        asked.append(path)
        return files.get(path)

    tree = ConfigTree(read)
    first = tree.flatten("one.py").settings
    first["a"]["x"].append("changed")
    assert tree.flatten("two.py").settings == {"a": {"x": [1]}}
    assert tree.flatten("one.py").settings == {"a": {"x": [1]}}
    assert sorted(asked) == ["base.py", "one.py", "two.py"]


def test_config_of_another_package_carries_its_scope() -> None:
    other = {
        "configs/_base_/m.py": b"_base_ = './n.py'\nm = dict(type='M', sub=dict(type='S'))",
        "configs/_base_/n.py": b"n = [dict(type='N')]",
    }
    tree = ConfigTree(
        reader(config="_base_ = 'mmpretrain::_base_/m.py'\nm = dict(x=1)"), packages={"mmpretrain": other.get}.get
    )
    found = tree.flatten("config.py")
    assert found.settings == {
        "n": [{"type": "N", "_scope_": "mmpretrain"}],
        "m": {"type": "M", "sub": {"type": "S"}, "_scope_": "mmpretrain", "x": 1},
    }
    assert found.files == ("mmpretrain::configs/_base_/n.py", "mmpretrain::configs/_base_/m.py", "config.py")


def test_config_of_a_package_that_is_not_at_hand_is_named() -> None:
    with pytest.raises(OtherPackage) as caught:
        flat("_base_ = 'mmpretrain::_base_/m.py'")
    assert (caught.value.package, caught.value.base) == ("mmpretrain", "configs/_base_/m.py")


def test_missing_base_is_told_with_who_asked() -> None:
    with pytest.raises(BaseMissing) as caught:
        settings_of("a/config.py", reader(a__config="_base_ = 'b.py'", a__b="_base_ = '../none.py'"))
    assert (caught.value.file, caught.value.base) == ("a/b.py", "none.py")


def test_error_in_a_base_names_that_file_and_line() -> None:
    with pytest.raises(BrokenConfig) as caught:
        settings_of("config.py", reader(config="_base_ = 'b.py'\n", b="a = 1\n\nb = dict(\n  c=a,\n  d=nothing)\n"))
    assert (caught.value.file, caught.value.line) == ("b.py", 5)
    assert "nothing" in caught.value.reason


def test_path_of_the_tree_stands_for_the_directory() -> None:
    found = settings_of("configs/x/a.py", {"configs/x/a.py": b"d = '{{ fileDirname }}/dicts'"}.get)
    assert found == {"d": "configs/x/dicts"}


def test_path_that_could_become_code_is_not_filled_in() -> None:
    path = "configs/'+open('x')+'/a.py"
    with pytest.raises(CannotEvaluate):
        settings_of(path, {path: b"d = '{{ fileDirname }}'"}.get)


def test_environment_placeholder_stays_for_mmengine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", "secret")
    assert flat("d = '{{$DATA_ROOT:/data}}/x'") == {"d": "{{$DATA_ROOT:/data}}/x"}


def test_windows_lines_and_byte_order_mark_are_read() -> None:
    assert settings_of("config.py", {"config.py": b"\xef\xbb\xbf# coding: utf-8\r\na = 1\r\n"}.get) == {"a": 1}


def test_modules_to_import_are_told_and_not_imported() -> None:
    tree = ConfigTree(reader(config="custom_imports = dict(imports=['evil.module'], allow_failed_imports=False)"))
    assert imports_of(tree.flatten("config.py")) == ("evil.module",)


@pytest.mark.parametrize(
    ("limits", "text", "what"),
    [
        (Limits(steps=100), "a = [i for i in range(200)]", "steps"),
        (Limits(length=10), "a = [0] * 11", "elements of a container"),
        (Limits(text=10), "a = 'abcdef' + 'ghijkl'", "characters of a string"),
        (Limits(bits=8), "a = 255 + 1", "bits of an integer"),
        (Limits(depth=3), "a = [[[[1]]]]", "depth of nested values"),
        (Limits(file_bytes=5), "a = 10", "bytes of a file"),
    ],
)
def test_each_limit_holds_and_its_neighbour_passes(limits: Limits, text: str, what: str) -> None:
    with pytest.raises(ConfigTooLarge) as caught:
        settings_of("config.py", reader(config=text), limits)
    assert caught.value.what == what
    assert settings_of("config.py", reader(config="a = 1"), limits) == {"a": 1}


def test_a_chain_of_bases_ends() -> None:
    files = {f"c{i}.py": f"_base_ = 'c{i + 1}.py'".encode() for i in range(9)} | {"c9.py": b"a = 1"}
    assert settings_of("c0.py", files.get, Limits(chain=10)) == {"a": 1}
    with pytest.raises(ConfigTooLarge):
        settings_of("c0.py", files.get, Limits(chain=9))


VALUES = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)
DICTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def deleted(value: object) -> object:
    """Every dict says that it replaces what the base has."""
    return (
        {**{key: deleted(item) for key, item in value.items()}, "_delete_": True} if isinstance(value, dict) else value
    )


@given(DICTS)
def test_merging_with_itself_or_nothing_changes_nothing(settings: dict[str, object]) -> None:
    assert merged(settings, settings) == settings
    assert merged({}, settings) == settings
    assert merged(settings, {}) == settings


@given(DICTS, DICTS)
def test_merging_leaves_both_as_they_were(child: dict[str, object], base: dict[str, object]) -> None:
    replacing = {key: deleted(value) for key, value in child.items()}
    before = repr((replacing, base))
    result = merged(replacing, base)
    assert repr((replacing, base)) == before
    assert set(result) == set(child) | set(base)
    assert all(
        not isinstance(value, dict) or "_delete_" not in value
        for value in (result[key] for key in child.keys() & base.keys())
    )
