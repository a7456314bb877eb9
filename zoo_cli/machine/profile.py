"""Machines kept in files: what `--machine FILE` reads and `zoo check-env --save FILE` writes.

Edge: reads and writes one file. The format is that of `zoo_cli.machine.document`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_cli.atomic import write_whole
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.document import machine_from_json, machine_to_json
from zoo_cli.machine.files import is_there, read_head
from zoo_cli.machine.values import BadMachine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from zoo_cli.machine.facts import Capability, Machine

MAX_FILE_BYTES = 64 * 1024 * 1024


@dataclass(eq=False)
class CannotSaveMachine(ZooError):
    """The file of a machine cannot be written."""

    code = "cannot-save-machine"
    exit_code = ExitCode.FAILED

    path: str
    reason: str


def load_machine(given: str, gpus: Mapping[str, Capability]) -> Machine:
    """The machine that `--machine` names: a file, or a description such as `gpu="RTX 3090",driver=535.183.01`.

    Raises:
        BadMachine: it is neither, or cannot be read as what it is.
    """
    if len(given) <= 4096 and "\n" not in given and is_there(given):
        return replace(_from_file(given), is_described=True)
    if "=" in given:
        from zoo_cli.machine.describe import parse_machine

        return parse_machine(given, gpus)
    raise BadMachine("--machine", "not-here", value=given[:200], text=given[:200])


def _from_file(name: str) -> Machine:
    head = read_head(name, MAX_FILE_BYTES + 1)
    if head is None:
        raise BadMachine(name, "unreadable")
    if len(head) > MAX_FILE_BYTES:
        raise BadMachine(name, "too-long", expected=f"at most {MAX_FILE_BYTES} bytes")
    try:
        document = json.loads(head)
    except (ValueError, RecursionError) as exc:  # UnicodeDecodeError is a ValueError
        raise BadMachine(name, "not-json", value=str(exc)[:200]) from exc
    return machine_from_json(document, name)


def save_machine(machine: Machine, path: Path) -> None:
    """Writes a machine to a file, whole or not at all; the same machine gives the same bytes.

    Raises:
        CannotSaveMachine: with the system's reason.
    """
    text = json.dumps(machine_to_json(machine), indent=1, sort_keys=True) + "\n"
    try:
        write_whole(path, text.encode("ascii"))
    except OSError as exc:
        raise CannotSaveMachine(str(path), exc.strerror or str(exc)) from exc
