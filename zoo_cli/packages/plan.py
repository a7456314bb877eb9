"""The plan: what will be installed, from where, on what evidence, why, and the commands that do it.

Pure. A stack (`zoo_cli.packages.solve`) becomes pins; what is installed already decides each pin's action. A fact of
the index keeps its evidence: a wheel named by a rule is `inferred` until its page or the file itself was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from zoo_cli.catalog.entries import OpsWheels
from zoo_cli.packages.binding import BOUND_KINDS, companion_limit, limits
from zoo_cli.packages.cautions import cautions_of, chosen_versions, walls_of
from zoo_cli.packages.problem import INSTALLED, Problem
from zoo_cli.packages.request import spell_extras
from zoo_cli.packages.solve import SourceBuild, Stack
from zoo_cli.packages.versions import local, parse_range, public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zoo_cli.catalog.entries import FrameworkRelease, TorchBuild, Wall
    from zoo_cli.machine.facts import DirectUrl, Distribution, Interpreter
    from zoo_cli.packages.cautions import Caution
    from zoo_cli.packages.given import Given

BUILD_TOOLS = ("setuptools", "pip", "wheel")
COMPANIONS = ("torchvision", "torchaudio")  # projects whose release belongs to a torch release


class Because(NamedTuple):
    """Why a pin is in the plan: a code for the sentence and the word it needs."""

    code: str  # asked | needed | newest-with-ops | newest-torch | installed | belongs-to | compiled-ops | build
    about: str = ""


class Pin(NamedTuple):
    """One project at one version."""

    project: str
    version: str  # with its local version
    kind: str  # wheel (a file zoo fetches) | registry (from the package index) | build (compiled from source)
    action: str  # install | keep | replace
    because: Because
    evidence: str  # seen | listed | reported | inferred | built
    was: str | None = None  # installed version that is replaced
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    size_bytes: int | None = None
    source: str = ""  # where the fact stands
    date: str = ""
    page: str = ""  # the find-links or simple-index page that lists the wheel
    extras: tuple[str, ...] = ()
    here: DirectUrl | None = None  # what is installed was built from this

    @property
    def spelled(self) -> str:
        """The project with its extras, as a requirement spells it."""
        return self.project + spell_extras(self.extras)

    @property
    def file_name(self) -> str:
        """Name of the wheel, "" if it is not a file that zoo fetches."""
        return unquote(urlsplit(self.urls[0]).path.rpartition("/")[2]) if self.urls else ""

    @property
    def host(self) -> str:
        """Where it comes from, as a person says it."""
        if self.action == "keep" and self.here:
            return "installed"
        if self.kind == "registry":
            return "PyPI"
        if self.kind == "build":
            return "built from source"
        address = urlsplit(self.urls[0]) if self.urls else None
        return (address.hostname or "this computer") if address else "installed"


class Bound(NamedTuple):
    """A range that an ordinary project must keep, and the wall behind it."""

    project: str
    range: str
    by: str  # who runs into the wall: "mmengine 0.10.7"
    fact: str
    was: str | None  # installed version outside the range
    is_missing: bool  # not installed at all
    source: str
    date: str


class Plan(NamedTuple):
    """Everything an install will do."""

    words: tuple[str, ...]
    pins: tuple[Pin, ...]
    bounds: tuple[Bound, ...]
    removals: tuple[Distribution, ...]  # installed distributions that own the same import package
    cautions: tuple[Caution, ...]
    index_date: str
    variant: str
    python: str  # interpreter tag
    stack: Stack
    others: tuple[str, ...] = ()  # requirements for the installer as they stand
    limits: tuple[str, ...] = ()  # constraints that keep projects of the index out that are not in the plan
    conda: frozenset[str] = frozenset()  # installed distributions that are conda's

    @property
    def fetched(self) -> tuple[Pin, ...]:
        """Pins whose file zoo fetches and inspects itself: it has an address."""
        return tuple(pin for pin in self.pins if pin.action != "keep" and (pin.kind == "wheel" or pin.urls))

    @property
    def unbound(self) -> tuple[Pin, ...]:
        """Pins of the package index whose file was not looked up there yet."""
        return tuple(pin for pin in self.pins if pin.action != "keep" and pin.kind == "registry" and not pin.urls)

    @property
    def changes(self) -> tuple[tuple[str, str, str], ...]:
        """Installed things that the plan replaces or removes: (project, old version, new version or "")."""
        replaced = [(pin.project, pin.was, pin.version) for pin in self.pins if pin.action == "replace" and pin.was]
        bounded = [(bound.project, bound.was, bound.range) for bound in self.bounds if bound.was]
        removed = [(each.name, each.version, "") for each in self.removals]
        return (*replaced, *bounded, *removed)

    @property
    def harms(self) -> tuple[tuple[str, str, str], ...]:
        """The changes that others may feel; build tools are not among them, unless conda put them there."""
        return tuple(change for change in self.changes if change[0] not in BUILD_TOOLS or change[0] in self.conda)

    @property
    def is_done(self) -> bool:
        """Whether everything is in place already."""
        keeps_all = all(pin.action == "keep" for pin in self.pins)
        return keeps_all and not self.others and not self.changes and not any(bound.is_missing for bound in self.bounds)

    def requirements(self, place: Callable[[Pin], str] | None = None) -> tuple[str, ...]:
        """Words for an installer; `place` may name another address for a fetched wheel (a local file)."""
        words = [f"{pin.spelled} @ {place(pin) if place else address_of(pin)}" for pin in self.fetched]
        words += [f"{pin.spelled}=={pin.version}" for pin in self.unbound]
        words += [f"{bound.project}{bound.range}" for bound in self.bounds]
        return (*words, *self.others)

    def constraints(self) -> tuple[str, ...]:
        """What must not move while ordinary dependencies are resolved."""
        return tuple(f"{pin.project}=={pin.version}" for pin in self.pins if pin.action == "keep")


def address_of(pin: Pin) -> str:
    """The pin's address with its digest, where one is known."""
    return pin.urls[0] + (f"#sha256={pin.sha256}" if pin.sha256 else "")


