"""Plans for one request: reading the facts and the pages that the user named, and deciding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zoo_cli.cli.choices import Choices, names_in, project_of
from zoo_cli.packages.request import Request, Requirements, check_choices, keep_installed, parse_wants
from zoo_cli.packages.wheels import normalise

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from zoo_cli.catalog.entries import Matrix, Project
    from zoo_cli.cli.console import Console
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.arrivals import WheelUnfit
    from zoo_cli.packages.decide import Refused
    from zoo_cli.packages.explain import Way
    from zoo_cli.packages.findings import Finding
    from zoo_cli.packages.given import Given
    from zoo_cli.packages.offers import Offers
    from zoo_cli.packages.plan import Plan
    from zoo_cli.packages.problem import Problem
    from zoo_cli.packages.smoke import Check
    from zoo_cli.transfer.sources import Mirrors


def _variant(cuda: str | None) -> str | None:
    """A torch variant for a CUDA version or a variant: 11.8 and cu118 give cu118."""
    if not cuda or not cuda[0].isdigit():
        return cuda
    from zoo_cli.machine.cuda import cuda_to_variant

    return cuda_to_variant(cuda)


def _known_with(known: dict[str, Project], given: Sequence[Given]) -> dict[str, Project]:
    """The projects of the index and of the sources that were given; their reader is imported for sources only."""
    if not given:
        return known
    from zoo_cli.packages.given import known_with

    return known_with(given, known)


def _asked_by(given: Sequence[Given], known: Mapping[str, Project], words: Sequence[str]) -> list[str]:
    """What the sources that were given ask for, beside what the words do."""
    if not given:
        return []
    from zoo_cli.packages.given import words_of

    return words_of(given, known, are_alone=not words)


class Planner:
    """Plans for one request: reads the facts and the named pages, and decides."""

    def __init__(
        self, console: Console, catalog: sqlite3.Connection, choices: Choices, given: Sequence[Given] = (),
        *, upgrade: bool = False,
    ) -> None:  # fmt: skip
        """Refuses options that name what does not exist, before anything is read or solved.

        `given` are sources to plan with instead of releases. With `upgrade` what is asked for need not stay as it is
        installed, and neither need ops; torch does.

        Raises:
            ZooError: a choice or a requirement that cannot be.
        """
        from zoo_cli.catalog.compat import projects, providers
        from zoo_cli.packages.wheelless import asked_builds
        from zoo_cli.transfer.health import users_health
        from zoo_cli.transfer.settings import Settings

        self._console, self.catalog, self._choices = console, catalog, choices
        self._upgrade = upgrade
        self.gone: list[str] = []  # addresses of wheels that their pages do not offer any more
        self.refused: list[tuple[Refused, Finding]] = []  # wheels that were looked into and cannot work
        self.settings = Settings(offline=console.offline, health=users_health(console.environ))
        self.given = {each.project: each for each in given}
        self.stock = frozenset(map(project_of, choices.build_stock))
        self.known = _known_with(projects(catalog), given)
        publishers = providers(catalog)
        ops = [name for name, project in self.known.items() if project.kind == "ops"]
        others = [each.id for each in publishers.values() if each.kind != "official"]
        words = (*choices.build, *choices.build_stock)
        self.builds = asked_builds(words, {name: project.kind for name, project in self.known.items()})
        named = tuple(name for name in map(project_of, words) if name not in self.builds)
        self._built = (*named, *(name for name in self.given if name in ops))
        check_choices("--build", self._built, ops)
        check_choices("--provider", choices.providers, others)
        frameworks = [name for name, project in self.known.items() if project.kind == "framework"]
        check_choices("--relax-assert", map(normalise, choices.relax_asserts), frameworks)
        self.request = self._make_request(given)

    def _make_request(self, given: Sequence[Given]) -> Request:
        from zoo_cli.packages.decide import for_providers

        choices = self._choices
        self._listed = self._read_requirements()
        words = [*choices.packages, *self._listed.words]
        words += _asked_by(given, self.known, words)
        built = [word for word in (*choices.build, *choices.build_stock) if project_of(word) in self.known]
        words += [word for word in built if project_of(word) != normalise(word)]
        if choices.torch:
            words.append("torch" + (choices.torch if choices.torch[0] in "<>=!~" else f"=={choices.torch}.*"))
        wants = parse_wants(words, self.known)
        newer = {each.project for each in wants} | {name for name, each in self.known.items() if each.kind == "ops"}
        request = Request(
            wants=wants,
            device=choices.device,
            cuda=_variant(choices.cuda),
            replace=names_in(choices.replace) | (newer - {"torch"} if self._upgrade else set()),
            providers=frozenset(choices.providers),
            build=frozenset(self._built),
            prereleases=choices.prereleases,
            relax_asserts=frozenset(normalise(word) for word in choices.relax_asserts),
            others=self._listed.others,
            prefer=choices.prefer,
        )
        return for_providers(request, self.known)

    def _read_requirements(self) -> Requirements:
        if not self._choices.requirements:
            return Requirements()
        from zoo_cli.packages.requirements import read_requirements

        listed = read_requirements(self._choices.requirements, self.known)
        for option in listed.left_out:
            self._console.warn(f"{option} is left out: zoo knows where torch and compiled ops come from")
        return listed

    @property
    def local_places(self) -> tuple[str, ...]:
        """The directories among the places that the user named: they may hold ordinary packages, too."""
        from zoo_cli.packages.pages import local_directories

        return local_directories((*self._choices.find_links, *self._listed.places))

    @property
    def only(self) -> tuple[str, ...] | None:
        """Where ordinary packages come from without network; None where there is one."""
        return self.local_places if self._console.offline else None

    def plan(self, machine: Machine, words: tuple[str, ...]) -> tuple[Plan, Offers]:
        """The plan for a machine, and what the named pages offered.

        Args:
            machine: With the target interpreter and what is installed there.
            words: The command as typed, for ways out.

        Raises:
            ZooError: a page cannot be read, a choice cannot be; `NoSolution`.
        """
        from zoo_cli.catalog.compat import torch_sha256
        from zoo_cli.packages.decide import decide
        from zoo_cli.packages.explain import NoSolution
        from zoo_cli.packages.plan import plan_with_given
        from zoo_cli.packages.wheelless import with_builds

        problem, offers = self.problem(machine)
        try:
            plan = decide(problem, lambda url: torch_sha256(self.catalog, url), offers)
            plan = plan_with_given(plan, tuple(self.given.values()), machine.python)
            return with_builds(plan, self.builds, machine.python), offers
        except NoSolution as error:
            error.command = words
            error.refused = tuple(finding for _row, finding in self.refused)
            raise

    def refuse(self, plan: Plan, unfit: WheelUnfit) -> bool:
        """Leaves a wheel of a plan out from now on; False when it is none that another could stand for."""
        from zoo_cli.packages.decide import refused_row

        row = refused_row(plan, unfit.pin.project)
        if row is None or row in [each for each, _finding in self.refused]:
            return False
        self.refused.append((row, unfit.finding))
        return True

    def build(self, archives: Sequence[str]) -> None:
        """Builds these (`name==version`) from now on."""
        from zoo_cli.packages.wheelless import asked_builds

        self.builds |= asked_builds(archives, {name: project.kind for name, project in self.known.items()})

    def archives(self, needed: Sequence[str], mirrors: Mirrors, prefix: str) -> tuple[str, ...]:
        """What could be built of requirements without a wheel, by the user's first package index that has them.

        Args:
            needed: as requirements.
            mirrors: of the index.
            prefix: of the target interpreter.

        Raises:
            ZooError: of the transfer.
        """
        from zoo_cli.packages.indexes import PYPI, user_index
        from zoo_cli.packages.pages import read_project
        from zoo_cli.packages.wheelless import archive_for, names_of

        found = []
        index = user_index(prefix=prefix)
        for name, requirement in zip(names_of(needed), needed, strict=True):
            for root in (index.index_url or PYPI, *index.extra_urls):
                page = mirrors.addresses(f"{root.rstrip('/')}/{name}/", "package-index")
                links = None if self._console.offline else read_project(page, self.settings)
                if links is not None:
                    found.append(archive_for(requirement, links))
                    break
        return tuple(filter(None, found))

    def ways_past(self, machine: Machine, plan: Plan, failures: Sequence[Check]) -> tuple[Way, ...]:
        """Other stacks, where the ops of a plan were run and do not work."""
        from zoo_cli.packages.decide import refused_row, rows_without, without_refused
        from zoo_cli.packages.explain import ways_past

        group = next((each.group for each in failures if each.group), "")
        rows = [refused_row(plan, ops.project) for ops in plan.stack.ops] or [refused_row(plan, "torch")]
        refused = [row for row in rows if row]
        if not refused or group in ("", "wall", "asserted", "declared"):
            return ()
        problem, _offers = self.problem(machine)
        facts = problem.facts
        fewer = without_refused(facts.matrix, refused), rows_without(facts.pages, refused)
        narrower = replace(problem, facts=replace(facts, matrix=fewer[0], pages=fewer[1]))
        return ways_past(problem, narrower, group)

    def matrix(self, machine: Machine) -> Matrix:
        """Every compatibility fact of the machine's platform."""
        from zoo_cli.catalog.compat import read_matrix

        matrix = read_matrix(self.catalog, machine.platform)
        if not self.given:
            return matrix
        from zoo_cli.packages.given import with_given

        return with_given(matrix, tuple(self.given.values()), self.known, str(self._console.today()))

    def problem(self, machine: Machine) -> tuple[Problem, Offers]:
        """The request on a machine with every fact, and what the named pages offered.

        Raises:
            ZooError: a page cannot be read, a choice cannot be.
        """
        from zoo_cli.catalog.compat import official_providers
        from zoo_cli.directories import cache_path, own_cache
        from zoo_cli.packages.compiled import Place, sound_projects
        from zoo_cli.packages.decide import as_offered, make_problem, rows_without, without_refused, without_wheel
        from zoo_cli.packages.extensions import read_evidence

        matrix = self.matrix(machine)
        for address in self.gone:
            matrix = without_wheel(matrix, address)
        refused = [row for row, _finding in self.refused]
        matrix = without_refused(matrix, refused)
        self.request = keep_installed(self.request, names_in(self._choices.keep), machine, self.known)
        offers = self._read_pages(machine, matrix)
        offers = offers._replace(rows=rows_without(offers.rows, refused))
        if self._console.offline:
            matrix = as_offered(matrix, offers)
        here = machine.python
        cache = own_cache(cache_path())
        evidence = read_evidence(here, self.known, cache=cache) if here and not machine.is_described else {}
        sound = sound_projects(Place(machine, here, matrix), self.known, evidence) if here else frozenset[str]()
        official = official_providers(self.catalog)
        problem = make_problem(self.request, machine, matrix, self.known, offers, official, sound)
        if self.request.cuda:
            variants = {build.variant for build in problem.facts.matrix.torch}
            check_choices("--cuda", (self.request.cuda,), variants)
        return problem, offers

    def _read_pages(self, machine: Machine, matrix: Matrix) -> Offers:
        """The wheels on the pages that the user named; a page that cannot be read is said aloud."""
        from zoo_cli.cli.sources import users_mirrors
        from zoo_cli.packages.offers import Offers, read_offers
        from zoo_cli.transfer.addresses import local_path

        places = (*self._choices.find_links, *self._listed.places)
        mirrors = users_mirrors(self._console, self._choices.mirrors)
        usual = tuple(page for page in mirrors.pages if not self._console.offline or local_path(page) is not None)
        if not (places or usual):
            return Offers()
        from zoo_cli.packages.decide import kept_torch
        from zoo_cli.packages.pages import read_listing

        pairs = sorted({(build.variant, build.version) for build in matrix.torch}, reverse=True)
        listing = read_listing(places, self.settings, pairs, mirrors)
        if listing.skipped and not listing.links:
            raise listing.skipped[0].error
        more = read_listing(usual, self.settings, pairs)
        for skipped in (*listing.skipped, *more.skipped):
            self._console.warn(f"{skipped.place} was not read: {skipped.error}")
        keep = kept_torch(self.request, machine)
        links = tuple(dict.fromkeys((*listing.links, *more.links)))
        return read_offers(links, machine, self.known, keep, self._console.today())
