"""Counts and bounds of one long run of a fuzzer, whatever it feeds."""

from __future__ import annotations

import importlib
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from typing import Generic, TypeVar

SLOWEST = 5.0  # seconds of CPU for one input, far above what is seen: a hang, not a slow moment
REPORT_EVERY = 60.0  # seconds of CPU

T = TypeVar("T", str, bytes)


class Run(Generic[T]):
    """Feeds inputs to a function until the time is used; it returns whether the input was understood.

    Args:
        target: Module and name of the function, imported with the first input, so that it can be instrumented before.
        cpu_minutes: How long.
        seed: Of `random`.
    """

    def __init__(self, target: tuple[str, str], cpu_minutes: float, seed: int) -> None:
        self.target = target
        self.end = cpu_minutes * 60
        self.random = random.Random(seed)
        self.executions = self.understood = 0
        self.slowest, self.slowest_size = 0.0, 0
        self.reported = 0.0

    def one(self, text: T) -> None:
        """Checks one input, and ends the process when the time is used."""
        module, function = self.target
        check: Callable[[T], bool] = getattr(importlib.import_module(module), function)
        begin = time.process_time()
        try:
            self.understood += check(text)
        except BaseException:
            sys.stdout.write(f"FINDING {text!r}\n")
            sys.stdout.flush()
            raise
        now = time.process_time()
        self.executions += 1
        if now - begin > self.slowest:
            self.slowest, self.slowest_size = now - begin, len(text)
        if now - begin > SLOWEST:
            raise AssertionError(f"{now - begin:.1f} s of CPU for {text!r}")
        if now - self.reported > REPORT_EVERY:
            self.reported = now
            self.tell("running")
        if now > self.end:
            self.tell("done, no finding")
            os._exit(0)  # libFuzzer has no other way out

    def tell(self, state: str) -> None:
        """One line of counts."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        sys.stdout.write(
            f"{state}: {time.process_time():.0f} s of CPU, {self.executions} inputs, {self.understood} understood, "
            f"slowest {self.slowest * 1000:.0f} ms (of size {self.slowest_size}), peak memory {memory} MB\n"
        )
        sys.stdout.flush()
