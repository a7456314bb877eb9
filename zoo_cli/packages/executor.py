"""Runs uv, else the target's own pip, as child processes; nothing is installed in any other way.

Edge: processes, their logs, and new environments. What is run is a `steps.Step`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.directories import state_directory
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.indexes import clean_environment
from zoo_cli.packages.request import check_choices
from zoo_cli.packages.steps import Installer, Step
from zoo_cli.packages.trees import OWN
from zoo_cli.plaintext import printable, without_passwords
from zoo_cli.transfer.addresses import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    LineListener = Callable[[str], None]

_TAIL = 200  # lines kept for an error
_MAX_LOGS = 200
_MAX_LINE = 20_000  # characters
# Ends well where a pip is recorded; ensurepip believes such a record and puts nothing in place of a pip that is broken.
_HAS_PIP = "import glob, os, sys; sys.exit(not any(glob.glob(os.path.join(p, 'pip-*.dist-info')) for p in sys.path))"
# ensurepip's own wheel of pip installs itself: a wheel is a zip archive that Python can import from.
_MEND_PIP = (
    "import ensurepip, glob, os, runpy, sys, sysconfig; "
    "own = os.path.join(os.path.dirname(ensurepip.__file__), '_bundled'); "
    "places = (sysconfig.get_config_var('WHEEL_PKG_DIR') or own, own); "  # Debian and Fedora keep it elsewhere
    "wheel = [each for place in places for each in glob.glob(os.path.join(place, 'pip-*.whl'))][0]; "
    "sys.path.insert(0, wheel); "
    "sys.argv = ['pip', 'install', '--no-index', '--no-deps', '--force-reinstall', wheel]; "
    "runpy.run_module('pip', run_name='__main__', alter_sys=True)"
)
_numbers = itertools.count(1)  # steps of this process, for the names of their logs
_TELLING = re.compile(
    r"error|no module named|no solution|not found|could not|cannot|failed|conflict|constraint|because|requires",
    re.IGNORECASE,
)


class NoInstaller(ZooError):
    """There is neither uv nor a pip that can install into the target."""

    code = "no-installer"
    exit_code = ExitCode.ENVIRONMENT

    python: str
    reason: str


class StepFailed(ZooError):
    """A child process that installs, builds or makes an environment ended badly."""

    code = "step-failed"

    reason: str  # what the step was for
    command: str  # as a shell line
    returncode: int  # below zero: ended by that signal; 127: it could not be started
    lines: tuple[str, ...]  # the few that tell
    log: str | None


class DirectoryInUse(ZooError):
    """An environment was to be made where something else already is."""

    code = "directory-in-use"
    exit_code = ExitCode.USAGE

    directory: str
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """How a step ended."""

    code: int
    tail: tuple[str, ...]  # last lines of its output
    seconds: float
    log: Path | None


@contextlib.contextmanager
def constraints_file(lines: Sequence[str]) -> Iterator[Path]:
    """A file with one constraint a line; it stays with the logs, since the commands that they tell name it.

    One with a password in an address does not stay: none is kept in any file.
    """
    text = "".join(f"{line}\n" for line in lines)
    if without_passwords(text) == text and (path := _log_path("limits.txt")):
        path.write_text(text, encoding="utf-8")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="zoo-limits-") as folder:
        path = Path(folder, "limits.txt")
        path.write_text(text, encoding="utf-8")
        yield path


def preferred_kind() -> str | None:
    """What ZOO_INSTALLER names: uv or pip; None where the user does not say.

    Raises:
        UnknownChoice: it is something else.
    """
    named = os.environ.get("ZOO_INSTALLER") or None
    check_choices("ZOO_INSTALLER", [named] if named else [], ("pip", "uv"))
    return named


def find_installer(python: str, *, version: str = "", prefer: str | None = None) -> Installer:
    """What can install into a target interpreter: uv on PATH, uv beside zoo, the target's pip, pip by ensurepip.

    Args:
        python: path of the target interpreter.
        version: its Python version; uv is not asked for 3.7 and older.
        prefer: "uv" or "pip" to allow only that one; else what ZOO_INSTALLER says.

    Raises:
        NoInstaller: there is none.
        UnknownChoice: ZOO_INSTALLER is something else.
    """
    prefer = prefer or preferred_kind()
    is_old = is_too_old_for_uv(version)
    if prefer != "pip" and not is_old and (uv := find_uv()):
        return Installer("uv", (uv,), python)
    if prefer == "uv":
        why = f"does not serve Python {version}" if is_old else "is not there"
        raise NoInstaller(python, f"uv was asked for and {why}")
    pip = (python, "-I", "-m", "pip")
    if _answers((*pip, "--version")):
        return Installer("pip", pip, python)
    if _answers((python, "-I", "-m", "ensurepip", "--version")):
        first = Step((python, "-I", "-m", "ensurepip", "--default-pip"), {}, "give the target a pip")
        if _answers((python, "-I", "-c", _HAS_PIP)):
            first = Step((python, "-I", "-c", _MEND_PIP), {}, "mend the target's pip, which does not run")
        return Installer("pip", pip, python, (first,))
    raise NoInstaller(python, "no uv, and the target has neither pip nor ensurepip")


def is_too_old_for_uv(version: str) -> bool:
    """Whether uv does not serve a Python of that version."""
    return re.match(r"3\.[0-7](\.|\Z)", version) is not None


def find_uv() -> str | None:
    """The path of uv: on PATH, else the one installed beside zoo."""
    beside = str(Path(sys.executable).parent)  # the same without importing what knows where packages put programs
    if found := shutil.which("uv") or shutil.which("uv", path=beside):
        return found
    try:
        import uv
    except ImportError:
        return None
    try:
        return uv.find_uv_bin()
    except FileNotFoundError:
        return None


def _answers(argv: Sequence[str]) -> bool:
    """Whether a Python can do what is asked; asking writes no byte code into its environment."""
    python, *words = argv
    try:
        done = subprocess.run(
            (python, "-B", *words), env=clean_environment({}), capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def make_environment(directory: Path, python: str | None = None, listen: LineListener | None = None) -> str:
    """Makes a virtual environment with pip, or takes the one that is there; returns its interpreter's path.

    Raises:
        DirectoryInUse: something else is there.
        StepFailed: neither venv nor uv could make it.
    """
    interpreter = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    try:
        if directory.is_dir() and any(each.name != OWN for each in directory.iterdir()):
            if (directory / "pyvenv.cfg").is_file() and interpreter.exists():
                return str(interpreter.absolute())
            raise DirectoryInUse(str(directory), "it is not empty and not a virtual environment")
        if directory.exists() and not directory.is_dir():
            raise DirectoryInUse(str(directory), "it is a file")
    except OSError as exc:
        raise DirectoryInUse(str(directory), exc.strerror or type(exc).__name__) from exc
    base = python or sys.executable
    uv = find_uv()
    # venv first: it brings pip, which people expect; uv where the distribution took ensurepip away (Debian).
    if _answers((base, "-I", "-c", "import venv, ensurepip")) or not uv:
        step = Step((base, "-I", "-m", "venv", str(directory)), {}, "make the environment")
    else:
        words = (uv, "venv", "--no-config", "--allow-existing", "--python", base, "--", str(directory))
        step = Step(words, {"UV_PYTHON_DOWNLOADS": "never"}, "make the environment")
    run_step(step, listen)
    return str(interpreter.absolute())


def run_step(step: Step, listen: LineListener | None = None, *, held: tuple[int, ...] = ()) -> Done:
    """Runs a step to its end; every line of its output goes to `listen` and to a log file.

    Args:
        step: what to run.
        listen: told each line.
        held: file descriptors of locks that the child keeps: should zoo be killed, they last as long as the child.

    Raises:
        StepFailed: it could not be started, or did not return 0.
    """
    log = _log_path()
    started = time.monotonic()
    tail: deque[str] = deque(maxlen=_TAIL)
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(log.open("w", encoding="utf-8")) if log else None

        def take(line: str) -> None:
            line = _logged(line.rstrip())
            tail.append(line)
            if stream:
                stream.write(line + "\n")
            if listen:
                listen(line)

        if stream:
            stream.write("$ " + _logged(step.command) + "\n")
        code = _run(step, take, held)
    done = Done(code, tuple(tail), time.monotonic() - started, log)
    if code:
        raise StepFailed(step.reason, step.command, code, telling(done.tail), str(log) if log else None)
    return done


def _logged(line: str) -> str:
    """A line of a child's output as it is kept and shown: nobody's password, and nothing that a terminal obeys."""
    return printable(redacted(line).replace("\t", "  "), _MAX_LINE)


def _log_path(ending: str = "log") -> Path | None:
    """A new log file's path; None where no log can be kept, which is no reason to fail."""
    directory = state_directory() / "logs"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for old in sorted(directory.glob("2*"))[:-_MAX_LOGS]:  # names begin with the time
            old.unlink(missing_ok=True)
    except OSError:
        return None
    stamp = time.strftime("%Y-%m-%dT%H-%M-%S")
    return directory / f"{stamp}-{os.getpid()}-{next(_numbers)}.{ending}" if os.access(directory, os.W_OK) else None


