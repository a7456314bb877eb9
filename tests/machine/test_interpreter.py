"""Target interpreters: every Python here, real virtual environments, broken installs, things that are no Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.machine.pythons import EACH, WITH_VENV
from tests.machine.stub_driver import tree
from zoo_cli.machine.facts import BrokenMetadata, DirectUrl, Distribution, TorchFacts
from zoo_cli.machine.installed import read_installed
from zoo_cli.machine.interpreter import NoInterpreter, default_target, find_interpreter, read_interpreter

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "CONDA"))}


def make_venv(python: Path, directory: Path, *flags: str) -> Path:
    subprocess.run([python, "-I", "-m", "venv", "--without-pip", *flags, directory], check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_venv(Path(sys.executable), tmp_path_factory.mktemp("env") / "with blank")


@pytest.mark.parametrize(("version", "python"), EACH, ids=[version for version, _ in EACH])
def test_every_python_tells_what_it_tells_itself(version: str, python: Path) -> None:
    found = read_interpreter(python, environ=CLEAN)
    assert found.minor == version
    assert found.tag == "cp" + version.replace(".", "")
    question = (
        "import sys, sysconfig, json; p = sysconfig.get_paths(); "
        "print(json.dumps([sys.prefix, getattr(sys, 'base_prefix', sys.prefix), p['purelib'], p['platlib'], "
        "sysconfig.get_platform(), '%d.%d.%d' % sys.version_info[:3]]))"
    )
    said = json.loads(subprocess.run([python, "-E", "-c", question], check=True, capture_output=True).stdout)
    assert [found.prefix, found.base_prefix, found.site_packages, found.platlib, found.platform, found.version] == said
    assert found.bits == 64
    assert found.site_packages in found.site_directories


@pytest.mark.parametrize(("version", "python"), WITH_VENV, ids=[version for version, _ in WITH_VENV])
def test_a_virtual_environment_of_every_python(version: str, python: Path, tmp_path: Path) -> None:
    directory = make_venv(python, tmp_path / "env")
    found = read_interpreter(directory, environ=CLEAN)
    assert (found.is_virtual, found.prefix, found.minor) == (True, str(directory), version)
    assert found.base_prefix != found.prefix
    assert found.executable == str(directory / "bin" / "python")
    assert found.site_packages == str(directory / "lib" / f"python{version}" / "site-packages")
    assert found.site_directories == (found.site_packages,)
    assert (found.externally_managed, found.is_writable) == (None, True)
    assert all(each.location == found.site_packages for each in found.distributions)


def test_system_site_packages_are_read_when_the_environment_has_them(tmp_path: Path) -> None:
    python = Path(sys.base_prefix, "bin", "python3")
    found = read_interpreter(make_venv(python, tmp_path / "env", "--system-site-packages"), environ=CLEAN)
    outside = read_interpreter(python, environ=CLEAN)
    assert set(outside.site_directories) <= set(found.site_directories)
    assert found.site_directories[0] == found.site_packages
    assert {each.name for each in outside.distributions} <= {each.name for each in found.distributions}


def test_the_working_directory_and_pth_files_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = make_venv(Path(sys.executable), tmp_path / "env")
    site = Path(read_interpreter(environment, environ=CLEAN).site_packages)
    marker = tmp_path / "ran"
    code = f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n"
    (site / "evil.pth").write_text(code)
    (site / "sitecustomize.py").write_text(code)
    for name in ("json", "os", "sysconfig", "site"):
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    read_interpreter(
        environment, environ={**CLEAN, "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "os.py")}
    )
    assert not marker.exists()


def test_a_wrapper_that_talks_is_understood(tmp_path: Path, venv: Path) -> None:
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\necho "Welcome"\nprintf "loading modules "\nexec "{venv}/bin/python" "$@"\n')
    wrapper.chmod(0o755)
    found = read_interpreter(wrapper, environ=CLEAN)
    assert found.executable == str(venv / "bin" / "python")
    assert found.is_virtual


def test_pep_668_counts_outside_environments_only(tmp_path: Path) -> None:
    """A copy of the standard library's place with the marker file, told by a wrapper that moves the stdlib path."""
    marker = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    base = read_interpreter(Path(sys.base_prefix, "bin", "python3"), environ=CLEAN)
    assert base.externally_managed == (str(marker) if marker.exists() else None)
    stdlib = tree(tmp_path / "stdlib", {"EXTERNALLY-MANAGED": "[externally-managed]\nError=no\n"})
    for is_virtual, expected in ((False, str(stdlib / "EXTERNALLY-MANAGED")), (True, None)):
        assert (
            read_interpreter(fake(tmp_path, stdlib=str(stdlib), is_virtual=is_virtual)).externally_managed == expected
        )


