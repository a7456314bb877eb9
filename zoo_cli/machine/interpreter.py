"""The target interpreter: which one it is, what it says of itself, and what is installed there.

Edge: starts the interpreter once and reads its site directories. zoo may live anywhere else; the interpreter that runs
zoo is only the last choice of a target. Nothing of the target is imported: not its packages, not its `.pth` lines.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.facts import Interpreter
from zoo_cli.machine.files import is_there, is_writable, names_in
from zoo_cli.machine.installed import read_installed
from zoo_cli.machine.metadata import normalized_name
from zoo_cli.machine.question import FLAGS, MARKER, SCRIPT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.machine.facts import Distribution

TIMEOUT_SECONDS = 20.0
OLDEST = (2, 7)
_IS_WINDOWS = sys.platform == "win32"
_IN_DIRECTORY = ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe")


class NoInterpreter(ZooError):
    """The target interpreter cannot be used.

    `reason` is one of: missing, not-executable, no-python-in-directory, not-python, too-old, timeout, failed.
    """

    code = "no-interpreter"
    exit_code = ExitCode.ENVIRONMENT

    given: str  # as the user or the environment named it
    reason: str
    detail: str = ""  # the program's own last words, or its version
    origin: str = "--python"  # who named it


class TargetChoice(NamedTuple):
    """An interpreter and why it is the target: "--python", a variable's name, "PATH", or "the Python that runs zoo"."""

    executable: Path
    origin: str


def default_target(environ: Mapping[str, str]) -> TargetChoice:
    """The interpreter that the user's shell would use.

    ZOO_PYTHON, then the active virtual environment, then the active conda environment, then PATH, then the Python that
    runs zoo. The working directory adds nothing. A conda environment without Python is passed over.

    Raises:
        NoInterpreter: ZOO_PYTHON or VIRTUAL_ENV names something without an interpreter.
    """
    for variable in ("ZOO_PYTHON", "VIRTUAL_ENV"):
        if environ.get(variable):
            return TargetChoice(find_interpreter(environ[variable], environ, origin=variable), variable)
    conda = environ.get("CONDA_PREFIX")
    found = _in_directory(Path(conda)) if conda else None
    if found:
        return TargetChoice(found, "CONDA_PREFIX")
    found = _on_path(("python3", "python"), environ)
    return TargetChoice(found, "PATH") if found else TargetChoice(Path(sys.executable), "the Python that runs zoo")


def find_interpreter(given: str, environ: Mapping[str, str], *, origin: str = "--python") -> Path:
    """The interpreter that a user names: a path, an environment's directory, a command, or a version ("3.10").

    Raises:
        NoInterpreter: there is none.
    """
    if re.fullmatch(r"\d\.\d{1,2}t?", given):
        found = _of_version(given, environ)
        if found is None:
            raise NoInterpreter(f"python{given}", "missing", origin=origin)
        return found
    path = Path(given) if given[:1] != "~" else Path(environ.get("HOME", "~") + given[1:])
    if not is_there(path):
        if path.name == given:  # a bare word is a command
            found = _on_path((given,), environ)
            if found:
                return found
        raise NoInterpreter(given, "missing", origin=origin)
    if not _is_directory(path):
        return path.absolute()  # never resolved: an environment's python is a link to the base's
    found = _in_directory(path)
    if found is None:
        raise NoInterpreter(given, "no-python-in-directory", origin=origin)
    return found.absolute()


def _of_version(version: str, environ: Mapping[str, str]) -> Path | None:
    """The Python of a version: on PATH, else among pyenv's. pyenv's shims are passed over: most only refuse."""
    path = environ.get("PATH", "").split(os.pathsep)
    real = os.pathsep.join(each for each in path if Path(each).name != "shims")
    found = _on_path((f"python{version}",), {"PATH": real})
    if found:
        return found
    root = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/"), ".pyenv")) / "versions"
    fits = [name for name in names_in(root) if re.fullmatch(re.escape(version.rstrip("t")) + r"(\.\d+)?t?", name)]
    newest = sorted(fits, key=lambda name: [int(part) for part in re.findall(r"\d+", name)], reverse=True)
    places = (root / name / "bin" / f"python{version}" for name in newest)
    return next((place for place in places if is_there(place)), None)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _in_directory(directory: Path) -> Path | None:
    return next((directory / name for name in _IN_DIRECTORY if is_there(directory / name)), None)


def _on_path(names: tuple[str, ...], environ: Mapping[str, str]) -> Path | None:
    """The first of these commands in the first directory of PATH that has one."""
    for directory in environ.get("PATH", "").split(os.pathsep):
        if not directory or "WindowsApps" in directory:  # empty: the working directory; Windows' stub opens a shop
            continue
        for name in names:
            path = Path(directory, f"{name}.exe" if _IS_WINDOWS and not name.endswith(".exe") else name)
            if os.access(path, os.X_OK) and not _is_directory(path):
                return path.absolute()
    return None


