"""What people did with `mim install`, and with the commands that zoo prints, typed by hand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.cli import zoo
from tests.support.places import Place, decoy_place
from tests.support.wheels import write_wheel
from zoo_cli.packages.executor import find_uv

FRAMEWORKS = {"mmdet": ("3.2.0", "3.3.0"), "mmpose": ("1.3.2",), "mmsegmentation": ("1.2.2",)}
IMPORTS = {"mmsegmentation": "mmseg"}
MACHINE = "gpu=RTX 3090,driver=535.183.01,python=3.8,os=linux"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("parity")
    with decoy_place(root) as made:
        for name, versions in FRAMEWORKS.items():
            files = {f"{IMPORTS.get(name, name)}/__init__.py": "import mmcv.ops\n"}
            made.site.publish(*(write_wheel(root / "made", name, each, files=files) for each in versions))
        made.site.publish(*(write_wheel(root / "made", each, "1.5") for each in ("ordinary", "ftfy", "regex")))
        yield made


def test_ranges_and_several_frameworks(place: Place) -> None:
    """`mim install 'mmdet>=3,<3.3' mmpose`"""
    python = place.environment("env-ranges")
    ran = place.install(python, "mmdet>=3,<3.3", "mmpose", "--json")
    assert ran.code == 0, ran.err + ran.out
    found = place.versions(python)
    assert (found["mmdet"], found["mmpose"], found["mmcv"]) == ("3.2.0", "1.3.2", "2.1.0")
    assert {each["name"] for each in ran.document["checked"]} >= {"nms", "mmdet", "mmpose"}


@pytest.mark.slow
def test_upgrades_and_requirements_files(place: Place, tmp_path: Path) -> None:
    """`mim install -U mmdet -r requirements.txt`; torch stays, and without -U what serves stays, too."""
    python = place.environment("env-upgrade")
    assert place.install(python, "mmdet<3.3").code == 0
    assert place.install(python, "mmdet").code == 0
    assert place.versions(python)["mmdet"] == "3.2.0"  # it serves, and nobody asked for a newer one
    listed = tmp_path / "requirements.txt"
    listed.write_text("mmsegmentation\nordinary>=1\n")
    ran = place.install(python, "-U", "mmdet", "-r", str(listed))
    assert ran.code == 0, ran.err
    found = place.versions(python)
    assert (found["mmdet"], found["mmsegmentation"], found["ordinary"]) == ("3.3.0", "1.2.2", "1.5")
    assert found["torch"] == "2.6.0+cpu"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("mmcv-full",), {"mmcv-full": "1.7.2"}),
        pytest.param(("mmdet<3",), {"mmdet": "2.28.", "mmcv-full": "1.7."}, marks=pytest.mark.slow),
        (
            ("mmdet", "mmpose", "mmsegmentation", "mmpretrain"),
            {"mmdet": "3.3.0", "mmpretrain": "1.2.0", "mmcv": "2.1."},
        ),
    ],
)
def test_generations_and_companies(tmp_path: Path, words: tuple[str, ...], expected: dict[str, str]) -> None:
    ran = zoo(tmp_path, "install", *words, "--dry-run", "--json", "--machine", MACHINE)
    assert ran.code == 0, ran.err + ran.out
    pins = {pin["name"]: pin["version"] for pin in ran.document["plan"]}
    assert all(pins[name].startswith(version) for name, version in expected.items()), pins


def test_an_old_python_is_served_by_pip_in_print_too(tmp_path: Path) -> None:
    """uv does not take Python 3.7, and zoo does not use it there."""
    ran = zoo(tmp_path, "install", "mmdet", "--dry-run", "--machine", "gpu=none,python=3.7,os=linux")
    assert "python3.7 -m venv env" in ran.err and "env/bin/python -m pip install" in ran.err
    assert "uv pip" not in ran.err


@pytest.mark.parametrize(
    ("words", "way"),
    [
        (("mmdet>=3", "mmdet<3", "mmpose"), "zoo install mmdet mmpose --machine"),
        (("mmdet", "--torch", "99"), "zoo install mmdet --machine"),
        (("mmdet == 99", "mmdet3d"), "zoo install mmdet mmdet3d --machine"),
    ],
)
def test_any_version_is_a_command_without_the_range(tmp_path: Path, words: tuple[str, ...], way: str) -> None:
    ran = zoo(tmp_path, "install", *words, "--dry-run", "--machine", "gpu=none,python=3.10,os=linux")
    told = re.search(r"With any version of \w+:\s+(zoo .*)", ran.err)
    assert told is not None, ran.err
    assert told[1].startswith(way)
    assert zoo(tmp_path, *shlex.split(told[1])[1:]).code == 0


def by_hand(place: Place, shown: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """What a dry run told, or the steps that -v shows, pasted into a shell."""
    steps = [line.strip()[2:] for line in shown.splitlines() if line.strip().startswith("$ ")]
    commands = shown.partition("By hand:\n")[2] or "\n".join(steps)
    uv = find_uv()
    assert uv is not None
    settings = place.variables if variables is None else variables
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    environ = {**ours, **settings, "PATH": f"{Path(uv).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", "-e"], input=commands, env=environ, cwd=place.root, text=True, capture_output=True, timeout=120
    )


@pytest.mark.parametrize("kind", ["uv", pytest.param("pip", marks=pytest.mark.slow)])
def test_the_printed_commands_do_the_same_by_hand(place: Place, kind: str) -> None:
    """What `--dry-run` prints, pasted into a shell, gives the environment that zoo gives; here into a new one."""
    ours = place.environment(f"env-ours-{kind}")
    words = ("mmdet", "torch==2.6.0", "--find-links", place.page, "--find-links", str(place.torch.parent))
    assert place.install(ours, "mmdet").code == 0
    new, index = place.root / f"by-hand-{kind}", place.variables["UV_DEFAULT_INDEX"]
    shown = zoo(place.root, "install", *words, "--env", new, "--dry-run", ZOO_INSTALLER=kind, UV_DEFAULT_INDEX=index)
    assert shown.code == 0, shown.err
    done = by_hand(place, shown.err)
    assert done.returncode == 0, done.stderr
    found = place.versions(new / "bin/python")
    assert found | {"pip": "", "setuptools": ""} == place.versions(ours) | {"pip": "", "setuptools": ""}


@pytest.mark.parametrize("kind", ["uv", pytest.param("pip", marks=pytest.mark.slow)])
def test_by_hand_the_users_settings_count_as_for_zoo(place: Place, kind: str) -> None:
    """Pip's variables name the index, with a password, and would put everything elsewhere; uv knows neither."""
    secret = place.variables["PIP_INDEX_URL"].replace("http://", "http://me:pa55@")
    elsewhere = str(place.root / "elsewhere")
    settings = {"PIP_INDEX_URL": secret, "PIP_TARGET": elsewhere, "PIP_PRE": "1", "UV_TARGET": elsewhere}
    settings |= {name: value for name, value in place.variables.items() if name.endswith("CACHE_DIR")}
    new = place.root / f"settings-{kind}"
    words = ("mmdet", "torch==2.6.0", "--find-links", place.page, "--find-links", str(place.torch.parent))
    more = {**settings, "UV_DEFAULT_INDEX": "", "PIP_CONFIG_FILE": os.devnull, "ZOO_INSTALLER": kind}
    shown = zoo(place.root, "install", *words, "--env", new, "--dry-run", timeout=120, **more)
    assert shown.code == 0, shown.err
    assert "pa55" not in shown.err
    done = by_hand(place, shown.err, {**settings, "PIP_CONFIG_FILE": os.devnull})
    assert done.returncode == 0, done.stderr
    assert place.versions(new / "bin/python").items() >= {"mmdet": "3.3.0", "torch": "2.6.0+cpu"}.items()
    assert not Path(elsewhere).exists()


