"""Verdicts of the checkpoint scanner as a table, lines, and SARIF."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli import __version__

if TYPE_CHECKING:
    from zoo_cli.trust.verdict import Finding, Verdict

_MOST_SHOWN = 8
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


class Scanned(NamedTuple):
    """One file with its verdict; `fetched_bytes` when it was judged behind its address."""

    name: str
    verdict: Verdict
    fetched_bytes: int | None = None


def rows(scanned: list[Scanned]) -> list[tuple[str, ...]]:
    """File, verdict in a word, container, and what was found."""
    return [(each.name, _word(each.verdict), each.verdict.container, each.verdict.sentence) for each in scanned]


def _word(verdict: Verdict) -> str:
    return "REFUSED" if verdict.is_refused else "warning" if verdict.findings else "ok"


def finding_lines(verdict: Verdict) -> list[str]:
    """One line for each finding, the gravest first."""
    from zoo_cli.trust.verdict import LEVELS

    ordered = sorted(verdict.findings, key=lambda finding: -LEVELS.index(finding.level))
    lines = [_line(finding) for finding in ordered[:_MOST_SHOWN]]
    return [*lines, f"and {len(ordered) - _MOST_SHOWN} more: --json has all"] if len(ordered) > _MOST_SHOWN else lines


def _line(finding: Finding) -> str:
    place = finding.where if finding.at is None else f"{finding.where}, byte {finding.at}"
    return f"{finding.level}: {finding.what}  ({place})"


def sarif(scanned: list[Scanned]) -> dict[str, object]:
    """The findings as a SARIF 2.1.0 log (OASIS), for code-scanning services."""
    codes = sorted({finding.code for each in scanned for finding in each.verdict.findings})
    results = [_result(each.name, finding) for each in scanned for finding in each.verdict.findings]
    driver = {
        "name": "zoo",
        "version": __version__,
        "rules": [{"id": code, "shortDescription": {"text": code.replace("-", " ")}} for code in codes],
    }
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _result(name: str, finding: Finding) -> dict[str, object]:
    from urllib.parse import quote

    region = {} if finding.at is None else {"region": {"byteOffset": finding.at}}
    uri = name if "://" in name else quote(name)
    return {
        "ruleId": finding.code,
        "level": "warning" if finding.level == "warning" else "error",
        "message": {"text": _line(finding)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, **region}}],
    }
