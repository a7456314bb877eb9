"""Are the installed ops working? Loads and runs them in a child of the target interpreter and reports what happened.

Edge: starts the target interpreter, isolated (`-I`), in a neutral directory, with a time-out. What the child does
stands in `ops_child`. Every failure is data with the original text; an mmcv without ops is a failure, though
`import mmcv` works.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.resources import files
from math import ceil
from typing import TYPE_CHECKING

from zoo_cli.packages.bytecode import Bytecode
from zoo_cli.packages.causes import Cause, cause_of, cause_of_death
from zoo_cli.packages.indexes import clean_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_OUTPUT = 4 << 20  # characters of the child's output that are looked at


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried; `code`, `group`, `about` and `text` are empty when it went well.

    `code`, `group` and `about` are those of `causes.Cause`; `code` may also be not-installed, crash or timeout.
    """

    name: str  # "torch", "mmcv._ext", "mmcv.ops", an op, or a project
    device: str  # cpu | cuda:0 ...
    is_ok: bool
    code: str = ""
    text: str = ""  # the original words
    seconds: float = 0.0
    group: str = ""  # of the solver's constraints, which one it breaks
    about: str = ""  # the library, symbol or version that the text names


@dataclass(frozen=True, slots=True)
class OpsReport:
    """Everything that was tried, in order."""

    checks: tuple[Check, ...]
    seconds: float

    @property
    def is_ok(self) -> bool:
        """Whether something was tried and all of it went well."""
        return bool(self.checks) and all(check.is_ok for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """What did not go well."""
        return tuple(check for check in self.checks if not check.is_ok)


def check_ops(
    python: str,
    projects: Sequence[str],
    *,
    version: str = "",
    expects_gpu: bool = False,
    timeout: float = 300.0,
    held: tuple[int, ...] = (),
) -> OpsReport:
    """Imports and runs in the target: torch, the ops of mmcv and torchvision where asked for, then the other projects.

    Args:
        python: path of the target interpreter.
        projects: import names: "mmcv", "mmdet" ...
        version: of the interpreter, where modules are to be compiled ahead (`bytecode`).
        expects_gpu: torch must find a GPU, else that is a failure, too.
        timeout: seconds for all of it; a first import from a slow disk takes tens of seconds.
        held: locks as file descriptors that the child holds as well: nobody changes an environment that a child is
            importing from, though this process was killed.
    """
    bytecode = Bytecode(python, version, projects) if version else None
    if bytecode:
        bytecode.put()
    mark = f"zoo-{secrets.token_hex(8)} "
    code = files("zoo_cli.packages").joinpath("ops_child.py").read_text(encoding="utf-8")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as neutral, bytecode.compiled_ahead() if bytecode else nullcontext():
        words = (mark, "gpu" if expects_gpu else "any", str(ceil(timeout) + 1), *projects)
        output, ending = _run((python, "-I", "-c", code, *words), neutral, timeout, held)
    report = OpsReport(read_checks(output, mark, ending), time.monotonic() - started)
    if bytecode and report.is_ok:
        bytecode.learn(_imported(output, mark))
    return report


def _imported(output: str, mark: str) -> list[str]:
    """The sources of the modules that the child had loaded at its end; packages that ran there may tell otherwise."""
    line = next((each for each in reversed(output.splitlines()) if each.startswith(mark)), mark)
    try:
        facts = json.loads(line[len(mark) :] or "{}")
        return list(map(str, facts["imported"]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def _run(argv: Sequence[str], cwd: str, timeout: float, held: tuple[int, ...]) -> tuple[str, tuple[str, str] | None]:
    """The child's output, and how it ended when that was not well: (code, text)."""
    child = None
    try:
        child = subprocess.run(
            argv,
            cwd=cwd,
            env=clean_environment({}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            pass_fds=held if os.name == "posix" else (),
        )
    except OSError as exc:
        return "", ("not-installed", f"{argv[0]}: {exc.strerror}")
    except subprocess.TimeoutExpired as exc:
        return (exc.stdout or b"").decode("utf-8", "replace"), ("timeout", f"no end after {timeout:.0f} s")
    output = child.stdout.decode("utf-8", "replace")
    if child.returncode == 0:
        return output, None
    lines = child.stderr.decode("utf-8", "replace").strip().splitlines()
    return output, ("crash", f"{_ending(child.returncode)}{': ' if lines else ''}{lines[-1] if lines else ''}")


def _ending(returncode: int) -> str:
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"ended by signal {-returncode}"


def read_checks(output: str, mark: str, ending: tuple[str, str] | None) -> tuple[Check, ...]:
    """The checks in the child's output; the one that had begun when the child died gets the cause of death."""
    checks: list[Check] = []
    begun: Mapping[str, object] | None = None
    for line in output[-_MAX_OUTPUT:].splitlines():
        if not line.startswith(mark):
            continue
        facts = json.loads(line[len(mark) :])
        if facts["event"] == "begin":
            begun = facts
        elif facts["event"] == "end":
            begun = None
            checks.append(_check(facts))
    if ending:
        name, device = (str(begun["check"]), str(begun["device"])) if begun else ("python", "cpu")
        cause = cause_of_death(ending[1]) if ending[0] == "crash" else Cause(ending[0], "")
        checks.append(Check(name, device, False, cause.code, ending[1], 0.0, cause.group))
    return tuple(checks)


def _check(facts: Mapping[str, object]) -> Check:
    name, device, seconds = str(facts["check"]), str(facts["device"]), float(str(facts["seconds"]))
    if facts["ok"]:
        return Check(name, device, is_ok=True, seconds=seconds)
    kind, text = str(facts["kind"]), str(facts["text"])
    cause = cause_of(name, kind, text, str(facts.get("module", "")))
    return Check(name, device, False, cause.code, f"{kind}: {text}", seconds, cause.group, cause.about)
