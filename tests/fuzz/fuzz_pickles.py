"""The long run of the checkpoint fuzzer, guided by coverage where atheris is installed.

    python -m tests.fuzz.fuzz_pickles --cpu-minutes 60 [--corpus DIRECTORY] [--seed 1]

Every file is checked by `pickle_target.check_checkpoint`. A finding ends the run with its traceback and the bytes.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.long_run import Run

TARGET = ("tests.fuzz.pickle_target", "check_checkpoint")


def plain(run: Run[bytes]) -> None:
    """Files of the generator and mutations of earlier ones, without guidance."""
    from tests.fuzz.pickle_texts import a_file, mutated, seeds

    kept = [*seeds(), *(a_file(run.random) for _ in range(200))]
    while True:
        data = a_file(run.random) if run.random.random() < 0.4 else mutated(run.random, run.random.choice(kept))
        run.one(data)
        kept[run.random.randrange(len(kept))] = data


def guided(run: Run[bytes], corpus: Path, seed: int) -> None:
    """libFuzzer through atheris: new coverage is kept."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["zoo_cli.trust"]):
        importlib.import_module(TARGET[0])
        from tests.fuzz.pickle_texts import a_file, mutated, seeds
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(data)

    def custom(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        kind = chance.random()
        if kind < 0.3:
            return bytes(atheris.Mutate(data, most))
        return (a_file(chance) if kind < 0.5 else mutated(chance, data))[:most]

    options = [f"-seed={seed}", "-max_len=20000", "-timeout=60", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], str(corpus), *options], run.one, custom_mutator=custom)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu-minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="a directory for files with new coverage; needs atheris")
    asked = parser.parse_args()

    run = Run[bytes](TARGET, asked.cpu_minutes, asked.seed)
    if asked.corpus is not None:
        guided(run, asked.corpus, asked.seed)
    else:
        plain(run)


if __name__ == "__main__":
    main()
