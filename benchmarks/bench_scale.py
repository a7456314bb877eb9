"""The catalogue at 10,000, 100,000 and 1,000,000 models: size, build time, memory, and how long each search takes.

    python benchmarks/bench_scale.py [--models 10000 100000 1000000] [--keep DIRECTORY]

The models are made by `synthetic.py` and compiled by zoo's own tables. A search is timed in this process on an open
database, in CPU time, the best of several runs (the page cache is warm); what it does is what `zoo list` or `zoo
download` does with the answer left unprinted. "sql" is the time until the rows are counted in SQLite alone: the goal
is < 50 ms at a million. A million takes some 5 minutes and 5 GB of memory to build.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.synthetic import write_index
from zoo_cli.catalog.compiler.models import load_models
from zoo_cli.catalog.filter_sql import EVERYTHING
from zoo_cli.catalog.listing import Query, compile_query, list_models, search_scope
from zoo_cli.catalog.references import UnknownModel, find_models
from zoo_cli.catalog.scope import metric_names
from zoo_cli.catalog.search import read_search

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL_MS = 50.0
SEARCHES = {
    "metric and dataset, few": Query(filter="box_AP>=60 and dataset='LVIS v1'"),
    "metric and dataset, many": Query(filter="box_AP>=53 and dataset=COCO"),
    "metric alone, best ten": Query(filter="box_AP>=55", limit=10),
    "collection": Query(filter="collection=dino and box_AP"),
    "collection, loose": Query(filter="collection~dino1?", limit=10),
    "dataset and memory": Query(filter="dataset=VOC and memory_gb<2"),
    "memory and inference": Query(filter="memory_gb<1.6 and inference_ms<12"),
    "params": Query(filter="params<3M and flops<2G"),
    "not and or": Query(filter="(mIoU>110 or NDS>80) and not has_checkpoint"),
    "one package": Query("zoo0000", filter="box_AP>=55"),
    "name exact, in a filter": Query(filter="name=none"),
    "name prefix": Query(name="rtmdet11_*"),
    "name glob": Query(name="*_swin-l*voc_0-1?1"),
    "name glob, loose": Query(name="*dino17*swin*", limit=10),
    "words, few": Query(search="dino17 swin large voc"),
    "words, part of a word": Query(search="former17 ade20k"),
    "words, one mistyped": Query(search="pointpillrs swin set14", limit=10),
    "words, many": Query(search="retinanet r50 coco", limit=10),
    "words and a metric": Query(search="mask rcnn lvis", filter="box_AP>=50"),
    "words, none": Query(search="zzzz coco"),
}  # fmt: skip


def build(directory: Path, database: Path) -> tuple[float, float]:
    """Compiles the index; seconds of CPU and peak memory in MB."""
    begin = time.process_time()
    connection = sqlite3.connect(database, isolation_level=None)
    connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA page_size=4096;")
    connection.execute("BEGIN")
    load_models(connection, directory)
    if connection.in_transaction:
        connection.execute("COMMIT")
    connection.execute("VACUUM")
    connection.close()
    return time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def best(search: Callable[[], object], runs: int = 3) -> float:
    """Milliseconds of CPU of the fastest of a few runs; nothing here waits, and other programs do not count."""
    times = []
    for _ in range(runs):
        begin = time.process_time()
        search()
        times.append(time.process_time() - begin)
    return min(times) * 1000


def count(connection: sqlite3.Connection, query: Query) -> int:
    """How many match, asked of SQLite alone."""
    compiled = compile_query(connection, query, metric_names(connection))
    scope = search_scope(connection, query, compiled)
    words = read_search(connection, query.search).condition if query.search is not None else EVERYTHING
    text = (
        "SELECT count(*) FROM entry e JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package "
        f"WHERE {scope.text} AND {compiled.where.text} AND {words.text}"
    )
    (found,) = connection.execute(text, scope.parameters + compiled.where.parameters + words.parameters).fetchone()
    return int(found)


def measure(database: Path, models: int, rows: Any) -> None:
    """Measures one database and puts (name, sql ms, whole ms, matches) into the queue."""
    address = f"{database.absolute().as_uri()}?mode=ro&immutable=1"

    def opened() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True)
        connection.execute("SELECT count(*) FROM package").fetchone()
        return connection

    found: list[tuple[str, float | None, float, int]] = [("open", None, best(opened), 0)]
    with_connection = opened()
    for name, query in SEARCHES.items():
        matched = count(with_connection, query)
        sql = best(lambda query=query: count(with_connection, query))  # type: ignore[misc]
        whole = best(lambda query=query: list_models(with_connection, query))  # type: ignore[misc]
        found.append((name, sql, whole, matched))
    one = "SELECT m.name, m.config FROM model m ORDER BY m.id LIMIT 1 OFFSET ?"
    name, config = with_connection.execute(one, (models // 3,)).fetchone()
    (file,) = with_connection.execute("SELECT name FROM file ORDER BY id LIMIT 1 OFFSET ?", (models // 4,)).fetchone()
    transposed = f"{name[:14]}{name[15]}{name[14]}{name[16:]}"
    for what, text in (("name", name), ("NAME", name.upper()), ("config", config), ("file", file),
                       ("mistyped name", f"{name[:9]}x{name[10:]}"), ("transposed name", transposed),
                       ("words of a name", "dino17 swin voc"), ("nonsense", "qqqq-zzzz")):  # fmt: skip
        milliseconds = best(lambda text=text: _found(with_connection, text))  # type: ignore[misc]
        found.append((f"find by {what}", None, milliseconds, 1))
    rows.put((found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _found(connection: sqlite3.Connection, text: str) -> object:
    try:
        return find_models(connection, text)
    except UnknownModel as error:
        return error.near


def _build(directory: Path, database: Path, answer: Any) -> None:
    answer.put(build(directory, database))


def in_child(target: Callable[..., None], *arguments: object) -> Any:
    """What a function puts into its queue, run in a process of its own: its memory is counted alone."""
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    child = context.Process(target=target, args=(*arguments, queue))
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"a child ended with {child.exitcode}")
    return queue.get()


def one_size(directory: Path, models: int) -> None:
    """Builds and measures one size, and prints its table."""
    index, database = directory / f"index-{models}", directory / f"{models}.db"
    if not database.exists():
        write_index(index, models)
        seconds, memory = in_child(_build, index, database)
        print(f"{models} models: built in {seconds:.1f} s of CPU, {memory:.0f} MB of memory at most")
    size = database.stat().st_size
    print(f"{models} models: {size / 1e6:.1f} MB, {size / models:.0f} bytes a model")
    rows, memory = in_child(measure, database, models)
    print(f"{'search':28}{'matches':>9}{'sql ms':>9}{'whole ms':>10}")
    for name, sql, whole, matched in rows:
        late = "" if (sql if sql is not None else whole) < GOAL_MS else "  over the goal"
        print(f"{name:28}{matched:9}{'' if sql is None else f'{sql:.1f}':>9}{whole:10.1f}{late}")
    print(f"memory of the searching process: {memory:.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--keep", type=Path, help="where databases are kept between runs; else a temporary directory")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = asked.keep or Path(folder)
        directory.mkdir(parents=True, exist_ok=True)
        for models in asked.models:
            one_size(directory, models)


if __name__ == "__main__":
    main()
