"""Sentences about machines, drivers and interpreters."""

from __future__ import annotations

import shlex

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.machine.cuda import BadVersion
from zoo_cli.machine.facts import DriverProblem
from zoo_cli.machine.interpreter import NoInterpreter
from zoo_cli.machine.profile import CannotSaveMachine
from zoo_cli.machine.values import BadMachine

_EXAMPLE = 'gpu="RTX 3090",driver=535.183.01,python=3.10'

_BAD_MACHINE = {
    "not-key-value": "expected key=value, and a comma before the next one",
    "unknown-key": "there is no key {key}",
    "repeated-key": "{key} is given twice",
    "empty-value": "{key} has no value",
    "open-quote": "a quote is not closed",
    "bad-value": "{key} cannot be {value!r}",
    "unknown-gpu": "no GPU is known as {value!r}",
    "too-many": "too many: {expected}",
    "too-long": "too long: {expected}",
    "contradiction": "{key}={value} contradicts the rest",
    "needs-python": "{key} needs a Python to be installed in",
    "not-json": "the file is not JSON: {value}",
    "bad-document": "the field {key} is wrong",
    "unreadable": "the file cannot be read",
    "not-here": "{value!r} is neither a kept machine, a file nor key=value",
}


@describe.register
def _(error: BadMachine) -> Message:
    reason = _BAD_MACHINE[error.reason].format(key=error.key, value=error.value[:100], expected=error.expected)
    if error.where.startswith("ZOO_"):
        return Message(
            f"the variable {error.where} cannot be used",
            (f"{error.where}={error.value[:100]}", f"expected: {error.expected}"),
            (WayOut("Leave it out", f"unset {error.where}"),),
        )
    facts = [reason]
    if error.text and error.column:
        start = max(0, error.column - 60)  # a long text is shown around the place
        facts = [error.text[start : start + 100], " " * (error.column - 1 - start) + f"^ {reason}"]
    if error.near:
        facts.append(f"near: {', '.join(error.near)}")
    if error.expected and not error.reason.startswith(("too-", "unknown-gpu")):
        facts.append(f"expected: {error.expected}")
    what = "cannot read the machine" if error.where == "--machine" else f"cannot read the machine in {error.where}"
    return Message(what, tuple(facts), tuple(_ways_out(error)))


def _ways_out(error: BadMachine) -> list[WayOut]:
    ways = []
    if error.reason == "unknown-gpu":
        if error.near:
            mended = error.text.replace(error.value, error.near[0], 1)
            ways.append(WayOut(f"It is a {error.near[0]}", _check(mended)))
        ways.append(WayOut("Say its compute capability (8.6 here)", _check(f"{error.text.rstrip(', ')},sm=8.6")))
    elif error.reason == "unknown-key" and error.near:
        ways.append(WayOut(f"It is {error.near[0]}", _check(error.text.replace(error.key, error.near[0], 1))))
    elif error.reason == "needs-python":
        ways.append(WayOut("With a Python", _check(f"{error.text.rstrip(', ')},python=3.10")))
    if error.where != "--machine":
        ways.append(WayOut("Write the file anew", f"zoo check-env --save {shlex.quote(error.where)}"))
    ways.append(WayOut("A description that works", _check(_EXAMPLE)))
    return ways


def _check(machine: str) -> str:
    return f"zoo check-env --machine {shlex.quote(machine)}"


@describe.register
def _(error: BadVersion) -> Message:
    return Message(f"{error.text!r} is not a version of this kind", (f"expected: {error.expected}",))


@describe.register
def _(error: CannotSaveMachine) -> Message:
    return Message(
        f"cannot write the machine to {error.path}",
        (error.reason,),
        (WayOut("Print it instead", "zoo check-env --json"),),
    )


_NO_INTERPRETER = {
    "missing": "there is nothing at {given}",
    "not-executable": "{given} may not be executed",
    "no-python-in-directory": "{given} holds no Python (looked for bin/python and Scripts/python.exe)",
    "not-python": "{given} is not a Python",
    "too-old": "{given} is a Python older than 2.7",
    "timeout": "{given} did not answer",
    "failed": "{given} does not start",
}


