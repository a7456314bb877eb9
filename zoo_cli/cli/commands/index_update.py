"""`zoo index update`, `zoo index status`: what the holders of trusted roots signed, and what of it is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.errors import ExitCode
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.catalog.current import Current
    from zoo_cli.cli.console import Console
    from zoo_cli.errors import ZooError
    from zoo_cli.updates.updating import Updated


@click.command("update", epilog="Examples: zoo index update; zoo index update zoo --from https://mirror.example/index")
@click.argument("names", nargs=-1, metavar="[ROOT...]")
@click.option(
    "--from", "addresses", multiple=True, metavar="URL", help="A mirror to ask instead; repeatable, in order."
)
@common_options
@pass_console
def update_command(console: Console, names: tuple[str, ...], addresses: tuple[str, ...]) -> None:
    """Fetch what is signed under the trusted roots, verify it, put it in use.

    ROOT is a name of `zoo index trust list`; all of them by default. No mirror is believed: what it sends must be
    signed by the keys of the root, be no older than what was seen, and not be over; a lab's index must name nothing
    outside the lab's namespace. Whatever fails, what is in use stays; one root's failure stops no other.
    """
    from zoo_cli.catalog.current import index_home
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.progress import Progress
    from zoo_cli.errors import ZooError
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.trust.roots import named_roots
    from zoo_cli.updates.updating import update

    home = index_home(console.environ)
    roots = named_roots(home, names)
    if addresses and len(roots) > 1:
        raise click.UsageError("--from is the mirror of one root: name that root.")
    settings, floor = Settings(offline=console.offline), _bundled_date(console)
    found: list[tuple[str, Updated | ZooError]] = []
    with Progress(console) as progress:
        for root in roots:
            try:
                done = update(home, root, addresses or root.addresses, floor, settings, progress)
            except ZooError as error:
                if len(roots) == 1:
                    raise
                found.append((root.name, error))
            else:
                found.append((root.name, done))
        open_catalog().close()  # joins what labs signed with zoo's facts, so that the next command need not
    code = _tell(console, found)
    if code:
        raise click.exceptions.Exit(code)


def _tell(console: Console, found: list[tuple[str, Updated | ZooError]]) -> int:
    """Writes how each root's update ended; returns the exit code."""
    from zoo_cli.cli.app import show_error
    from zoo_cli.errors import ZooError

    errors = [each for _name, each in found if isinstance(each, ZooError)]
    if console.json:
        roots = [_outcome(name, each) for name, each in found]
        console.document({"ok": not errors, "command": "index update", "roots": roots})
    else:
        for name, each in found:
            if isinstance(each, ZooError):
                show_error(console, each)
            else:
                _say(console, name, each)
    return max((each.exit_code for each in errors), default=ExitCode.FINE)


def _say(console: Console, name: str, done: Updated) -> None:
    for failure in done.passed_over:
        console.warn(f"passed over {failure.fields().get('mirror') or failure.fields().get('url')}: {failure.code}")
    signed = done.signed
    what = f"the index of {signed.date} is in use" if done.is_new else "nothing newer is signed"
    console.say(f"{name}: {what}; verified now, valid until {signed.expires[:10]}.")


def _outcome(name: str, done: Updated | ZooError) -> dict[str, object]:
    from zoo_cli.cli.messages import message_for
    from zoo_cli.errors import ZooError

    if isinstance(done, ZooError):
        return {"name": name, "ok": False, "error": {"code": done.code, "what": message_for(done).what,
                "facts": done.fields()}}  # fmt: skip
    signed = done.signed
    return {
        "name": name, "ok": True, "index": signed.date, "before": done.before, "is_new": done.is_new,
        "expires": signed.expires, "source": signed.source,
        "passed_over": [{"code": each.code, **each.fields()} for each in done.passed_over],
    }  # fmt: skip


@click.command("status", epilog="Example: zoo index status --json")
@common_options
@pass_console
def status_command(console: Console) -> None:
    """Which index is in use, what it rests on, and until when; every trusted root with what it signed."""
    from zoo_cli.catalog.current import index_home
    from zoo_cli.catalog.database import signed_in_use
    from zoo_cli.trust.roots import UPSTREAM, read_roots

    bundled, current = _bundled_date(console), signed_in_use(console.environ)
    roots = _roots([each.name for each in read_roots(index_home(console.environ))], current, console.now())
    named = console.environ.get("ZOO_INDEX")
    own = next((each for each in roots if each["name"] == UPSTREAM and each["state"] in ("used", "expired")), None)
    state = "named" if named else "bundled" if own is None else "expired" if own["state"] == "expired" else "signed"
    date = own["index"] if own else bundled
    if console.json:
        console.document({
            "ok": True, "command": "index status", "in_use": state, "index": date, "bundled": bundled, "roots": roots,
            "named": named,
        })  # fmt: skip
        return
    console.data(f"in use         {named or f'{state} index of {date}'}")
    console.data(f"came with zoo  {bundled}")
    header = ("root", "state", "index", "verified", "valid until", "metadata", "from")
    keys = ("name", "state", "index", "updated", "expires", "versions", "source")
    if roots:
        console.data()
        console.table(header, [tuple(printable(str(each[key] or "-")) for key in keys) for each in roots])
    if not any(each["name"] == UPSTREAM for each in roots):
        console.say("No root of keys came with this zoo: its facts are those it was installed with.")
        console.say("A root that you know: zoo index trust add zoo ROOT.json --from URL")


def _roots(trusted: list[str], current: Current | None, now: str) -> list[dict[str, object]]:
    """Every root with what was verified under it; state: used | expired | older | unusable | not updated."""
    found: list[dict[str, object]] = []
    recorded = [each.root for each in current.signed] if current else []
    for name in dict.fromkeys((*trusted, *recorded)):
        signed = current.of(name) if current else None
        if signed is None:
            empty = dict.fromkeys(("index", "updated", "expires", "versions", "source"))
            found.append({"name": name, "trusted": True, "namespace": None, "state": "not updated", **empty})
            continue
        state = "expired" if signed.state == "used" and signed.expires < now else signed.state
        found.append({
            "name": name, "trusted": name in trusted, "namespace": signed.namespace or None, "state": state,
            "index": signed.date, "updated": signed.updated, "expires": signed.expires, "versions": signed.versions,
            "source": signed.source,
        })  # fmt: skip
    return found


def _bundled_date(console: Console) -> str:
    from contextlib import closing

    from zoo_cli.catalog.database import index_date, open_bundled

    with closing(open_bundled(console.environ)) as catalog:
        return index_date(catalog)