def test_a_step_that_was_shown_can_be_run_again(place: Place) -> None:
    """With -v: the files that the command names are still there when zoo has ended."""
    python = place.environment("env-again")
    before = place.versions(python)
    ran = place.install(python, "mmdet", "-v")
    after = place.versions(python)
    assert (ran.code, place.undo(python).code, place.versions(python)) == (0, 0, before)
    done = by_hand(place, ran.err)
    assert done.returncode == 0, done.stderr
    assert place.versions(python) == after != before


@pytest.mark.parametrize("kind", ["uv", pytest.param("pip", marks=pytest.mark.slow)])
def test_the_printed_commands_know_an_index_that_only_pips_file_names(
    place: Place, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv does not read pip's files, and a person pastes into another shell: the index stands in the command."""
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = place.root / "config/pip/pip.conf"
    settings.parent.mkdir(parents=True, exist_ok=True)
    index = place.variables["UV_DEFAULT_INDEX"]
    settings.write_text(f"[global]\nindex-url = {index.replace('://', '://me:secret@')}\n")
    words = ("mmdet", "torch==2.6.0", "--find-links", place.page, "--find-links", str(place.torch.parent))
    new = place.root / f"by-hand-file-{kind}"
    shown = zoo(place.root, "install", *words, "--env", new, "--dry-run", ZOO_INSTALLER=kind)
    settings.unlink()
    assert (shown.code, index in shown.err, "secret" in shown.err) == (0, True, False), shown.err
    commands, _line, note = shown.err.partition("By hand:\n")[2].partition("  # without the user name")
    assert str(settings) in note
    bare = {"PATH": f"{Path(str(find_uv())).parent}:{os.environ['PATH']}", "HOME": str(place.root)}
    bare |= {"PIP_CONFIG_FILE": os.devnull, "UV_CACHE_DIR": str(place.root / "uv")}
    done = subprocess.run(
        ["sh", "-e"], input=commands, env=bare, cwd=place.root, text=True, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert place.versions(new / "bin/python")["mmdet"] == "3.3.0"


def test_by_hand_the_limits_hold_too(place: Place) -> None:
    """An ordinary package that would bring another owner of mmcv along is refused by uv itself."""
    place.site.publish(write_wheel(place.root / "made", "bringing", "1.0", requires=("mmcv-full",)))
    listed = place.root / "bringing.txt"
    listed.write_text("bringing\n")
    python = place.environment("env-limits")
    shown = place.install(python, "mmdet", "-r", str(listed), "--dry-run")
    done = by_hand(place, shown.err)
    assert done.returncode != 0
    assert "mmcv-full" in done.stderr
    assert "mmdet" not in place.versions(python)
