"""Projects without a wheel that fits: building one runs its own code, so only what the user named is built.

Pure. Every installer runs with `--only-binary :all:`; what it could not get is read from its words here. Whoever builds
a project (`builder`) does so because the user named it, and hands the installer a wheel.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.plan import Because, Pin
from zoo_cli.packages.request import BadRequirement
from zoo_cli.packages.versions import version
from zoo_cli.packages.wheels import normalise

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from zoo_cli.machine.facts import Interpreter
    from zoo_cli.packages.findlinks import Link
    from zoo_cli.packages.plan import Plan

_NEVER_BUILT = ("torch", "companion", "lite")
# What pip and uv say, each with the requirement; pip says the same of a version that is not there at all.
_NO_WHEEL = (
    re.compile(r"No matching distribution found for ([^;\n]+)"),
    re.compile(r"Wheels are required for `([\w.-]+)`"),
    re.compile(r"Building source distributions for `([\w.-]+)` is disabled"),
)
_NO_WHEEL_AT = re.compile(r"([\w.-]+)==([\w.!+]+) has no usable wheels")
_STOPPED = re.compile(r"Fatal Python error|subprocess-exited-with-error|did not run successfully")
_FROM_ADDRESS = re.compile(r"Collecting ([\w.-]+)(?:\[[^\]]*\])?\s*@")


class NoWheel(ZooError):
    """Something that is needed has no wheel that fits, and the user did not ask to build it."""

    code = "no-wheel"
    exit_code = ExitCode.NO_SOLUTION

    needed: tuple[str, ...]  # as requirements: "chumpy", "old==1.0"
    archives: tuple[str, ...] = ()  # what could be built of them: "chumpy==0.70"
    words: tuple[str, ...] = ()  # the command as typed; set by who has it
    builds: bool = True  # whether the command can build


def needed_wheels(lines: Sequence[str]) -> tuple[str, ...]:
    """What an installer lacked a wheel of, by what it said, as requirements; () when it failed for another reason."""
    text = "\n".join(lines)
    exact = {normalise(name): f"{name}=={number}" for name, number in _NO_WHEEL_AT.findall(text)}
    found = [each.strip() for pattern in _NO_WHEEL for each in pattern.findall(text)]
    if _STOPPED.search(text):
        found += _FROM_ADDRESS.findall(text)[-1:]
    return tuple(dict.fromkeys(exact.get(normalise(each), each) for each in found))


def may_be_missing(lines: Sequence[str]) -> bool:
    """Whether an installer may have found no such version at all: pip says the same of both."""
    return any(_NO_WHEEL[0].search(line) for line in lines)


def archive_for(requirement: str, links: Sequence[Link]) -> str | None:
    """The newest source archive that a requirement admits, as `name==version`; None when there is none."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import InvalidSdistFilename, parse_sdist_filename

    try:
        wanted = Requirement(requirement)
    except InvalidRequirement:
        return None
    found = []
    for link in links:
        if link.filename.endswith(".tar.gz") and link.yanked is None:
            try:
                found.append(parse_sdist_filename(link.filename)[1])
            except InvalidSdistFilename:
                continue
    admitted = sorted(wanted.specifier.filter(found))
    return f"{wanted.name}=={admitted[-1]}" if admitted else None


def asked_builds(words: Sequence[str], kinds: Mapping[str, str]) -> dict[str, str]:
    """The ordinary projects and frameworks among `NAME==VERSION` words that are to be built: name -> version.

    `kinds`: of the projects of the index. Ops are the solver's, and torch is never built; neither are in the result,
    nor is a word without a version.

    Raises:
        BadRequirement: the version is none.
    """
    found = {}
    for word in words:
        name, _, number = word.partition("==")
        if number.strip() and kinds.get(normalise(name.strip())) not in (*_NEVER_BUILT, "ops"):
            try:
                found[normalise(name.strip())] = str(version(number.strip()))
            except InvalidVersion as exc:
                raise BadRequirement(word, str(exc)) from exc
    return found


def with_builds(plan: Plan, builds: Mapping[str, str], python: Interpreter | None) -> Plan:
    """The plan with what the user asked to have built, unless that very version is there already."""
    return plan._replace(pins=tuple(_pins(plan, builds, python))) if builds else plan


def _pins(plan: Plan, builds: Mapping[str, str], python: Interpreter | None) -> Iterator[Pin]:
    for pin in plan.pins:
        same = builds.get(pin.project) == pin.version and pin.action != "keep"
        yield _built(pin) if same and pin.kind == "registry" else pin
    planned = {pin.project for pin in plan.pins}
    for name, number in sorted(builds.items()):
        here = python.distribution(name) if python else None
        if name not in planned and not (here and here.version == number):
            action, was = ("replace", here.version) if here else ("install", None)
            yield Pin(name, number, "build", action, Because("asked"), "built", was)


def _built(pin: Pin) -> Pin:
    return pin._replace(kind="build", urls=(), sha256=None, size_bytes=None, page="", evidence="built", source="")


def require_wheels(plan: Plan) -> Plan:
    """The plan itself, when everything that is fetched for it is a wheel.

    Raises:
        NoWheel: the package index has nothing but source archives of a pin.
    """
    archives = [f"{pin.project}=={pin.version}" for pin in plan.fetched if not pin.file_name.endswith(".whl")]
    if archives:
        raise NoWheel(tuple(archives), tuple(archives))
    return plan


def names_of(requirements: Collection[str]) -> tuple[str, ...]:
    """The normalised names of requirements."""
    return tuple(normalise(re.split(r"[^\w.-]", each.strip(), maxsplit=1)[0]) for each in requirements)
