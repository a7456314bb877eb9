"""Which database is opened: zoo's own facts, the newer of bundled and signed, and the entries of labs beside them.

Edge: the directory of the signed indexes. Done when something changed: an update, another version of zoo, a file that
is not the one written down. Every file is compared with the digest that was verified before it counts. An entry of a
lab is joined under the lab's namespace and beside zoo's, never in place of one (docs/signing.md).
"""

from __future__ import annotations

import hashlib
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from zoo_cli import filelock
from zoo_cli.catalog.current import LOCK_NAME, Current, Signed, read_current, seal_of, write_current
from zoo_cli.catalog.database import CatalogUnusable, index_date, open_file

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.catalog.compiler.labs import Lab


def settle(home: Path, found: Current, bundled: Path, base: str, *, prefers_bundled: bool = False) -> Current:
    """Decides which database is opened, makes it where it has to be made, and writes that down.

    Args:
        home: The directory of the signed indexes.
        found: The record as it is.
        bundled: The database that came with zoo.
        base: Its seal.
        prefers_bundled: Whether it goes before a signed one of the same day, as in a checkout.

    Returns:
        The new record. It is not written while another process updates. Where nothing can be written labs are left out.
    """
    try:
        return _settled(home, found, bundled, base, prefers_bundled)
    except OSError:  # a directory that cannot be written: what would have to be made there is left out
        own = Current(tuple(each for each in found.signed if not each.namespace))
        decided = _decided(home, own, bundled, base, prefers_bundled)
        labs = (_stated(each, "unusable") for each in found.signed if each.namespace)
        return decided._replace(signed=tuple(sorted((*decided.signed, *labs))))


def _settled(home: Path, found: Current, bundled: Path, base: str, prefers_bundled: bool) -> Current:
    try:
        with filelock.hold(home / LOCK_NAME, "opens the index"):
            decided = _decided(home, read_current(home) or found, bundled, base, prefers_bundled)
            write_current(home, decided)
            for each in home.glob("joined-*.db"):
                if each != decided.file:
                    with suppress(OSError):  # Windows: another process reads it
                        each.unlink()
            return decided
    except filelock.HeldElsewhere:  # an update, which changes the record: this once nothing is written down
        return _decided(home, found, bundled, base, prefers_bundled)


def is_whole(home: Path, signed: Signed) -> bool:
    """Whether the file is the one that was verified."""
    try:
        with (home / signed.file).open("rb") as file:
            digest = hashlib.sha256()
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError:
        return False
    return digest.hexdigest() == signed.sha256


def _decided(home: Path, found: Current, bundled: Path, base: str, prefers_bundled: bool) -> Current:
    checked = [_stated(each, "used" if is_whole(home, each) else "unusable") for each in found.signed]
    with closing(open_file(bundled)) as catalog:
        floor = index_date(catalog)
    for number, each in enumerate(checked):
        if not each.namespace and each.state == "used":
            checked[number] = _stated(each, _fitness(home, each, floor, prefers_bundled))
    own = next((home / each.file for each in checked if not each.namespace and each.state == "used"), None)
    if any(each.namespace and each.state == "used" for each in checked):
        checked, file = _with_labs(home, own or bundled, base, checked)
        own = file or own
    return Current(tuple(checked), own, seal_of(own) if own else "", base)


def _with_labs(home: Path, own: Path, base: str, checked: list[Signed]) -> tuple[list[Signed], Path | None]:
    """The database with the entries of labs in it; None when no lab's can be read after all."""
    from zoo_cli.catalog.compiler.labs import (
        join_labs,
        read_lab,
        tables_of,
    )  # the compiler: only when something changed
    from zoo_cli.catalog.compiler.rows import BrokenRow

    labs: dict[str, Lab] = {}
    found: list[Signed] = []
    for each in checked:
        if each.namespace and each.state == "used":
            try:
                labs[each.sha256] = lab = read_lab((home / each.file).read_bytes(), each.namespace)
                tables_of(lab).close()
            except BrokenRow:  # of another schema than this zoo reads
                labs.pop(each.sha256, None)
                each = _stated(each, "unusable")
        found.append(each)
    if not labs:
        return found, None
    name = hashlib.sha256(" ".join((str(own), base, *labs)).encode()).hexdigest()[:32]
    file = home / f"joined-{name}.db"
    join_labs(own, list(labs.values()), file)
    return found, file


def _fitness(home: Path, signed: Signed, floor: str, prefers_bundled: bool) -> str:
    """Whether a signed database of zoo's own facts is used beside a bundled one of that day."""
    try:
        with closing(open_file(home / signed.file)):
            pass
    except CatalogUnusable:  # the tables of another zoo
        return "unusable"
    return "older" if signed.date < floor or (prefers_bundled and signed.date == floor) else "used"


def _stated(signed: Signed, state: str) -> Signed:
    return signed._replace(state=state)
