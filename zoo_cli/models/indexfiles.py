"""The documents of models in an index directory: `models/<project>/<version>.json`.

Edge: reads and writes them. A document is replaced whole or not at all, and with it those that are deltas of it; what
cannot be read is as if it were not there, and is built again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from zoo_cli.atomic import write_whole
from zoo_cli.catalog.compiler.deltas import shortened, text_of
from zoo_cli.catalog.compiler.releases import read_project
from zoo_cli.errors import ZooError
from zoo_cli.models.figures import BadExpectation, read_expectation
from zoo_cli.models.safe_yaml import UnreadableYaml, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.catalog.compiler.deltas import Document
    from zoo_cli.models.build import Built
    from zoo_cli.models.figures import Expectation


class CannotKeepIndex(ZooError):
    """The index directory cannot be read or written."""

    code = "cannot-keep-index"

    path: str
    problem: str


def current(index: Path, project: str, version: str) -> Document | None:
    """The whole document of a release that stands in the index; None when there is none that can be read."""
    return all_current(index, project).get(version)


def projects(index: Path) -> tuple[str, ...]:
    """The projects with documents in the index, sorted."""
    return tuple(sorted(path.name for path in (index / "models").glob("*") if path.is_dir()))


def all_current(index: Path, project: str) -> dict[str, Document]:
    """The whole documents of a project that stand in the index and can be read, by version."""
    return read_project(index / "models" / project, skip_broken=True)


def built_releases(index: Path) -> tuple[str, ...]:
    """Every release that `zoo index build` put into the index, as `project==version`: by project, the newest first."""
    found: list[str] = []
    for project in projects(index):
        built = (version for version, each in all_current(index, project).items() if "builder" in each["release"])
        found += [f"{project}=={version}" for version in sorted(built, key=Version, reverse=True)]
    return tuple(found)


def is_written(index: Path, built: Built) -> bool:
    """Whether the release's file has exactly the text that `write` would give it."""
    path = index / built.path
    try:
        return path.read_text(encoding="utf-8") == _texts(path.parent, built)[built.release.version]
    except (OSError, UnicodeDecodeError):
        return False


def _texts(folder: Path, built: Built) -> dict[str, str]:
    """The text of each document of the project, the oldest first: a delta of the one before where that is shorter."""
    documents = {**read_project(folder, skip_broken=True), built.release.version: built.document}
    texts: dict[str, str] = {}
    before: Document | None = None
    for version in sorted(documents, key=Version):
        whole = documents[version]
        texts[version] = text_of(shortened(whole, before) if before else whole)
        before = whole
    return texts


def read_expected(path: Path, *, must_exist: bool = True) -> Expectation | None:
    """Figures to compare releases with; None when there is no such file and there need not be.

    Raises:
        BadExpectation: It cannot be read, or has another form.
    """
    try:
        return read_expectation(read_yaml(path.read_bytes()).value, str(path))
    except FileNotFoundError as exc:
        if must_exist:
            raise BadExpectation(str(path), "there is no such file") from exc
        return None
    except (OSError, UnreadableYaml) as exc:
        raise BadExpectation(str(path), str(exc)) from exc


def write(index: Path, built: Built) -> Path:
    """Puts the document of a release into the index and returns where it is; deltas of it are written anew.

    Raises:
        CannotKeepIndex: The directory cannot be written.
    """
    path = index / built.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for version, text in _texts(path.parent, built).items():
            file = path.with_name(f"{version}.json")
            if not file.is_file() or file.read_bytes() != text.encode():
                write_whole(file, text.encode())
    except OSError as exc:
        raise CannotKeepIndex(str(path), str(exc)) from exc
    return path
