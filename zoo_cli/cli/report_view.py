"""check-env as Markdown for a bug report: versions, findings, installed packages; nothing secret. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli import __version__
from zoo_cli.cli import findings_view
from zoo_cli.cli.redact import redacted
from zoo_cli.cli.source_view import source_words
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.machine.facts import Interpreter
    from zoo_cli.packages.check import Checkup

MAX_PACKAGES = 400


def markdown(checkup: Checkup, target: str | None, environ: Mapping[str, str], host: str) -> str:
    """The report; homes, users, hosts, addresses and tokens are taken out of all of it."""
    python = checkup.machine.python
    environment = python.prefix if python and python.is_virtual else ""
    return redacted("\n".join(_lines(checkup, target)), environ, host, environment)


def _lines(checkup: Checkup, target: str | None) -> Iterator[str]:
    yield f"### zoo check-env (zoo {__version__})"
    for group in ("Machine", "Installed"):
        findings = [each for each in checkup.findings if each.group == group]
        if not findings:
            continue
        yield from ("", f"**{group}**", "", "| | what | finding | code |", "|---|---|---|---|")
        for each in findings:
            yield f"| {each.status} | {_cell(each.subject)} | {_cell(findings_view.sentence(each))} | {each.code} |"
    broken = [each for each in checkup.findings if each.status in ("FAIL", "warn")]
    if broken:
        yield from ("", "**How it shows, and what mends it**", "")
        for each in broken:
            seen, fix = findings_view.seen_as(each), findings_view.fix(each, target)
            yield f"- {each.subject}: {_code(seen) if seen else each.code}" + (f", {_code(fix)}" if fix else "")
    yield from ("", "**Fits here**", "", "```")
    yield from (f"{name}: {text}" for name, text in map(findings_view.fit_text, checkup.fits))
    yield "```"
    if checkup.machine.python:
        yield from _packages(checkup.machine.python)


def _packages(python: Interpreter) -> Iterator[str]:
    here = python.distributions
    yield from ("", f"<details><summary>{len(here)} packages</summary>", "", "```")
    for each in here[:MAX_PACKAGES]:
        source = f" ({source_words(each.built_from)})" if each.built_from else ""
        yield printable(f"{each.name}=={each.version}{source}")
    yield from ("```", "", "</details>")


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text.replace('`', chr(39))}`"
