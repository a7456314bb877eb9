"""`zoo index trust`: the roots that a chain of signatures may begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.trust.roots import TrustedRoot


_RESERVED = ("joined", "local", "bundle")  # files of zoo's own beside those of roots; words of other commands


@click.group("trust", epilog="Example: zoo index trust list")
def trust_group() -> None:
    """Whose signatures count."""


@trust_group.command("add", epilog="Example: zoo index trust add acme root.json --from https://zoo.acme.example/index")
@click.argument("name")
@click.argument("file", metavar="ROOT.json", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--from", "addresses", required=True, multiple=True, metavar="URL", help="Where its index is; repeatable."
)
@click.option("--yes", "-y", is_flag=True, help="The key identifiers were compared; do not ask.")
@common_options
@pass_console
def add_command(console: Console, name: str, file: Path, addresses: tuple[str, ...], yes: bool) -> None:
    """Trust a root, after its key identifiers were compared with what its owner says.

    `zoo` is the root of zoo's own facts; one can be added where none came with zoo. Any other NAME is that of a lab or
    company: whoever holds its keys decides which models are called NAME/..., and nothing else.
    """
    from zoo_cli.catalog.current import index_home
    from zoo_cli.transfer.addresses import parse_address
    from zoo_cli.trust.refusals import BadRoot, RootNotAgreed
    from zoo_cli.trust.roots import MAX_BYTES, TrustedRoot, add_root
    from zoo_cli.trust.tufclient import root_facts

    _check_name(console, name)
    try:
        with file.open("rb") as opened:
            body = opened.read(MAX_BYTES)
    except OSError as exc:
        raise BadRoot(str(file), exc.strerror or str(exc)) from exc
    facts = root_facts(body, str(file))
    for address in addresses:
        if not address.startswith("file:"):
            parse_address(address)
    console.say(f"root {name}: version {facts.version}, {facts.threshold} of these keys must sign:")
    for key in facts.keys:
        console.say(f"  {printable(key)}")
    if not yes and not (console.can_ask and console.ask("Are these the keys that its owner names?")):
        raise RootNotAgreed(name, facts.keys)
    is_new = add_root(index_home(console.environ), TrustedRoot(name, body, addresses, is_shipped=False))
    if console.json:
        console.document({
            "ok": True, "command": "index trust add", "name": name, "is_new": is_new, "keys": list(facts.keys),
            "threshold": facts.threshold, "expires": facts.expires,
        })  # fmt: skip
        return
    console.say(f"Trusted. Next: zoo index update {name}" if is_new else "It is trusted already.")


def _check_name(console: Console, name: str) -> None:
    """Refuses a name under which entries would be mistaken for others.

    Raises:
        RootNameTaken: It is no plain word, or a package of zoo's own facts is called so.
    """
    from contextlib import closing

    from zoo_cli.catalog.compat import project_names
    from zoo_cli.catalog.database import open_bundled
    from zoo_cli.catalog.scope import packages
    from zoo_cli.trust.refusals import RootNameTaken
    from zoo_cli.trust.roots import NAME, UPSTREAM

    if name == UPSTREAM:
        return
    if not NAME.fullmatch(name) or name in _RESERVED:
        reason = "a name is a word of a-z, 0-9 and -, at most 31 characters, and not one that zoo uses itself"
        raise RootNameTaken(name[:80], reason)
    with closing(open_bundled(console.environ)) as catalog:
        if name in {*packages(catalog), *project_names(catalog)}:
            raise RootNameTaken(name, f"{name} is a package in zoo's own facts")


@trust_group.command("list")
@common_options
@pass_console
def list_command(console: Console) -> None:
    """Trusted roots with their keys."""
    from zoo_cli.catalog.current import index_home
    from zoo_cli.trust.roots import read_roots

    roots = [_row(each) for each in read_roots(index_home(console.environ))]
    if console.json:
        console.document({"ok": True, "command": "index trust list", "roots": roots})
        return
    header = ("name", "came with zoo", "version", "must sign", "keys", "valid until", "addresses")
    cells = [
        (each["name"], "yes" if each["is_shipped"] else "no", *(str(each[key]) for key in ("version", "threshold")),
         " ".join(each["keys"]), each["expires"], " ".join(each["addresses"]))
        for each in roots
    ]  # fmt: skip
    console.table(header, [tuple(map(printable, row)) for row in cells])
    if not roots:
        console.say("No root is trusted: zoo uses the facts it came with.")


@trust_group.command("remove")
@click.argument("name")
@common_options
@pass_console
def remove_command(console: Console, name: str) -> None:
    """Trust a root no longer; what was signed under it is out of use at once."""
    from zoo_cli.catalog.current import index_home
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.trust.roots import remove_root
    from zoo_cli.updates.updating import forget

    home = index_home(console.environ)
    remove_root(home, name)
    forget(home, name)
    open_catalog().close()
    if console.json:
        console.document({"ok": True, "command": "index trust remove", "name": name})
        return
    console.say(f"{printable(name)} is trusted no longer.")


def _row(root: TrustedRoot) -> dict[str, Any]:
    from zoo_cli.transfer.addresses import redacted
    from zoo_cli.trust.tufclient import root_facts

    facts = root_facts(root.root, root.name)
    return {
        "name": root.name, "is_shipped": root.is_shipped, "version": facts.version, "threshold": facts.threshold,
        "keys": list(facts.keys), "expires": facts.expires, "addresses": list(map(redacted, root.addresses)),
    }  # fmt: skip
