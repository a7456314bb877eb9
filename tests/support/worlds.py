"""Small random worlds, and every stack in them found by trying all combinations one by one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from zoo_cli.catalog.entries import FrameworkRelease, Matrix, OpsWheels, Origin, Project, Toolkit, TorchBuild
from zoo_cli.machine.facts import Capability, Gpu, Interpreter, Machine
from zoo_cli.packages.problem import Facts, Problem
from zoo_cli.packages.request import Request, Want
from zoo_cli.packages.versions import parse_range, version

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        if draw(st.integers(0, 3))
    ]  # fmt: skip
    rows = tuple(
        OpsWheels(
            "mmcv", "openmmlab", "mmcv", release, ".".join(torch.split(".")[:2]), variant, "linux_x86_64",
            dict.fromkeys(draw(st.sets(st.sampled_from(TAGS), min_size=1)), "seen"), targets, "https://page", None,
            ORIGIN,
        )
        for release, torch, variant in product(OPS, TORCHES, VARIANTS)
        if draw(st.booleans())
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


FLOORS = {"cu118": 450.0, "cu128": 525.0}
NATIVE = {"cu118": 520.0, "cu128": 570.0}
COSTS = {"installed": 2, "python": 3, "device": 3, "wheels": 5, "driver": 6}


class Found(NamedTuple):
    """One stack, in values that compare like the wishes: the greatest is the best."""

    framework: object
    torch: object
    is_native: bool
    variant: str
    is_own_python: bool
    python: int
    is_wheel: bool
    ops: object


def every_stack(world: World, relaxed: frozenset[str] = frozenset(), *, on_cpu: bool = False) -> list[Found]:
    """All stacks that satisfy the request with some groups ignored."""
    return list(_stacks(world, relaxed, on_cpu=on_cpu))


def _stacks(world: World, relaxed: frozenset[str], *, on_cpu: bool) -> Iterator[Found]:
    machine, want = world.problem.machine, world.problem.request.wants[0]
    own = machine.python.tag if machine.python else ""
    wheels = [(row, row.version) for row in world.rows]
    ops: list[tuple[OpsWheels | None, str]] = [*wheels, *((None, each) for each in OPS if "wheels" in relaxed)]
    for release, build, (row, ops_version) in product(world.frameworks, world.problem.facts.matrix.torch, ops):
        spans = [span for group in ("declared", "asserted") if group not in relaxed for span in _ranges(release, group)]
        if not want.versions.admits(release.version) or not all(parse_range(s).admits(ops_version) for s in spans):
            continue
        if not _machine_runs(machine, build, row, relaxed, on_cpu=on_cpu):
            continue
        for tag in build.python_tags:
            minor = int(tag[3:])
            if ("python" not in relaxed and tag != own) or (release.requires_python and minor < 10):
                continue
            if row and not (
                tag in row.python_tags and row.variant == build.variant and build.version.startswith(f"{row.torch}.")
            ):
                continue
            native = machine.driver is None or build.variant == "cpu" or float(machine.driver) >= NATIVE[build.variant]
            yield Found(
                version(release.version), version(build.version), native, build.variant, tag == own, minor,
                row is not None, version(ops_version),
            )  # fmt: skip


def _ranges(release: FrameworkRelease, group: str) -> list[str]:
    return list((release.declared if group == "declared" else release.asserted).values())


def _machine_runs(
    machine: Machine, build: TorchBuild, row: OpsWheels | None, relaxed: frozenset[str], *, on_cpu: bool
) -> bool:
    """Device, driver and GPUs, written again without the grid."""
    wants_gpu = bool(machine.gpus) and not on_cpu
    is_cpu = build.variant == "cpu"
    if "device" not in relaxed and is_cpu == wants_gpu:
        return False
    if is_cpu or not wants_gpu:
        return True
    if "driver" not in relaxed and machine.driver and float(machine.driver) < FLOORS[build.variant]:
        return False
    lists = [build.targets or ()] + ([row.targets] if row is not None and row.targets is not None else [])
    return "gpu" in relaxed or all(_has_code(list(targets), gpu) for targets in lists for gpu in machine.gpus)


def _has_code(targets: list[str], gpu: Gpu) -> bool:
    own = gpu.capability
    known = [tuple(map(int, target.split("."))) for target in targets]
    return own is None or any(major == own.major and minor <= own.minor for major, minor in known)


def cheapest_ways(world: World) -> dict[frozenset[str], int]:
    """Every minimal set of at most three corrections under which a stack is left, with its cost."""
    machine = world.problem.machine
    actions = ["installed", "wheels"]
    actions += ["python"] if machine.python else []
    actions += ["device", "driver"] if machine.gpus else []
    found: dict[frozenset[str], int] = {}
    for chosen in (frozenset(each) for count in (1, 2, 3) for each in combinations(actions, count)):
        if {"device", "driver"} <= chosen or any(done <= chosen for done in found):
            continue
        if every_stack(world, chosen - {"device"}, on_cpu="device" in chosen):
            found[chosen] = sum(COSTS[name] for name in chosen)
    return found
