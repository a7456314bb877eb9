"""What the commands that plan a stack share: options, reading the pages that the user named, and deciding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zoo_cli.packages.request import Request, check_choices, parse_wants
from zoo_cli.packages.wheels import normalise

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from zoo_cli.catalog.entries import Matrix
    from zoo_cli.cli.console import Console
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.offers import Offers
    from zoo_cli.packages.plan import Plan

Command = TypeVar("Command", bound="Callable[..., Any]")


@dataclass(frozen=True)
class Choices:
    """What is wanted and from where, as typed."""

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


_OPTIONS = (
    click.option(
        "--find-links",
        "-f",
        "find_links",
        multiple=True,
        metavar="PLACE",
        help="Page, site or directory with wheels; may be repeated.",
    ),
    click.option(
        "--mirror",
        "mirrors",
        multiple=True,
        metavar="FROM=TO",
        help="Fetch addresses that begin with FROM from TO first.",
    ),
    click.option(
        "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="What the stack is to run on."
    ),
    click.option("--cuda", metavar="VARIANT", help="This torch variant only: cu118, cu121, cpu ..."),
    click.option("--torch", metavar="RANGE", help="Torch releases that will do, e.g. 2.1 or '>=2.0,<2.2'."),
    click.option("--build", multiple=True, metavar="PROJECT", help="Compile this ops project from its sdist."),
    click.option(
        "--provider",
        "providers",
        multiple=True,
        metavar="NAME",
        help="Also take wheels of this provider (onedl, miropsota ...).",
    ),
    click.option("--replace", default="", metavar="A,B", help="Installed projects that may be replaced."),
    click.option("--pre", "prereleases", is_flag=True, help="Take pre-releases like any other release."),
)


def planning_options(command: Command) -> Command:
    """Adds the options that `Choices` holds."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def typed(name: str, choices: Choices, flags: Sequence[str] = ()) -> tuple[str, ...]:
    """The command as typed, without what a way out will add."""
    context = click.get_current_context()
    words = ["zoo", name, *choices.packages]
    for option in ("python", "environment", "described"):
        value = context.params.get(option)
        if value:
            words += [{"environment": "--env", "described": "--machine"}.get(option, f"--{option}"), str(value)]
    for place in choices.find_links:
        words += ["--find-links", place]
    for rule in choices.mirrors:
        words += ["--mirror", rule]
    return (*words, *flags)


class Planner:
    """Plans for one request: reads the facts and the named pages, and decides."""

    def __init__(self, console: Console, catalog: sqlite3.Connection, choices: Choices) -> None:
        """Refuses options that name what does not exist, before anything is read or solved.

        Raises:
            ZooError: a choice or a requirement that cannot be.
        """
        from zoo_cli.catalog.compat import projects, providers
        from zoo_cli.transfer.settings import Settings

        self._console, self._catalog, self._choices = console, catalog, choices
        self.settings = Settings(offline=console.offline)
        self.known = projects(catalog)
        publishers = providers(catalog)
        ops = [name for name, project in self.known.items() if project.kind == "ops"]
        others = [each.id for each in publishers.values() if each.kind != "official"]
        check_choices("--build", map(normalise, choices.build), ops)
        check_choices("--provider", choices.providers, others)
        self.request = self._make_request()

    def _make_request(self) -> Request:
        from zoo_cli.packages.decide import for_providers

        choices = self._choices
        words = list(choices.packages)
        if choices.torch:
            words.append("torch" + (choices.torch if choices.torch[0] in "<>=!~" else f"=={choices.torch}.*"))
        request = Request(
            wants=parse_wants(words, self.known),
            device=choices.device,
            cuda=choices.cuda,
            replace=frozenset(normalise(word) for word in choices.replace.split(",") if word),
            providers=frozenset(choices.providers),
            build=frozenset(normalise(word) for word in choices.build),
            prereleases=choices.prereleases,
        )
        return for_providers(request, self.known)

    def plan(self, machine: Machine, words: tuple[str, ...]) -> tuple[Plan, Offers]:
        """The plan for a machine, and what the named pages offered.

        Args:
            machine: With the target interpreter and what is installed there.
            words: The command as typed, for ways out.

        Raises:
            ZooError: a page cannot be read, a choice cannot be; `NoSolution`.
        """
        from zoo_cli.catalog.compat import official_providers, read_matrix, torch_sha256
        from zoo_cli.packages.decide import decide, make_problem
        from zoo_cli.packages.explain import NoSolution
        from zoo_cli.packages.extensions import read_evidence

        matrix = read_matrix(self._catalog, machine.platform)
        offers = self._read_pages(machine, matrix)
        here = machine.python
        evidence = read_evidence(here, self.known) if here and not machine.is_described else {}
        sound = frozenset(name for name, each in evidence.items() if each.is_sound)
        official = official_providers(self._catalog)
        problem = make_problem(self.request, machine, matrix, self.known, offers, official, sound)
        if self.request.cuda:
            variants = {build.variant for build in problem.facts.matrix.torch}
            check_choices("--cuda", (self.request.cuda,), variants)
        try:
            return decide(problem, lambda url: torch_sha256(self._catalog, url), offers), offers
        except NoSolution as error:
            error.command = words
            raise

    def _read_pages(self, machine: Machine, matrix: Matrix) -> Offers:
        """The wheels on the pages that the user named; a page that cannot be read is said aloud."""
        from zoo_cli.packages.offers import Offers, read_offers

        if not self._choices.find_links:
            return Offers()
        from zoo_cli.packages.decide import kept_torch
        from zoo_cli.packages.pages import read_listing

        pairs = sorted({(build.variant, build.version) for build in matrix.torch}, reverse=True)
        listing = read_listing(self._choices.find_links, self.settings, pairs)
        if listing.skipped and not listing.links:
            raise listing.skipped[0].error
        for skipped in listing.skipped:
            self._console.warn(f"{skipped.place} was not read: {skipped.error}")
        keep = kept_torch(self.request, machine)
        return read_offers(listing.links, machine, self.known, keep, self._console.today())
