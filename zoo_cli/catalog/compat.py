"""Reading compatibility facts from `zoo.db`: the matrix of a platform, GPU names, digests, projects.

A reader gets an open connection (`zoo_cli.catalog.database.open_catalog`); it never opens a file itself. `read_matrix`
reads thousands of rows in milliseconds: equal lists are parsed once and shared. The rows themselves are the dataclasses
of `zoo_cli.catalog.entries`, offered here as well.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from zoo_cli.catalog.entries import (
    FrameworkRelease,
    GpuModel,
    GpuReport,
    Image,
    Matrix,
    OpsWheels,
    Origin,
    Project,
    Provider,
    Recipe,
    Toolkit,
    TorchBuild,
    Wall,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

__all__ = [
    "FrameworkRelease", "GpuModel", "GpuReport", "Image", "Matrix", "OpsWheels", "Origin", "Project", "Provider",
    "Recipe", "Toolkit", "TorchBuild", "Wall", "gpu_models", "images", "project", "project_names", "projects",
    "projects_providing", "providers", "read_matrix", "recipe", "system_packages", "torch_sha256",
]  # fmt: skip

PROJECT_COLUMNS = "name, import_name, provider, kind, urls, sdist_url, sdists, aliases, conflicts, origin"


def read_matrix(connection: sqlite3.Connection, platform: str, *, with_ops: bool = True) -> Matrix:
    """The matrix of a platform such as "linux_x86_64"; torch and ops are empty for one without facts.

    `with_ops`: whether the wheels of compiled ops are wanted, which are most of it; a diagnosis needs none.
    """
    origins = _origins(connection)
    (date,) = connection.execute("SELECT value FROM meta WHERE key = 'index_date'").fetchone()
    return Matrix(
        torch=_torch(connection, platform, origins),
        ops=_ops(connection, platform, origins) if with_ops else (),
        frameworks=_frameworks(connection, origins),
        walls=_walls(connection, origins),
        toolkits=_toolkits(connection, origins),
        index_date=date,
        gpu_reports=_gpu_reports(connection, origins),
    )


def images(connection: sqlite3.Connection) -> tuple[Image, ...]:
    """Every container image, by name."""
    origins = _origins(connection)
    return tuple(
        Image(name, cuda, python, glibc, tuple(apt.split()), tuple(arches.split()), origins[origin])
        for name, cuda, python, glibc, apt, arches, origin in connection.execute("SELECT * FROM image")
    )


def system_packages(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """Project -> the Debian packages whose libraries its wheels need."""
    return {project: tuple(apt.split()) for project, apt, _ in connection.execute("SELECT * FROM system_package")}


def gpu_models(connection: sqlite3.Connection) -> tuple[GpuModel, ...]:
    """Every GPU name with its compute capability, by name."""
    origins = _origins(connection)
    return tuple(
        GpuModel(name, capability, architecture, bool(is_jetson), origins[origin])
        for name, capability, architecture, is_jetson, origin in connection.execute("SELECT * FROM gpu_model")
    )


def torch_sha256(connection: sqlite3.Connection, url: str) -> str | None:
    """The digest of a torch, torchvision or torchaudio wheel, None when the index has none.

    Args:
        connection: The database.
        url: Its address, or its file name for the file of that name on PyPI.
    """
    address = url.partition("#")[0].replace("+", "%2B")
    if "/" not in address or address.startswith("https://files.pythonhosted.org/"):
        address = address.rpartition("/")[2].replace("%2B", "+")
    found = connection.execute("SELECT sha256 FROM wheel_hash WHERE address = ?", (address,)).fetchone()
    return found[0].hex() if found else None


def projects(connection: sqlite3.Connection) -> dict[str, Project]:
    """Every project by name."""
    origins = _origins(connection)
    rows = connection.execute(f"SELECT {PROJECT_COLUMNS} FROM project ORDER BY name")  # noqa: S608 - a constant
    return {row[0]: _project(row, origins) for row in rows}


def project(connection: sqlite3.Connection, name: str) -> Project | None:
    """The project of that very name; an alias is not one (see `Project.aliases`)."""
    query = f"SELECT {PROJECT_COLUMNS} FROM project WHERE name = ?"  # noqa: S608 - a constant
    row = connection.execute(query, (name,)).fetchone()
    return _project(row, _origins(connection)) if row else None


def recipe(connection: sqlite3.Connection, project: str) -> Recipe | None:
    """How a project is built whose own files do not say enough; None for any other."""
    row = connection.execute("SELECT * FROM recipe WHERE project = ?", (project,)).fetchone()
    if row is None:
        return None
    name, requires, torch, folders, cuda, variables, switch, seconds, stock, origin = row
    return Recipe(
        name, _words(requires), bool(torch), _words(folders), _words(cuda), _mapping(variables), switch, seconds, stock,
        _origins(connection)[origin],
    )  # fmt: skip


def project_names(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The names of all projects, sorted."""
    return tuple(name for (name,) in connection.execute("SELECT name FROM project ORDER BY name"))


def projects_providing(connection: sqlite3.Connection, import_name: str) -> tuple[Project, ...]:
    """The projects that own an import package, by name: only one of them may be installed."""
    return tuple(each for each in projects(connection).values() if each.import_name == import_name)


def providers(connection: sqlite3.Connection) -> dict[str, Provider]:
    """Every provider by id."""
    origins = _origins(connection)
    return {
        name: Provider(name, kind, title, _words(urls), note, origins[origin])
        for name, kind, title, urls, note, origin in connection.execute("SELECT * FROM provider")
    }


def official_providers(connection: sqlite3.Connection) -> frozenset[str]:
    """The providers that publish projects of their own, as opposed to forks and community builds."""
    return frozenset(each.id for each in providers(connection).values() if each.kind == "official")


