"""What is wanted and from where: the options of the commands that plan a stack, as a value and as they were typed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zoo_cli.packages.wheels import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.packages.given import Given

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
    build_stock: tuple[str, ...]
    providers: tuple[str, ...]
    replace: str
    prereleases: bool
    requirements: tuple[str, ...]
    keep: str
    prefer: str
    relax_asserts: tuple[str, ...]


_OPTIONS = (
    click.option(
        "--requirements",
        "-r",
        "requirements",
        multiple=True,
        metavar="FILE",
        help="Also what a requirements file names; packages zoo does not choose go to the installer as they stand.",
    ),
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
    click.option("--cuda", metavar="VARIANT", help="This CUDA only: 11.8 or cu118; or cpu."),
    click.option("--torch", metavar="RANGE", help="Torch releases that will do, e.g. 2.1 or '>=2.0,<2.2'."),
    click.option(
        "--build",
        multiple=True,
        metavar="PROJECT[==V]",
        help="Compile this ops project, several sources at a time; or build this ordinary one (with ==V).",
    ),
    click.option(
        "--build-stock",
        multiple=True,
        metavar="PROJECT[==V]",
        help="The same, one source at a time as upstream does; far slower.",
    ),
    click.option(
        "--provider",
        "providers",
        multiple=True,
        metavar="NAME",
        help="Also take wheels of this provider (onedl, miropsota ...).",
    ),
    click.option("--replace", default="", metavar="A,B", help="Installed projects that may be replaced."),
    click.option("--keep", default="", metavar="A,B", help="Installed projects that must stay as they are."),
    click.option(
        "--prefer",
        type=click.Choice(["newest", "stable"]),
        default="newest",
        help="What comes first: the newest torch, or wheels that were really seen.",
    ),
    click.option(
        "--relax-assert",
        "relax_asserts",
        multiple=True,
        metavar="PROJECT",
        help="Ignore the upper bounds this framework checks when it is imported (unsupported).",
    ),
    click.option("--pre", "prereleases", is_flag=True, help="Take pre-releases like any other release."),
)


def planning_options(command: Command) -> Command:
    """Adds the options that `Choices` holds."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def typed(name: str, choices: Choices, flags: Sequence[str] = ()) -> tuple[str, ...]:
    """The command as typed."""
    context = click.get_current_context()
    words = ["zoo", name, *choices.packages]
    for option in ("python", "environment", "described"):
        value = context.params.get(option)
        for each in value if isinstance(value, tuple) else (value,):
            spelled = {"environment": "--env", "described": "--machine"}.get(option, f"--{option}")
            words += [spelled, str(each)] if each else []
    for place in choices.find_links:
        words += ["--find-links", place]
    for rule in choices.mirrors:
        words += ["--mirror", rule]
    for option, values in (
        ("-r", choices.requirements), ("--provider", choices.providers), ("--build", choices.build),
        ("--build-stock", choices.build_stock),
        ("--relax-assert", choices.relax_asserts),
    ):  # fmt: skip
        words += [word for value in values for word in (option, value)]
    for option, value in (
        ("--torch", choices.torch), ("--cuda", choices.cuda), ("--replace", choices.replace), ("--keep", choices.keep),
    ):  # fmt: skip
        words += [option, value] if value else []
    words += ["--device", choices.device] if choices.device != "auto" else []
    words += ["--prefer", choices.prefer] if choices.prefer != "newest" else []
    words += ["--pre"] if choices.prereleases else []
    return (*words, *flags)


def with_sources(console: Console, choices: Choices, editable: Sequence[str]) -> tuple[Choices, tuple[Given, ...]]:
    """The choices without the sources among their words, and those, looked into: `./folder`, `git+URL@ref` ...

    Raises:
        ZooError: `BadSource`, `StepFailed` of git, of the transfer.
    """
    from zoo_cli.packages.sources import is_place

    places = [(word, False) for word in choices.packages if is_place(word)] + [(word, True) for word in editable]
    if not places:
        return choices, ()
    from zoo_cli.cli.building import find_sources
    from zoo_cli.directories import cache_directory, own_cache
    from zoo_cli.packages.given import read_given

    packages = tuple(word for word in choices.packages if not is_place(word))
    checkouts = own_cache(cache_directory()) / "git"
    return replace(choices, packages=packages), tuple(
        read_given(each, checkouts) for each in find_sources(console, places, checkouts)
    )


def source_words(sources: Sequence[Given]) -> list[str]:
    """The given sources as they were typed, with what pins them."""
    return [word for each in sources for word in (("-e",) if each.source.is_editable else ()) + (each.source.shown,)]


def names_in(text: str) -> frozenset[str]:
    """The projects that a comma-separated list names."""
    return frozenset(normalise(word.strip()) for word in text.split(",") if word.strip())


def project_of(word: str) -> str:
    """The project of `mmcv` or `mmcv==2.1.0`."""
    return normalise(re.split(r"[<>=!~\s\[]", word.strip(), maxsplit=1)[0])
