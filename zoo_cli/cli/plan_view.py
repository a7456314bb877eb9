"""A plan as people read it, and as one JSON document.

Sentences only: the plan comes in as a value, lines go out. Sizes are shown where they are known.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from zoo_cli.cli.source_view import source_document, source_words
from zoo_cli.cli.text import columns
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.cautions import Caution
    from zoo_cli.packages.plan import Because, Pin, Plan

_BECAUSE = {
    "asked": "asked for",
    "needed": "{} needs it",
    "newest-with-ops": "newest torch with {} wheels that the rest accepts",
    "newest-torch": "newest torch this machine runs",
    "installed": "installed already, kept",
    "belongs-to": "belongs to {}",
    "compiled-ops": "compiled ops for {}",
    "build": "compiled here for {}",
}
_EVIDENCE = {
    "seen": "seen",
    "listed": "listed by its publisher",
    "reported": "reported by users",
    "inferred": "inferred from a rule, not seen",
    "built": "built here",
}


def machine_line(machine: Machine) -> str:
    """The machine in one line: system, Python, GPUs, driver."""
    parts = [f"{machine.os.capitalize()} {machine.arch}"]
    if machine.python:
        parts.append(f"Python {machine.python.version}")
    names: dict[str, int] = {}
    for gpu in machine.gpus:
        target = f" ({gpu.capability.target})" if gpu.capability else ""
        names[gpu.name + target] = names.get(gpu.name + target, 0) + 1
    parts += [name if count == 1 else f"{count} x {name}" for name, count in names.items()] or ["no GPU"]
    if machine.driver:
        parts.append(f"driver {machine.driver}")
    return ", ".join(parts)


def because(reason: Because) -> str:
    """Why a pin is there, in a few words."""
    text = _BECAUSE[reason.code].format(reason.about)
    return text.replace("needs it", "need it") if reason.code == "needed" and ", " in reason.about else text


def _action(pin: Pin) -> str:
    source = f", {source_words(pin.here)}" if pin.here else ""
    if pin.action == "keep":
        return f"kept{source}"
    return because(pin.because) + (f"; replaces {pin.was}{source}" if pin.was and _is_other(pin) else "")


def _is_other(pin: Pin) -> bool:
    """Whether what is replaced has another version, or came from elsewhere than a package index."""
    return pin.was != pin.version or pin.here is not None


def plan_lines(plan: Plan) -> list[str]:
    """The table of a plan, its bounds and removals."""
    others = [(word, "", "your index", "-", "left to the installer") for word in plan.others]
    rows = [("PACKAGE", "VERSION", "FROM", "EVIDENCE", "BECAUSE")]
    rows += [(pin.spelled, pin.version, pin.host, pin.evidence, _action(pin)) for pin in plan.pins]
    rows += [
        (
            bound.project,
            bound.range or "any",
            "PyPI",
            "wall",
            f"for {bound.by}" + (f"; replaces {bound.was}" if bound.was else ""),
        )
        for bound in plan.bounds
    ]
    rows += [
        (each.name, each.version, "-", "seen", "removed: it owns the same import package") for each in plan.removals
    ]
    return ["  " + line.rstrip() for line in columns([*rows, *others])]


def address_lines(plan: Plan, *, with_sources: bool) -> Iterator[str]:
    """The addresses of the wheels that zoo fetches itself, with digests where they are known."""
    for pin in plan.fetched:
        yield f"  {pin.urls[0]}"
        digest = f"sha256 {pin.sha256}" if pin.sha256 else "no digest published"
        source = f"; {pin.source}, read {pin.date}" if with_sources else ""
        yield f"    {digest}; {_EVIDENCE[pin.evidence]}{source}"


def source_lines(plan: Plan) -> Iterator[str]:
    """Sources that the user gave, whose code runs when they are built."""
    for pin in plan.pins:
        if pin.kind == "build" and pin.source:
            yield f"  {pin.project} is built from {printable(pin.source)}, whose code runs for that"


def wall_lines(plan: Plan) -> Iterator[str]:
    """The facts behind the bounds, with their sources."""
    for bound in plan.bounds:
        yield f"  {bound.project}{bound.range}: {bound.by} {bound.fact} ({bound.source}, read {bound.date})"


_CAUTIONS = {
    "wall": "{project}: {text}",
    "not-proven": "{project} is not proven for {gpu} ({target}): nobody published which GPUs it holds code for; "
    "the ops are run after the install",
    "ptx-only": "{project} has no machine code for {gpu} ({target}): the driver compiles it at first use",
    "unsupported-build": "{project} {version} compiled for torch {torch}: nobody publishes this pair; "
    "the ops are run after the build",
    "reported-failure": "{project} was reported to fail on {gpu} ({target}): {text}",
    "relaxed-assert": "UNSUPPORTED: {project} refuses {chosen} when imported (asserts {range}). The patch it means: in "
    "{package}/__init__.py raise the maximum version of {needed} to '{raised}'; until then import {package} fails, and "
    "zoo does not check it after the install",
    "other-gpu": "{gpu} is not used: nobody publishes {project} wheels for {backend}; with a torch for {backend} in "
    "the target, --build {project} compiles the ops for it (not tried by zoo)",
    "provider": "{project} comes from {provider}, not from its original publisher",
}


def caution_line(caution: Caution) -> str:
    """One caution as a sentence."""
    return _CAUTIONS[caution.code].format(text=caution.text, **dict(caution.values))


def command_lines(commands: Sequence[str], limits: Sequence[str] = ()) -> list[str]:
    """Commands as they would be typed, after one that writes the limits, where there are any, into their file."""
    from zoo_cli.packages.install import LIMITS

    lines = [f"  {command}" for command in commands]
    return [f"  printf '%s\\n' {shlex.join(limits)} > {LIMITS}", *lines] if limits else lines


def pin_document(pin: Pin) -> dict[str, object]:
    """One pin for --json."""
    return {
        "name": pin.project,
        "extras": list(pin.extras),
        "version": pin.version,
        "kind": pin.kind,
        "action": pin.action,
        "replaces": pin.was,
        "url": pin.urls[0] if pin.urls else None,
        "sha256": pin.sha256,
        "size_bytes": pin.size_bytes,
        "reason": pin.because.code,
        "about": pin.because.about,
        "evidence": pin.evidence,
        "source": pin.source,
        "date": pin.date,
        "installed_from": source_document(pin.here),
    }


def plan_document(plan: Plan, commands: Sequence[Sequence[str]]) -> dict[str, object]:
    """A plan for --json."""
    return {
        "index": plan.index_date,
        "variant": plan.variant,
        "python_tag": plan.python,
        "plan": [pin_document(pin) for pin in plan.pins],
        "bounds": [
            {
                "name": each.project,
                "range": each.range,
                "by": each.by,
                "fact": each.fact,
                "replaces": each.was,
                "source": each.source,
                "date": each.date,
            }
            for each in plan.bounds
        ],
        "others": list(plan.others),
        "removals": [{"name": each.name, "version": each.version} for each in plan.removals],
        "cautions": [{"code": each.code, "text": caution_line(each), "source": each.source} for each in plan.cautions],
        "limits": list(plan.limits),
        "commands": [list(command) for command in commands],
    }
