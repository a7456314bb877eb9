"""The long run of the fuzzers of filters, searches and names, guided by coverage where atheris is installed.

    python -m tests.fuzz.fuzz_filters --cpu-minutes 60 [--target search] [--corpus DIRECTORY] [--seed 1]

Every text is checked by `filter_target.check_filter`, or by a function of `search_target`. Without atheris texts come
from `filter_texts` alone. A finding ends the run with its traceback and the text. Prints executions, how many of them
were understood, and the slowest text.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.long_run import Run

TARGETS = {
    "filter": ("tests.fuzz.filter_target", "check_filter"),
    "search": ("tests.fuzz.search_target", "check_search"),
    "name": ("tests.fuzz.search_target", "check_name"),
}


def plain(run: Run[str]) -> None:
    """Texts of the grammar and mutations of earlier ones, without guidance."""
    from tests.fuzz.filter_texts import a_text, mutated

    kept = [a_text(run.random) for _ in range(200)]
    while True:
        text = a_text(run.random) if run.random.random() < 0.3 else mutated(run.random, run.random.choice(kept))
        run.one(text)
        kept[run.random.randrange(len(kept))] = text


def guided(run: Run[str], corpus: Path, seed: int) -> None:
    """libFuzzer through atheris: new coverage is kept, the words of the language are its dictionary."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["zoo_cli.catalog"]):
        importlib.import_module(run.target[0])
        from tests.fuzz.filter_texts import WORDS, a_text, mutated
    corpus.mkdir(parents=True, exist_ok=True)
    for number in range(200):
        (corpus / f"seed-{number}").write_text(a_text(run.random), encoding="utf-8", errors="surrogatepass")
    dictionary = corpus.with_suffix(".dict")
    lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word.encode("utf-8", "surrogatepass")) + '"' for word in WORDS]
    dictionary.write_text("\n".join(lines) + "\n", encoding="ascii")

    def target(data: bytes) -> None:
        run.one(data.decode("utf-8", "surrogateescape"))

    def custom(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        kind = chance.random()
        if kind < 0.3:
            return bytes(atheris.Mutate(data, most))
        text = a_text(chance) if kind < 0.6 else mutated(chance, data.decode("utf-8", "surrogateescape"))
        return text.encode("utf-8", "surrogatepass")[:most]

    options = [f"-dict={dictionary}", f"-seed={seed}", "-max_len=2100", "-timeout=60", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], str(corpus), *options], target, custom_mutator=custom)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu-minutes", type=float, default=60)
    parser.add_argument("--target", choices=TARGETS, default="filter")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="a directory for texts with new coverage; needs atheris")
    asked = parser.parse_args()
    run = Run[str](TARGETS[asked.target], asked.cpu_minutes, asked.seed)
    if asked.corpus is not None:
        guided(run, asked.corpus, asked.seed)
    else:
        plain(run)


if __name__ == "__main__":
    main()
