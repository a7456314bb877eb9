"""How long `zoo list --filter` takes, as a ratio to an empty Python process in the same run.

    python benchmarks/bench_list.py [--runs 15]

Both run as an installed program would: byte code cached, database built. Prints the median of each and the ratio;
the budget is 8. The ratio, not the milliseconds, is what to compare between machines.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUDGET = 8.0
ROOT = Path(__file__).parent.parent
EXPRESSION = "box_AP>=50 and dataset=COCO"
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import click": ["-c", "import click"],
    "zoo --version": ["-m", "zoo_cli", "--version"],
    "zoo list mmdet --filter": ["-m", "zoo_cli", "list", "mmdet", "--filter", EXPRESSION],
    "zoo list --filter (all)": ["-m", "zoo_cli", "list", "--filter", EXPRESSION],
}


def seconds(arguments: list[str], environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        times: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for arguments in COMMANDS.values():
            seconds(arguments, environment)  # compiles, and builds the database of a checkout
        for _ in range(runs):  # in turn, so that a busy moment hits all alike
            for name, arguments in COMMANDS.items():
                times[name].append(seconds(arguments, environment))
    base = statistics.median(times["python -c pass"])
    for name, found in times.items():
        median = statistics.median(found)
        print(f"{name:26}{median * 1000:8.1f} ms{median / base:7.1f} x")
    ratio = statistics.median(times["zoo list mmdet --filter"]) / base
    print(f"budget {BUDGET:.0f} x: {'ok' if ratio <= BUDGET else 'FAIL'} ({ratio:.1f} x)")
    return 0 if ratio <= BUDGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
