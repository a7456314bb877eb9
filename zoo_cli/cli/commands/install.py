"""`zoo install`: read the machine, decide, show the plan, act, tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli import install_view
from zoo_cli.cli.change import changing, settle
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.target import Target, find_target
from zoo_cli.cli.text import printable
from zoo_cli.packages import install as flow
from zoo_cli.packages.decide import decide, for_providers, kept_torch, make_problem
from zoo_cli.packages.explain import NoSolution
from zoo_cli.packages.journal import journal_of
from zoo_cli.packages.request import Request, check_choices, parse_wants
from zoo_cli.packages.wheels import normalise

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from zoo_cli.catalog.entries import Project, Provider
    from zoo_cli.cli.console import Console
    from zoo_cli.packages.offers import Offers
    from zoo_cli.packages.plan import Pin, Plan
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import Mirrors


@dataclass(frozen=True)
class Choices:
    """The options of one `zoo install`, as typed."""

    packages: tuple[str, ...]
    find_links: tuple[str, ...]
    mirrors: tuple[str, ...]
    device: str
    cuda: str | None
    torch: str | None
    build: tuple[str, ...]
    providers: tuple[str, ...]
    replace: str
    prereleases: bool
    dry_run: bool
    yes: bool
    no_rollback: bool


@click.command(
    name="install",
    epilog="Examples: zoo install mmdet    zoo install 'mmdet>=3,<3.3' mmpose --env ./env",
)
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE...")
@click.option(
    "--python",
    "python",
    metavar="PATH|VERSION",
    help="Interpreter to install into; with --env, the one to make it from.",
)
@click.option(
    "--env",
    "environment",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Install into this virtual environment; made if it is not there.",
)
@click.option(
    "--find-links",
    "-f",
    "find_links",
    multiple=True,
    metavar="PLACE",
    help="Page, site or directory with wheels; may be repeated.",
)
@click.option(
    "--mirror", "mirrors", multiple=True, metavar="FROM=TO", help="Fetch addresses that begin with FROM from TO first."
)
@click.option(
    "--machine",
    "described",
    metavar="FACTS|FILE",
    help="Plan for another machine (see zoo help machine); needs --dry-run.",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="What the stack is to run on."
)
@click.option("--cuda", metavar="VARIANT", help="This torch variant only: cu118, cu121, cpu ...")
@click.option("--torch", metavar="RANGE", help="Torch releases that will do, e.g. 2.1 or '>=2.0,<2.2'.")
@click.option("--build", multiple=True, metavar="PROJECT", help="Compile this ops project from its sdist.")
@click.option(
    "--provider",
    "providers",
    multiple=True,
    metavar="NAME",
    help="Also take wheels of this provider (onedl, miropsota ...).",
)
@click.option("--replace", default="", metavar="A,B", help="Installed projects that may be replaced.")
@click.option("--pre", "prereleases", is_flag=True, help="Take pre-releases like any other release.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", "-y", is_flag=True, help="Replace installed packages without asking.")
@click.option("--no-rollback", is_flag=True, help="Leave what a failed install did, to look into it.")
@common_options
@pass_console
def command(
    console: Console, /, python: str | None, environment: Path | None, described: str | None, **options: object
) -> None:
    """Install packages with the torch and compiled ops that work together on this machine."""
    from zoo_cli.catalog.compat import official_providers, projects, providers, read_matrix, torch_sha256
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.packages.extensions import read_evidence
    from zoo_cli.transfer.settings import Settings

    choices = Choices(**options)  # type: ignore[arg-type]
    if described and not choices.dry_run:
        raise click.UsageError("--machine describes another machine, so it needs --dry-run.")
    catalog = open_catalog()
    known = projects(catalog)
    check_options(choices, known, providers(catalog))
    request = make_request(choices, known)
    target = find_target(catalog, console, python=python, environment=environment, described=described)
    if not choices.dry_run and _settled(console, target, yes=choices.yes):
        target = find_target(catalog, console, python=python, environment=environment, described=described)
    settings = Settings(offline=console.offline)
    mirrors = None if choices.dry_run and not choices.mirrors else _mirrors(choices)
    offers = read_pages(console, choices, target, request, known, settings, catalog)
    here = target.machine.python
    installed = journal_of(here).distributions() if here and target.executable else None
    evidence = read_evidence(here, known) if here and not described else {}
    sound = frozenset(name for name, each in evidence.items() if each.is_sound)
    problem = make_problem(
        request,
        target.machine,
        read_matrix(catalog, target.machine.platform),
        known,
        offers,
        official_providers(catalog),
        sound,
    )
    if request.cuda:
        check_choices("--cuda", (request.cuda,), {build.variant for build in problem.facts.matrix.torch})
    words = _words(choices)
    try:
        plan = decide(problem, lambda url: torch_sha256(catalog, url), offers)
    except NoSolution as error:
        error.command = words
        raise
    install_view.show(console, plan, target, offers)
    if choices.dry_run or mirrors is None:
        install_view.tell_dry_run(console, plan, target)
        return
    if plan.is_done:
        install_view.tell_done(console, plan, target)
        return
    consent(console, plan, choices, words)
    act(console, plan, target, Circumstances(mirrors, settings, words, installed, choices.no_rollback))


def _settled(console: Console, target: Target, *, yes: bool) -> bool:
    """Whether a change that was cut off was in the way and is not any more."""
    here = target.machine.python if target.executable else None
    return here is not None and settle(console, journal_of(here), yes=yes)


def check_options(choices: Choices, known: Mapping[str, Project], publishers: Mapping[str, Provider]) -> None:
    """Refuses options that name what does not exist, before anything is read or solved."""
    ops = [name for name, project in known.items() if project.kind == "ops"]
    check_choices("--build", map(normalise, choices.build), ops)
    check_choices("--provider", choices.providers, (each.id for each in publishers.values() if each.kind != "official"))


def _mirrors(choices: Choices) -> Mirrors:
    from zoo_cli.transfer.mirrors import load_mirrors

    return load_mirrors(choices.mirrors)


def make_request(choices: Choices, known: Mapping[str, Project]) -> Request:
    """The request that the options describe."""
    words = list(choices.packages)
    if choices.torch:
        words.append("torch" + (choices.torch if choices.torch[0] in "<>=!~" else f"=={choices.torch}.*"))
    request = Request(
        wants=parse_wants(words, known),
        device=choices.device,
        cuda=choices.cuda,
        replace=frozenset(normalise(word) for word in choices.replace.split(",") if word),
        providers=frozenset(choices.providers),
        build=frozenset(normalise(word) for word in choices.build),
        prereleases=choices.prereleases,
    )
    return for_providers(request, known)


def read_pages(
    console: Console,
    choices: Choices,
    target: Target,
    request: Request,
    known: Mapping[str, Project],
    settings: Settings,
    catalog: sqlite3.Connection,
) -> Offers:
    """The wheels on the pages that the user named; a page that cannot be read is said aloud."""
    from zoo_cli.packages.offers import Offers, read_offers

    if not choices.find_links:
        return Offers()
    from zoo_cli.catalog.compat import read_matrix
    from zoo_cli.packages.pages import read_listing

    matrix = read_matrix(catalog, target.machine.platform)
    pairs = sorted({(build.variant, build.version) for build in matrix.torch}, reverse=True)
    listing = read_listing(choices.find_links, settings, pairs)
    if listing.skipped and not listing.links:
        raise listing.skipped[0].error
    for skipped in listing.skipped:
        console.warn(f"{skipped.place} was not read: {skipped.error}")
    keep = kept_torch(request, target.machine)
    return read_offers(listing.links, target.machine, known, keep, console.today())


def _words(choices: Choices) -> tuple[str, ...]:
    """The command as typed, without what a way out will add."""
    context = click.get_current_context()
    words = ["zoo", "install", *choices.packages]
    for name in ("python", "environment", "described"):
        value = context.params.get(name)
        if value:
            words += [{"environment": "--env", "described": "--machine"}.get(name, f"--{name}"), str(value)]
    for place in choices.find_links:
        words += ["--find-links", place]
    for rule in choices.mirrors:
        words += ["--mirror", rule]
    words += [
        flag for flag, is_given in (("--dry-run", choices.dry_run), ("--no-rollback", choices.no_rollback)) if is_given
    ]
    return tuple(words)


def consent(console: Console, plan: Plan, choices: Choices, words: tuple[str, ...]) -> None:
    """Asks before something installed is replaced, unless that was allowed by name or with --yes."""
    allowed = {normalise(word) for word in choices.replace.split(",") if word}
    changes = tuple(change for change in plan.harms if change[0] not in allowed)
    if not changes or choices.yes:
        return
    if not console.can_ask:
        raise flow.NeedsConsent(words, changes)
    question = (
        f"This changes {len(changes)} package{'' if len(changes) == 1 else 's'} other programs here may use. Go on?"
    )
    if not console.ask(question):
        console.say("Nothing changed.")
        raise click.exceptions.Exit(1)


@dataclass(frozen=True)
class Circumstances:
    """What acting needs beside the plan and its target."""

    mirrors: Mirrors
    settings: Settings
    words: tuple[str, ...]  # the command as typed
    installed: Mapping[str, str] | None  # the distributions planned with; None for a new environment
    no_rollback: bool


def act(console: Console, plan: Plan, target: Target, given: Circumstances) -> None:
    """Makes the environment where one is to be made, executes the plan, tells what was done."""
    from zoo_cli.cli.progress import BuildProgress, Progress
    from zoo_cli.directories import cache_directory, state_directory
    from zoo_cli.packages.builder import BuildRequest, build_wheel
    from zoo_cli.transfer.store import users_store
    from zoo_cli.trust.seen import Seen

    cache_directory()  # wheels must have a place before anything is changed
    python = target.make(console)
    here = target.machine.python
    assert here is not None
    flow.check_target(here, given.words)
    journal = journal_of(here, python)
    with Progress(console) as progress:

        def build(pin: Pin) -> Path:
            return build_wheel(
                BuildRequest(pin.project, pin.version, python), given.settings, BuildProgress(progress)
            ).path

        work = flow.Work(
            python=python,
            python_version=here.version,
            words=given.words,
            begin=lambda: changing(
                console, journal, given.words, expected=given.installed, rollback=not given.no_rollback
            ),
            store=users_store(),
            seen=Seen(state_directory()),
            mirrors=given.mirrors,
            settings=given.settings,
            listen=progress,
            say=lambda line: console.say(f"    {printable(line)}") if console.verbose else None,
            clock=console.clock,
            build=build,
        )
        receipt = flow.execute(plan, work)
    install_view.tell(console, receipt)
