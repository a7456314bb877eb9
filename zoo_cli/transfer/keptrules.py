"""What a mirrors file says, kept in a form that is read without a YAML parser.

Edge: a small file in the state directory, which is this user's own, or for the mirrors file that comes with zoo one
beside the package, made when zoo was built. A digest of the whole mirrors file and of this format binds it, so it is
never out of date; where it cannot be written or read, the YAML is read as ever. The parser alone costs more than the
transfer of ten megabytes.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, cast

from zoo_cli.atomic import write_whole
from zoo_cli.directories import state_directory
from zoo_cli.transfer.addresses import redacted
from zoo_cli.transfer.headers import Header
from zoo_cli.transfer.sources import KINDS, ORDERS, Host, Known, Mirrors, Rule

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.transfer.sources import Order

_FORMAT = b"zoo mirrors 5\n"
_MAX_BYTES = 1024 * 1024


def kept_rules(path: Path, data: bytes) -> Mirrors | None:
    """What was kept of a file with this content; None when nothing was."""
    return compiled_rules(_place(path, data), data)


def compiled_rules(kept: Path, data: bytes) -> Mirrors | None:
    """What a kept file tells of a mirrors file with this content; None when there is none, or it is of another one."""
    try:
        with kept.open("rb") as file:
            head, _, body = file.read(_MAX_BYTES).partition(b"\n")
        if head != _seal(data, body):
            return None  # cut, edited, or the mirrors file was
        return _read([line.split("\t") for line in body.decode("utf-8").splitlines()])
    except (OSError, ValueError, TypeError):  # TypeError: fields are missing
        return None


def keep_rules(path: Path, data: bytes, mirrors: Mirrors) -> None:
    """Keeps what a file says, if there is a state directory already.

    A command that was mistyped should leave nothing behind; whoever has fetched something has the directory.
    """
    place = _place(path, data)
    with suppress(OSError, ValueError):
        compiled = compile_rules(data, mirrors)
        place.parent.mkdir(exist_ok=True)
        write_whole(place, compiled)


def compile_rules(data: bytes, mirrors: Mirrors) -> bytes:
    """The kept form of what a mirrors file with this content says.

    Raises:
        ValueError: It cannot be written in lines of fields.
    """
    rows: list[tuple[str, ...]] = [("use", name) for name in mirrors.used]
    rows += [("use-order", mirrors.use_order)]
    rows += [("page", page) for page in mirrors.pages]
    rows += [("host", host.url, " ".join(host.kinds), host.source, host.date) for host in mirrors.hosts]
    rows += [("rule", *_fields(rule)) for rule in mirrors.rules]
    rows += [("known", each.name, each.region, *_fields(each.rule)) for each in mirrors.known]
    rows += [("header", *each) for each in mirrors.headers]
    if any(not cell.isprintable() or redacted(cell) != cell for row in rows for cell in row):
        raise ValueError("a field has a control character, or a password")
    body = "".join("\t".join(row) + "\n" for row in rows).encode()
    return _seal(data, body) + b"\n" + body


def _seal(data: bytes, body: bytes) -> bytes:
    """Ties the kept form to what it was made of."""
    return sha256(_FORMAT + sha256(data).digest() + body).hexdigest().encode()


def _place(path: Path, data: bytes) -> Path:
    """The path counts, too: it is the source of a rule that names none."""
    digest = sha256(_FORMAT + str(path).encode("utf-8", "replace") + b"\0" + data).hexdigest()
    return state_directory() / "mirrors" / f"{digest[:32]}.tsv"


def _fields(rule: Rule) -> tuple[str, ...]:
    return rule.start, " ".join(rule.to), " ".join(rule.kinds), rule.order, rule.source, rule.date


def _read(rows: list[list[str]]) -> Mirrors:
    rules: list[Rule] = []
    hosts: list[Host] = []
    known: list[Known] = []
    used: list[str] = []
    use_order = ""
    pages: list[str] = []
    headers: list[Header] = []
    for kind, *cells in rows:
        if kind == "use":
            used += cells
        elif kind == "page":
            pages += cells
        elif kind == "use-order":
            (use_order,) = cells
        elif kind == "header":
            headers.append(Header(*cells))
        elif kind == "host":
            url, kinds, source, date = cells
            hosts.append(Host(url, tuple(kinds.split()), source, date))
        elif kind == "known":
            name, region, *rest = cells
            known.append(Known(name, region, _rule(*rest)))
        else:
            rules.append(_rule(*cells))
    if use_order not in ORDERS:
        raise ValueError("not what was written")
    order = cast("Order", use_order)
    return Mirrors(tuple(rules), tuple(hosts), tuple(known), tuple(used), tuple(headers), order, pages=tuple(pages))


def _rule(start: str, to: str, kinds: str, order: str, source: str, date: str) -> Rule:
    if order not in ORDERS or not set(kinds.split()) <= set(KINDS):
        raise ValueError("not what was written")
    return Rule(start, tuple(to.split(" ")), tuple(kinds.split()), cast("Order", order), source, date)
