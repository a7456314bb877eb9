"""Random machines and requests over the whole index, the same for the same seed; for proofs about the solver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.solving import CATALOG_PROJECTS, OFFICIAL_PROVIDERS, matrix_for
from zoo_cli.machine.facts import Capability, Distribution, Gpu, Interpreter, Libc, Machine, TorchFacts
from zoo_cli.packages.decide import for_providers, make_problem
from zoo_cli.packages.offers import Offers
from zoo_cli.packages.request import Request, Want
from zoo_cli.packages.versions import parse_range

if TYPE_CHECKING:
    from random import Random

    from zoo_cli.catalog.entries import Matrix
    from zoo_cli.packages.problem import Problem

PLATFORMS = ("linux_x86_64",) * 6 + ("win_amd64", "win_amd64", "linux_aarch64", "macos_arm64", "macos_x86_64")
CAPABILITIES = tuple(
    Capability(*each)
    for each in (
        (3, 7),
        (6, 1),
        (7, 0),
        (7, 0),
        (7, 5),
        (7, 5),
        (8, 0),
        (8, 0),
        (8, 6),
        (8, 6),
        (8, 9),
        (9, 0),
        (10, 0),
        (12, 0),
    )
)
DRIVERS = (
    None, None, None, None, None, None, None,
    "390.157", "418.39", "440.33", "450.80.02", "460.32.03", "470.182.03", "510.47", "525.60.13",
    "535.183.01", "550.54", "560.94", "570.124.06", "580.65.06", "590.48",
)  # fmt: skip
LIBRARIES = (None, Libc("glibc", "2.17"), Libc("glibc", "2.27"), Libc("glibc", "2.35"), Libc("musl", "1.2"))
MINORS = (6, 7, 8, 8, 9, 9, 10, 10, 10, 11, 11, 12, 13, 14)
POPULAR = ("mmdet", "mmpose", "mmdet3d", "mmsegmentation", "mmpretrain", "mmocr", "mmyolo", "mmaction2", "mmcv")
PROVIDERS = ("onedl", "miropsota", "astral", "biubushy", "comfy-forge", "mjun0812", "neara-ai")


def random_problem(random: Random) -> Problem:
    """One machine with one request."""
    platform = random.choice(PLATFORMS)
    matrix = matrix_for(platform)
    machine = _machine(random, platform, matrix)
    request = for_providers(_request(random, matrix), CATALOG_PROJECTS)
    return make_problem(request, machine, matrix, CATALOG_PROJECTS, Offers(), OFFICIAL_PROVIDERS)


def _machine(random: Random, platform: str, matrix: Matrix) -> Machine:
    system = "windows" if platform.startswith("win") else platform.partition("_")[0]
    gpus = []
    if system != "macos" and random.random() < 0.8:
        gpus = [random.choice(CAPABILITIES) for _ in range(random.choice((1, 1, 1, 2)))]
    python = None
    if random.random() < 0.95:
        python = Interpreter("python", f"3.{random.choice(MINORS)}.1", distributions=_installed(random, matrix))
        if random.random() < 0.15:
            build = random.choice(matrix.torch)
            cuda = f"{build.variant[2:-1]}.{build.variant[-1]}" if build.variant != "cpu" else None
            facts = TorchFacts(f"{build.version}+{build.variant}", cuda, None, "torch/version.py")
            python = Interpreter(
                "python", f"3.{random.randint(8, 12)}.1", distributions=python.distributions, torch=facts
            )
    return Machine(
        system, platform.partition("_")[2], platform, random.choice(LIBRARIES) if system == "linux" else None,
        random.choice(DRIVERS) if gpus else None, None, tuple(Gpu(str(each), each) for each in gpus), python,
    )  # fmt: skip


def _installed(random: Random, matrix: Matrix) -> tuple[Distribution, ...]:
    if random.random() < 0.85:
        return ()
    project = random.choice(sorted(matrix.frameworks))
    return (Distribution(project, random.choice(matrix.frameworks[project]).version, "site-packages"),)


def _request(random: Random, matrix: Matrix) -> Request:
    names = {random.choice(POPULAR if random.random() < 0.75 else _everything(matrix)) for _ in range(_count(random))}
    wants = [Want(name, parse_range(_range(random, name, matrix))) for name in sorted(names)]
    random.shuffle(wants)
    if random.random() < 0.15 and not any(want.project == "torch" for want in wants):
        wants.append(Want("torch", parse_range(_range(random, "torch", matrix))))
    variants = sorted({build.variant for build in matrix.torch})
    ops = sorted(name for name, project in CATALOG_PROJECTS.items() if project.kind == "ops")
    return Request(
        tuple(wants),
        device=random.choice(("auto",) * 8 + ("cpu", "cuda")),
        cuda=random.choice(variants) if random.random() < 0.1 else None,
        replace=frozenset(("torch",) if random.random() < 0.2 else ()),
        providers=frozenset((random.choice(PROVIDERS),) if random.random() < 0.15 else ()),
        build=frozenset((random.choice(("mmcv", "mmcv-full", *ops)),) if random.random() < 0.1 else ()),
        prereleases=random.random() < 0.1,
        relax_asserts=frozenset((random.choice(POPULAR),) if random.random() < 0.1 else ()),
    )


def _count(random: Random) -> int:
    return random.choice((1, 1, 1, 1, 2, 3))


def _everything(matrix: Matrix) -> tuple[str, ...]:
    ops = {row.project for row in matrix.ops}
    return tuple(sorted({*matrix.frameworks, *ops, "torch", "torchvision"} - {"mmengine-lite"}))


def _range(random: Random, project: str, matrix: Matrix) -> str:
    """No range, or one around versions that exist."""
    if random.random() < 0.65:
        return ""
    versions = [release.version for release in matrix.frameworks.get(project, ())]
    versions = versions or [row.version for row in matrix.ops if row.project == project]
    versions = versions or [build.version for build in matrix.torch]
    one, other = random.choice(versions), random.choice(versions)
    return random.choice((f"=={one}", f"<{one}", f">={one}", f">={one},<{other}", f"!={one}", f"<={one}"))
