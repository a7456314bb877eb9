"""What a user asks to have installed, as a value.

Pure. Words from the command line become a `Request` by `parse_request`, which knows the projects of the index: an
alias (`mmdetection`) is an error that names the right word, because installing something else than what was typed is
never silent.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, NamedTuple

from packaging.version import InvalidVersion

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.versions import Range, parse_range, public
from zoo_cli.packages.wheels import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zoo_cli.catalog.entries import Project
    from zoo_cli.machine.facts import Machine

CHOSEN_KINDS = ("torch", "companion", "ops", "engine", "framework")  # projects whose version the solver chooses
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*(.*)$")
_EXTRA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


class UnknownProject(ZooError):
    """No project of the index has that name."""

    code = "unknown-project"
    exit_code = ExitCode.USAGE

    name: str
    called: str | None  # the project a known alias means
    near: tuple[str, ...]


class BadRequirement(ZooError):
    """A requirement on the command line that cannot be read."""

    code = "bad-requirement"
    exit_code = ExitCode.USAGE

    text: str
    reason: str


class UnknownChoice(ZooError):
    """An option names something that does not exist: a provider, a variant, an ops project to build."""

    code = "unknown-choice"
    exit_code = ExitCode.USAGE

    option: str
    given: str
    known: tuple[str, ...]


class Want(NamedTuple):
    """One project that was asked for, with the versions that will do."""

    project: str
    versions: Range
    extras: tuple[str, ...] = ()  # handed to the installer with the pin

    def __str__(self) -> str:
        return self.project + spell_extras(self.extras) + self.versions.text


class Request(NamedTuple):
    """Everything that was asked for in one install."""

    wants: tuple[Want, ...]
    device: str = "auto"  # auto | cpu | cuda
    cuda: str | None = None  # a variant: cu118, cpu
    replace: frozenset[str] = frozenset()  # installed projects that may be replaced
    providers: frozenset[str] = frozenset()  # besides the official ones
    build: frozenset[str] = frozenset()  # ops projects to compile from source
    prereleases: bool = False
    relax_asserts: frozenset[str] = frozenset()  # frameworks whose upper bounds, checked at import, are ignored
    others: tuple[str, ...] = ()  # requirements for the installer as they stand
    prefer: str = "newest"  # newest | stable: what was seen before what is newer

    def want(self, project: str) -> Want | None:
        """What was asked of that project, None if it was not asked for."""
        return next((want for want in self.wants if want.project == project), None)


class Requirements(NamedTuple):
    """What requirements files ask for."""

    words: tuple[str, ...] = ()  # of packages whose version zoo chooses
    others: tuple[str, ...] = ()  # for the installer, as they stand
    places: tuple[str, ...] = ()  # of --find-links
    left_out: tuple[str, ...] = ()  # "requirements.txt:3: --extra-index-url"


def spell_extras(extras: tuple[str, ...]) -> str:
    """Extras as a requirement spells them: `[tracking]`, "" without any."""
    return f"[{','.join(extras)}]" if extras else ""


def parse_want(text: str, projects: Mapping[str, Project]) -> Want:
    """One word such as `mmdet`, `mmdet>=3,<3.3` or `mmdet==3.3.0`.

    Raises:
        BadRequirement: if it cannot be read.
        UnknownProject: if the index has no project of that name.
    """
    found = _REQUIREMENT.match(text)
    if not found:
        raise BadRequirement(text, "a project name was expected")
    name, specifier = normalise(found[1]), re.sub(r"\s+", "", found[3])
    extras = tuple(sorted({each.strip() for each in (found[2] or "").split(",") if each.strip()}))
    if not all(_EXTRA.match(each) for each in extras):
        raise BadRequirement(text, "an extra is a name: mmdet[tracking]")
    if specifier.startswith("@") or ";" in specifier or "://" in text:
        raise BadRequirement(
            text, "addresses and markers are not taken; name a project, and its page with --find-links"
        )
    if name not in projects:
        raise _unknown(name, projects)
    if projects[name].kind not in CHOSEN_KINDS:
        raise BadRequirement(
            text, f"zoo does not choose versions of {name}; an ordinary installer can: pip install {name}"
        )
    try:
        return Want(name, parse_range(specifier.strip("()")), extras)
    except InvalidVersion as exc:
        raise BadRequirement(text, str(exc)) from exc


def _unknown(name: str, projects: Mapping[str, Project]) -> UnknownProject:
    called = next((known for known, project in projects.items() if name in project.aliases), None)
    return UnknownProject(name, called, tuple(difflib.get_close_matches(name, projects, n=3, cutoff=0.6)))


def parse_wants(words: Iterable[str], projects: Mapping[str, Project]) -> tuple[Want, ...]:
    """All words, a project named twice must stay within both ranges."""
    wants: dict[str, Want] = {}
    for word in words:
        want = parse_want(word, projects)
        earlier = wants.get(want.project)
        if earlier:
            ranges = ",".join(filter(None, (earlier.versions.text, want.versions.text)))
            want = Want(want.project, parse_range(ranges), tuple(sorted({*earlier.extras, *want.extras})))
        wants[want.project] = want
    return tuple(wants.values())


def check_choices(option: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuses an option's values that are not among the known ones.

    Raises:
        UnknownChoice: naming the first that is not, and all that are.
    """
    choices = tuple(sorted(known))
    for value in sorted(given):
        if value not in choices:
            raise UnknownChoice(option, value, choices)


def keep_installed(
    request: Request, names: Iterable[str], machine: Machine, projects: Mapping[str, Project]
) -> Request:
    """The request with installed projects held at their versions.

    torch needs no more than not to be replaced; a project zoo chooses is asked for at its version; of any other the
    installer is told.

    Raises:
        UnknownChoice: one of them is not installed in the target.
    """
    python = machine.python
    here = {each.name: each.version for each in python.distributions} if python else {}
    if python and python.torch:
        here["torch"] = python.torch.version
    kept = sorted(names)
    check_choices("--keep", kept, here)
    wants, others = list(request.wants), list(request.others)
    for name in kept:
        chosen = name in projects and projects[name].kind in CHOSEN_KINDS
        if chosen and name != "torch":
            wants.append(Want(name, parse_range(f"=={public(here[name])}")))
        elif not chosen:
            others.append(f"{name}=={here[name]}")
    return request._replace(wants=tuple(wants), others=tuple(others), replace=request.replace - set(kept))
