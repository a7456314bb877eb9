"""The long run of the fuzzers of readers, guided by coverage where atheris is installed and a corpus is named.

    python -m tests.fuzz.fuzz_readers config --cpu-minutes 60 [--corpus DIRECTORY] [--seed 1]

The readers are config, metafile, page and wheel; what must hold is in `reader_targets`. A finding ends the run with its
traceback and the bytes.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.long_run import Run

KINDS = ("config", "metafile", "page", "wheel")


def guided(run: Run[bytes], kind: str, corpus: Path, seed: int) -> None:
    """libFuzzer through atheris: new coverage is kept."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["zoo_cli"]):
        importlib.import_module(run.target[0])
    from tests.fuzz.reader_texts import an_input, seeds

    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(kind)):
        (corpus / f"seed-{number}").write_bytes(data)

    def custom(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        return bytes(atheris.Mutate(data, most)) if chance.random() < 0.6 else an_input(chance, kind)[:most]

    options = [f"-seed={seed}", "-max_len=20000", "-timeout=60", f"-artifact_prefix={corpus}/"]
    atheris.Setup([sys.argv[0], str(corpus), *options], run.one, custom_mutator=custom)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--cpu-minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="a directory for inputs with new coverage; needs atheris")
    asked = parser.parse_args()

    run = Run[bytes](("tests.fuzz.reader_targets", f"check_{asked.kind}"), asked.cpu_minutes, asked.seed)
    if asked.corpus is not None:
        guided(run, asked.kind, asked.corpus, asked.seed)
    from tests.fuzz.reader_texts import an_input

    while True:
        run.one(an_input(run.random, asked.kind))


if __name__ == "__main__":
    main()
