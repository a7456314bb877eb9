"""What `zoo explain` shows: the reason for each version, the facts against the others, each with its source."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from zoo_cli.cli.messages.decisions import fact, no_solution
from zoo_cli.cli.plan_view import because, machine_line, pin_document
from zoo_cli.packages.explain import NoSolution
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.plan import Plan
    from zoo_cli.packages.reasons import Reason
    from zoo_cli.packages.solve import Stack
    from zoo_cli.packages.why import LessWished, NotTaken

WIDTH = 100


def show(console: Console, machine: Machine, plan: Plan, refused: Sequence[NotTaken]) -> None:
    """A plan with the reason for each version, then what came before it and was not possible."""
    if console.json:
        console.document(
            {
                "ok": True, "command": "explain", "index": plan.index_date, "python_tag": plan.python,
                "chosen": [{**pin_document(pin), "because": because(pin.because)} for pin in plan.pins],
                "not_taken": [_not_taken_document(each) for each in refused],
            }
        )  # fmt: skip
        return
    console.data(f"Machine: {printable(machine_line(machine))}")
    console.data(f"Index:   {plan.index_date}")
    console.data()
    for pin in plan.pins:
        console.data(
            f"{pin.spelled} {pin.version}: {'installed, kept' if pin.action == 'keep' else because(pin.because)}"
        )
        if pin.source:
            console.data(f"    {pin.evidence}: {printable(pin.source)}, read {pin.date}")
    _show_not_taken(console, refused)


def show_refused(console: Console, machine: Machine, refused: Sequence[NotTaken]) -> None:
    """Every torch release with the facts against it, where no plan exists; the refusal itself follows as an error."""
    if not console.json:
        console.data(f"Machine: {printable(machine_line(machine))}")
        _show_not_taken(console, refused)


def _show_not_taken(console: Console, refused: Sequence[NotTaken]) -> None:
    if refused:
        console.data()
        console.data("Not taken:")
    for each in refused:
        for line in textwrap.wrap(f"{each.project} {_span(each.versions)}", WIDTH):
            console.data(f"  {line}")
        _show_facts(console, each.reasons)


def _span(versions: Sequence[str]) -> str:
    """Versions, newest first, as one range where there are many: `2.15.0 ... 2.5.0 (16 releases)`."""
    return ", ".join(versions) if len(versions) < 4 else f"{versions[0]} ... {versions[-1]} ({len(versions)} releases)"


def _show_facts(console: Console, reasons: Sequence[Reason]) -> None:
    for reason in reasons:
        console.data(f"    {printable(fact(reason))}")
        if reason.source:
            console.data(f"        {printable(reason.source)}, read {reason.date}")


def show_why_not(console: Console, asked: str, answer: NoSolution | LessWished) -> None:
    """Why something is not in the plan: the facts and the ways out, or the wish in which it is behind."""
    if console.json:
        console.document(_why_not_document(asked, answer))
    elif isinstance(answer, NoSolution):
        message = no_solution(answer)
        console.data(f"{printable(asked)} is not possible:")
        for line in message.facts:
            console.data(f"  {printable(line)}")
        for source in dict.fromkeys(message.sources):
            console.data(f"      {printable(source)}")
        for way in message.ways_out[:-1]:
            console.data(f"{way.text}:" if way.command else way.text)
            if way.command:
                console.data(f"     {way.command}")
    elif not answer.wish:
        console.data(f"{printable(asked)} is what would be taken: {_stack_line(answer.stack)}")
    else:
        console.data(f"{printable(asked)} is possible, and something else comes first:")
        console.data(f"  with it      {_stack_line(answer.stack)}")
        console.data(f"  the plan has {_wish_line(answer)}")


_WISHES = {
    "torch": "the newer torch",
    "cuda": "the CUDA build that suits the driver better",
    "python": "the target's Python",
}


def _wish_line(answer: LessWished) -> str:
    wish = _WISHES.get(answer.wish, f"the newer {answer.wish}")
    return f"{wish}: {answer.chosen}" + (f", not {answer.instead}" if answer.instead else "")


def _stack_line(stack: Stack) -> str:
    torch = stack.cell.torch
    parts = [f"torch {torch.version}+{torch.variant}", *(f"{each.project} {each.version}" for each in stack.ops)]
    return ", ".join([*parts, *(f"{name} {release.version}" for name, release in sorted(stack.frameworks.items()))])


def _reason_document(reason: Reason) -> dict[str, object]:
    return {
        "group": reason.group, "fact": fact(reason), "values": dict(reason.values), "source": reason.source,
        "date": reason.date,
    }  # fmt: skip


def _not_taken_document(each: NotTaken) -> dict[str, object]:
    return {
        "name": each.project, "versions": list(each.versions), "conflict": list(each.conflict),
        "reasons": [_reason_document(reason) for reason in each.reasons],
    }  # fmt: skip


def _why_not_document(asked: str, answer: NoSolution | LessWished) -> dict[str, object]:
    head: dict[str, object] = {"ok": True, "command": "explain", "asked": asked}
    if isinstance(answer, NoSolution):
        message = no_solution(answer)
        return {
            **head, "possible": False, "conflict": list(answer.conflict),
            "reasons": [_reason_document(reason) for reason in answer.reasons],
            "ways_out": [{"text": way.text, "command": way.command} for way in message.ways_out[:-1]],
        }  # fmt: skip
    return {
        **head, "possible": True, "stack": _stack_line(answer.stack), "behind_in": answer.wish or None,
        "chosen": answer.chosen or None, "instead": answer.instead or None,
    }  # fmt: skip