def companion_address(build: TorchBuild, tag: str, project: str, release: str) -> str:
    """The address of a torch-family wheel: its index names all of them by one rule."""
    address = build.url(tag) or build.index_url
    return address if project == "torch" else address.replace(f"/torch-{build.version}", f"/{project}-{release}")


def companion_page(build: TorchBuild, project: str) -> str:
    """The page that lists the wheels of a torch-family project."""
    return f"{build.index_url.rstrip('/')}/{project}/" if build.index_kind == "simple" else build.index_url


def make_plan(problem: Problem, stack: Stack, torch_digest: Callable[[str], str | None]) -> Plan:
    """The plan for a stack.

    Args:
        problem: what was solved.
        stack: its solution.
        torch_digest: gives the sha256 of a torch-family wheel by address, where one is published.
    """
    extras = {want.project: want.extras for want in problem.request.wants if want.extras}
    pins = (
        *_torch_pins(problem, stack, torch_digest),
        *_engine_and_ops(problem, stack),
        *_framework_pins(problem, stack),
    )
    return Plan(
        words=tuple(str(want) for want in problem.request.wants),
        pins=tuple(
            pin._replace(extras=extras.get(pin.project, ()), here=_source_here(problem.machine.python, pin.project))
            for pin in pins
        ),
        bounds=tuple(_bounds(problem, stack)),
        removals=tuple(_removals(problem, stack)),
        cautions=tuple(cautions_of(problem, stack)),
        index_date=problem.facts.matrix.index_date,
        variant=stack.cell.torch.variant,
        python=stack.cell.python,
        stack=stack,
        others=problem.request.others,
        limits=(*_limits(problem, stack, frozenset(pin.project for pin in pins)), *_condas(problem, stack, pins)),
        conda=frozenset(_conda_owned(problem)),
    )


def _conda_owned(problem: Problem) -> dict[str, str]:
    """What conda installed: name -> version. Its files are in conda's records, which no other installer keeps true."""
    python = problem.machine.python
    here = python.distributions if python and python.is_conda else ()
    return {each.name: each.version for each in here if each.installer == "conda"}


