"""Opening `zoo.db`: the one that came with the wheel, or in a checkout one compiled from index/ when it is needed.

A signed index that `zoo index update` put in place goes before it, unless what came with the wheel is newer, or this
zoo reads other tables than it has; the entries of labs stand beside it (`catalog.joined`).

An edge. The database is opened read-only and immutable, so opening costs no lock and no write. In a checkout the
sources are compared with a stamp (names, sizes and times of the index files and of the compiler), which costs a few
`stat` calls; yaml and the compiler are imported only when something has to be compiled. `ZOO_INDEX` names another
database, or another index directory.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.catalog.current import Current, index_home, read_current, seal_of
from zoo_cli.directories import cache_path, own_cache
from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA_VERSION = 4  # of the tables this version of zoo reads
HERE = Path(__file__).parent
BUNDLED = HERE / "zoo.db"
CHECKOUT = HERE.parent.parent
STAMP_SUFFIX = ".stamp"


class CatalogUnusable(ZooError):
    """There is no database of facts, or the file is not one this version of zoo reads."""

    code = "catalog-unusable"
    exit_code = ExitCode.FAILED

    path: str
    problem: str
    python: str  # the interpreter zoo runs in
    variable: str | None = None  # the environment variable that named the path
    is_checkout: bool = False  # it had to be compiled from an index directory


def open_catalog(path: Path | None = None, environ: Mapping[str, str] | None = None) -> sqlite3.Connection:
    """The database of facts, read-only.

    Args:
        path: A database file or an index directory; by default ZOO_INDEX, else the newer one of the signed and the
            bundled index, with the entries of labs.
        environ: The environment; by default that of the process.

    Raises:
        CatalogUnusable: It is missing, damaged or of another version, or cannot be compiled here.
        BrokenRow: It had to be compiled, and a row of the index breaks its schema.
    """
    environ = os.environ if environ is None else environ
    named = environ.get("ZOO_INDEX") if path is None else None
    variable = "ZOO_INDEX" if named else None
    wanted = Path(named) if named else path
    if wanted is None:
        return _by_default(environ)[0]
    if wanted.is_dir():
        own = own_cache(cache_path(environ), environ)
        file = _fresh(wanted, own / f"index-{_name_of(wanted)}.db", environ, variable)[0]
    else:
        file = wanted
    return open_file(file, variable)


def signed_in_use(environ: Mapping[str, str] | None = None) -> Current | None:
    """What was verified of signed indexes, as `open_catalog` uses it by default; None when it opens what is named."""
    environ = os.environ if environ is None else environ
    if environ.get("ZOO_INDEX") or read_current(index_home(environ)) is None:
        return None
    connection, current = _by_default(environ)
    connection.close()
    return current


def open_bundled(environ: Mapping[str, str] | None = None) -> sqlite3.Connection:
    """The database that came with zoo; in a checkout the one of its index/.

    Raises:
        CatalogUnusable, BrokenRow: As `open_catalog`.
    """
    return open_file(_bundled(os.environ if environ is None else environ)[0])


def _bundled(environ: Mapping[str, str]) -> tuple[Path, str]:
    """The database that came with zoo and its seal; in a checkout the digest of what it is made of."""
    if _is_checkout():
        return _fresh(CHECKOUT / "index", BUNDLED, environ, None)
    return BUNDLED, seal_of(BUNDLED)


def _is_checkout() -> bool:
    return (CHECKOUT / "hatch_build.py").is_file()


def _by_default(environ: Mapping[str, str]) -> tuple[sqlite3.Connection, Current | None]:
    """What is opened when nothing is named, and the record it rests on.

    While both seals are as they were written down this costs two `stat` calls more than the bundled index alone;
    otherwise every file is looked at again (`catalog.joined`).
    """
    bundled, base = _bundled(environ)
    home = index_home(environ)
    current = read_current(home)
    if current is None:
        return open_file(bundled), None
    if current.base != base or (current.file and seal_of(current.file) != current.seal):
        from zoo_cli.catalog.joined import settle

        current = settle(home, current, bundled, base, prefers_bundled=_is_checkout())
    return open_file(current.file or bundled), current


def index_date(connection: sqlite3.Connection) -> str:
    """The newest day on which a fact of this database was read, such as "2026-11-23"."""
    (value,) = connection.execute("SELECT value FROM meta WHERE key = 'index_date'").fetchone()
    return str(value)


def open_file(file: Path, variable: str | None = None) -> sqlite3.Connection:
    """A database of facts in a file, read-only; `variable` is what named it.

    Raises:
        CatalogUnusable: It is missing, damaged or of another version.
    """
    if not file.is_file():
        raise CatalogUnusable(str(file), "there is no such file", sys.executable, variable)
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            problem = f"its tables are version {version}, this zoo reads version {SCHEMA_VERSION}"
            raise CatalogUnusable(str(file), problem, sys.executable, variable)
        connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    except sqlite3.DatabaseError as damage:
        connection.close()
        raise CatalogUnusable(str(file), f"it is damaged ({damage})", sys.executable, variable) from damage
    except CatalogUnusable:
        connection.close()
        raise
    return connection


def _fresh(index: Path, file: Path, environ: Mapping[str, str], variable: str | None) -> tuple[Path, str]:
    """The compiled index, compiled again when the sources are not those of its stamp; and the stamp."""
    stamp = _stamp(index)
    elsewhere = own_cache(cache_path(environ), environ) / f"index-{_name_of(index)}.db"
    for each in dict.fromkeys((file, elsewhere)):
        if each.is_file() and _stamp_of(each) == stamp:
            return each, stamp
    for each in dict.fromkeys((file, elsewhere)):
        if _compiled(index, each, stamp):
            return each, stamp
    raise CatalogUnusable(str(elsewhere), "it cannot be written", sys.executable, variable, is_checkout=True)


def _compiled(index: Path, file: Path, stamp: str) -> bool:
    """Compile into that file; False when it cannot be written there."""
    from zoo_cli.catalog.compiler import compile_index

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        compile_index(index, file)
        file.with_name(file.name + STAMP_SUFFIX).write_text(stamp, encoding="ascii")
    except OSError:
        return False
    return True


def _stamp_of(file: Path) -> str | None:
    try:
        return file.with_name(file.name + STAMP_SUFFIX).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None


def _stamp(index: Path) -> str:
    """A digest over names, sizes and times of everything the database is made of."""
    digest = hashlib.blake2b(digest_size=16)
    for root in (index, HERE / "compiler"):
        for name, size, time in sorted(_files(root, "")):
            digest.update(f"{name} {size} {time}\n".encode())
    return digest.hexdigest()


def _files(directory: Path | str, prefix: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _files(entry.path, f"{prefix}{entry.name}/")
            elif entry.name.endswith((".yaml", ".json", ".py")):
                status = entry.stat()
                yield f"{prefix}{entry.name}", status.st_size, status.st_mtime_ns


def _name_of(index: Path) -> str:
    return hashlib.blake2b(str(index.resolve()).encode(), digest_size=8).hexdigest()
