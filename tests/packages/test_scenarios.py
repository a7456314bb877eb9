"""Scenarios as data: a machine, a request, the expected outcome derived by hand from published facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomllib

from tests.support.solving import CATALOG_PROJECTS, OFFICIAL_PROVIDERS, described, matrix_of
from zoo_cli.machine.facts import Gpu
from zoo_cli.packages.decide import decide, for_providers, make_problem
from zoo_cli.packages.explain import NoSolution
from zoo_cli.packages.offers import Offers
from zoo_cli.packages.plan import Plan
from zoo_cli.packages.request import Request, parse_wants
from zoo_cli.packages.versions import minor, public

SCENARIOS = sorted((Path(__file__).parent.parent / "cases/scenarios").glob("*.toml"))


def solve(case: dict[str, Any]) -> Plan | NoSolution:
    machine = described(case["machine"])
    others = (each.partition(":") for each in case.get("other_gpus", ()))
    machine = machine._replace(other_gpus=tuple(Gpu(name, None, vendor=vendor) for vendor, _colon, name in others))
    request = Request(
        parse_wants(case["request"], CATALOG_PROJECTS),
        device=case.get("device", "auto"),
        cuda=case.get("cuda"),
        providers=frozenset(case.get("providers", ())),
        build=frozenset(case.get("build", ())),
        relax_asserts=frozenset(case.get("relax_asserts", ())),
        prefer=case.get("prefer", "newest"),
    )
    request = for_providers(request, CATALOG_PROJECTS)
    problem = make_problem(request, machine, matrix_of(machine), CATALOG_PROJECTS, Offers(), OFFICIAL_PROVIDERS)
    try:
        return decide(problem, lambda _url: None, Offers())
    except NoSolution as refusal:
        return refusal


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    expect, outcome = case["expect"], solve(case)
    if "conflict" in expect:
        assert isinstance(outcome, NoSolution), outcome
        assert set(expect["conflict"]) <= set(outcome.conflict)
        offered = [" ".join(way.options) for way in outcome.ways]
        for way in expect.get("ways", ()):
            assert any(way in options for options in offered), offered
        return
    assert isinstance(outcome, Plan), [*outcome.conflict, *outcome.reasons]
    torch, ops = outcome.stack.cell.torch, next(iter(outcome.stack.ops), None)
    frameworks = {f"{project} {release.version}" for project, release in outcome.stack.frameworks.items()}
    found = {
        "torch": f"{torch.version}+{torch.variant}",
        "torch_minor": minor(torch.version),
        "variant": torch.variant,
        "ops": f"{ops.project} {public(ops.version)}" if ops else "",
        "ops_project": ops.project if ops else "",
    }
    for name, wanted in expect.items():
        if name == "frameworks":
            assert set(wanted) <= frameworks
        elif name == "all_ops":
            assert {f"{each.project} {public(each.version)}" for each in outcome.stack.ops} == set(wanted)
        elif name == "bounds":
            assert {bound.project + bound.range for bound in outcome.bounds} == set(wanted)
        elif name == "pins":
            assert set(wanted) <= {f"{pin.project} {pin.version}" for pin in outcome.pins}
        elif name == "cautions":
            assert set(wanted) <= {caution.code for caution in outcome.cautions}
        else:
            assert found[name] == wanted, found