def read_interpreter(
    executable: Path,
    *,
    environ: Mapping[str, str] | None = None,
    record_for: frozenset[str] = frozenset(),
    origin: str = "--python",
    timeout_seconds: float = TIMEOUT_SECONDS,
    cache: Path | None = None,
) -> Interpreter:
    """What an interpreter is and what is installed for it; an environment's directory does as well.

    `record_for`: normalised names of the projects whose list of files is wanted; `origin`: who named the interpreter;
    `cache`: where its account of itself is kept, to be asked only once (what is installed is always read anew).

    Raises:
        NoInterpreter: it is missing, not executable, not a Python, older than 2.7, or does not answer.
    """
    environ = os.environ if environ is None else environ
    given = str(executable)
    path = find_interpreter(given, environ, origin=origin)
    facts = _facts(path, given, environ, origin, timeout_seconds, cache)
    _refuse_old(facts["version"], given, origin)
    directories = _directories(facts)
    installed = read_installed(directories, record_for)
    prefix, purelib = Path(facts["prefix"]), Path(facts["purelib"])
    marker = Path(facts["stdlib"], "EXTERNALLY-MANAGED")
    return Interpreter(
        executable=facts["executable"] or str(path),
        version=facts["version"],
        implementation=facts["implementation"],
        abi_flags=facts["abi_flags"],
        bits=facts["bits"],
        prefix=facts["prefix"],
        is_virtual=facts["is_virtual"],
        is_conda=is_there(prefix / "conda-meta"),
        externally_managed=str(marker) if not facts["is_virtual"] and is_there(marker) else None,
        site_packages=facts["purelib"],
        is_writable=is_writable(purelib),
        distributions=_told_by_conda(installed.distributions, prefix),
        torch=installed.torch,
        base_prefix=facts["base_prefix"],
        platlib=facts["platlib"],
        platform=facts["platform"],
        site_directories=tuple(map(str, directories)),
        problems=installed.problems,
        origin=origin,
    )


def _told_by_conda(distributions: tuple[Distribution, ...], prefix: Path) -> tuple[Distribution, ...]:
    """The distributions, `installer` conda for those in its records (`conda-meta/NAME-VERSION-BUILD.json`).

    Its own packages often say so themselves; those that setuptools wrote without a wheel do not.
    """
    names = [name.removesuffix(".json").rsplit("-", 2) for name in names_in(prefix / "conda-meta", 10_000)]
    owned = {(normalized_name(parts[0]), parts[1]) for parts in names if len(parts) == 3}
    return tuple(
        each._replace(installer="conda") if not each.installer and (each.name, each.version) in owned else each
        for each in distributions
    )


def _facts(
    path: Path, given: str, environ: Mapping[str, str], origin: str, timeout_seconds: float, cache: Path | None
) -> dict[str, Any]:
    """The interpreter's account of itself: the kept one, while nothing that it depends on has changed."""
    if cache is None:
        return _ask(path, given, environ, origin, timeout_seconds)
    from zoo_cli.machine.remembered import interpreter_identity, interpreter_place, recall, remember

    place = cache / interpreter_place(path)
    identity = interpreter_identity(path, SCRIPT, environ)
    kept = recall(place, identity) if identity else None
    if kept is not None and _are_facts(kept):
        return kept
    facts = _ask(path, given, environ, origin, timeout_seconds)
    if identity:
        remember(place, identity, facts)
    return facts


def _ask(path: Path, given: str, environ: Mapping[str, str], origin: str, timeout_seconds: float) -> dict[str, Any]:
    """The interpreter's own account of itself, its types checked."""
    from zoo_cli.machine.child import CannotStart, ask

    clean = {name: value for name, value in environ.items() if name != "__PYVENV_LAUNCHER__"}
    answer = ask((str(path), *FLAGS, "-c", SCRIPT), clean, timeout_seconds=timeout_seconds)
    if isinstance(answer, CannotStart):
        reason = "not-python" if answer.reason == "failed" else answer.reason
        raise NoInterpreter(given, reason, answer.detail, origin)
    for line in reversed(answer.stdout.decode("utf-8", "replace").splitlines()):
        if line.startswith(MARKER):
            facts = _checked(line.removeprefix(MARKER))
            if facts:
                return facts
    words = (answer.stderr or answer.stdout).decode("utf-8", "replace").strip().splitlines()
    if answer.code is None:
        raise NoInterpreter(given, "timeout", f"no answer in {timeout_seconds:g} s", origin)
    raise NoInterpreter(given, *_diagnose(words), origin)


def _diagnose(words: list[str]) -> tuple[str, str]:
    """Why there was no answer: a Python that cannot start tells of a Python error, other programs do not."""
    text = "\n".join(words)
    detail = words[-1][:300] if words else "it printed nothing"
    if re.search(r"SyntaxError|ImportError: No module named (json|sysconfig)", text):
        return "too-old", detail
    return ("failed" if re.search(r"Traceback|Fatal Python error|initfsencoding", text) else "not-python"), detail


_KINDS: dict[str, type] = {
    **dict.fromkeys(("executable", "version", "implementation", "abi_flags", "prefix", "base_prefix"), str),
    **dict.fromkeys(("purelib", "platlib", "stdlib", "platform"), str),
    "bits": int,
    "is_virtual": bool,
    "directories": list,
}


def _checked(text: str) -> dict[str, Any] | None:
    import json

    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) and _are_facts(facts) else None


def _are_facts(facts: dict[str, Any]) -> bool:
    if any(not isinstance(facts.get(name), kind) for name, kind in _KINDS.items()):
        return False
    is_version = re.fullmatch(r"\d{1,2}\.\d{1,3}\.\d{1,3}[a-z0-9]{0,6}", facts["version"], re.ASCII)
    return bool(is_version) and all(isinstance(each, str) for each in facts["directories"])


def _refuse_old(version: str, given: str, origin: str) -> None:
    major, minor = map(int, version.split(".")[:2])
    if (major, minor) < OLDEST:
        raise NoInterpreter(given, "too-old", version, origin)


def _directories(facts: dict[str, Any]) -> list[Path]:
    """The site directories in import order, each once, links resolved away only for the comparison."""

    def each() -> Iterator[Path]:
        seen: set[str] = set()
        for name in facts["directories"]:
            real = os.path.realpath(name)
            if real not in seen and is_there(name):
                seen.add(real)
                yield Path(name)

    return list(each())
