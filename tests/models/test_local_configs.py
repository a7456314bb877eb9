from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import zoo_cli
from zoo_cli.models.config_errors import BaseMissing, BaseOutside, BrokenConfig, CannotEvaluate, OtherPackage
from zoo_cli.models.localconfigs import NoConfigFile


def write(folder: Path, **files: str) -> Path:
    """Files below a folder: `a__b` is a/b.py."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_config_of_the_users_own(tmp_path: Path) -> None:
    write(tmp_path, configs__base__m="model = dict(type='X', n=(1, 2))", configs__a="_base_ = 'base/m.py'\nlr = 0.1")
    assert zoo_cli.load_config(tmp_path / "configs/a.py") == {"model": {"type": "X", "n": (1, 2)}, "lr": 0.1}
    assert zoo_cli.load_config(str(tmp_path / "configs/a.py"), root=tmp_path)["lr"] == 0.1


def test_a_path_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path, a="x = 1"))
    assert zoo_cli.load_config("a.py") == {"x": 1}


def test_directory_is_that_of_the_file_as_mmengine_has_it(tmp_path: Path) -> None:
    write(tmp_path, configs__x__a="d = '{{ fileDirname }}/dicts'\nn = '{{ fileBasename }}'")
    found = zoo_cli.load_config(tmp_path / "configs/x/a.py")
    assert found == {"d": f"{tmp_path}/configs/x/dicts", "n": "a.py"}


def test_environment_gives_the_default_and_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", "secret")
    write(tmp_path, a="d = ['{{$DATA_ROOT:/data}}/x', (1, '{{ $OTHER : y }}')]", b="d = '{{$DATA_ROOT:}}'")
    assert zoo_cli.load_config(tmp_path / "a.py") == {"d": ["/data/x", (1, "y")]}
    with pytest.raises(BrokenConfig) as caught:
        zoo_cli.load_config(tmp_path / "b.py")
    assert "DATA_ROOT" in caught.value.reason


def test_the_root_is_what_holds_the_outermost_configs(tmp_path: Path) -> None:
    write(tmp_path, shared="a = 1", my__configs__x__configs__c="_base_ = '../../../base.py'", my__base="b = 2")
    assert zoo_cli.load_config(tmp_path / "my/configs/x/configs/c.py") == {"b": 2}
    write(tmp_path, my__configs__d="_base_ = '../../shared.py'")
    with pytest.raises(BaseOutside):
        zoo_cli.load_config(tmp_path / "my/configs/d.py")
    assert zoo_cli.load_config(tmp_path / "my/configs/d.py", root=tmp_path) == {"a": 1}


def test_new_style_in_a_checkout(tmp_path: Path) -> None:
    write(
        tmp_path,
        mypkg__configs__base__m="from mypkg.models import Net\nmodel = dict(type=Net)",
        mypkg__configs__a="with read_base():\n  from mypkg.configs.base.m import *\n  from .base.m import model as m\n",
    )
    (tmp_path / "mypkg/__init__.py").touch()
    net = {"type": "mypkg.models.Net"}
    assert zoo_cli.load_config(tmp_path / "mypkg/configs/a.py") == {"model": net, "m": net}


def test_bases_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, repository__configs__m="model = dict(type='X')")
    (tmp_path / "site/other/.mim").mkdir(parents=True)
    (tmp_path / "site/other/__init__.py").write_text("raise SystemExit")
    (tmp_path / "site/other/.mim/configs").symlink_to(tmp_path / "repository/configs")  # a development install
    write(tmp_path, a="_base_ = 'other::./m.py'", b="_base_ = 'another::./m.py'", c="_base_ = 'other::../../x/m.py'")
    with pytest.raises(OtherPackage):
        zoo_cli.load_config(tmp_path / "a.py")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert zoo_cli.load_config(tmp_path / "a.py") == {"model": {"type": "X", "_scope_": "other"}}
    with pytest.raises(OtherPackage) as caught:
        zoo_cli.load_config(tmp_path / "b.py")
    assert caught.value.package == "another"
    with pytest.raises(BaseOutside):
        zoo_cli.load_config(tmp_path / "c.py")


@pytest.mark.parametrize("base", ["link.py", "folder/secret.py", "up/secret.py"])
def test_a_link_does_not_lead_out(tmp_path: Path, base: str) -> None:
    write(tmp_path, outside__secret="key = 'secret'", tree__a=f"_base_ = '{base}'")
    (tmp_path / "tree/link.py").symlink_to(tmp_path / "outside/secret.py")
    (tmp_path / "tree/folder").symlink_to("../outside")
    (tmp_path / "tree/up").symlink_to(tmp_path / "tree/folder")
    with pytest.raises(BaseOutside):
        zoo_cli.load_config(tmp_path / "tree/a.py", root=tmp_path / "tree")


def test_a_link_inside_the_root_is_followed(tmp_path: Path) -> None:
    write(tmp_path, b="x = 1", a="_base_ = 'link.py'")
    (tmp_path / "link.py").symlink_to("b.py")
    assert zoo_cli.load_config(tmp_path / "a.py") == {"x": 1}


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "circle.py").symlink_to("circle.py")
    for base in ("pipe.py", "folder.py", "circle.py", "none.py"):
        write(tmp_path, a=f"_base_ = '{base}'")
        with pytest.raises(BaseMissing):
            zoo_cli.load_config(tmp_path / "a.py")


@pytest.mark.parametrize("name", ["none.py", "folder", "pipe.py", "null\0.py"])
def test_what_is_no_config_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(NoConfigFile):
        zoo_cli.load_config(str(tmp_path / name))


def test_a_file_outside_the_root_given(tmp_path: Path) -> None:
    write(tmp_path, a="x = 1", inside__b="x = 1")
    with pytest.raises(NoConfigFile) as caught:
        zoo_cli.load_config(tmp_path / "a.py", root=tmp_path / "inside")
    assert "root" in caught.value.reason


def test_what_would_run_is_named_by_line(tmp_path: Path) -> None:
    write(tmp_path, a="x = 1\ny = open('ran', 'w')")
    with pytest.raises(CannotEvaluate) as caught:
        zoo_cli.load_config(tmp_path / "a.py")
    assert (caught.value.file, caught.value.line, caught.value.construct) == ("a.py", 2, "calling open()")


def test_the_public_names() -> None:
    assert zoo_cli.__all__ == ["__version__", "load_config", "transfer"]
    with pytest.raises(AttributeError):
        _ = zoo_cli.other


def test_importing_zoo_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import zoo_cli; print(sorted(set(sys.modules) - before))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "['zoo_cli']"
