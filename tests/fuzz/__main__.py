"""The long run of the fuzzers; guided by coverage where atheris is installed.

    python -m tests.fuzz --minutes 60                  every kind, each in a process of its own, one after another
    python -m tests.fuzz checkpoint lock --minutes 60  these
    python -m tests.fuzz --list

Minutes are of CPU; each kind has its share of them. Inputs with new coverage are kept in `.cache/fuzz/corpus`, and are
where the next run begins; findings in `.cache/fuzz/findings`, each with its traceback. Prints a row for each kind, and
ends with 1 when there was a finding.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.kinds import KINDS, SHARES
from tests.fuzz.long_run import Outcome, read_outcome

MOST_FINDINGS = 5  # of one kind


def fuzz(kind: str, seconds: float, seed: int, place: Path, *, guided: bool) -> list[Outcome]:
    """Runs a kind until its time is used; after a finding it goes on in a new process, with another seed."""
    outcomes: list[Outcome] = []
    while seconds > 1 and sum(each.finding for each in outcomes) < MOST_FINDINGS:
        argv = [sys.executable, "-m", "tests.fuzz.long_run", kind, str(seconds), str(seed + len(outcomes)), str(place)]
        began = time.monotonic()
        (place / f"{kind}.json").unlink(missing_ok=True)
        with (place / f"{kind}.log").open("wb") as log:
            subprocess.run([*argv, *(["--guided"] if guided else [])], check=False, stdout=log, stderr=log)
        outcomes.append(read_outcome(place, kind))
        seconds -= max(outcomes[-1].seconds, (time.monotonic() - began) / 10)
        if not outcomes[-1].finding:
            break
    return outcomes


def row(kind: str, outcomes: list[Outcome]) -> str:
    """The counts of a kind."""
    executions, understood = sum(each.executions for each in outcomes), sum(each.understood for each in outcomes)
    seconds, findings = sum(each.seconds for each in outcomes), sum(each.finding for each in outcomes)
    slowest, peak = max(each.slowest for each in outcomes), max(each.peak_mb for each in outcomes)
    return f"{kind:<13} {executions:>9} {understood:>10} {seconds:>7.0f} {slowest:>9.2f} {peak:>7} {findings:>8}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="some of --list; all when none is named")
    parser.add_argument("--minutes", type=float, default=60, help="of CPU, all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--place", type=Path, default=Path(".cache") / "fuzz")
    parser.add_argument("--plain", action="store_true", help="without coverage, also where atheris is installed")
    parser.add_argument("--list", action="store_true", help="the kinds, and nothing else")
    asked = parser.parse_args()
    if unknown := set(asked.kinds) - set(KINDS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; see --list")
    if asked.list:
        sys.stdout.write("\n".join(KINDS) + "\n")
        return 0
    guided = not asked.plain and importlib.util.find_spec("atheris") is not None
    asked.place.mkdir(parents=True, exist_ok=True)
    kinds, findings = asked.kinds or KINDS, 0
    share = asked.minutes * 60 / sum(SHARES.get(kind, 1) for kind in kinds)
    sys.stdout.write(
        f"{'kind':<13} {'inputs':>9} {'understood':>10} {'CPU s':>7} {'slowest s':>9} {'peak MB':>7} findings\n"
    )
    for kind in kinds:
        outcomes = fuzz(kind, share * SHARES.get(kind, 1), asked.seed, asked.place, guided=guided)
        findings += sum(each.finding for each in outcomes)
        sys.stdout.write(row(kind, outcomes))
        sys.stdout.flush()
    sys.stdout.write(f"{'guided by coverage' if guided else 'without coverage'}\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
