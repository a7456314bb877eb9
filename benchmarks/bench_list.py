"""How long `zoo list --filter` takes, as a ratio to an empty Python process in the same run.

    python benchmarks/bench_list.py [--runs 15] [--mim] [--profile]

Both run as an installed program would: byte code cached, database built. Prints the median of each and the ratio, of
elapsed time and of CPU time (which a busy machine disturbs less); the budget is 8, for one package and for all of them.
The ratio, not the milliseconds, is what to compare between machines.
--mim also runs `mim search` of one package, in an environment of its own that is made once in the checkout's cache.
--profile prints where the time of `zoo list` goes: imports by library, then the steps.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

BUDGET = 8.0
ROOT = Path(__file__).parent.parent
MIM = ROOT / ".cache" / "mim-env" / "bin" / "python"
EXPRESSION = "box_AP>=50 and dataset=COCO"
LIST = ["-m", "zoo_cli", "list", "--filter", EXPRESSION]
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import click": ["-c", "import click"],
    "zoo --version": ["-m", "zoo_cli", "--version"],
    "zoo list mmdet --filter": ["-m", "zoo_cli", "list", "mmdet", "--filter", EXPRESSION],
    "zoo list --filter (all)": LIST,
}
MIM_SEARCH = ["-m", "mim", "search", "mmdet", "--condition", "box_ap>=50"]
STEPS = """
import time; start = time.perf_counter()
def step(name):
    global start
    now = time.perf_counter(); print(f"{name:28}{(now - start) * 1000:8.1f} ms"); start = now
from zoo_cli.cli.app import run
from zoo_cli.cli.commands import list_
from zoo_cli.catalog.listing import Query, list_models
step("imports")
from zoo_cli.catalog.database import open_catalog
catalog = open_catalog()
step("open the database")
found = list_models(catalog, Query(filter=%r))
step("find and sort the rows")
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()):
    run(["list", "--filter", %r])
step("all of it once more, warm")
"""


class Took(NamedTuple):
    """Seconds of one process."""

    elapsed: float
    cpu: float


def seconds(arguments: list[str], environment: dict[str, str], python: str = sys.executable) -> Took:
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([python, *arguments], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    elapsed, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def make_mim() -> None:
    """The environment of openmim 0.3.9 and mmdet 3.3.0; openmim itself pins the setuptools that it needs."""
    if MIM.exists():
        return
    folder = MIM.parent.parent
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    for requirement in (["openmim==0.3.9"], ["--no-deps", "mmdet==3.3.0"]):
        subprocess.run([str(MIM), "-m", "pip", "install", "--quiet", *requirement], check=True, timeout=900)


def imports(environment: dict[str, str]) -> None:
    """Milliseconds of importing, by library, without what an empty process imports."""
    times: Counter[str] = Counter()
    for arguments, sign in ((LIST, 1), (["-c", "pass"], -1)):
        ended = subprocess.run(
            [sys.executable, "-X", "importtime", *arguments], env=environment, cwd=ROOT, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", ended.stderr):
            library = name.partition(".")[0]
            times[library if library in ("click", "zoo_cli", "sqlite3", "_sqlite3") else "standard library"] += (
                sign * int(own)
            )
    for library, microseconds in times.most_common():
        print(f"import {library:21}{microseconds / 1000:8.1f} ms")


def profile(environment: dict[str, str]) -> None:
    imports(environment)
    subprocess.run([sys.executable, "-c", STEPS % (EXPRESSION, EXPRESSION)], env=environment, cwd=ROOT, check=True)


def measure(runs: int, environment: dict[str, str], *, with_mim: bool) -> dict[str, list[Took]]:
    """Seconds of each command, run in turn so that a busy moment hits all alike."""
    times: dict[str, list[Took]] = {name: [] for name in COMMANDS}
    for arguments in COMMANDS.values():
        seconds(arguments, environment)  # compiles, and builds the database of a checkout
    if with_mim:
        make_mim()
        seconds(MIM_SEARCH, environment, str(MIM))
        times["mim search mmdet"] = []
    for _ in range(runs):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments, environment))
        if with_mim:
            times["mim search mmdet"].append(seconds(MIM_SEARCH, environment, str(MIM)))
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--mim", action="store_true")
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        times = measure(asked.runs, environment, with_mim=asked.mim)
        if asked.profile:
            profile(environment)
    medians = {
        name: Took(statistics.median(each.elapsed for each in found), statistics.median(each.cpu for each in found))
        for name, found in times.items()
    }
    base = medians["python -c pass"]
    print(f"{'':26}{'elapsed':>12}{'':>9}{'CPU':>12}")
    for name, took in medians.items():
        ratios = (took.elapsed / base.elapsed, took.cpu / base.cpu)
        print(f"{name:26}{took.elapsed * 1000:9.1f} ms{ratios[0]:7.1f} x{took.cpu * 1000:9.1f} ms{ratios[1]:7.1f} x")
    if asked.mim:
        ratio = medians["mim search mmdet"].elapsed / medians["zoo list --filter (all)"].elapsed
        print(f"mim search of one package / zoo list of all: {ratio:.1f}")
    worst = max(medians[name].elapsed for name in COMMANDS if name.startswith("zoo list")) / base.elapsed
    print(f"budget {BUDGET:.0f} x: {'ok' if worst <= BUDGET else 'FAIL'} ({worst:.1f} x)")
    return 0 if worst <= BUDGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