def _condas(problem: Problem, stack: Stack, pins: tuple[Pin, ...]) -> tuple[str, ...]:
    """Keeps every package of conda as it is that neither the plan nor the user lets go."""
    going = {pin.project for pin in pins} | {each.name for each in _removals(problem, stack)}
    going |= {bound.project for bound in _bounds(problem, stack)} | problem.request.replace
    kept = sorted(_conda_owned(problem).items())
    return tuple(f"{name}=={version}" for name, version in kept if name not in going and name not in _bound(problem))


def _bound(problem: Problem) -> frozenset[str]:
    """Projects of the index, which `_limits` speaks of."""
    return frozenset(name for name, each in problem.facts.projects.items() if each.kind in BOUND_KINDS)


def _limits(problem: Problem, stack: Stack, planned: frozenset[str]) -> tuple[str, ...]:
    """What keeps projects of the index out that the plan does not name."""
    build, tag = stack.cell.torch, stack.cell.python
    torch = (problem.keep_torch and _torch_here(problem)) or build.version + build.local
    removed = {each.name for each in _removals(problem, stack)}
    python = problem.machine.python
    here = {each.name: each.version for each in reversed(python.distributions if python else ())}
    companions = {}
    for name, release in (("torchvision", build.torchvision), ("torchaudio", build.torchaudio)):
        if name not in here or release not in (None, public(here[name])):
            address = companion_address(build, tag, name, release) if release and build.url(tag) else None
            companions[name] = companion_limit(name, release, address, torch)
    staying = {name: version for name, version in here.items() if name not in removed}
    return limits(problem.facts.projects, planned, staying, companions)


def plan_with_given(plan: Plan, given: Sequence[Given], python: Interpreter | None) -> Plan:
    """The plan with given sources built and installed, whatever release of them is there."""
    if not given:
        return plan
    named = {each.project: each for each in given}
    pins = [_given_pin(named[pin.project], pin.because, python) if pin.project in named else pin for pin in plan.pins]
    planned = {pin.project for pin in plan.pins}
    pins += [_given_pin(each, Because("asked"), python) for each in given if each.project not in planned]
    return plan._replace(
        pins=tuple(pins),
        words=(*plan.words, *(each.source.shown for each in given if each.project not in planned)),
    )


def _source_here(python: Interpreter | None, project: str) -> DirectUrl | None:
    here = python.distribution(project) if python else None
    return here.built_from if here else None


def _given_pin(given: Given, because: Because, python: Interpreter | None) -> Pin:
    here = python.distribution(given.project) if python else None
    action, was = ("replace", here.version) if here else ("install", None)
    source, origin = given.source.shown, here.built_from if here else None
    return Pin(given.project, given.version, "build", action, because, "built", was, source=source, here=origin)


def _installed(problem: Problem, project: str) -> Distribution | None:
    python = problem.machine.python
    return python.distribution(project) if python else None


def _action(problem: Problem, project: str, wanted: str) -> tuple[str, str | None]:
    here = _installed(problem, project)
    if here is None:
        return "install", None
    same = here.version == wanted or (not local(here.version) and here.version == public(wanted))
    if same and project not in problem.request.replace:
        return "keep", None
    return "replace", here.version


def _torch_pins(problem: Problem, stack: Stack, digest: Callable[[str], str | None]) -> Iterator[Pin]:
    build, tag = stack.cell.torch, stack.cell.python
    releases = {"torch": build.version, "torchvision": build.torchvision, "torchaudio": build.torchaudio}
    for project, release in releases.items():
        if release is None or (project in COMPANIONS and not problem.request.want(project)):
            continue
        if project == "torch" and problem.keep_torch:
            yield Pin("torch", _torch_here(problem) or release, "wheel", "keep", Because("installed"), "seen")
            continue
        full = release + build.local
        action, was = _action(problem, project, full)
        url = companion_address(build, tag, project, release)
        because, origin = _torch_because(problem, stack, project), build.origin
        yield Pin(
            project, full, "wheel", action, because, origin.evidence, was, (url,), digest(url), None,
            origin.source, origin.date, companion_page(build, project),
        )  # fmt: skip


def _torch_here(problem: Problem) -> str | None:
    python = problem.machine.python
    return python.torch.version if python and python.torch else None


def _torch_because(problem: Problem, stack: Stack, project: str) -> Because:
    if project in COMPANIONS:
        return Because("belongs-to", f"torch {stack.cell.torch.version}")
    if problem.request.want("torch"):
        return Because("asked")
    wheels = [ops.project for ops in stack.ops if isinstance(ops, OpsWheels)]
    if wheels:
        return Because("newest-with-ops", " and ".join(wheels))
    return Because("newest-torch")


