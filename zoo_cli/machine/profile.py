"""Machines kept in files: what `--machine` reads and `zoo check-env --save` writes.

Edge: reads and writes one file. The format is that of `zoo_cli.machine.document`. A plain name, such as `cluster-a100`,
is a profile in the state directory; what has a dot or a slash is a file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.atomic import write_whole
from zoo_cli.directories import state_directory
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.document import machine_from_json, machine_to_json
from zoo_cli.machine.files import is_there, read_head
from zoo_cli.machine.values import BadMachine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.machine.facts import Capability, Machine

MAX_FILE_BYTES = 64 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class CannotSaveMachine(ZooError):
    """The file of a machine cannot be written."""

    code = "cannot-save-machine"
    exit_code = ExitCode.FAILED

    path: str
    reason: str


def place_of(given: str, state: Path | None = None) -> Path:
    """The file of a machine: a profile in the state directory for a plain name, else that very file."""
    if _NAME.fullmatch(given):
        return (state or state_directory()) / "machines" / f"{given}.json"
    return Path(given)


def load_machine(given: str, gpus: Mapping[str, Capability], state: Path | None = None) -> Machine:
    """The machine that `--machine` names: a profile, a file, or facts such as `gpu="RTX 3090",driver=535.183.01`.

    Args:
        given: As typed.
        gpus: Capabilities by name.
        state: The state directory; the user's by default.

    Raises:
        BadMachine: it is neither, or cannot be read as what it is.
    """
    if len(given) <= 4096 and "\n" not in given:
        for name in (str(place_of(given, state)), given):
            if is_there(name):
                return _from_file(name)._replace(is_described=True)
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


def save_machine(machine: Machine, given: str, state: Path | None = None) -> Path:
    """Keeps a machine under a plain name or in a file, whole or not at all; the same machine gives the same bytes.

    Returns:
        The file.

    Raises:
        CannotSaveMachine: with the system's reason.
    """
    text = json.dumps(machine_to_json(machine), indent=1, sort_keys=True) + "\n"
    path = place_of(given, state)
    try:
        if _NAME.fullmatch(given):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode("ascii"))
    except OSError as exc:
        raise CannotSaveMachine(str(path), exc.strerror or str(exc)) from exc
    return path
