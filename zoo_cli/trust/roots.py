"""Trusted roots: the keys that a chain of signatures may begin with, one file a root.

Edge: reads what ships with zoo, reads and writes `roots/` in the directory of the signed index. A file is JSON:
`{"addresses": [...], "root": "..."}`, the root as the text that was signed, and appears whole. A root that ships with
zoo goes before one of that name that a user added.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.atomic import write_whole
from zoo_cli.transfer.addresses import check_keepable
from zoo_cli.transfer.failures import DestinationUnusable
from zoo_cli.trust.refusals import BadRoot, NoRoot, RootKnown

if TYPE_CHECKING:
    from collections.abc import Iterable

UPSTREAM = "zoo"  # the root of zoo's own index
SHIPPED = Path(__file__).parent / "roots"  # made by the key ceremony (docs/signing.md); there is none before it
MAX_BYTES = 600_000
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")  # also the namespace of its entries


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """One root and where its repository is."""

    name: str
    root: bytes  # root metadata, as it was signed
    addresses: tuple[str, ...]  # of the repository: `metadata/` and `targets/` are below
    is_shipped: bool


def read_roots(home: Path, shipped: Path = SHIPPED) -> tuple[TrustedRoot, ...]:
    """All trusted roots, upstream's first.

    Args:
        home: The directory of the signed index.
        shipped: The directory of those that came with zoo.

    Raises:
        BadRoot: A file cannot be read.
    """
    found: dict[str, TrustedRoot] = {}
    for directory in (shipped, home / "roots"):
        for path in sorted(directory.glob("*.json")):
            if NAME.fullmatch(path.stem):
                found.setdefault(path.stem, _read(path, is_shipped=directory == shipped))
    return tuple(sorted(found.values(), key=lambda each: (each.name != UPSTREAM, each.name)))


def named_roots(home: Path, names: Iterable[str] = (), shipped: Path = SHIPPED) -> tuple[TrustedRoot, ...]:
    """The roots of these names; all of them when none is named.

    Raises:
        NoRoot: There is none of a name, or none at all.
        BadRoot: A file cannot be read.
    """
    known = {each.name: each for each in read_roots(home, shipped)}
    wanted = tuple(dict.fromkeys(names)) or tuple(known)
    if missing := next((name for name in wanted or (UPSTREAM,) if name not in known), None):
        raise NoRoot(missing)
    return tuple(known[name] for name in wanted)


def add_root(home: Path, new: TrustedRoot, shipped: Path = SHIPPED) -> bool:
    """Keeps a root; False when it is there with the same addresses.

    Raises:
        RootKnown: Another one has its name.
        PasswordKept: An address has a user name, a password or a key.
        DestinationUnusable: It cannot be written.
    """
    for each in read_roots(home, shipped):
        if each.name == new.name:
            if (each.root, each.addresses) == (new.root, new.addresses):
                return False
            if each.is_shipped or each.root != new.root:
                raise RootKnown(each.name, each.is_shipped)
    path = home / "roots" / f"{new.name}.json"
    for address in new.addresses:
        check_keepable(address, str(path))
    body = json.dumps({"addresses": new.addresses, "root": new.root.decode("utf-8")}, indent=1).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, body)
    except OSError as exc:
        raise DestinationUnusable(str(path), exc.strerror or str(exc)) from exc
    return True


def remove_root(home: Path, name: str, shipped: Path = SHIPPED) -> None:
    """Forgets a root that was added.

    Raises:
        NoRoot: There is none of that name.
        RootKnown: It came with zoo.
    """
    for each in read_roots(home, shipped):
        if each.name == name:
            if each.is_shipped:
                raise RootKnown(name, is_shipped=True)
            (home / "roots" / f"{name}.json").unlink()
            return
    raise NoRoot(name)


def _read(path: Path, *, is_shipped: bool) -> TrustedRoot:
    try:
        with path.open("rb") as file:
            body = file.read(2 * MAX_BYTES)
        document = json.loads(body)
        root, addresses = document["root"].encode("utf-8"), tuple(map(str, document["addresses"]))
    except OSError as exc:
        raise BadRoot(str(path), exc.strerror or str(exc)) from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise BadRoot(str(path), "it is no record of a trusted root") from exc
    return TrustedRoot(path.stem, root, addresses, is_shipped)
