"""What `zoo install` costs beside uv for the same files: the whole stack of mmdet into new environments, no network.

    python benchmarks/bench_install.py [--turns N] [--cold N] [--place DIR]

    a  uv pip install          of the pinned set, from the same wheelhouse
    b  a, then the first use   a child that imports torch and mmcv's ops and runs one nms with a known answer
    c  zoo install             which plans, inspects wheels, keeps a snapshot, lets uv install, and runs the ops itself
    d  c, then the first use   the same child

The goal is c at most 1.3 x b, because a check of the ops is a first use: it compiles torch's modules, which after uv
alone the user waits for. c to a is what zoo adds to the installing alone; d to b compares all until the ops have run
in the user's hands. zoo's check does more than the child: three ops, and the imports of mmdet.apis and mmengine.
Then the plans: `uv pip install --dry-run` and `zoo install --dry-run`, the goal is 1.5 x.

States: "cold", the caches of uv and zoo are empty, one of uv for each side (the system's is not); "second", what is
remembered of the first install serves the next environment; "warm", from the third environment on. All sides take
turns, so that load falls on all alike; a ratio is the median of the ratios within each turn. CPU time (children
included) is shown beside wall time, since it suffers less from other programs; the load is always told, and the wall
times of a machine that is not quiet prove nothing. Nothing is deleted before the end, since ext4 makes files slowly
for some minutes after thousands were deleted; `--place` on a tmpfs leaves the disk out wholly.
Memory is touched before each turn: a virtual machine that has lent it to its host gets it back slowly.
"""

from __future__ import annotations

import argparse
import mmap
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
WORK = ROOT / "benchmarks/work"
HOUSE = WORK / "house"
_TOUCHED_BYTES = 4 << 30
_TOUCH = """
import mmap, sys
memory = mmap.mmap(-1, int(sys.argv[1]))
memory[:: mmap.PAGESIZE] = b"1" * (len(memory) // mmap.PAGESIZE)
"""
QUIET = 3.0  # load average above which wall times are not to be quoted
STATES = ("cold", "second", "warm")
FIRST_USE = (
    "import torch, mmcv.ops; boxes = torch.tensor([[0., 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]]); "
    "kept = mmcv.ops.nms(boxes, torch.tensor([.9, .8, .7]), 0.5)[1].tolist(); assert kept == [0, 2], kept"
)
PAIRS = (("a", "a"), ("b", "a"), ("c", "a"), ("c", "b"), ("d", "b"), ("uv plan", "uv plan"), ("zoo plan", "uv plan"))


class Cost(NamedTuple):
    """Of one command or several, children included, in seconds."""

    wall: float
    cpu: float

    def and_then(self, other: Cost) -> Cost:
        """Both, one after the other."""
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


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


def turn(folder: Path, environ: dict[str, str], uv: str) -> dict[str, Cost]:
    """Each side once, into an environment of its own that is there already and empty."""
    pythons = {}
    for side in ("uv", "zoo"):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / side], check=True)
        pythons[side] = str(folder / side / "bin/python")
    links = ["--find-links", str(HOUSE)]
    pinned = ["--no-config", "--offline", "--no-index", "--no-deps", *links, "-r", str(HOUSE / "requirements.txt")]
    by_uv = [uv, "pip", "install", *pinned, "--python", pythons["uv"]]
    by_zoo = [sys.executable, "-m", "zoo_cli", "install", "mmdet", "--device", "cpu", "--offline", *links]
    by_zoo += ["--python", pythons["zoo"]]
    alone = environ | {"UV_CACHE_DIR": environ["UV_CACHE_DIR"] + "-alone"}  # neither side fills the other's
    found = {"uv plan": cost([*by_uv, "--dry-run"], alone), "zoo plan": cost([*by_zoo, "--dry-run"], environ)}
    first_use = ["-I", "-W", "ignore", "-c", FIRST_USE]
    found |= {"a": cost(by_uv, alone), "c": cost(by_zoo, environ)}
    found["b"] = found["a"].and_then(cost([pythons["uv"], *first_use], environ))
    found["d"] = found["c"].and_then(cost([pythons["zoo"], *first_use], environ))
    return found


def occupy_memory() -> None:
    """Touches the memory that a turn needs for its files, and frees it again; in a child, whose time is not counted."""
    size = min(_TOUCHED_BYTES, os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE // 2)
    subprocess.run([sys.executable, "-c", _TOUCH, str(size)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="Warm turns.")
    parser.add_argument("--cold", type=int, default=2, help="Turns with empty caches, each followed by a second one.")
    parser.add_argument("--place", type=Path, help="Directory for environments and caches.")
    given = parser.parse_args()
    from zoo_cli.packages.executor import find_uv

    uv = find_uv() or sys.exit("this benchmark compares with uv, which is not there")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ZOO_", "PYTHON"))}
    environ |= {"PYTHONPATH": str(ROOT), "ZOO_STATE": str(WORK / "state")}
    make_house(environ)
    loads = [os.getloadavg()[0]]
    costs: dict[str, list[dict[str, Cost]]] = {state: [] for state in STATES}
    with tempfile.TemporaryDirectory(dir=given.place or WORK) as folder:
        for number in range(max(given.cold, 1)):
            names = ("ZOO_CACHE", "ZOO_STATE", "UV_CACHE_DIR")
            places = {name: f"{folder}/caches{number}/{name}" for name in names}
            is_last = number == max(given.cold, 1) - 1
            for count, state in enumerate((*STATES[:2], *(["warm"] * given.turns if is_last else []))):
                occupy_memory()
                costs[state].append(turn(Path(folder, f"turn{number}-{count}"), environ | places, uv))
                loads.append(os.getloadavg()[0])
    report(costs, loads)


def report(costs: dict[str, list[dict[str, Cost]]], loads: list[float]) -> None:
    """Medians, and medians of the ratios within each turn."""
    print(__doc__.split("\n\n")[2].rstrip() + "\n")
    print(f"{'':6}  {'':8}  {'wall':>8}  {'CPU':>8}  {'to':>7}  {'wall':>5}  {'CPU':>5}")
    for state, turns in costs.items():
        for name, to in PAIRS if turns else ():
            wall, cpu = (statistics.median(each[name][kind] for each in turns) for kind in (0, 1))
            ratios = [statistics.median(each[name][kind] / each[to][kind] for each in turns) for kind in (0, 1)]
            told = f"{to:>7}  {ratios[0]:5.2f}  {ratios[1]:5.2f}" if to != name else ""
            print(f"{state:6}  {name:8}  {wall:6.2f} s  {cpu:6.2f} s  {told}".rstrip())
    count = ", ".join(f"{len(turns)} {state}" for state, turns in costs.items())
    print(f"Medians of {count} turns; load average {min(loads):.1f} to {max(loads):.1f}, {os.cpu_count()} processors.")
    if max(loads) > QUIET:
        print("The machine was not quiet: these wall times are not to be quoted, CPU times with care.")


if __name__ == "__main__":
    main()