def fake(directory: Path, **facts: object) -> Path:
    """A program that answers the question like a Python with these facts."""
    purelib = str(directory / "site-packages")
    answer = {
        "executable": "", "version": "3.10.14", "implementation": "cpython", "abi_flags": "", "bits": 64,
        "prefix": str(directory), "base_prefix": "/usr", "is_virtual": False, "purelib": purelib, "platlib": purelib,
        "stdlib": "/gone", "platform": "linux-x86_64", "directories": [purelib], **facts,
    }  # fmt: skip
    (directory / "answer").write_text(f"--zoo-interpreter--{json.dumps(answer)}\n")
    program = directory / "fake-python"
    program.write_text(f"#!/bin/sh\ncat '{directory}/answer'\n")
    program.chmod(0o755)
    return program


def test_conda_and_other_implementations_are_seen(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    found = read_interpreter(fake(tmp_path, implementation="pypy", bits=32))
    assert (found.is_conda, found.tag, found.bits) == (True, "pp310", 32)
    threaded = read_interpreter(fake(tmp_path, version="3.13.0rc1", abi_flags="t"))
    assert (threaded.tag, threaded.version) == ("cp313t", "3.13.0rc1")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"version": "2.6.9"}, "too-old"),
        ({"version": "new"}, "not-python"),
        ({"version": 3}, "not-python"),
        ({"directories": [7]}, "not-python"),
        ({"bits": "64"}, "not-python"),
    ],
)
def test_answers_that_cannot_be(tmp_path: Path, facts: dict[str, object], reason: str) -> None:
    with pytest.raises(NoInterpreter) as caught:
        read_interpreter(fake(tmp_path, **facts))
    assert (caught.value.reason, caught.value.exit_code) == (reason, 4)


