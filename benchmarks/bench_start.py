"""What a user waits for before anything happens, as ratios to `python -c pass` and to uv in the same run.

    python benchmarks/bench_start.py [--turns N]

Budgets (docs: ARCHITECTURE.md and the design): --version 4 x, list 8 x, check-env without GPU 10 x `python -c pass`;
install --dry-run 1.5 x `uv pip install --dry-run` of the same projects, both warm.
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

ROOT = Path(__file__).parent.parent


def seconds(argv: list[str], environ: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, env=environ, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=15)
    turns = parser.parse_args().turns
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "env/bin/python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", Path(folder) / "env"], check=True)
        report(commands(python), environ, turns)


def commands(python: Path) -> dict[str, tuple[list[str], str, float]]:
    """Name -> (command, what it is compared with, budget)."""
    zoo = [sys.executable, "-m", "zoo_cli"]
    asked = ["mmdet==3.3.0", "mmengine==0.10.7", "numpy<2", "setuptools<82"]
    uv = ["uv", "pip", "install", "--dry-run", "--offline", "--python", str(python), *asked]
    return {
        "python -c pass": ([sys.executable, "-c", "pass"], "", 0.0),
        "uv --dry-run": ([sys.executable, "-m", *uv], "", 0.0),
        "zoo --version": ([*zoo, "--version"], "python -c pass", 4.0),
        "zoo --help": ([*zoo, "--help"], "python -c pass", 8.0),
        "zoo list --filter": ([*zoo, "list", "--filter", "box_AP>=50"], "python -c pass", 8.0),
        "zoo check-env": ([*zoo, "check-env", "--python", str(python)], "python -c pass", 10.0),
        "zoo install --dry-run": (
            [*zoo, "install", "mmdet", "--dry-run", "--python", str(python)],
            "uv --dry-run",
            1.5,
        ),
    }


def report(measured: dict[str, tuple[list[str], str, float]], environ: dict[str, str], turns: int) -> None:
    """Runs all of them by turns, so that load falls on all alike, and prints medians and ratios."""
    times: dict[str, list[float]] = {name: [] for name in measured}
    for argv, _against, _budget in measured.values():
        online = [word for word in argv if word != "--offline"]  # byte code, and uv's cache
        subprocess.run(online, env=environ, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    for _ in range(turns):
        for name, (argv, _against, _budget) in measured.items():
            times[name].append(seconds(argv, environ))
    middle = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'command':24}  {'median':>9}  {'ratio':>6}  {'budget':>6}  against")
    for name, (_argv, against, budget) in measured.items():
        ratio = f"{middle[name] / middle[against]:6.1f}  {budget:6.1f}" if against else f"{'':6}  {'':6}"
        print(f"{name:24}  {middle[name] * 1000:6.1f} ms  {ratio}  {against}")


if __name__ == "__main__":
    main()
