"""The wheels of a lock as a mirror has them: where each comes from, and what an index page says of it."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.packages.sync import wheels_for as arriving
from zoo_cli.trust.archive import DAMAGE
from zoo_cli.trust.wheel import MAX_METADATA, UnreadableWheel

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.locked import Lock, LockedFile


class MirroredWheel(NamedTuple):
    """One wheel that a machine takes of a lock; `is_stack`: of torch and compiled ops, which have pages upstream."""

    wheel: LockedFile
    is_stack: bool


def wheels_for(lock: Lock, machine: Machine, shown: str) -> tuple[MirroredWheel, ...]:
    """The wheels that the machine would get of the lock.

    Raises:
        LockDoesNotFit: The lock is for other machines.
    """
    return tuple(MirroredWheel(wheel, bool(package.evidence)) for package, wheel in arriving(lock, machine, shown))


def metadata_of(path: Path) -> bytes | None:
    """The METADATA file of a wheel (PEP 658 puts it beside the wheel); None when it has none.

    Raises:
        UnreadableWheel: It is no zip archive, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                each for each in archive.namelist() if each.endswith(".dist-info/METADATA") and each.count("/") == 1
            ]
            if len(names) != 1 or archive.getinfo(names[0]).file_size > MAX_METADATA:
                return None
            return archive.read(names[0])
    except DAMAGE as exc:
        raise UnreadableWheel(path.name, str(exc)[:200]) from exc
