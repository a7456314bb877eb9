"""What `zoo install` shows and tells: the plan before, the receipt after, for people and for --json."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from zoo_cli.cli import plan_view
from zoo_cli.packages.offers import unsuited
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.cli.target import Target
    from zoo_cli.packages.install import Receipt
    from zoo_cli.packages.offers import Offers
    from zoo_cli.packages.plan import Plan
    from zoo_cli.packages.steps import Step
    from zoo_cli.transfer.sources import Mirrors


def show(console: Console, plan: Plan, target: Target, offers: Offers) -> None:
    """The machine, the plan with its cautions, and with -v the addresses and every wheel that was not taken."""
    if console.json:
        return
    console.say(f"Machine: {printable(plan_view.machine_line(target.machine))}")
    console.say(f"Target:  {printable(target.name)}")
    console.say(f"Index:   {plan.index_date}")
    console.say("")
    console.say(console.paint(f"Plan for {' '.join(plan.words)}", "bold"))
    for line in plan_view.plan_lines(plan):
        console.say(line)
    console.say("Wheels that zoo fetches and inspects itself:" if plan.fetched else "")
    for line in plan_view.address_lines(plan, with_sources=bool(console.verbose)):
        console.say(line)
    for line in plan_view.source_lines(plan):
        console.say(line)
    for caution in plan.cautions:
        if caution.is_minor and not console.verbose:
            continue
        console.warn(plan_view.caution_line(caution))
    minor = 0 if console.verbose else sum(caution.is_minor for caution in plan.cautions)
    if minor:
        console.say(f"{minor} more note{'' if minor == 1 else 's'} on files that few people use: -v")
    if console.verbose:
        for line in plan_view.wall_lines(plan):
            console.say(line)
    _tell_conda(console, plan)
    not_taken = (*offers.rejected, *unsuited(offers, plan.stack.cell.torch.version, plan.variant))
    if not_taken:
        counts = Counter(wheel.code for wheel in not_taken)
        told = ", ".join(f"{count} {code}" for code, count in sorted(counts.items()))
        console.say(f"Not taken from the pages you named: {told}" + ("" if console.verbose else " (-v lists them)"))
    if console.verbose:
        for wheel in not_taken:
            why = f"{wheel.code} ({wheel.found}; wanted {wheel.wanted})"
            console.say(f"  not taken: {printable(f'{wheel.filename}: {why}')}")


def _tell_conda(console: Console, plan: Plan) -> None:
    """What of conda's own packages stays, and what goes from under it."""
    going = sorted({change[0] for change in plan.changes} & plan.conda)
    if going:
        console.warn(f"conda installed {', '.join(going)}; its own records will be wrong about what replaces them")
    if staying := len(plan.conda) - len(going):
        which = "1 package that conda installed stays as it is"
        if staying > 1:
            which = f"{staying} packages that conda installed stay as they are"
        console.say(f"{which}; --replace NAME lets one go")


def _commands(plan: Plan, target: Target, only: tuple[str, ...] | None, mirrors: Mirrors | None) -> list[Step]:
    """What makes the environment, where it is not there, and what fills it; for a shell in an empty directory."""
    from zoo_cli.packages.executor import find_uv, is_too_old_for_uv, preferred_kind
    from zoo_cli.packages.install import commands
    from zoo_cli.packages.steps import Installer, Step

    directory = str(target.environment or "env")
    python = target.executable or f"{directory}/bin/python"
    version = target.machine.python.version if target.machine.python else ""
    is_uv = preferred_kind() != "pip" and not is_too_old_for_uv(version) and find_uv()
    installer = Installer("uv", ("uv",), python) if is_uv else Installer("pip", (python, "-m", "pip"), python)

    def mirrored(url: str) -> str:
        return mirrors.addresses(url, "wheels")[0] if mirrors else url

    making: list[Step] = []
    if not target.executable and target.machine.python:
        base = target.base or f"python{target.machine.python.minor}"
        by_uv = ("uv", "venv", "--python", target.base or target.machine.python.minor, directory)
        making = [Step(by_uv if is_uv else (base, "-m", "venv", directory))]
    return [*making, *commands(plan, installer, only, mirrored)]


def tell_dry_run(
    console: Console,
    plan: Plan,
    target: Target,
    only: tuple[str, ...] | None = None,
    mirrors: Mirrors | None = None,
) -> None:
    """What would happen, and the commands that do it without zoo; `only` as in `install.commands`."""
    from zoo_cli.packages.indexes import user_index

    steps = _commands(plan, target, only, mirrors)
    if console.json:
        from zoo_cli.machine.document import machine_to_json

        document = plan_view.plan_document(plan, [step.argv for step in steps])
        console.document(
            {"ok": True, "command": "install", "dry_run": True, "machine": machine_to_json(target.machine), **document}
        )
        return
    count = sum(pin.action != "keep" for pin in plan.pins)
    console.say("")
    given = [printable(pin.source) for pin in plan.pins if pin.kind == "build" and pin.source]
    but = f" (without {' and '.join(given)}, which zoo builds)" if given else ""
    console.say(f"Would install {count} package{'' if count == 1 else 's'} and what they need. By hand{but}:")
    for line in plan_view.command_lines([step.command for step in steps], plan.limits):
        console.say(line)
    index = user_index(prefix=target.machine.python.prefix if target.machine.python and target.executable else "")
    if only is None and index.hides_credentials and index.source not in console.environ:
        console.say(
            f"  # without the user name and password of the package index, which are in {printable(index.source)}"
        )


def tell_done(console: Console, plan: Plan, target: Target) -> None:
    """Nothing to do."""
    if console.json:
        console.document(
            {"ok": True, "command": "install", "dry_run": False, "changed": False, **plan_view.plan_document(plan, ())}
        )
        return
    check = f"zoo check-env --python {shlex.quote(target.executable or target.name)}"
    console.say(f"Everything is in place already. Check it: {check}")


def tell(console: Console, receipt: Receipt) -> None:
    """What was installed and how it was checked."""
    plan = receipt.plan
    checks = receipt.ops.checks if receipt.ops else ()
    if console.json:
        console.document(
            {
                "ok": True, "command": "install", "dry_run": False, "changed": True, "python": receipt.python,
                "seconds": round(receipt.seconds, 1),
                "wheels": [{"file": each.path.name, "sha256": each.sha256} for each in receipt.wheels],
                "checked": [{"name": each.name, "device": each.device, "ok": each.is_ok} for each in checks],
                **plan_view.plan_document(plan, [step.argv for step in receipt.steps]),
            }
        )  # fmt: skip
        return
    installed = ", ".join(f"{pin.project} {pin.version}" for pin in plan.pins if pin.action != "keep")
    console.say(f"Installed {installed} in {receipt.seconds:.0f} s")
    if receipt.ops:
        ran = ", ".join(dict.fromkeys(check.name for check in receipt.ops.checks if check.device != "import"))
        devices = ", ".join(dict.fromkeys(check.device for check in receipt.ops.checks if check.is_ok))
        console.say(f"Checked in {printable(receipt.python)}: {ran} on {devices}")
    project = plan.pins[-1].project
    console.say(f"Next: zoo list {project}")
