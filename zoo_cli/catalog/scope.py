"""Which packages and releases have models in the index, and which metrics there are: what a search starts from.

The reader gets an open connection. Small on purpose: `zoo list` imports it, and not all of `zoo_cli.catalog.models`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.catalog.names import near, storable
from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    import sqlite3


# Conditions over `package p`. A lab's packages are called `<namespace>/<package>`; where nothing is named, what is
# found by a name, file or glob is zoo's own: an entry of a lab never stands in for one of zoo's (docs/signing.md).
OWN = "instr(p.project, '/') = 0"


def within(place: str) -> str:
    """The condition that a package is the one named by a parameter, else that it is in the namespace of that name.

    A package of zoo's own that a newer zoo brings under the name of somebody's namespace goes before it.
    """
    is_inside = f"substr(p.project, 1, length({place}) + 1) = {place} || '/'"
    is_nobodys = f"NOT EXISTS (SELECT 1 FROM package WHERE project = {place})"  # noqa: S608 - a place for a value
    return f"(p.project = {place} OR ({is_inside} AND {is_nobodys}))"


def namespace_of(package: str) -> str:
    """The namespace of a package's name; "" for zoo's own."""
    return package.rpartition("/")[0]


class UnknownPackage(ZooError):
    """The index has no models of that package, or not of that release of it."""

    code = "unknown-package"
    exit_code = ExitCode.USAGE

    asked: str
    release: str | None
    near: tuple[str, ...]
    known: tuple[str, ...]  # packages, or releases of the package, that are there


def packages(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The packages with models in the index."""
    return tuple(name for (name,) in connection.execute("SELECT project FROM package WHERE rank = 0 ORDER BY project"))


def namespaces(connection: sqlite3.Connection) -> frozenset[str]:
    """Of whom there are packages beside zoo's own; not of who is called like one of these."""
    known = packages(connection)
    return frozenset(namespace_of(name) for name in known if "/" in name) - frozenset(known)


def versions(connection: sqlite3.Connection, project: str, wanted: str | None = None) -> tuple[str, ...]:
    """The releases of a package, or of all packages of a namespace, with models in the index; newest first.

    Raises:
        UnknownPackage: There is none, or none of the wanted version.
    """
    project = storable(project)
    query = f"SELECT version FROM package p WHERE {within('?1')} ORDER BY rank, project"  # noqa: S608
    found = tuple(version for (version,) in connection.execute(query, (project,)))
    if not found:
        known = packages(connection)
        raise UnknownPackage(project, None, _alias_of(connection, project) or near(project, known), known)
    if wanted is not None and wanted not in found:
        raise UnknownPackage(project, wanted, near(wanted, found), found)
    return found


def _alias_of(connection: sqlite3.Connection, project: str) -> tuple[str, ...]:
    """The package that people mean by another project's name, such as mmdetection for mmdet."""
    has_aliases = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'project_alias'").fetchone()
    if not has_aliases:  # a database of models alone
        return ()
    query = "SELECT a.name FROM project_alias a JOIN package p ON p.project = a.name WHERE a.alias = ? AND p.rank = 0"
    return tuple(name for (name,) in connection.execute(query, (project.casefold(),)))


def metric_names(connection: sqlite3.Connection) -> dict[str, int]:
    """Every metric by the name that filters call it, with its number."""
    return dict(connection.execute("SELECT name, id FROM metric_name ORDER BY name").fetchall())
