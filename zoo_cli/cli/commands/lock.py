"""`zoo lock`: every wheel of a stack with its address and digest, as a file that repeats it anywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from zoo_cli.cli import install_view
from zoo_cli.cli.choices import Choices, planning_options, source_words, typed, with_sources
from zoo_cli.cli.freshness import heed_expiry, stale_option
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.trusting import policy_of, trust_option, unverified_option
from zoo_cli.packages.lockfile import FILE_NAME, model_document
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.packages.given import Given
    from zoo_cli.packages.locked import Lock, LockedPackage
    from zoo_cli.transfer.sources import Mirrors

_PLACE = "{machine}"  # in --output: the machine's name
_EACH = f"pylock.{_PLACE}.toml"


@click.command(
    name="lock",
    epilog="Examples: zoo lock mmdet    zoo lock mmdet --machine gpu=A100,driver=535.183.01,python=3.10    "
    "zoo lock mmdet --machine laptop --machine cluster-a100    zoo lock --show pylock.zoo.toml",
)
@click.argument("packages", nargs=-1, metavar="PACKAGE...")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help=f"The lock; pip and uv take pylock.toml and pylock.NAME.toml. [default: {FILE_NAME}; "
    f"of several machines {_EACH}]",
)
@click.option("--python", metavar="PATH|VERSION", help="Lock for this interpreter.")
@click.option(
    "--machine",
    "described",
    multiple=True,
    metavar="NAME|FILE|FACTS",
    help="Lock for another machine (zoo help machine); repeated: one lock for each.",
)
@click.option("--model", "models", metavar="MODEL", multiple=True, help="This model, too; repeatable. It is fetched.")
@trust_option
@unverified_option
@click.option("--show", "only_show", is_flag=True, help="PACKAGE are lock files: show what they hold and need.")
@planning_options
@stale_option
@click.option(
    "-e", "--editable", "editable", multiple=True, metavar="DIR", help="This project folder, as it is; repeatable."
)
@click.option(
    "--allow-code", is_flag=True, help="Run the build code of given sources where only it says what they need."
)
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@common_options
@pass_console
def command(
    console: Console,
    /,
    output: str | None,
    python: str | None,
    described: tuple[str, ...],
    models: tuple[str, ...],
    trust_globals: tuple[str, ...],
    allow_unverified: bool,
    only_show: bool,
    allow_stale_index: bool,
    editable: tuple[str, ...],
    allow_code: bool,
    dry_run: bool,
    **options: object,
) -> None:
    """Plan a stack and write down every wheel of it, ordinary dependencies too, each with address and SHA-256.

    What is installed does not matter. zoo sync, uv pip install -r and pip install -r (26 and newer) take the file.
    Models are zoo sync's alone. A source (./folder, x-1.0.tar.gz, git+https://host/project@ref) and what --build names
    are locked by commit or SHA-256, and built where the lock is installed.
    """
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.model_lock import choose_models, lock_models
    from zoo_cli.cli.sources import users_mirrors
    from zoo_cli.packages.locking import read_lock, write_lock

    choices = Choices(**options)  # type: ignore[arg-type]
    if only_show and not choices.packages:
        raise click.UsageError("--show takes lock files: zoo lock --show pylock.zoo.toml.")
    if only_show:
        _tell(console, {path: read_lock(Path(path)) for path in choices.packages}, made=False)
        return
    policy = policy_of(trust_globals)
    choices, sources = with_sources(console, choices, editable)
    if not choices.packages and not choices.requirements and not sources:
        raise click.UsageError("Missing argument 'PACKAGE...' or a requirements file with -r.")
    places = _places(described, output)
    catalog, mirrors = open_catalog(), users_mirrors(console, choices.mirrors)
    selection = choose_models(catalog, models)
    packages = ["", *(pick.model.project for pick in selection.picks if pick.model)]
    heed_expiry(console, fetches=not dry_run, allowed=allow_stale_index, packages=packages)
    locks = {}
    for machine, path in places.items():
        if machine and len(places) > 1:
            console.say(f"{printable(path)}, for {printable(machine)}:")
        wanted = Wanted(choices, sources, python, machine, dry_run, allow_code)
        lock = _locked(console, catalog, wanted, mirrors)
        if lock:
            locks[path] = lock
    if locks:
        chosen = lock_models(console, catalog, selection, mirrors, policy, allow_unverified=allow_unverified)
        locks = {path: replace(lock, models=chosen) for path, lock in locks.items()}
    for path, lock in locks.items():  # all of them or none
        write_lock(lock, Path(path), _created_by())
    if not dry_run:
        _tell(console, locks, made=True)


def _places(described: Sequence[str], output: str | None) -> dict[str | None, str]:
    """Where the lock of each machine goes; None is this machine.

    Raises:
        BadLock: pip and uv would not take a file of that name.
        click.UsageError: two machines would get one file.
    """
    from zoo_cli.packages.lockfile import check_name

    if len(described) < 2:
        places: dict[str | None, str] = {described[0] if described else None: output or FILE_NAME}
    else:
        template = output or _EACH
        if _PLACE not in template:
            raise click.UsageError(f"Several machines need a lock each: put {_PLACE} into --output, as in {_EACH}.")
        places = {machine: template.replace(_PLACE, _machine_name(machine)) for machine in described}
        if len(set(places.values())) < len(described):
            raise click.UsageError("Two of the machines have one name: keep them with check-env --save NAME.")
    for path in places.values():
        check_name(Path(path).as_posix())
    return places


def _machine_name(machine: str) -> str:
    """What a machine is called in a file name: its profile, its file, or its facts as far as they fit."""
    words = machine if "=" in machine else Path(machine).name.removesuffix(".json")
    return re.sub(r"[^A-Za-z0-9]+", "-", words).strip("-")[:60] or "machine"


class Wanted(NamedTuple):
    """What is to be locked, and for whom."""

    choices: Choices
    sources: tuple[Given, ...]
    python: str | None
    described: str | None
    dry_run: bool
    allow_code: bool


def _locked(console: Console, catalog: sqlite3.Connection, wanted: Wanted, mirrors: Mirrors) -> Lock | None:
    """The lock for the interpreter or the described machine; None when only the plan was to be shown."""
    from zoo_cli.cli.stack_lock import lock_stack, plan_stack

    place = {"python": wanted.python, "described": wanted.described}
    words = typed("lock", wanted.choices, source_words(wanted.sources))
    stack = plan_stack(console, catalog, wanted.choices, words, **place, sources=wanted.sources)
    if wanted.dry_run:
        install_view.tell_dry_run(console, stack.plan, stack.target)
        return None
    return lock_stack(console, catalog, stack, mirrors, builds=True, allow_code=wanted.allow_code)[0]


def _created_by() -> str:
    from zoo_cli import __version__

    return f"zoo {__version__}"


def _tell(console: Console, locks: Mapping[str, Lock], *, made: bool) -> None:
    """What each lock holds and the least machine that runs it; the paths, where they were made, are the data."""
    if console.json:
        console.document({
            "ok": True, "command": "lock", "locks": [_document(path, lock) for path, lock in locks.items()],
        })  # fmt: skip
        return
    tell = console.say if made else console.data
    for path, lock in locks.items():
        if len(locks) > 1 or not made:
            tell(printable(path))
        for line in _about(lock):
            tell(printable(line))
        if made:
            console.data(path)


def _about(lock: Lock) -> list[str]:
    stack = ", ".join(f"{each.project} {each.version}" for each in lock.packages if each.evidence)
    least = ", ".join(f"{name} {value}" for name, value in sorted(lock.minimum.items()))
    known = f", of them {stack} as files of known address" if stack else ""
    models = [f"with {', '.join(each.name for each in lock.models)}"] if lock.models else []
    built = [each.project for each in lock.packages if not each.wheels]
    sources = [f"built where it is installed: {', '.join(built)}"] if built else []
    return [f"{len(lock.packages)} packages{known}", *sources, *models, f"The least machine: {least or 'not said'}"]


def _built_from(package: LockedPackage) -> dict[str, object] | None:
    """The source that a package is built from; None where there are wheels."""
    if package.built_from:
        return package.built_from._asdict()
    return {"kind": "sdist", "place": package.sdist.url} if package.sdist and not package.wheels else None


def _document(path: str, lock: Lock) -> dict[str, object]:
    rows = [
        {
            "name": each.project, "version": each.version, "evidence": each.evidence,
            "built_from": _built_from(each),
        }
        for each in lock.packages
    ]  # fmt: skip
    about = {"requested": list(lock.requested), "variant": lock.variant, "index": lock.index_date}
    needs = {"environment": lock.environment, "minimum": dict(lock.minimum)}
    targets = {name: list(each) for name, each in lock.targets.items()}
    machine, models = dict(lock.machine), [model_document(each) for each in lock.models]
    return {
        "path": path, **about, **needs, "targets": targets, "machine": machine, "packages": rows, "models": models,
    }  # fmt: skip