@describe.register
def _(error: NoInterpreter) -> Message:
    facts = [f"named by {error.origin}"]
    if error.origin == "PLACE":  # of zoo inspect, which takes other things, too
        can = WayOut(
            "What can be inspected: a wheel, a directory of wheels, a library, an environment", "zoo inspect -h"
        )
        return Message(_NO_INTERPRETER[error.reason].format(given=error.given[:200]), (error.detail,), (can,))
    if error.detail:
        facts.append(f"it said: {error.detail}" if error.reason in ("not-python", "failed") else error.detail)
    ways = []
    if error.origin == "VIRTUAL_ENV":
        ways.append(WayOut("Leave the environment that is gone", "unset VIRTUAL_ENV"))
    elif error.origin == "ZOO_PYTHON":
        ways.append(WayOut("Leave it out", "unset ZOO_PYTHON"))
    if error.reason == "not-executable":
        ways.append(WayOut("Allow it", f"chmod +x {shlex.quote(error.given)}"))
    ways += [
        WayOut("Name another Python", "zoo check-env --python python3"),
        WayOut("Make a fresh environment", "python3 -m venv .venv && zoo check-env --python .venv"),
    ]
    return Message(_NO_INTERPRETER[error.reason].format(given=error.given[:200]), tuple(facts), tuple(ways))


# Code -> what it means for the user, and what mends it (a command where there is one).
_PROBLEMS: dict[str, tuple[str, tuple[WayOut, ...]]] = {
    "no-driver": (
        "an NVIDIA GPU is on the PCI bus, but no NVIDIA driver is loaded",
        (WayOut("Install the driver (Ubuntu)", "sudo ubuntu-drivers install"),),
    ),
    "driver-not-loaded": (
        "the NVIDIA driver is installed, but its kernel module is not loaded",
        (WayOut("Load it", "sudo modprobe nvidia"),),
    ),
    "driver-library-mismatch": (
        "the NVIDIA libraries are of another version than the loaded kernel module (an update without a restart)",
        (WayOut("Restart the machine", "sudo reboot"),),
    ),
    "no-device": ("the NVIDIA driver is there, but shows no GPU", (WayOut("See what it says", "nvidia-smi -L"),)),
    "no-device-node": (
        "the host has an NVIDIA driver, but this container may not use its GPUs",
        (WayOut("Start the container with them", "docker run --gpus all IMAGE"),),
    ),
    "no-library": (
        "the NVIDIA kernel driver is loaded, but its libraries are not here",
        (WayOut("In a container", "docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility IMAGE"),),
    ),
    "no-permission": ("the NVIDIA driver refuses this user", (WayOut("See who may", "ls -l /dev/nvidia0"),)),
    "gpu-lost": ("a GPU does not answer any more", (WayOut("See why", "sudo dmesg | grep -i xid"),)),
    "stub-library": (
        "libcuda is the toolkit's stub, not the driver's library",
        (WayOut("See where it comes from", "ldconfig -p | grep libcuda"),),
    ),
    "not-ready": (
        "the GPUs are not ready (on NVSwitch systems the fabric manager must run)",
        (WayOut("Start it", "sudo systemctl start nvidia-fabricmanager"),),
    ),
    "driver-hangs": ("the NVIDIA driver did not answer in time", (WayOut("Restart the machine", "sudo reboot"),)),
    "driver-crashed": ("the NVIDIA libraries crashed when asked", (WayOut("See what it says", "nvidia-smi"),)),
    "driver-error": ("the NVIDIA driver reports an error", (WayOut("See what it says", "nvidia-smi"),)),
    "override-ignored": ("a variable is ignored: its value cannot be read", ()),
}


def describe_problem(problem: DriverProblem) -> Message:
    """A problem of the driver as a person reads it: what it means, who said so, what mends it."""
    what, ways = _PROBLEMS.get(problem.code, (problem.code.replace("-", " "), ()))
    said = f"{problem.source}: {problem.detail}" if problem.detail else problem.source
    return Message(what, (said,), ways)
