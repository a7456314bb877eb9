"""What `zoo install` adds to uv for the same files: the whole stack of mmdet into a new environment, without network.

    python benchmarks/bench_install.py [--turns N]

Goal: 1.3 x. Both sides install from one wheelhouse, by turns, so that load falls on both alike. The third row is what
zoo does and uv does not: one first start of the target that loads torch and the compiled ops, and so compiles their
byte code. CPU time is shown beside wall time, since it suffers less from other programs; a machine that is not quiet is
said aloud, and its wall times prove nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
HOUSE = ROOT / "benchmarks/work/house"
QUIET = 3.0  # load average above which wall times are not to be quoted
UV, ZOO, CHECK = "uv pip install", "zoo install", "import of the ops"


class Cost(NamedTuple):
    """Of one command, children included, in seconds."""

    wall: float
    cpu: float


def cost(argv: list[str], environ: dict[str, str]) -> Cost:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(argv, env=environ, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - started, used)


def make_house(environ: dict[str, str]) -> None:
    """The wheelhouse, by zoo itself, from upstream's hosts on loopback; kept between runs."""
    from tests.support.upstream import upstream

    if (HOUSE / "requirements.txt").is_file():
        return
    with upstream() as site:
        mirror = f"https://download.pytorch.org={site.url('/pytorch')}"
        words = ["mmdet", "--torch", "2.13", "--device", "cpu", "--find-links", site.ops_page, "--mirror", mirror]
        where = ["--download-only", str(HOUSE), "--python", sys.executable]
        cost([sys.executable, "-m", "zoo_cli", "install", *words, *where], environ)


def turn(folder: Path, environ: dict[str, str]) -> dict[str, Cost]:
    """Each side once, into an environment of its own that is there already."""
    pythons = {}
    for side in ("uv", "zoo"):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / side], check=True)
        pythons[side] = str(folder / side / "bin/python")
    links = ["--find-links", str(HOUSE)]
    uv = [sys.executable, "-m", "uv", "pip", "install", "--no-config", "--offline", "--no-index", "--no-deps", *links]
    zoo = [sys.executable, "-m", "zoo_cli", "install", "mmdet", "--device", "cpu", "--offline", *links]
    return {
        UV: cost([*uv, "--python", pythons["uv"], "-r", str(HOUSE / "requirements.txt")], environ),
        ZOO: cost([*zoo, "--python", pythons["zoo"]], environ),
        CHECK: cost([pythons["uv"], "-W", "ignore", "-c", "import torch, mmcv.ops, mmdet"], environ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"PYTHONPATH": str(ROOT), "ZOO_STATE": str(ROOT / "benchmarks/work/state")}
    make_house(environ)
    loads, costs = [os.getloadavg()[0]], []
    for number in range(turns + 1):
        with tempfile.TemporaryDirectory(dir=HOUSE.parent) as folder:
            found = turn(Path(folder), environ)
        loads.append(os.getloadavg()[0])
        if number:  # the first fills the caches
            costs.append(found)
    report(costs, max(loads))


def report(costs: list[dict[str, Cost]], load: float) -> None:
    """Medians, and medians of the ratios within each turn."""
    print(f"{'command':18}  {'wall':>8}  {'ratio':>5}  {'CPU':>8}  {'ratio':>5}")
    for name in (UV, ZOO, CHECK):
        wall, cpu = (statistics.median(each[name][kind] for each in costs) for kind in (0, 1))
        ratios = [statistics.median(each[name][kind] / each[UV][kind] for each in costs) for kind in (0, 1)]
        print(f"{name:18}  {wall:6.2f} s  {ratios[0]:5.1f}  {cpu:6.2f} s  {ratios[1]:5.1f}")
    if load > QUIET:
        print(f"The load was up to {load:.0f}: these wall times are not to be quoted.")


if __name__ == "__main__":
    main()
