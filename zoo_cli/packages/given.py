"""Sources that the user gives instead of a release: which project and version they are, without running their code.

Edge: reads their files. Name and version come from PKG-INFO, pyproject.toml, setup.cfg, or from the plain text of
setup.py and the package's version file; what is built is compared with them (`builder.BuiltWrong`). `with_given` puts
them into the facts, so that the solver plans with them as releases of their own.
"""

from __future__ import annotations

import ast
import configparser
import re
import sys
import tempfile
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.version import InvalidVersion

from zoo_cli.catalog.entries import Origin
from zoo_cli.packages.request import CHOSEN_KINDS
from zoo_cli.packages.sources import BadSource, Source, put_source
from zoo_cli.packages.versions import version
from zoo_cli.packages.wheels import normalise

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zoo_cli.catalog.entries import FrameworkRelease, Matrix, Project

MAX_BYTES = 1_000_000  # of one file that is read for a name or a version
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_Told = tuple[object, object, list[str] | None]  # name, version, requirements; None where a file does not say


@dataclass(frozen=True, slots=True)
class Given:
    """A source with the project and the version it is."""

    source: Source
    project: str
    version: str
    requires: tuple[str, ...] | None  # None: only its code knows


def read_given(source: Source, checkouts: Path) -> Given:
    """The project and version of a source.

    Raises:
        BadSource: its files do not say them plainly.
        UnsafeArchive: an archive with entries that lead elsewhere.
    """
    if source.kind == "folder":
        return _read(source, Path(source.place))
    with tempfile.TemporaryDirectory() as folder:
        return _read(source, put_source(source, Path(folder) / "source", checkouts))


def _read(source: Source, folder: Path) -> Given:
    name: object = None
    number: object = None
    requires: list[str] | None = None
    for told in (_from_pkg_info(folder), _from_pyproject(folder), _from_setup_cfg(folder), _from_setup_py(folder)):
        name, number = name or told[0], number or told[1]
        requires = told[2] if requires is None else requires
    if not isinstance(name, str) or not _NAME.match(name):
        raise BadSource(source.shown, "its files do not say its name plainly, and its code is not run to ask")
    number = number or _from_version_file(folder, name)
    if not isinstance(number, str):
        raise BadSource(
            source.shown, f"{name}: its files do not say its version plainly, and its code is not run to ask"
        )
    try:
        number = str(version(number))
    except InvalidVersion as exc:
        raise BadSource(source.shown, f"{name}: {number[:80]!r} is no version") from exc
    return Given(source, normalise(name), number, None if requires is None else tuple(requires))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES or not path.is_file():
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _from_pkg_info(folder: Path) -> _Told:
    headers = HeaderParser().parsestr(_text(folder / "PKG-INFO"))
    requires = headers.get_all("Requires-Dist")
    return headers["Name"], headers["Version"], [str(each) for each in requires] if requires else None


def _from_pyproject(folder: Path) -> _Told:
    try:
        project = tomllib.loads(_text(folder / "pyproject.toml")).get("project")
    except (ValueError, RecursionError):  # ValueError: no TOML, or a number of too many digits
        return None, None, None
    if not isinstance(project, dict):
        return None, None, None
    listed = project.get("dependencies", [])
    dynamic = project.get("dynamic", [])
    known = isinstance(listed, list) and isinstance(dynamic, list) and "dependencies" not in dynamic
    return project.get("name"), project.get("version"), [str(each) for each in listed] if known else None


def _from_setup_cfg(folder: Path) -> _Told:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(_text(folder / "setup.cfg"))
    except configparser.Error:
        return None, None, None
    name, number = (parser.get("metadata", key, fallback=None) for key in ("name", "version"))
    listed = parser.get("options", "install_requires", fallback=None)
    requires = [line.strip() for line in listed.splitlines() if line.strip()] if listed else None
    return name, None if number and number.startswith(("attr:", "file:")) else number, requires


def _from_setup_py(folder: Path) -> _Told:
    for node in _nodes(_text(folder / "setup.py")):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "setup":
            plain = {each.arg: each.value.value for each in node.keywords if isinstance(each.value, ast.Constant)}
            listed = [each.value for each in node.keywords if each.arg == "install_requires"]
            return plain.get("name"), plain.get("version"), _listed(listed[0], folder) if listed else None
    return None, None, None