def _origins(connection: sqlite3.Connection) -> dict[int, Origin]:
    rows = connection.execute("SELECT id, source, date, evidence FROM origin")
    return {number: Origin(source, date, evidence) for number, source, date, evidence in rows}


@cache
def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _targets(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else _words(text)


@cache
def _mapping(text: str) -> Mapping[str, str]:
    found: dict[str, str] = json.loads(text)
    return found


def _torch(connection: sqlite3.Connection, platform: str, origins: Mapping[int, Origin]) -> tuple[TorchBuild, ...]:
    rows = connection.execute(
        """SELECT version, variant, platform, python_tags, targets, targets_origin, torchvision, torchaudio, released,
           index_url, local, platform_tag, on_pypi, glibc, origin, requires_python, index_kind, file_url
           FROM torch_build WHERE platform = ? ORDER BY rowid""",
        (platform,),
    )
    return tuple(
        TorchBuild(
            version, variant, place, _words(tags), _targets(targets), origins.get(targets_origin), vision, audio,
            released, index_url, local, platform_tag, bool(on_pypi), glibc, origins[origin], python, kind, file_url,
        )
        for (
            version, variant, place, tags, targets, targets_origin, vision, audio, released, index_url, local,
            platform_tag, on_pypi, glibc, origin, python, kind, file_url,
        ) in rows
    )  # fmt: skip


def _ops(connection: sqlite3.Connection, platform: str, origins: Mapping[int, Origin]) -> tuple[OpsWheels, ...]:
    rows = connection.execute(
        """SELECT project, provider, import_name, version, torch, variant, platform, python_tags, targets, page_url,
           file_url, origin, sha256, glibc FROM ops_wheels WHERE platform = ? ORDER BY rowid""",
        (platform,),
    )
    tags = _Tags(origins)
    return tuple(
        OpsWheels(
            name, provider, import_name, version, torch, variant, place, tags[pythons][0], _targets(targets), page_url,
            file_url, origins[origin], sha256, tags[pythons][1], glibc,
        )
        for (
            name, provider, import_name, version, torch, variant, place, pythons, targets, page_url, file_url, origin,
            sha256, glibc,
        ) in rows
    )  # fmt: skip


class _Tags(dict[str, tuple[dict[str, str], dict[str, Origin]]]):
    """What "cp38=12 cp39=7" says: evidence and origin by interpreter tag, shared by all rows that say the same."""

    def __init__(self, origins: Mapping[int, Origin]) -> None:
        super().__init__()
        self._origins = origins

    def __missing__(self, text: str) -> tuple[dict[str, str], dict[str, Origin]]:
        pairs = (word.split("=") for word in text.split())
        found = {tag: self._origins[int(number)] for tag, number in pairs}
        self[text] = ({tag: origin.evidence for tag, origin in found.items()}, found)
        return self[text]


def _frameworks(
    connection: sqlite3.Connection, origins: Mapping[int, Origin]
) -> dict[str, tuple[FrameworkRelease, ...]]:
    found: dict[str, list[FrameworkRelease]] = {}
    rows = connection.execute(
        """SELECT project, version, import_name, provider, released, requires_python, declared, asserted, pins,
           is_yanked, origin, declared_in FROM framework_release ORDER BY rowid"""
    )
    for name, version, package, provider, day, python, declared, asserted, pins, is_yanked, origin, place in rows:
        release = FrameworkRelease(
            name, version, package, provider, day, python, _mapping(declared), _mapping(asserted), _mapping(pins),
            bool(is_yanked), origins[origin], place,
        )  # fmt: skip
        found.setdefault(name, []).append(release)
    return {name: tuple(releases) for name, releases in found.items()}


def _walls(connection: sqlite3.Connection, origins: Mapping[int, Origin]) -> tuple[Wall, ...]:
    rows = connection.execute(
        "SELECT id, affects, needs, severity, fact, origin, platforms, python FROM wall ORDER BY id"
    )
    return tuple(
        Wall(name, _mapping(affects), _mapping(needs), severity, fact, origins[origin], _words(platforms), python)
        for name, affects, needs, severity, fact, origin, platforms, python in rows
    )


def _toolkits(connection: sqlite3.Connection, origins: Mapping[int, Origin]) -> tuple[Toolkit, ...]:
    rows = connection.execute(
        """SELECT cuda, native_linux, native_windows, floor_linux, floor_windows, origin FROM toolkit
           ORDER BY rowid"""
    )
    return tuple(
        Toolkit(cuda, native_linux, native_windows, floor_linux, floor_windows, origins[origin])
        for cuda, native_linux, native_windows, floor_linux, floor_windows, origin in rows
    )


def _gpu_reports(connection: sqlite3.Connection, origins: Mapping[int, Origin]) -> tuple[GpuReport, ...]:
    rows = connection.execute(
        """SELECT project, versions, capability, gpu, platform, torch, variant, python_tag, works, cure, origin
           FROM gpu_report ORDER BY rowid"""
    )
    return tuple(
        GpuReport(name, versions, capability, gpu, platform, torch, variant, tag, bool(works), cure, origins[origin])
        for name, versions, capability, gpu, platform, torch, variant, tag, works, cure, origin in rows
    )


def _project(row: tuple[Any, ...], origins: Mapping[int, Origin]) -> Project:
    name, import_name, provider, kind, urls, sdist_url, sdists, aliases, conflicts, origin = row
    return Project(
        name, import_name, provider, kind, _words(urls), sdist_url, _words(sdists), _words(aliases), _words(conflicts),
        origins[origin],
    )  # fmt: skip
