"""The end of the signatures of the index in use: a warning for reading, a refusal for fetching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console

stale_option = click.option(
    "--allow-stale-index", is_flag=True, help="Fetch by a signed index whose signatures are over."
)


def heed_expiry(console: Console, *, fetches: bool = False, allowed: bool = False) -> None:
    """Warns when the signatures of the index in use are over; what came with zoo has no end.

    Raises:
        IndexExpired: Something new is fetched by it, and that was not allowed.
    """
    from zoo_cli.catalog.current import index_home, read_current

    recorded, now = read_current(index_home(console.environ)), console.now()
    if recorded is None or recorded.expires >= now:
        return
    from zoo_cli.catalog.database import signed_in_use

    current = signed_in_use(console.environ)
    if current is None:
        return
    if fetches and not allowed:
        from zoo_cli.trust.refusals import IndexExpired

        raise IndexExpired(current.date, current.source, current.expires, now[:10])
    console.warn(
        f"the signatures of the index of {current.date} are over since {current.expires[:10]}: zoo index update"
    )
