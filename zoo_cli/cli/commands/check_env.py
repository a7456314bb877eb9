"""`zoo check-env`: what this machine is, what fits, what is broken, the command that mends it."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli import findings_view
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import columns
from zoo_cli.errors import ExitCode
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.catalog.entries import Matrix, Project
    from zoo_cli.cli.console import Console
    from zoo_cli.cli.target import Target
    from zoo_cli.packages.check import Checkup
    from zoo_cli.packages.findings import Finding

DEFAULT_PROJECTS = ("mmdet", "mmsegmentation", "mmpretrain", "mmpose")
_COLOURS = {"ok": "green", "warn": "yellow", "FAIL": "red"}


@click.command(
    name="check-env",
    epilog="Examples: zoo check-env --python ./env    zoo check-env --machine gpu=H100,driver=535.183.01",
)
@click.argument("projects", nargs=-1, metavar="[PROJECT]...")
@click.option("--python", metavar="PATH|VERSION", help="Interpreter or environment to look at.")
@click.option("--env", "environment", type=click.Path(path_type=Path), metavar="DIR", help="Environment to look at.")
@click.option("--machine", "described", metavar="FACTS|NAME|FILE", help="Another machine (see zoo help machine).")
@click.option("--save", metavar="NAME|FILE", help="Keep this machine's facts for --machine, here or elsewhere.")
@click.option("--fix", "is_fix", is_flag=True, help="Run the commands that mend what is broken here, after asking.")
@click.option("--yes", "-y", is_flag=True, help="With --fix: do not ask.")
@click.option("--markdown", "is_markdown", is_flag=True, help="For a bug report: no names, paths, hosts or tokens.")
@common_options
@pass_console
def command(
    console: Console,
    projects: tuple[str, ...],
    python: str | None,
    environment: Path | None,
    described: str | None,
    save: str | None,
    is_fix: bool,
    yes: bool,
    is_markdown: bool,
) -> None:
    """Tell what this machine is, what fits on it, what is broken and the command that mends it."""
    if is_fix and described:
        raise click.UsageError("--machine describes another machine; --fix works on this one.")
    named = python or (str(environment) if environment else None)
    checkup, target = _check(console, projects, named, described)
    if save:
        from zoo_cli.machine.profile import save_machine

        kept = save_machine(target.machine, save)
        console.say(f"Kept in {printable(str(kept))}: --machine {printable(save)}")
    mended: tuple[Finding, ...] = ()
    if is_fix:
        mended = _fix(console, checkup, target, yes=yes)
        checkup, target = _check(console, projects, named, described) if mended else (checkup, target)
    if console.json:
        console.document(_document(checkup, target, mended))
    elif is_markdown:
        from zoo_cli.cli.report_view import markdown

        console.data(markdown(checkup, target.executable, console.environ, console.host()))
    else:
        _show(console, checkup, target, mended)
    if checkup.is_blocked:
        raise click.exceptions.Exit(ExitCode.ENVIRONMENT)


def _check(
    console: Console, projects: tuple[str, ...], python: str | None, described: str | None
) -> tuple[Checkup, Target]:
    """Reads the machine and the target, and diagnoses them."""
    from zoo_cli.catalog.compat import official_providers, read_matrix
    from zoo_cli.catalog.compat import projects as known_projects
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.target import find_target
    from zoo_cli.directories import cache_path, own_cache
    from zoo_cli.machine.remembered import mark
    from zoo_cli.packages.check import Index, check_environment

    catalog = open_catalog()
    known = known_projects(catalog)
    target = find_target(catalog, console, python=python, described=described)
    (_number, _name, file) = catalog.execute("PRAGMA database_list").fetchone()

    def matrix(with_ops: bool) -> Matrix:
        return read_matrix(catalog, target.machine.platform, with_ops=with_ops)

    index = Index(known, official_providers(catalog), matrix, [file, mark(Path(file))], own_cache(cache_path()))
    return check_environment(target.machine, index, _wanted(projects, known), console.environ), target


def _wanted(projects: tuple[str, ...], known: Mapping[str, Project]) -> tuple[str, ...]:
    if not projects:
        return DEFAULT_PROJECTS
    from zoo_cli.packages.request import parse_wants

    return tuple(want.project for want in parse_wants(projects, known))


def _fix(console: Console, checkup: Checkup, target: Target, *, yes: bool) -> tuple[Finding, ...]:
    """Runs what mends the findings, after asking; the findings that it was for."""
    from zoo_cli.cli.mending import mend, plan_mending

    mending = plan_mending(checkup.findings, target.executable or "")
    if not mending.commands:
        console.say("Nothing here can be mended in place.")
        return ()
    for words in mending.commands:
        console.say(f"will run: {printable(shlex.join(words))}")
    if not yes and not console.can_ask:
        raise click.UsageError("--fix changes the environment; say --yes where nobody can be asked.")
    if not yes and not console.ask("Run this?"):
        console.say("Nothing changed.")
        return ()
    mend(console, mending)
    return mending.findings


def _document(checkup: Checkup, target: Target, mended: tuple[Finding, ...]) -> dict[str, object]:
    from zoo_cli.machine.document import machine_to_json

    return {
        "ok": not checkup.is_blocked,
        "command": "check-env",
        "machine": machine_to_json(checkup.machine),
        "findings": [findings_view.finding_document(finding, target.executable) for finding in checkup.findings],
        "mended": [_mended(checkup, each) for each in mended],
        "fits": [findings_view.fit_document(fit) for fit in checkup.fits],
    }


def _mended(checkup: Checkup, finding: Finding) -> dict[str, object]:
    """Whether a finding is gone."""
    is_left = any((each.subject, each.code) == (finding.subject, finding.code) for each in checkup.findings)
    return {"subject": finding.subject, "code": finding.code, "is_mended": not is_left}


def _show(console: Console, checkup: Checkup, target: Target, mended: tuple[Finding, ...]) -> None:
    for finding in mended:
        told = _mended(checkup, finding)
        console.data(f"{'mended' if told['is_mended'] else 'STILL BROKEN'}: {finding.subject} ({finding.code})")
    if mended:
        console.data()
    for group in ("Machine", "Installed"):
        members = [each for each in checkup.findings if each.group == group and (console.verbose or not each.is_minor)]
        if members:
            console.data(group)
            for finding in members:
                _show_finding(console, finding, target)
            console.data()
    console.data("Fits here")
    for line in columns([findings_view.fit_text(fit) for fit in checkup.fits]):
        console.data("  " + line)
    console.data()
    console.data(_verdict(checkup))
    hidden = 0 if console.verbose else sum(each.is_minor for each in checkup.findings)
    if hidden:
        console.say(f"{hidden} more note{'' if hidden == 1 else 's'} on files that few people use: -v")


def _show_finding(console: Console, finding: Finding, target: Target) -> None:
    status = f"{finding.status:4}"
    colour = _COLOURS.get(finding.status)
    shown = console.paint(status, colour, talk=False) if colour else status
    where = f"   [{printable(finding.source)}]" if console.verbose and finding.source else ""
    console.data(f"  {shown}  {finding.subject:14}  {findings_view.sentence(finding)}{where}")
    seen = findings_view.seen_as(finding)
    if seen:
        console.data(f"{'':24}seen as: {seen}")
    mend = findings_view.fix(finding, target.executable)
    if mend:
        console.data(f"{'':24}fix: {mend}")


def _verdict(checkup: Checkup) -> str:
    counts = Counter(finding.status for finding in checkup.findings if not finding.is_minor)
    told = ", ".join(f"{counts[status]} {status}" for status in ("ok", "note", "warn", "FAIL") if counts[status])
    if checkup.is_blocked:
        return f"Blocked: {told}."
    return f"Fine: {told}."
