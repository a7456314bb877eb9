"""Bad input of every kind: one clear error with a way out and its exit code, no traceback, nothing half-written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import Ran, zoo
from tests.support.server import HtmlPage, Server, Status
from zoo_cli.errors import ExitCode

RTX3090 = "gpu=RTX 3090,driver=535.183.01,python=3.10"


def refused(ran: Ran, code: str, exit_code: ExitCode) -> str:
    """The error text, after checking its form."""
    assert ran.code == exit_code, ran.err
    assert f"error[{code}]: " in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
    return ran.err


@pytest.mark.parametrize(
    ("words", "code", "exit_code", "told"),
    [
        (("install", "mmdett"), "unknown-project", ExitCode.USAGE, "zoo install mmdet"),
        (("install", "mmdetection"), "unknown-project", ExitCode.USAGE, "its package is called mmdet"),
        (("install", "torch==" + "9" * 5000), "bad-requirement", ExitCode.USAGE, "5000 letters"),
        (("install", "mmdet>>3"), "bad-requirement", ExitCode.USAGE, "zoo install"),
        (("install", "mmdet @ http://x/y.whl"), "bad-requirement", ExitCode.USAGE, "--find-links"),
        (("install", "mmcv-lite"), "bad-requirement", ExitCode.USAGE, "pip install mmcv-lite"),
        (("install", "mmdet", "--dry-run", "--machine", "gpu=RTX 9999"), "bad-machine", ExitCode.USAGE, "RTX"),
        (("install", "mmdet", "--dry-run", "--machine", "cpu"), "bad-machine", ExitCode.USAGE, "cpu"),
        (("install", "mmdet", "--dry-run", "--machine", "driver=old"), "bad-machine", ExitCode.USAGE, "driver"),
        (("install", "mmdet>=99", "--dry-run", "--machine", RTX3090), "no-solution", ExitCode.NO_SOLUTION, "3.3.0"),
        (
            ("install", "mmdet", "--python", "/nowhere/python"),
            "no-interpreter",
            ExitCode.ENVIRONMENT,
            "/nowhere/python",
        ),
        (("check-env", "--python", "/etc/passwd"), "no-interpreter", ExitCode.ENVIRONMENT, "/etc/passwd"),
        (
            ("install", "mmdet", "--dry-run", "--find-links", "http://[::1"),
            "bad-address",
            ExitCode.USAGE,
            "zoo install --help",
        ),
        (
            ("install", "mmdet", "--dry-run", "--find-links", "file://elsewhere/dist"),
            "bad-address",
            ExitCode.USAGE,
            "file:///path",
        ),
        (("fetch", "http://[::1"), "bad-address", ExitCode.USAGE, "Invalid IPv6 URL"),
        (("fetch", "file://[::1"), "bad-address", ExitCode.USAGE, "Invalid IPv6 URL"),
        (("show", "https://[::1"), "unknown-model", ExitCode.USAGE, "zoo list --search 1"),
        (("show", "open-mmlab://nothing"), "unknown-backbone", ExitCode.USAGE, "zoo list --backbones"),
        (("list", "nothing"), "unknown-package", ExitCode.USAGE, "zoo index stats"),
        (("check-env", "--machine", ""), "bad-machine", ExitCode.USAGE, "--machine"),
        (
            ("install", "mmdet >= 99", "--dry-run", "--machine", RTX3090),
            "no-solution",
            ExitCode.NO_SOLUTION,
            "With any version of mmdet:\n     zoo install mmdet --machine",
        ),
        (
            ("install", "mmcv-full", "mmdet", "--dry-run", "--machine", "python=3.11"),
            "no-solution",
            ExitCode.NO_SOLUTION,
            "official mmcv-full wheels reach to torch 2.1, cpu, Python 3.10 (mmcv-full 1.7.2)",
        ),
        (("check-env", "nothing-like-it"), "unknown-project", ExitCode.USAGE, "nothing-like-it"),
        (("list", "mmdet", "--filter", "nope>1"), "bad-filter", ExitCode.USAGE, "nope"),
        (("list", "mmdett"), "unknown-package", ExitCode.USAGE, "mmdet"),
        (("download", "no_such_model_at_all"), "unknown-model", ExitCode.USAGE, "zoo list"),
        (("install", "mmdet", "--build", "nothing"), "unknown-choice", ExitCode.USAGE, "mmcv-full"),
        (("install", "mmdet", "--provider", "nobody"), "unknown-choice", ExitCode.USAGE, "onedl"),
        (
            ("install", "mmdet", "--cuda", "cu999", "--dry-run", "--machine", RTX3090),
            "unknown-choice",
            ExitCode.USAGE,
            "cu121",
        ),
        (("install", "mmdet", "--python", "9.99"), "no-interpreter", ExitCode.ENVIRONMENT, "python9.99"),
        (("install", "mmdet", "--find-links", "/nowhere/wheels"), "no-such-place", ExitCode.USAGE, "/nowhere/wheels"),
        (("install", "mmdet", "--mirror", "nonsense"), "bad-mirror-option", ExitCode.USAGE, "nonsense"),
        (("fetch", "ftp://host/file", "-o", "x"), "bad-address", ExitCode.USAGE, "ftp"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, tuple) else None,
)
def test_bad_words(tmp_path: Path, words: tuple[str, ...], code: str, exit_code: ExitCode, told: str) -> None:
    error = refused(zoo(tmp_path, *words), code, exit_code)
    assert told in error


def test_every_error_is_a_document_with_json(tmp_path: Path) -> None:
    ran = zoo(tmp_path, "install", "mmdetection", "--json")
    assert ran.code == ExitCode.USAGE
    assert ran.err == ""
    error = ran.document["error"]
    assert ran.document["ok"] is False
    assert error["code"] == "unknown-project"
    assert error["facts"]["called"] == "mmdet"
    assert error["ways_out"][0]["command"] == "zoo install mmdet"


def test_a_usage_error_is_a_document_with_json(tmp_path: Path) -> None:
    ran = zoo(tmp_path, "install", "--json")
    assert ran.code == ExitCode.USAGE
    assert ran.document["error"]["code"] == "usage"


def test_a_described_machine_cannot_be_installed_into(tmp_path: Path) -> None:
    ran = zoo(tmp_path, "install", "mmdet", "--machine", RTX3090)
    assert ran.code == ExitCode.USAGE
    assert "--dry-run" in ran.err


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    ran = zoo(tmp_path, "instal", "mmdet")
    assert ran.code == ExitCode.USAGE
    assert "Did you mean 'install'?" in ran.err


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A virtual environment without pip: a target."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    return tmp_path / "env/bin/python"


def test_a_find_links_page_that_is_not_there(tmp_path: Path, fresh: Path) -> None:
    with Server({}) as server:
        ran = zoo(tmp_path, "install", "mmdet", "--python", fresh, "--find-links", server.url("/page.html"))
    assert "404" in refused(ran, "http-status", ExitCode.NETWORK)


def test_a_login_page_instead_of_a_listing(tmp_path: Path, fresh: Path) -> None:
    with Server({"/page.html": b"<html><body><form>Please log in</form></body></html>"}) as server:
        ran = zoo(tmp_path, "install", "mmdet", "--python", fresh, "--find-links", server.url("/page.html"))
    refused(ran, "not-a-listing", ExitCode.NETWORK)


@pytest.mark.parametrize(
    ("behaviour", "code", "exit_code"),
    [(HtmlPage(), "not-the-file", ExitCode.NETWORK), (Status(404), "http-status", ExitCode.NETWORK)],
    ids=["html page", "404"],
)
def test_a_wheel_that_does_not_come(
    tmp_path: Path, fresh: Path, behaviour: HtmlPage | Status, code: str, exit_code: ExitCode
) -> None:
    """The torch wheel is answered with a page, or not at all: nothing is installed, nothing is kept as a wheel."""
    with Server({}) as server:
        server.always("/whl/cpu/torch-2.1.2%2Bcpu-cp311-cp311-linux_x86_64.whl", behaviour)
        mirror = f"https://download.pytorch.org={server.url('/')}"
        ran = zoo(tmp_path, "install", "torch==2.1.2", "--python", fresh, "--device", "cpu", "--mirror", mirror, "-y")
    assert ran.code == exit_code, ran.err
    assert not list((tmp_path / "cache").rglob("*.whl"))
    assert "Traceback" not in ran.err
    assert not list((tmp_path / "env").rglob("torch*"))
    assert code in ran.err or "all-sources-failed" in ran.err


def test_an_interpreter_of_the_operating_system(tmp_path: Path) -> None:
    """PEP 668: a marker beside the standard library of a Python that is not a virtual environment."""
    base = tmp_path / "system"
    root = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (base / "bin").mkdir(parents=True)
    shutil.copy2(root / "bin" / version, base / "bin" / version)
    library = base / "lib" / version
    library.mkdir(parents=True)
    for entry in (root / "lib" / version).iterdir():
        if entry.name != "site-packages":
            (library / entry.name).symlink_to(entry)
    (library / "site-packages").mkdir()
    (library / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=managed by the distribution\n")
    for shared in (root / "lib").glob("libpython*"):
        (base / "lib" / shared.name).symlink_to(shared)
    python = base / "bin" / version
    ran = zoo(
        tmp_path,
        "install",
        "torch==2.1.2",
        "--python",
        python,
        "--device",
        "cpu",
        "--offline",
        "-y",
        LD_LIBRARY_PATH=str(root / "lib"),
    )
    error = refused(ran, "externally-managed", ExitCode.ENVIRONMENT)
    assert "--env ./zoo-env" in error


def test_a_broken_row_of_the_index_is_named(tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copytree(Path(__file__).parent.parent.parent / "index", index)
    walls = index / "compat/walls.yaml"
    walls.write_text(
        walls.read_text(encoding="utf-8").replace(", severity: breaks,", ", severity: perhaps,", 1), encoding="utf-8"
    )
    ran = zoo(tmp_path, "list", "mmdet", ZOO_INDEX=str(index))
    error = refused(ran, "broken-row", ExitCode.FAILED)
    assert "walls.yaml" in error
    assert "perhaps" in error


def test_an_index_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "zoo.db").write_bytes(b"not a database, but long enough to look like one" * 100)
    ran = zoo(tmp_path, "list", "mmdet", ZOO_INDEX=str(tmp_path / "zoo.db"))
    refused(ran, "catalog-unusable", ExitCode.FAILED)


@pytest.mark.parametrize("encoding", ["cp949", "gbk", "ascii"])
def test_no_encoding_of_the_terminal_crashes(tmp_path: Path, encoding: str) -> None:
    """Names with letters that the terminal's encoding lacks are shown with replacements."""
    ran = zoo(tmp_path, "install", "m\u00e9d\u00e9t\u2713\ud55c\uad6d", PYTHONIOENCODING=encoding)
    assert ran.code == ExitCode.USAGE
    assert "error[" in ran.err
    assert "Traceback" not in ran.err


def test_a_full_pipe_that_closes_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m zoo_cli list mmdet | head -1"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environ, timeout=60)
    assert done.stdout.startswith("model\t")
    assert done.stderr == ""


@pytest.mark.parametrize("number", ["nan", "inf", "-1"])
@pytest.mark.parametrize("words", [("fetch", "http://127.0.0.1:1/x", "--max-time"), ("cache", "prune", "--older-than")])
def test_numbers_that_nobody_can_count_with(tmp_path: Path, words: tuple[str, ...], number: str) -> None:
    ran = zoo(tmp_path, *words, number)
    assert ran.code == ExitCode.USAGE
    assert words[-1] in ran.err


def test_a_file_that_is_no_wheel_is_no_release_of_ones_own(tmp_path: Path) -> None:
    words = ("index", "read", "/etc/passwd", "--url", "https://x.example/y.whl", "--index", str(tmp_path))
    assert "cannot read /etc/passwd\n" in refused(zoo(tmp_path, *words), "unreadable-file", ExitCode.INTEGRITY)
