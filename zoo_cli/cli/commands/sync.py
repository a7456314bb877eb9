"""`zoo sync`: an environment made equal to a lock, as one change that can be undone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.freshness import heed_expiry, stale_option
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.trusting import policy_of, trust_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo_cli.cli.console import Console
    from zoo_cli.cli.progress import Progress
    from zoo_cli.packages.locked import Lock, LockedFile


@click.command(name="sync", epilog="Examples: zoo sync    zoo sync pylock.a100.toml --env ./env")
@click.argument("lock_files", metavar="[LOCK...]", type=click.Path(path_type=Path), nargs=-1)
@click.option("--python", metavar="PATH|VERSION", help="The interpreter; with --env, the one to make it from.")
@click.option(
    "--env",
    "environment",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="This virtual environment; made if it is not there.",
)
@click.option(
    "--mirror", "mirrors", multiple=True, metavar="FROM=TO", help="Fetch addresses that begin with FROM from TO first."
)
@click.option(
    "--models",
    "models_to",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where the lock's models go. [default: .]",
)
@trust_option
@stale_option
@click.option("--dry-run", is_flag=True, help="Show what would change, and stop.")
@click.option("--yes", "-y", is_flag=True, help="Replace and remove what the lock has not, without asking.")
@click.option("--allow-code", is_flag=True, help="Build the lock's sources and sdists without asking: their code runs.")
@click.option("--no-rollback", is_flag=True, help="Leave what a failed sync did, to look into it.")
@common_options
@pass_console
def command(
    console: Console,
    lock_files: tuple[Path, ...],
    python: str | None,
    environment: Path | None,
    mirrors: tuple[str, ...],
    models_to: Path,
    trust_globals: tuple[str, ...],
    allow_stale_index: bool,
    dry_run: bool,
    yes: bool,
    allow_code: bool,
    no_rollback: bool,
) -> None:
    """Make an environment equal a lock: what is missing comes, what the lock has not goes, pip stays.

    Every wheel is fetched by its SHA-256 and inspected before anything is changed; compiled ops are run afterwards. Of
    several locks (without LOCK: pylock.zoo.toml, else every pylock.*.toml here) the one for this machine is taken. Its
    models come last; their paths are written to stdout.
    """
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.model_lock import bring_models
    from zoo_cli.cli.sources import users_mirrors
    from zoo_cli.cli.syncing import Applying, apply_lock
    from zoo_cli.directories import state_directory
    from zoo_cli.packages.locking import find_locks, read_lock
    from zoo_cli.packages.supply import Supply
    from zoo_cli.transfer.hashes import Sha256
    from zoo_cli.transfer.health import users_health
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.store import users_store
    from zoo_cli.trust.seen import Seen

    policy = policy_of(trust_globals)
    paths = lock_files or find_locks(Path())
    locks = {str(path): read_lock(path) for path in paths}
    packages = [model.package for lock in locks.values() for model in lock.models]  # wheels come by the lock's digests
    heed_expiry(console, fetches=not dry_run, allowed=allow_stale_index, packages=packages)

    def fetcher(progress: Progress) -> Callable[[LockedFile], Path]:
        rules, health = users_mirrors(console, mirrors), users_health(console.environ)
        settings = Settings(offline=console.offline, health=health)
        supply = Supply(users_store(), Seen(state_directory()), rules, settings, progress)
        return lambda wheel: supply.file(wheel.name, (wheel.url,), Sha256(wheel.sha256), wheel.size_bytes).path

    words = _words(lock_files, python, environment, mirrors, no_rollback=no_rollback)
    words = (*words, *(("--models", str(models_to)) if models_to != Path() else ()))
    how = Applying("sync", words, python, environment, True, dry_run, yes, no_rollback, allow_code)
    catalog = open_catalog()

    def bring(lock: Lock) -> tuple[Path, ...]:
        return bring_models(console, catalog, lock.models, models_to, users_mirrors(console, mirrors), policy)

    apply_lock(console, catalog, locks, how, fetcher, bring)


def _words(
    lock_files: tuple[Path, ...],
    python: str | None,
    environment: Path | None,
    mirrors: tuple[str, ...],
    *,
    no_rollback: bool,
) -> tuple[str, ...]:
    """The command as typed, without what a way out will add."""
    words = ["zoo", "sync", *map(str, lock_files)]
    for option, value in (("--python", python), ("--env", environment), *(("--mirror", rule) for rule in mirrors)):
        words += [option, str(value)] if value else []
    return (*words, *(["--no-rollback"] if no_rollback else []))
