"""Single facts as people write them (a driver, a list of capabilities, a Python), and the error for what is none.

Pure. `zoo_cli.machine.describe` and `zoo_cli.machine.overrides` read their values here, so that `--machine sm=8.6` and
`ZOO_SM=8.6` mean the same and fail alike.
"""

from __future__ import annotations

import re

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.cuda import BadVersion, parse_target
from zoo_cli.machine.facts import Capability, Interpreter, Libc

MAX_GPUS = 64
ARCHES = {"amd64": "x86_64", "x64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
NOTHING = ("none", "no", "-")  # how "there is none" is written
_TORCH = (  # the releases that torch publishes; a subset of PEP 440
    r"\d{1,2}(\.\d{1,3}){1,3}((a|b|rc)\d{1,3})?(\.post\d{1,3})?(\.dev\d{1,9})?(\+[a-z0-9][a-z0-9.]{0,40})?"
)


class BadMachine(ZooError):
    """A description of a machine cannot be read.

    `reason` is one of: not-key-value, unknown-key, repeated-key, empty-value, open-quote, bad-value, unknown-gpu,
    too-many, too-long, contradiction, needs-python, not-json, bad-document, unreadable, not-here.
    """

    code = "bad-machine"
    exit_code = ExitCode.USAGE

    where: str  # "--machine", the name of a variable, or of a file
    reason: str
    key: str = ""  # the key or the path in the document
    value: str = ""
    text: str = ""  # the whole text, for pointing at the column
    column: int | None = None  # 1-based
    expected: str = ""  # an example, or the known words
    near: tuple[str, ...] = ()


class BadValue(ValueError):
    """A value is not of its kind; carries the example to show. Callers turn it into `BadMachine`."""

    def __init__(self, expected: str, reason: str = "bad-value") -> None:
        super().__init__(expected)
        self.expected = expected
        self.reason = reason


def _matching(pattern: str, value: str, expected: str) -> str:
    if not re.fullmatch(pattern, value, re.ASCII):
        raise BadValue(expected)
    return value


def read_driver(value: str) -> str | None:
    """A kernel driver's version, such as "535.183.01"; "none" is None.

    Raises:
        BadValue: it is none.
    """
    return None if value.lower() in NOTHING else _matching(r"\d{2,4}(\.\d{1,5}){0,3}", value, "535.183.01, or none")


def read_cuda(value: str) -> str | None:
    """The newest CUDA the user-mode driver runs, such as "12.2"; "none" is None.

    Raises:
        BadValue: it is none.
    """
    return None if value.lower() in NOTHING else _matching(r"\d{1,2}\.\d{1,2}(\.\d{1,3})?", value, "12.2, or none")


def read_capabilities(value: str) -> tuple[Capability, ...]:
    """Compute capabilities, one or several: `8.6`, `sm_86`, `8.6;7.5`; "none" is an empty tuple.

    Raises:
        BadValue: one of them is none.
    """
    if value.lower() in NOTHING:
        return ()
    parts = [part.strip() for part in re.split("[;,]", value)]
    if len(parts) > MAX_GPUS:
        raise BadValue(f"at most {MAX_GPUS} GPUs", "too-many")
    try:
        targets = [parse_target(part) for part in parts]
    except BadVersion as exc:
        raise BadValue("8.6, sm_86, or 8.6;7.5 for two GPUs") from exc
    if any(target.suffix or target.has_ptx for target in targets):
        raise BadValue("8.6, sm_86, or 8.6;7.5 for two GPUs")
    return tuple(target.capability for target in targets)


def read_glibc(value: str) -> Libc:
    """The version of glibc, such as "2.31".

    Raises:
        BadValue: it is none.
    """
    return Libc("glibc", _matching(r"2\.\d{1,2}(\.\d{1,3})?", value, "2.31"))


def read_musl(value: str) -> Libc:
    """The version of musl, such as "1.2".

    Raises:
        BadValue: it is none.
    """
    return Libc("musl", _matching(r"1\.\d{1,2}(\.\d{1,3})?", value, "1.2"))


def read_python(value: str) -> Interpreter:
    """A Python that exists only as a version: "3.10", "3.10.14", "3.13t" (free-threaded).

    Raises:
        BadValue: it is none.
    """
    version = _matching(r"(2\.7|3\.\d{1,2})(\.\d{1,3})?t?", value, "3.10, or 3.13t for free-threaded")
    return Interpreter(executable="", version=version.rstrip("t"), abi_flags="t" if version.endswith("t") else "")


def read_torch(value: str) -> str:
    """A torch release with its local version, such as "2.1.2+cu121".

    Raises:
        BadValue: it is none.
    """
    return _matching(_TORCH, value, "2.1.2+cu121")


def platform_name(system: str, arch: str) -> str:
    """The platform of facts: ("linux", "x86_64") -> linux_x86_64, ("windows", "x86_64") -> win_amd64, macos_arm64."""
    arch = ARCHES.get(arch.lower(), arch.lower())
    if system == "windows":
        return f"win_{'amd64' if arch == 'x86_64' else 'arm64' if arch == 'aarch64' else arch}"
    if system == "macos":
        return f"macos_{'arm64' if arch == 'aarch64' else arch}"
    return f"{system}_{arch}"