def _run(step: Step, take: LineListener, held: tuple[int, ...]) -> int:
    child = None
    try:
        with _signals_later():  # none may come between the start and the `try` that ends the child
            child = _start(step, held)
        assert child.stdout is not None
        for line in child.stdout:
            take(line)
        return child.wait()
    finally:  # Ctrl-C, or a listener that fails
        if child is not None:
            if child.poll() is None:
                end_group(child)
            assert child.stdout is not None
            child.stdout.close()


def _start(step: Step, held: tuple[int, ...]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            step.argv,
            env=clean_environment(step.env),
            cwd=step.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            pass_fds=held if os.name == "posix" else (),
            start_new_session=True,  # Ctrl-C reaches us alone; we end the whole group
        )
    except OSError as exc:
        raise StepFailed(step.reason, step.command, 127, (f"{exc.strerror}: {exc.filename}",), None) from exc


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Signals that would interrupt the work inside are kept, and come when it is done."""
    if threading.current_thread() is not threading.main_thread():  # only there do handlers run
        yield
        return
    came: list[int] = []
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    former = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names}
    for number, handler in former.items():
        if callable(handler):
            signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in former.items():
            if callable(handler):
                signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def end_group(child: subprocess.Popen[str]) -> None:
    """Ends a child with all it started: asks first, then kills."""
    for how in ("SIGTERM", "SIGKILL"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(child.pid, getattr(signal, how))
            else:
                child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=5)
            return


def telling(lines: Sequence[str], most: int = 8) -> tuple[str, ...]:
    """The few lines of an output that tell why it failed: those with an error word, else the last ones.

    A line that ends in a colon brings the next one: uv breaks long lines there.
    """
    full = [line.strip() for line in lines if line.strip()]
    before = ["", *full]
    hits = [
        line
        for previous, line in zip(before, full, strict=False)
        if _TELLING.search(line) or (previous.endswith(":") and _TELLING.search(previous))
    ]
    return tuple((hits or full)[-most:])
