"""The end of the signatures of what is in use: a warning for reading, a refusal for fetching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo_cli.catalog.current import Signed
    from zoo_cli.cli.console import Console

stale_option = click.option(
    "--allow-stale-index", is_flag=True, help="Fetch by a signed index whose signatures have expired."
)


def signer_of(console: Console, package: str) -> Signed | None:
    """Under whose signatures the facts on a package are; None for what came with zoo."""
    from zoo_cli.catalog.database import signed_in_use
    from zoo_cli.catalog.scope import namespace_of

    current = signed_in_use(console.environ)
    space = namespace_of(package)
    return next((each for each in current.used if each.namespace == space), None) if current else None


def heed_expiry(
    console: Console, *, fetches: bool = False, allowed: bool = False, packages: Iterable[str] | None = None
) -> None:
    """Warns when signatures that the index in use rests on have expired; what came with zoo never does.

    Args:
        console: Says when it is.
        fetches: Whether something new is fetched.
        allowed: Whether that may rest on such signatures.
        packages: What is fetched, by the names of its packages; what is signed for others does not matter then.

    Raises:
        IndexExpired: Something new would rest on them.
    """
    from zoo_cli.catalog.current import index_home, read_current

    recorded, now = read_current(index_home(console.environ)), console.now()
    if recorded is None or all(each.expires >= now for each in recorded.signed):
        return
    from zoo_cli.catalog.database import signed_in_use

    current = signed_in_use(console.environ)
    spaces = None if packages is None else {each.rpartition("/")[0] for each in packages}
    for each in current.used if current else ():
        if each.expires >= now or (spaces is not None and each.namespace not in spaces):
            continue
        if fetches and not allowed:
            from zoo_cli.trust.refusals import IndexExpired

            raise IndexExpired(each.root, each.date, each.source, each.expires, now[:10])
        whose = f" of {each.root}" if each.namespace else ""
        console.warn(
            f"the signatures of the index{whose} of {each.date} expired on {each.expires[:10]}: "
            f"zoo index update {each.root}"
        )
