"""The solver against brute force on random small worlds: optimum, honesty of stacks, minimality of explanations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_cli.catalog.entries import FrameworkRelease, Matrix, OpsWheels, Origin, Project, Toolkit, TorchBuild
from zoo_cli.machine.facts import Capability, Gpu, Interpreter, Machine
from zoo_cli.packages.explain import explain, minimal_conflict
from zoo_cli.packages.problem import Facts, Problem
from zoo_cli.packages.request import Request, Want
from zoo_cli.packages.solve import Stack, search
from zoo_cli.packages.versions import parse_range, version

ORIGIN = Origin("made by a test", "2026-11-23", "seen")
TORCHES = ("1.13.1", "2.0.1", "2.1.2")
VARIANTS = {"cpu": (), "cu118": ("7.0", "8.0", "8.6"), "cu128": ("8.6", "9.0", "12.0")}
TAGS = ("cp39", "cp310", "cp311")
OPS = ("2.0.1", "2.1.0", "2.2.0")
FRAMEWORKS = ("3.0.0", "3.2.0", "3.3.0")
TOOLKITS = (
    Toolkit("11.8", "520.61.05", "520.06", "450.80.02", "452.39", ORIGIN),
    Toolkit("12.8", "570.26", "570.65", "525.60.13", "528.33", ORIGIN),
)
PROJECTS = {
    name: Project(name, imported, "openmmlab", kind, (), None, OPS if kind == "ops" else (), (), (), ORIGIN)
    for name, imported, kind in (("mmcv", "mmcv", "ops"), ("mmdet", "mmdet", "framework"), ("torch", "torch", "torch"))
}


@dataclass(frozen=True)
class World:
    problem: Problem
    rows: tuple[OpsWheels, ...]
    frameworks: tuple[FrameworkRelease, ...]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    builds = [
        TorchBuild(
            torch, variant, "linux_x86_64", tuple(draw(st.sets(st.sampled_from(TAGS), min_size=1))), targets, None,
            None, None, "2024-01-01", "https://index", f"+{variant}", "linux_x86_64", False, "2.17", ORIGIN,
        )
        for torch, (variant, targets) in product(TORCHES, VARIANTS.items())
        if draw(st.booleans())
    ]  # fmt: skip
    rows = tuple(
        OpsWheels(
            "mmcv", "openmmlab", "mmcv", release, ".".join(torch.split(".")[:2]), variant, "linux_x86_64",
            dict.fromkeys(draw(st.sets(st.sampled_from(TAGS), min_size=1)), "seen"), targets, "https://page", None,
            ORIGIN,
        )
        for release, torch, variant in product(OPS, TORCHES, VARIANTS)
        if draw(st.integers(0, 3)) == 0
        for targets in [draw(st.sampled_from([None, VARIANTS[variant]]))]
    )  # fmt: skip
    spans = st.sampled_from(["", "<2.2.0", ">=2.1.0", "<2.1.0", ">=2.0.0,<2.2.0", ">2.2.0"])
    frameworks = tuple(
        FrameworkRelease(
            "mmdet", release, "mmdet", "openmmlab", "2024-01-01", draw(st.sampled_from([None, ">=3.10"])),
            {"mmcv": draw(spans)}, {"mmcv": draw(spans)}, {}, False, ORIGIN,
        )
        for release in FRAMEWORKS
    )  # fmt: skip
    tag = draw(st.sampled_from(TAGS))
    python = Interpreter("python", f"3.{tag[3:]}.0")
    gpus = draw(st.lists(st.sampled_from([Capability(7, 5), Capability(8, 6), Capability(12, 0)]), max_size=2))
    machine = Machine(
        "linux", "x86_64", "linux_x86_64", None, draw(st.sampled_from([None, "470.0", "535.0", "575.0"])), None,
        tuple(Gpu(str(each), each) for each in gpus), python,
    )  # fmt: skip
    matrix = Matrix(tuple(builds), rows, {"mmdet": frameworks}, (), TOOLKITS, "2026-11-23", ())
    request = Request((Want("mmdet", parse_range(draw(st.sampled_from(["", "<3.3.0", ">=3.2.0"])))),))
    return World(Problem(request, Facts(machine, matrix, PROJECTS)), rows, frameworks)


def every_stack(world: World) -> list[Stack]:
    """All stacks that satisfy the request, found by trying every combination one by one."""
    problem, machine = world.problem, world.problem.machine
    found = []
    for release, row, build in product(world.frameworks, world.rows, problem.facts.matrix.torch):
        tag = machine.python.tag if machine.python else ""
        fits_ops = row.torch == ".".join(build.version.split(".")[:2]) and row.variant == build.variant
        if not fits_ops or tag not in row.python_tags or tag not in build.python_tags:
            continue
        if not problem.request.wants[0].versions.admits(release.version):
            continue
        if release.requires_python and int(tag[3:]) < 10:
            continue
        spans = (*release.declared.values(), *release.asserted.values())
        if not all(parse_range(span).admits(row.version) for span in spans):
            continue
        if machine_runs(machine, build, row):
            found.append(
                Stack(
                    next(c for c in problem.facts.grid.cells if c.torch is build and c.python == tag),
                    {"mmdet": release},
                    (row,),
                )
            )
    return found


def machine_runs(machine: Machine, build: TorchBuild, row: OpsWheels) -> bool:
    """Driver and GPUs, written again without the grid."""
    if not machine.gpus:
        return build.variant == "cpu"
    if build.variant == "cpu":
        return False
    floor = {"cu118": 450.0, "cu128": 525.0}[build.variant]
    if machine.driver and float(machine.driver) < floor:
        return False
    lists = [build.targets or ()] + ([row.targets] if row.targets is not None else [])
    return all(
        any(int(t.split(".")[0]) == g.capability.major and int(t.split(".")[1]) <= g.capability.minor for t in targets)
        for targets in lists
        for g in machine.gpus
        if g.capability
    )


def wish(stack: Stack, driver: str | None) -> tuple[object, ...]:
    """The order of wishes: newest framework, newest torch, native CUDA, newest CUDA, newest ops."""
    torch = stack.cell.torch
    native = (
        driver is None or torch.variant == "cpu" or float(driver) >= {"cu118": 520.0, "cu128": 570.0}[torch.variant]
    )
    release = stack.frameworks["mmdet"].version
    ops = stack.ops[0].version if stack.ops else "0"
    return (version(release), version(torch.version), native, torch.variant, version(ops))


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_the_solver_finds_the_best_of_all_stacks(world: World) -> None:
    every, found = every_stack(world), search(world.problem)
    if not every:
        assert found is None
        return
    assert found is not None
    driver = world.problem.machine.driver
    assert wish(found, driver) == max(wish(stack, driver) for stack in every)


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_a_conflict_is_one_and_is_minimal(world: World) -> None:
    problem = world.problem
    if search(problem):
        return
    conflict = set(minimal_conflict(problem))
    others = frozenset(problem.groups) - conflict
    assert search(problem, others) is None, "the groups of the conflict cannot hold together"
    for group in conflict:
        assert search(problem, others | {group}) is not None, f"{group} is not needed for the conflict"


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_every_way_out_is_one_and_none_contains_another(world: World) -> None:
    if search(world.problem):
        return
    ways = explain(world.problem, limit=5).ways
    for way in ways:
        assert way.stack.cell in world.problem.facts.grid.cells
        release = way.stack.frameworks["mmdet"]
        for span in (*release.declared.values(), *release.asserted.values()):
            assert way.stack.ops
            assert parse_range(span).admits(way.stack.ops[0].version)
    for one, other in product(ways, ways):
        assert one is other or not set(one.corrections) < set(other.corrections)
    assert [way.cost for way in ways] == sorted(way.cost for way in ways)


@settings(max_examples=150, deadline=None)
@given(worlds(), st.sampled_from(OPS), st.sampled_from(TORCHES), st.sampled_from(tuple(VARIANTS)))
def test_another_wheel_never_turns_a_solution_into_none(world: World, ops: str, torch: str, variant: str) -> None:
    if search(world.problem) is None:
        return
    minor = ".".join(torch.split(".")[:2])
    wheel = OpsWheels(
        "mmcv", "openmmlab", "mmcv", ops, minor, variant, "linux_x86_64", dict.fromkeys(TAGS, "seen"), None,
        "https://page", None, ORIGIN,
    )  # fmt: skip
    facts = world.problem.facts
    richer = replace(facts, matrix=replace(facts.matrix, ops=(*facts.matrix.ops, wheel)))
    assert search(replace(world.problem, facts=richer)) is not None


@settings(max_examples=50, deadline=None)
@given(worlds())
def test_the_same_input_gives_the_same_stack(world: World) -> None:
    again = replace(world.problem, facts=replace(world.problem.facts))
    assert search(world.problem) == search(again)
