"""`zoo index update`, `zoo index status`: the newest signed index, and what is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import printable

if TYPE_CHECKING:
    from zoo_cli.catalog.current import Current
    from zoo_cli.cli.console import Console


@click.command("update", epilog="Example: zoo index update --from https://mirror.example/index")
@click.option(
    "--from", "addresses", multiple=True, metavar="URL", help="A mirror to ask instead; repeatable, in order."
)
@common_options
@pass_console
def update_command(console: Console, addresses: tuple[str, ...]) -> None:
    """Fetch the newest signed index, verify it, put it in use.

    No mirror is believed: what it sends must be signed by the keys of the trusted root, be no older than what was seen,
    and not be over. Whatever fails, the index in use stays.
    """
    from zoo_cli.catalog.current import index_home
    from zoo_cli.cli.progress import Progress
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.trust.roots import upstream_root
    from zoo_cli.updates.updating import update

    home = index_home(console.environ)
    root = upstream_root(home)
    settings = Settings(offline=console.offline)
    with Progress(console) as progress:
        done = update(home, root, addresses or root.addresses, _bundled_date(console), settings, progress)
    for failure in done.passed_over:
        console.warn(f"passed over {failure.fields().get('mirror') or failure.fields().get('url')}: {failure.code}")
    if console.json:
        console.document({
            "ok": True, "command": "index update", "index": done.current.date, "before": done.before,
            "is_new": done.is_new, "expires": done.current.expires, "source": done.current.source,
            "passed_over": [{"code": each.code, **each.fields()} for each in done.passed_over],
        })  # fmt: skip
        return
    what = f"The index of {done.current.date} is in use" if done.is_new else "Nothing newer is signed"
    console.say(f"{what}; verified now, valid until {done.current.expires[:10]}.")


@click.command("status", epilog="Example: zoo index status --json")
@common_options
@pass_console
def status_command(console: Console) -> None:
    """Which index is in use, what it rests on, and until when."""
    from zoo_cli.catalog.current import index_home
    from zoo_cli.catalog.database import signed_in_use
    from zoo_cli.trust.roots import read_roots

    bundled, current = _bundled_date(console), signed_in_use(console.environ)
    roots = read_roots(index_home(console.environ))
    named = console.environ.get("ZOO_INDEX")
    state = _state(named, current, console.now())
    if console.json:
        console.document({
            "ok": True, "command": "index status", "in_use": state, "index": current.date if current else bundled,
            "bundled": bundled, "signed": current and {**current._asdict(), "file": str(current.file)},
            "roots": [each.name for each in roots], "named": named,
        })  # fmt: skip
        return
    rows = [("in use", named or f"{state} index of {current.date if current else bundled}")]
    if current is not None:
        rows += [
            ("came with zoo", bundled), ("from", printable(current.source)), ("verified", current.updated),
            ("valid until", current.expires), ("metadata", current.versions),
        ]  # fmt: skip
    rows.append(("trusted roots", ", ".join(each.name for each in roots) or "none"))
    for name, value in rows:
        console.data(f"{name:<14} {value}")
    if not roots:
        console.say("No root of keys came with this zoo: its facts are those it was installed with.")
        console.say("A root that you know: zoo index trust add zoo ROOT.json --from URL")


def _state(named: str | None, current: Current | None, now: str) -> str:
    if named:
        return "named"
    if current is None:
        return "bundled"
    return "expired" if current.expires < now else "signed"


def _bundled_date(console: Console) -> str:
    from contextlib import closing

    from zoo_cli.catalog.database import index_date, open_bundled

    with closing(open_bundled(console.environ)) as catalog:
        return index_date(catalog)
