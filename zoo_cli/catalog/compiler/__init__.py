"""The compiler of the index: index/ as reviewed text in, `zoo.db` as one SQLite file out.

An edge: it reads the index and writes the database. The same sources give the same bytes: rows are inserted in a fixed
order, nothing records the time, and the field of the file format that holds SQLite's own version is cleared. The file
appears under its name only when it is whole. No command of a user imports this package, except to build a missing
database in a checkout.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from zoo_cli.catalog.compiler.compat import load_compat
from zoo_cli.catalog.compiler.extras import EXTRAS, EXTRAS_SCHEMA, load_extras, mark_stale
from zoo_cli.catalog.compiler.models import load_models
from zoo_cli.catalog.compiler.rows import BrokenRow
from zoo_cli.catalog.compiler.sources import read_source
from zoo_cli.catalog.compiler.tables import SCHEMA, Collector

__all__ = ["SCHEMA_VERSION", "BrokenRow", "compile_index"]

SCHEMA_VERSION = 4  # of the tables; zoo_cli.catalog.database refuses another one
SUFFIXES = (".yaml", ".json")

# File format 1.3: bytes 96 to 99 hold the number of the SQLite library that wrote the file last; readers ignore it.
SQLITE_VERSION_FIELD = slice(96, 100)


def compile_index(index_directory: Path, destination: Path) -> None:
    """Compile the index into one SQLite file.

    Args:
        index_directory: The directory with `compat/` and `models/`.
        destination: The file to write; replaced whole, or left as it is.

    Raises:
        BrokenRow: A source file or row does not follow its schema.
        OSError: The destination cannot be written.
    """
    names = sorted(path for path in (index_directory / "compat").glob("*.yaml"))
    collector = load_compat({path.stem: read_source(path, f"compat/{path.name}") for path in names})
    extras = {name: index_directory / "extras" / f"{name}.yaml" for name in EXTRAS}
    load_extras({k: read_source(v, f"extras/{v.name}") for k, v in extras.items() if v.is_file()}, collector)
    handle, temporary = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.")
    os.close(handle)
    try:
        _write(Path(temporary), collector, index_directory)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(destination)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _write(path: Path, collector: Collector, index_directory: Path) -> None:
    """Fill a new database and make its bytes depend on nothing but the sources."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA page_size=4096;")
        connection.execute("BEGIN")
        for statement in (SCHEMA + EXTRAS_SCHEMA).split(";"):
            connection.execute(statement)
        for name, rows in collector.tables():
            places = ",".join("?" * len(rows[0])) if rows else ""
            if rows:
                connection.executemany(f"INSERT INTO {name} VALUES ({places})", rows)  # noqa: S608 - names are ours
        load_models(connection, index_directory)
        mark_stale(connection)
        meta = {
            "schema": str(SCHEMA_VERSION),
            "index_date": collector.newest_date(),
            "sources": digest_of(index_directory),
        }
        if not connection.in_transaction:  # executescript of a loader ends the one it is called in
            connection.execute("BEGIN")
        connection.executemany("INSERT INTO meta VALUES (?, ?)", sorted(meta.items()))
        connection.commit()
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("VACUUM")
    content = bytearray(path.read_bytes())
    content[SQLITE_VERSION_FIELD] = bytes(4)
    path.write_bytes(content)


def digest_of(index_directory: Path) -> str:
    """SHA-256 over the names and contents of all source files, in order."""
    digest = hashlib.sha256()
    paths = (path for path in index_directory.rglob("*") if path.suffix in SUFFIXES)
    for name, path in sorted((path.relative_to(index_directory).as_posix(), path) for path in paths):
        content = path.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
