"""A checkpoint as safetensors: scanned first, then read by a locked-down child of an interpreter with torch.

Edge: opens files and starts the child. The child gets the very file that was scanned, as an open descriptor, an empty
environment and directory, and no name to open anything else by. What it writes is read again by zoo and gets its name
only when it is a whole safetensors file.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from zoo_cli.errors import ZooError
from zoo_cli.transfer.failures import DestinationExists
from zoo_cli.transfer.part import Part
from zoo_cli.transfer.store import digest_of
from zoo_cli.trust.checkpoint import scan_checkpoint
from zoo_cli.trust.scanning import open_plain
from zoo_cli.trust.verdict import NOTHING_TRUSTED, CheckpointRefused, Policy, UnreadableCheckpoint, Verdict

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, BinaryIO

TIMEOUT_SECONDS = 1800.0
_MAX_WORDS = 20


class ConversionFailed(ZooError):
    """The child did not write a safetensors file.

    `reason` is one of: no-torch, no-tensors, odd-tensor, not-loaded, timeout, no-child, bad-output.
    """

    code = "conversion-failed"

    file: str
    reason: str
    details: tuple[str, ...]
    python: str


@dataclass(frozen=True, slots=True)
class Converted:
    """A safetensors file under its final name."""

    path: Path
    size_bytes: int
    tensors: int
    part: str  # the key whose tensors these are; "" for the whole
    left_out: tuple[str, ...]  # other keys of the checkpoint
    is_offline: bool  # the child had no network
    torch: str
    verdict: Verdict  # on the checkpoint


def convert(
    source: Path,
    destination: Path,
    python: str,
    policy: Policy = NOTHING_TRUSTED,
    *,
    part: str = "",
    replace: bool = False,
) -> Converted:
    """Writes the tensors of a checkpoint as safetensors.

    Args:
        source: A torch zip or legacy file.
        destination: The new file.
        python: Path of an interpreter with torch 2.6 or newer.
        policy: What the scan lets pass; classes are not imported all the same.
        part: The key whose tensors are meant; the usual ones are known.
        replace: Whether another file at the destination may be replaced.

    Raises:
        UnreadableCheckpoint: The source cannot be read.
        CheckpointRefused: The scan objects to it.
        ConversionFailed: See there.
        DestinationExists, DestinationUnusable, NoSpace: The destination's side.
    """
    destination = destination.absolute()
    if os.path.lexists(destination) and not replace:
        raise _exists(destination)
    try:
        with open_plain(source) as file, Part(destination, lambda: None, TIMEOUT_SECONDS) as target:
            size = os.fstat(file.fileno()).st_size
            verdict = scan_checkpoint(file, size, policy)
            if verdict.is_refused:
                raise CheckpointRefused(str(source), verdict)
            if not verdict.container.startswith("torch"):
                raise ConversionFailed(str(source), "not-loaded", (f"it is a {verdict.container} file",), python)
            target.restart()
            told = _run(file, target.fd, size, python, part, verdict, str(source))
            written = _check(target, int(told["tensors"]), str(source), python)
            if not target.publish(replace=replace):
                raise _exists(destination)
    except OSError as exc:
        raise UnreadableCheckpoint(str(source), exc.strerror or str(exc)) from exc
    names = tuple(map(str, told["left_out"]))
    return Converted(
        destination, written, int(told["tensors"]), told["part"], names, bool(told["offline"]), told["torch"], verdict
    )


def _exists(destination: Path) -> DestinationExists:
    return DestinationExists(str(destination), None, digest_of(destination)[1])


def _check(target: Part, tensors: int, source: str, python: str) -> int:
    """The size of what the child wrote, after reading it as a stranger's file."""
    with target.reader() as file:
        size = os.fstat(file.fileno()).st_size
        verdict = scan_checkpoint(file, size)
    if verdict.is_refused or verdict.container != "safetensors" or verdict.tensors != tensors:
        target.restart()
        raise ConversionFailed(source, "bad-output", (verdict.sentence,), python)
    target.size_bytes = size
    return size


def _run(
    file: BinaryIO, output: int, size: int, python: str, part: str, verdict: Verdict, source: str
) -> dict[str, Any]:
    """What the child tells of its work."""
    mark = f"zoo-{secrets.token_hex(8)} "
    code = files("zoo_cli.models").joinpath("convert_child.py").read_text(encoding="utf-8")
    file.seek(0)
    words = (mark, str(file.fileno()), str(output), str(size), part, *verdict.globals)
    with tempfile.TemporaryDirectory() as neutral:
        environment = {"PATH": os.defpath, "HOME": neutral, "TMPDIR": neutral, "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                (python, "-I", "-c", code, *words),
                cwd=neutral,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
                pass_fds=(file.fileno(), output),
            )
        except OSError as exc:
            raise ConversionFailed(source, "no-child", (f"{python}: {exc.strerror}",), python) from exc
        except subprocess.TimeoutExpired as exc:
            raise ConversionFailed(source, "timeout", (f"no end after {TIMEOUT_SECONDS:.0f} s",), python) from exc
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    told = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    if not told:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        word = next((line for line in said if "WeightsUnpickler error" in line), said[-1] if said else "")
        reason = "no-torch" if "No module named 'torch'" in word else "not-loaded"
        raise ConversionFailed(source, reason, (word.strip() or f"the child ended with {done.returncode}",), python)
    facts: dict[str, Any] = json.loads(told[-1])
    if "problem" in facts:
        details = tuple(map(str, facts.get("tensors", ())))[:_MAX_WORDS]
        raise ConversionFailed(source, facts["problem"], details, python)
    return facts