def script(directory: Path, text: str, mode: int = 0o755) -> Path:
    path = directory / "program"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#!/bin/sh\necho hello\n", "not-python"),
        ("just text", "not-python"),
        ("#!/bin/sh\nexec yes\n", "not-python"),
        ("#!/bin/sh\nexit 0\n", "not-python"),
        ("#!/bin/sh\necho 'SyntaxError: invalid syntax' >&2\nexit 1\n", "too-old"),
        ("#!/bin/sh\necho 'Fatal Python error: no encodings' >&2\nexit 1\n", "failed"),
        ("#!/bin/sh\nprintf -- '--zoo-interpreter--[[[['\n", "not-python"),
        ("#!/no/such/interpreter\n", "missing"),
    ],
)
def test_programs_that_are_no_python(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(NoInterpreter) as caught:
        read_interpreter(script(tmp_path, text))
    assert caught.value.reason == reason
    assert caught.value.given == str(tmp_path / "program")


def test_places_without_a_python(tmp_path: Path) -> None:
    plain = script(tmp_path, "text", 0o644)
    for given, reason in (
        (tmp_path / "gone", "missing"),
        (tmp_path, "no-python-in-directory"),
        (plain, "not-executable"),
        (Path("no-such-command-here"), "missing"),
    ):
        with pytest.raises(NoInterpreter) as caught:
            read_interpreter(given, environ=CLEAN)
        assert caught.value.reason == reason


def test_a_python_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(NoInterpreter) as caught:
        read_interpreter(script(tmp_path, "#!/bin/sh\nsleep 600\n"), timeout_seconds=0.3)
    assert (caught.value.reason, caught.value.detail) == ("timeout", "no answer in 0.3 s")


# Naming a target -----------------------------------------------------------------------------------------------------


def test_ways_to_name_an_interpreter(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = venv / "bin" / "python"
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    environ = {"PATH": f":{venv / 'bin'}", "HOME": str(venv.parent)}
    for given in (str(python), str(venv), "python", "python3", "~/with blank"):
        assert find_interpreter(given, environ) in (python, venv / "bin" / "python3"), given
    assert find_interpreter(minor, {"PATH": str(Path(sys.base_prefix, "bin"))}).name == f"python{minor}"
    monkeypatch.chdir(venv.parent)
    assert find_interpreter("with blank", {}) == python


def test_the_default_target_and_why(venv: Path, tmp_path: Path) -> None:
    other = make_venv(Path(sys.executable), tmp_path / "other")
    conda = tree(tmp_path / "conda", {"bin/python": "#!/bin/sh\n"})
    empty = tree(tmp_path / "empty", {"conda-meta/history": ""})
    path = str(Path(sys.base_prefix, "bin"))
    everything = {"ZOO_PYTHON": str(venv), "VIRTUAL_ENV": str(other), "CONDA_PREFIX": str(conda), "PATH": path}
    for gone, expected, origin in (
        ("", venv / "bin" / "python", "ZOO_PYTHON"),
        ("ZOO_PYTHON", other / "bin" / "python", "VIRTUAL_ENV"),
        ("VIRTUAL_ENV", conda / "bin" / "python", "CONDA_PREFIX"),
        ("CONDA_PREFIX", Path(path) / "python3", "PATH"),
        ("PATH", Path(sys.executable), "the Python that runs zoo"),
    ):
        everything.pop(gone, None)
        choice = default_target(everything)
        assert (choice.executable, choice.origin) == (expected, origin)
    assert default_target({"CONDA_PREFIX": str(empty), "PATH": path}).origin == "PATH"


def test_a_virtual_environment_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoInterpreter) as caught:
        default_target({"VIRTUAL_ENV": str(tmp_path / "deleted"), "PATH": str(Path(sys.base_prefix, "bin"))})
    assert (caught.value.reason, caught.value.origin) == ("missing", "VIRTUAL_ENV")


def test_the_working_directory_adds_nothing(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(venv / "bin")
    assert default_target({"PATH": ":."}).executable != venv / "bin" / "python"


# Installed distributions ---------------------------------------------------------------------------------------------


METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def test_distributions_of_every_kind(tmp_path: Path) -> None:
    source = tree(
        tmp_path / "src",
        {
            "mmdet.egg-info/PKG-INFO": METADATA.format(name="mmdet", version="3.3.0"),
            "mmdet.egg-info/requires.txt": "six\n",
        },
    )
    site = tree(
        tmp_path / "site",
        {
            "mmcv-2.1.0.dist-info/METADATA": METADATA.format(name="mmcv", version="2.1.0") + "Requires-Dist: addict\n",
            "mmcv-2.1.0.dist-info/WHEEL": "Tag: cp310-cp310-linux_x86_64\n",
            "mmcv-2.1.0.dist-info/INSTALLER": "uv\n",
            "mmcv-2.1.0.dist-info/RECORD": "mmcv/_ext.so,,\nmmcv/__init__.py,,\n",
            "Other_Thing-1.dist-info/METADATA": METADATA.format(name="Other_Thing", version="1"),
            "Other_Thing-1.dist-info/RECORD": "other.py,,\n",
            "mmpose-1.0.dist-info/METADATA": METADATA.format(name="mmpose", version="1.0"),
            "mmpose-1.0.dist-info/direct_url.json": '{"url": "file:///src", "dir_info": {"editable": true}}',
            "old-0.1-py3.10.egg-info": METADATA.format(name="old", version="0.1"),
            "egg-2.0-py3.10.egg/EGG-INFO/PKG-INFO": METADATA.format(name="egg", version="2.0"),
            "mmdet.egg-link": f"{source}\n.",
            "~mcv-2.0.0.dist-info/METADATA": METADATA.format(name="mmcv", version="2.0.0"),
            "README.txt": "no distribution",
        },
    )  # fmt: skip
    found = read_installed([site], frozenset({"mmcv"}))
    here = str(site)
    assert found.problems == ()
    assert found.distributions == (
        Distribution("egg", "2.0", str(site / "egg-2.0-py3.10.egg")),
        Distribution(
            "mmcv", "2.1.0", here, requires=("addict",), files=("mmcv/_ext.so", "mmcv/__init__.py"),
            wheel_tags=("cp310-cp310-linux_x86_64",), installer="uv",
        ),
        Distribution("mmdet", "3.3.0", str(source), DirectUrl(source.as_uri(), editable=True), ("six",)),
        Distribution("mmpose", "1.0", here, DirectUrl("file:///src", editable=True)),
        Distribution("old", "0.1", here),
        Distribution("other-thing", "1", here),
    )  # fmt: skip


def test_broken_distributions_are_told_and_passed_over(tmp_path: Path) -> None:
    site = tree(
        tmp_path,
        {
            "good-1.dist-info/METADATA": METADATA.format(name="good", version="1"),
            "empty-1.dist-info/METADATA": "",
            "hostile-1.dist-info/METADATA": b"\xff\xfe\x00" * 1000,
            "nameless-1.dist-info/METADATA": "Version: 1\n",
            "versionless-1.dist-info/METADATA": "Name: versionless\n",
            "bare-1.dist-info/RECORD": "",
            "lost.egg-link": "/no/such/place\n",
            "hostile.egg-link": b"\0\xff\n",
        },
    )
    os.mkfifo(site / "pipe-1.egg-info")
    (site / "huge-1.dist-info").mkdir()
    with (site / "huge-1.dist-info" / "METADATA").open("wb") as file:
        file.truncate(1 << 40)  # a sparse terabyte
    (site / "loop-1.dist-info").symlink_to(site / "loop-1.dist-info")
    found = read_installed([site, site / "gone"])
    assert [each.name for each in found.distributions] == ["good"]
    assert {(Path(each.path).name, each.reason) for each in found.problems} == {
        ("bare-1.dist-info", "unreadable"),
        ("empty-1.dist-info", "no-name"),
        ("hostile-1.dist-info", "no-name"),
        ("huge-1.dist-info", "no-name"),
        ("loop-1.dist-info", "unreadable"),
        ("nameless-1.dist-info", "no-name"),
        ("pipe-1.egg-info", "unreadable"),
        ("versionless-1.dist-info", "no-version"),
    }
    assert BrokenMetadata(str(site / "versionless-1.dist-info"), "no-version") in found.problems


def test_the_first_directory_on_the_path_comes_first(tmp_path: Path) -> None:
    for place, version in (("user", "2"), ("system", "1")):
        tree(tmp_path / place, {f"torch-{version}.dist-info/METADATA": METADATA.format(name="torch", version=version)})
        tree(tmp_path / place, {"torch/version.py": f"__version__ = '{version}.0'\ncuda = '12.{version}'\n"})
    found = read_installed([tmp_path / "user", tmp_path / "system"])
    assert [each.version for each in found.distributions] == ["2", "1"]
    assert found.torch == TorchFacts("2.0", "12.2", None, str(tmp_path / "user" / "torch" / "version.py"))


def test_an_interpreter_with_torch(tmp_path: Path) -> None:
    environment = make_venv(Path(sys.executable), tmp_path / "env")
    site = Path(read_interpreter(environment, environ=CLEAN).site_packages)
    tree(
        site,
        {
            "torch/version.py": "raise SystemExit('run!')\n__version__ = '2.1.2+cu121'\ncuda = '12.1'\nhip = None\n",
            "torch-2.1.2+cu121.dist-info/METADATA": METADATA.format(name="torch", version="2.1.2+cu121"),
        },
    )
    found = read_interpreter(environment, environ=CLEAN, origin="VIRTUAL_ENV")
    assert found.torch == TorchFacts("2.1.2+cu121", "12.1", None, str(site / "torch" / "version.py"))
    torch = found.distribution("torch")
    assert torch
    assert (torch.version, found.origin) == ("2.1.2+cu121", "VIRTUAL_ENV")
    assert found._replace(origin="") == read_interpreter(environment / "bin" / "python", environ=CLEAN, origin="")


def test_a_directory_nobody_may_write(tmp_path: Path) -> None:
    found = read_interpreter(fake(tmp_path, purelib="/proc/1/site-packages", platlib="/proc/1/site-packages"))
    assert found.is_writable is False