def _listed(node: ast.expr, folder: Path) -> list[str] | None:
    """Requirements in a setup.py: a plain list, or `parse_requirements("FILE")`, as in all of OpenMMLab's."""
    if isinstance(node, (ast.List, ast.Tuple)):
        texts = [each.value for each in node.elts if isinstance(each, ast.Constant)]
        return [each for each in texts if isinstance(each, str)] if len(texts) == len(node.elts) else None
    if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "parse_requirements" or len(node.args) != 1:
        return None
    (file,) = node.args
    parts = PurePosixPath(file.value).parts if isinstance(file, ast.Constant) and isinstance(file.value, str) else ()
    if not parts or parts[0] == "/" or ".." in parts:
        return None
    lines = (line.partition(" #")[0].strip() for line in _text(folder.joinpath(*parts)).splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))] or None


def _from_version_file(folder: Path, name: str) -> object:
    """`__version__` as the package's own files say it in plain text."""
    package = name.lower().replace("-", "_")
    packages = {package, package.removeprefix("onedl_"), package.removesuffix("_full").removesuffix("_lite")}
    for place in (top / each for top in (folder, folder / "src") for each in sorted(packages)):
        for file in ("version.py", "_version.py", "__init__.py", "__about__.py"):
            for node in _nodes(_text(place / file)):
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and _sets_version(node):
                    return node.value.value
    return None


def _sets_version(node: ast.Assign) -> bool:
    return any(getattr(each, "id", "") == "__version__" for each in node.targets)


def _nodes(text: str) -> Iterator[ast.AST]:
    try:
        yield from ast.walk(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return


def words_of(given: Sequence[Given], projects: Mapping[str, Project], *, are_alone: bool = True) -> list[str]:
    """Requirements that given sources mean for the solver: themselves, and what they say they need of the index.

    Args:
        given: the sources.
        projects: those of the index.
        are_alone: nothing else was asked for that gives the solver something to choose.

    Raises:
        BadSource: one that is no project of the index needs none either, as far as it says.
    """
    words = []
    for each in given:
        if _is_chosen(each.project, projects):
            words.append(f"{each.project}=={each.version}")
            continue
        needed = list(_needed(each, projects))
        if not needed and are_alone:
            reason = f"nothing that {each.project} says it needs is chosen by zoo"
            raise BadSource(each.source.shown, reason, "zoo install mmdet -e ./folder")
        names = {other.project for other in given}
        words += [f"{name}{span}" for name, span in needed if name not in names]
    return words


def _is_chosen(name: str, projects: Mapping[str, Project]) -> bool:
    return name in projects and projects[name].kind in CHOSEN_KINDS


def _needed(given: Given, projects: Mapping[str, Project]) -> Iterator[tuple[str, str]]:
    """What a source says it needs of the index: project and range."""
    for text in given.requires or ():
        try:
            requirement = Requirement(text)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        except ValueError:  # no requirement, or a number of too many digits
            continue
        name = normalise(requirement.name)
        if _is_chosen(name, projects) and applies:
            yield name, str(requirement.specifier)


def known_with(given: Sequence[Given], projects: Mapping[str, Project]) -> dict[str, Project]:
    """The projects of the index, whose only source archive is the one that was given."""
    sources = {each.project: each.version for each in given}
    return {
        name: project._replace(sdists=(sources[name],)) if name in sources and project.kind == "ops" else project
        for name, project in projects.items()
    }


def with_given(matrix: Matrix, given: Sequence[Given], projects: Mapping[str, Project], today: str) -> Matrix:
    """The facts in which a given framework is the only release of its project.

    Its requirements are its own where its files say them, else those of the nearest earlier release of the index.
    """
    frameworks = dict(matrix.frameworks)
    for each in given:
        if each.project in frameworks and projects[each.project].kind in ("framework", "engine"):
            release = _release(each, frameworks[each.project], today)
            own = dict(_needed(each, projects))
            frameworks[each.project] = (release._replace(declared={**release.declared, **own}) if own else release,)
    return matrix._replace(frameworks=frameworks)


def _release(given: Given, known: tuple[FrameworkRelease, ...], today: str) -> FrameworkRelease:
    wanted = version(given.version)
    for release in known:
        if version(release.version) == wanted:
            return release
    earlier = [release for release in known if version(release.version) < wanted]
    nearest = max(earlier, key=lambda each: version(each.version)) if earlier else known[0]
    origin = Origin(given.source.shown, today, "inferred")
    return nearest._replace(version=given.version, is_yanked=False, origin=origin)
