"""uv and pip for real: into real environments, from real wheels, and how they fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.server import Page, Server
from tests.support.wheels import write_wheel
from zoo_cli.packages.executor import (
    DirectoryInUse,
    NoInstaller,
    StepFailed,
    _signals_later,
    find_installer,
    find_uv,
    make_environment,
    run_step,
    telling,
)
from zoo_cli.packages.indexes import UserIndex
from zoo_cli.packages.steps import Installer, Step


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment with pip, made by zoo."""
    return make_environment(tmp_path_factory.mktemp("target") / "env")


@pytest.fixture(params=["uv", "pip"])
def installer(request: pytest.FixtureRequest, python: str) -> Installer:
    return find_installer(python, prefer=request.param)


def version_of(python: str, project: str) -> str | None:
    code = f"import importlib.metadata as m; print(m.version({project!r}))"
    done = subprocess.run((python, "-I", "-c", code), capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def test_files_go_in_as_they_are(installer: Installer, python: str, tmp_path: Path) -> None:
    """The named wheel, no dependencies, and over the same version of another content."""
    first = write_wheel(tmp_path / "one", "tiny", "1.0", files={"tiny.py": "value = 1"}, requires=("not-there>=1",))
    second = write_wheel(tmp_path / "two", "tiny", "1.0", files={"tiny.py": "value = 2"})
    for wheel, content in ((first, "value = 1"), (second, "value = 2")):
        assert run_step(installer.install_files([wheel], "tiny")).code == 0
        (module,) = Path(python).parent.parent.glob("lib/python*/site-packages/tiny.py")
        assert module.read_text() == content
    run_step(installer.uninstall(["tiny"]))
    assert version_of(python, "tiny") is None


def test_requirements_come_from_the_users_index(installer: Installer, python: str, tmp_path: Path) -> None:
    """A private index with credentials: asked with them, and never shown."""
    files = {
        f"/simple/tiny/{wheel.name}": wheel.read_bytes()
        for version in ("1.0", "1.1")
        for wheel in [write_wheel(tmp_path, "tiny", version)]
    }
    page = "".join(f'<a href="{path}">{path}</a>' for path in files).encode()
    lines: list[str] = []
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("tiny<1.1\n")
    with Server({**files, "/simple/tiny/": Page(page)}) as server:
        index = UserIndex(index_url=server.url("/simple").replace("://", "://me:secret@"))
        step = installer.install_requirements(["tiny"], index=index, constraints=constraints, reason="tiny")
        done = run_step(step, lines.append)
    assert version_of(python, "tiny") == "1.0"
    assert "secret" not in step.command
    assert not any("secret" in line for line in (*lines, *done.tail))
    assert done.log is not None
    assert "secret" not in done.log.read_text()
    assert done.log.read_text().splitlines() == [f"$ {step.command}", *lines]
    run_step(installer.uninstall(["tiny"]))


def test_an_option_is_no_way_in(installer: Installer) -> None:
    """A name that looks like an option is a name."""
    with pytest.raises(StepFailed):
        run_step(installer.install_requirements(["--index-url=https://evil.example/simple"], index=UserIndex()))


def test_a_failure_tells_the_lines_that_matter(installer: Installer, tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        run_step(installer.install_files([tmp_path / "nowhere-1.0-py3-none-any.whl"], "install nowhere"))
    error = caught.value
    assert error.returncode != 0
    assert any("nowhere" in line for line in error.lines), error.lines
    assert error.log is not None
    assert Path(error.log).is_file()


def test_what_python_cannot_start_is_an_error() -> None:
    with pytest.raises(StepFailed) as caught:
        run_step(Step(("no-such-program-of-zoo",), reason="try"))
    assert caught.value.returncode == 127


def test_a_state_directory_that_cannot_be_made_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_STATE", str(tmp_path / "file" / "state"))
    assert run_step(Step((sys.executable, "-c", "print(1)"))).log is None


def test_odd_output_is_taken() -> None:
    code = "import sys; sys.stdout.buffer.write(b'\\xff\\x1b[31m red\\n' + b'x' * 100000 + b'\\nlast')"
    done = run_step(Step((sys.executable, "-c", code)))
    assert done.tail[-1] == "last"


@pytest.mark.skipif(os.name != "posix", reason="process groups")
def test_what_a_child_says_is_logged_as_plain_text(state: Path) -> None:
    words = "\x1b]0;title\x07\x1b[2Jgone \u202e https://me:pass@host/?token=abc"
    seen: list[str] = []
    done = run_step(Step((sys.executable, "-I", "-X", "utf8", "-c", f"print({words!r})")), seen.append)
    assert done.log is not None and state in done.log.parents
    for text in (done.log.read_text(encoding="utf-8"), *done.tail, *seen):
        assert text.replace("\n", "").isprintable()
        assert "pass@" not in text and "abc" not in text
    assert "\\x1b[2Jgone" in done.tail[0]


def test_ctrl_c_ends_the_child_and_its_children(tmp_path: Path) -> None:
    """A real Ctrl-C into a real zoo process whose step has a child of its own."""
    marks = tmp_path / "pids"
    grandchild = "import os, time; time.sleep(60)"
    child = (
        f"import subprocess, sys, os; p = subprocess.Popen([sys.executable, '-c', {grandchild!r}]); "
        "print(os.getpid(), p.pid, flush=True); p.wait()"
    )
    zoo = (
        "from zoo_cli.packages.executor import run_step\nfrom zoo_cli.packages.steps import Step\nimport sys, pathlib\n"
        f"run_step(Step((sys.executable, '-c', {child!r})), pathlib.Path({str(marks)!r}).write_text)"
    )
    process = subprocess.Popen((sys.executable, "-c", zoo), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (marks.is_file() and marks.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pids = [int(word) for word in marks.read_text().split()]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) != 0
    for pid in pids:
        while is_running(pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie (nobody may be left to reap an orphan in a container)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_target_decides_what_installs(python: str, tmp_path: Path) -> None:
    assert find_installer(python).kind == "uv"
    assert find_installer(python, version="3.7.16").kind == "pip"
    with pytest.raises(NoInstaller):
        find_installer(str(tmp_path / "nowhere"), prefer="pip")


def test_a_target_without_pip_gets_it_first(tmp_path: Path) -> None:
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")), check=True)
    installer = find_installer(str(tmp_path / "bare" / "bin" / "python"), prefer="pip")
    assert [step.argv[3] for step in installer.prepare] == ["ensurepip"]
    for step in installer.prepare:
        run_step(step)
    run_step(installer.install_files([write_wheel(tmp_path, "tiny", "1.0")]))
    assert version_of(installer.python, "tiny") == "1.0"


def test_a_pip_that_does_not_run_is_mended_first(tmp_path: Path) -> None:
    subprocess.run((sys.executable, "-m", "venv", str(tmp_path / "env")), check=True)
    python = str(tmp_path / "env" / "bin" / "python")
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    shutil.rmtree(site / "pip" / "_internal" / "cli")
    subprocess.run((python, "-I", "-m", "ensurepip", "--default-pip"), check=True)  # believes the record
    assert subprocess.run((python, "-m", "pip", "--version"), capture_output=True, check=False).returncode != 0
    installer = find_installer(python, prefer="pip")
    for step in installer.prepare:
        run_step(step)
    run_step(installer.install_files([write_wheel(tmp_path, "tiny", "1.0")]))
    assert version_of(python, "tiny") == "1.0"


def test_uv_is_found_beside_zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("uv") is None
    found = find_uv()
    assert found is not None
    assert Path(found).is_file()


def test_an_environment_is_made_once(python: str) -> None:
    directory = Path(python).parent.parent
    assert make_environment(directory) == python
    assert version_of(python, "pip") is not None


def test_other_peoples_directories_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("")
    for name in ("full", "file"):
        with pytest.raises(DirectoryInUse):
            make_environment(tmp_path / name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_an_environment_from_no_python(tmp_path: Path) -> None:
    with pytest.raises(StepFailed):
        make_environment(tmp_path / "env", str(tmp_path / "no-python"))


def test_the_lines_that_tell() -> None:
    output = [
        "Collecting x",
        "",
        "  error: metadata-generation-failed",
        "ModuleNotFoundError: No module named 'pkg_resources'",
        "bye",
    ]
    assert telling(output) == (
        "error: metadata-generation-failed",
        "ModuleNotFoundError: No module named 'pkg_resources'",
    )
    assert telling(["one", "two"]) == ("one", "two")
    assert telling([]) == ()


def test_each_step_has_a_log_of_its_own_and_old_ones_go(state: Path) -> None:
    (state / "logs").mkdir(parents=True)
    for number in range(250):
        (state / "logs" / f"2020-01-01T00-00-00-1-{number:03}.log").write_text("old")
    logs = {run_step(Step((sys.executable, "-c", f"print({number})"))).log for number in range(3)}
    assert sorted(path.read_text().splitlines()[1] for path in logs if path) == ["0", "1", "2"]
    assert len(list((state / "logs").iterdir())) <= 203


def test_a_signal_while_a_child_is_started_comes_when_it_can_be_ended() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), _signals_later():
        signal.raise_signal(signal.SIGINT)
        reached.append("the end")
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
