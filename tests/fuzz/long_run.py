"""One kind of input, fuzzed in this process until its time is used or something is found; see `tests.fuzz`.

python -m tests.fuzz.long_run KIND SECONDS SEED PLACE [--guided]
"""

from __future__ import annotations

import atexit
import hashlib
import importlib
import json
import os
import random
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from tests.fuzz.kinds import LONGEST, Kind, kind_of

SLOWEST = 5.0  # seconds of CPU for one input, far above what is seen: a hang, not a slow moment
INSTRUMENTED = 5  # times as long a guided run takes
MOST_MEMORY = 4 << 30  # bytes of address space
WRITE_EVERY = 10.0  # seconds of CPU


class Outcome(NamedTuple):
    """What one process did."""

    executions: int
    understood: int
    seconds: float
    slowest: float
    peak_mb: int
    finding: bool


def read_outcome(place: Path, kind: str) -> Outcome:
    """What the last process of a kind wrote; one that was killed found something that it could not tell."""
    path = place / f"{kind}.json"
    if not path.exists():
        return Outcome(0, 0, 0.0, 0.0, 0, finding=True)
    return Outcome(*json.loads(path.read_text()))


class Run:
    """Feeds inputs to a check, and counts."""

    def __init__(self, kind: str, seconds: float, place: Path, slowest: float, check: Callable[[bytes], bool]) -> None:
        self.kind, self.place, self.end, self.limit, self.check = kind, place, seconds, slowest, check
        self.executions = self.understood = 0
        self.slowest = self.written = 0.0
        self.begin = time.process_time()

    def one(self, data: bytes) -> None:
        """Checks one input; ends the process when it finds something, or when the time is used."""
        begin = time.process_time()
        try:
            self.understood += self.check(data)
        except BaseException:
            self.found(data, traceback.format_exc())
        now = time.process_time()
        self.executions += 1
        self.slowest = max(self.slowest, now - begin)
        if now - begin > self.limit:
            self.found(data, f"{now - begin:.1f} s of CPU")
        if now - self.begin > self.end:
            self.write(finding=False)
            _end(0)
        if now - self.written > WRITE_EVERY:
            self.written = now
            self.write(finding=False)

    def found(self, data: bytes, why: str) -> NoReturn:
        """Keeps a finding and ends the process."""
        folder = self.place / "findings"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.kind}-{hashlib.sha256(data).hexdigest()[:12]}"
        (folder / name).write_bytes(data)
        (folder / f"{name}.txt").write_text(why, encoding="utf-8", errors="replace")
        sys.stdout.write(f"FINDING {folder / name}\n{why}\n")
        sys.stdout.flush()
        self.write(finding=True)
        _end(1)

    def write(self, *, finding: bool) -> None:
        """Keeps the counts for whoever started this."""
        self.place.mkdir(parents=True, exist_ok=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        spent = time.process_time() - self.begin
        row = Outcome(self.executions, self.understood, round(spent, 1), self.slowest, peak, finding)
        new = self.place / f".{self.kind}.json"
        new.write_text(json.dumps(row))
        new.replace(self.place / f"{self.kind}.json")


def _end(code: int) -> NoReturn:
    """Ends the process, directories of its own removed; libFuzzer has no other way out."""
    atexit._run_exitfuncs()
    os._exit(code)


def plain(run: Run, kind: Kind, seed: int) -> None:
    """Inputs of the generator, some of them out of earlier ones."""
    chance, kept = random.Random(seed), list(kind.beginnings)
    while True:
        data = kind.following(chance, chance.choice(kept))
        run.one(data)
        if len(kept) < 500:
            kept.append(data)
        else:
            kept[chance.randrange(len(kept))] = data


def guided(run: Run, kind: Kind, seed: int, atheris: Any) -> None:
    """libFuzzer through atheris: what reaches new code is kept, and changed further."""
    corpus = run.place / "corpus" / run.kind
    corpus.mkdir(parents=True, exist_ok=True)
    for data in kind.beginnings:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def custom(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        return bytes(atheris.Mutate(data, most)) if chance.random() < 0.4 else kind.following(chance, data)[:most]

    options = [f"-seed={seed}", f"-max_len={LONGEST}", "-timeout=120", "-verbosity=0", f"-artifact_prefix={corpus}/"]
    atheris.Setup([sys.argv[0], str(corpus), *options], run.one, custom_mutator=custom)
    atheris.Fuzz()


def main() -> None:
    name, seconds, seed, place = sys.argv[1:5]
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    if "--guided" not in sys.argv[5:]:
        kind = kind_of(name)
        plain(Run(name, float(seconds), Path(place), SLOWEST, kind.check), kind, int(seed))
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["zoo_cli"]):
        kind = kind_of(name)
    guided(Run(name, float(seconds), Path(place), SLOWEST * INSTRUMENTED, kind.check), kind, int(seed), atheris)


if __name__ == "__main__":
    main()