def _engine_and_ops(problem: Problem, stack: Stack) -> Iterator[Pin]:
    for project, release in stack.frameworks.items():
        if problem.facts.projects[project].kind == "engine":
            yield _registry_pin(problem, project, release, stack)
    for ops in stack.ops:
        if isinstance(ops, SourceBuild):
            action, was = _action(problem, ops.project, ops.version)
            because = Because("build", f"torch {stack.cell.torch.version}")
            yield Pin(ops.project, ops.version, "build", action, because, "built", was)
        else:
            yield _ops_pin(problem, ops, stack.cell.python)


def _ops_pin(problem: Problem, ops: OpsWheels, tag: str) -> Pin:
    here = _installed(problem, ops.project)
    if ops.provider == INSTALLED and here:
        return Pin(ops.project, here.version, "wheel", "keep", Because("installed"), "seen", source=here.location)
    address = ops.url(tag) or ops.page_url
    full = _file_version(address) or ops.version
    action, was = _action(problem, ops.project, full)
    because, origin = Because("compiled-ops", f"{ops.variant}, torch {ops.torch}, {tag}"), ops.origin_of(tag)
    return Pin(
        ops.project, full, "wheel", action, because, ops.python_tags[tag], was, (address,), ops.sha256, None,
        origin.source, origin.date, ops.page_url,
    )  # fmt: skip


def _file_version(address: str) -> str:
    parts = unquote(address.rpartition("/")[2]).removesuffix(".whl").split("-")
    return parts[1] if len(parts) >= 5 else ""


def _framework_pins(problem: Problem, stack: Stack) -> Iterator[Pin]:
    for project, release in sorted(stack.frameworks.items()):
        if problem.facts.projects[project].kind != "engine":
            yield _registry_pin(problem, project, release, stack)


def _registry_pin(problem: Problem, project: str, release: FrameworkRelease, stack: Stack) -> Pin:
    action, was = _action(problem, project, release.version)
    if problem.request.want(project):
        because = Because("asked")
    else:
        users = [
            user for user, each in stack.frameworks.items() if release.import_name in (*each.declared, *each.asserted)
        ]  # fmt: skip
        because = Because("needed", ", ".join(sorted(users)))
    origin = release.origin
    return Pin(
        project, release.version, "registry", action, because, "seen", was, (), None, None, origin.source, origin.date
    )


def _staying(problem: Problem) -> dict[str, str]:
    """Installed projects of the index that the plan leaves as they are: their walls stand, too."""
    python = problem.machine.python
    known = problem.facts.matrix.frameworks
    # The first of two distributions of one name is the one that is imported.
    return {here.name: here.version for here in reversed(python.distributions if python else ()) if here.name in known}


def _bounds(problem: Problem, stack: Stack) -> Iterator[Bound]:
    versions = {**_staying(problem), **chosen_versions(stack)}
    ranges: dict[str, list[tuple[str, str, Wall]]] = {}
    for wall, project in walls_of(problem, stack, versions):
        for needed, span in wall.needs.items():
            if wall.severity == "breaks" and needed not in versions:
                ranges.setdefault(needed, []).append((span, f"{project} {versions[project]}", wall))
    for needed, found in sorted(ranges.items()):
        text = ",".join(dict.fromkeys(span for span, _by, _wall in found))
        here = _installed(problem, needed)
        was = here.version if here and not parse_range(text).admits(here.version) else None
        _span, by, first = found[0]
        yield Bound(needed, text, by, first.fact, was, here is None, first.origin.source, first.origin.date)


def _removals(problem: Problem, stack: Stack) -> Iterator[Distribution]:
    """Installed distributions that own an import package of the plan under another name."""
    python = problem.machine.python
    planned = {*stack.frameworks, *(ops.project for ops in stack.ops)}
    owned = {problem.facts.projects[project].import_name for project in planned if project in problem.facts.projects}
    for here in python.distributions if python else ():
        project = problem.facts.projects.get(here.name)
        if project and project.import_name in owned and here.name not in planned:
            yield here
