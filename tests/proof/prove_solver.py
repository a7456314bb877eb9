"""The long proof of the solver: random machines and requests over the whole index, and small random worlds.

    python -m tests.proof.prove_solver [--instances 10000] [--worlds 10000] [--seed 1]

For each instance the solver and an oracle (`tests.support.oracle`, python-sat) must name the same optimum; where there
is none, the conflict must be one and minimal, and the ways out must be exactly the minimal sets of at most three
corrections, in order of cost. In the small worlds brute force takes the oracle's place. A disagreement is printed with
the seed of its instance; `--seed N --instances 1 --worlds 0` repeats it. The end is 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from random import Random

from hypothesis import HealthCheck, given, settings

from tests.proof import agreement, brute_force
from tests.support.instances import random_problem
from tests.support.worlds import World, worlds

REPORT_EVERY = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instances", type=int, default=10_000, help="over the whole index, against python-sat")
    parser.add_argument("--worlds", type=int, default=10_000, help="small ones, against brute force")
    parser.add_argument("--seed", type=int, default=1, help="of the first instance; the next ones count on")
    options = parser.parse_args()
    small = prove_worlds(options.worlds) if options.worlds else Counter[str]()
    large = prove_instances(options.seed, options.instances)
    return 1 if small["disagreements"] or large["disagreements"] else 0


def prove_worlds(number: int) -> Counter[str]:
    """Small worlds against brute force; hypothesis shows the smallest one they disagree about."""
    outcomes: Counter[str] = Counter()
    started = time.process_time()

    @settings(max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(worlds())
    def agree(world: World) -> None:
        outcomes[brute_force.compare(world)] += 1

    try:
        agree()
    except AssertionError as error:
        _say(f"brute force: {error}")
        outcomes["disagreements"] += 1
    _say(f"{sum(outcomes.values())} small worlds: {dict(outcomes)}, {time.process_time() - started:.0f} s of CPU")
    return outcomes


def prove_instances(first: int, number: int) -> Counter[str]:
    """Instances over the whole index against the SAT solver."""
    outcomes: Counter[str] = Counter()
    started = time.process_time()
    for seed in range(first, first + number):
        problem = random_problem(Random(seed))
        try:
            outcomes[agreement.compare(problem)] += 1
        except AssertionError as error:
            _say(f"seed {seed}: {error}\n  {problem.request}\n  {problem.machine}")
            outcomes["disagreements"] += 1
        if sum(outcomes.values()) % REPORT_EVERY == 0:
            _say(f"{dict(outcomes)} after {time.process_time() - started:.0f} s of CPU")
    _say(f"{number} instances: {dict(outcomes)}, {time.process_time() - started:.0f} s of CPU")
    return outcomes


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
