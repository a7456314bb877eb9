"""What a person may call a config: a file, a model's name, `package::path`. Flattened, with where it comes from.

Flow: joins the index, the releases' files and the folders of this computer; nothing is executed, whichever it is.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli import __version__
from zoo_cli.catalog.models import releases
from zoo_cli.catalog.names import near
from zoo_cli.catalog.references import find_models
from zoo_cli.catalog.scope import UnknownPackage
from zoo_cli.models.flatten import module_of
from zoo_cli.models.localconfigs import first_of, installed_configs, is_there, local_tree
from zoo_cli.models.selection import NothingToFetch, NotInRelease
from zoo_cli.models.writer import Header

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from zoo_cli.catalog.models import Release
    from zoo_cli.models.configs import Flat
    from zoo_cli.models.flatten import Flattened, Releases

_FILE = re.compile(r"\.{0,2}/|~|[A-Za-z]:\\")
_FORMAT = re.compile(r"\.(py|json|ya?ml)$")


@dataclass(frozen=True, slots=True)
class NamedConfig:
    """A flattened config, what it was asked as, and the first lines of a file with it."""

    flat: Flat
    name: str
    origin: str  # "mmdet 3.3.0", or the name of a file
    header: Header


def open_config(
    asked: str,
    connection: sqlite3.Connection,
    trees: Releases,
    *,
    release: str | None = None,
    root: str | Path | None = None,
) -> NamedConfig:
    """The config that a text names, flattened.

    A text that is the path of a file here is that file; with `::` it is a config of a package; else a model.

    Raises:
        ConfigError: It cannot be flattened.
        NoConfigFile, UnknownPackage, UnknownModel, AmbiguousModel, NotInRelease, NothingToFetch: It names none.
        BadWheel, Failed, AllSourcesFailed, TookTooLong: The release's file cannot be had.
    """
    if _FILE.match(asked) or (_FORMAT.search(asked) and "::" not in asked and is_there(asked)):
        return _file(asked, root, trees)
    package, double_colon, path = asked.partition("::")
    if double_colon:
        return _named(posixpath.basename(path), trees.flatten(*_in_package(package, path, release, connection)))
    found = find_models(connection, asked)
    model = next((each for each in found.models if release in (None, each.release.version)), None)
    if model is None:
        versions = tuple(dict.fromkeys(each.release.version for each in found.models))
        raise NotInRelease(asked, release or "", found.models[0].project, versions)
    if model.config_path is None or model.config_state not in ("found", "repaired"):
        raise NothingToFetch(model.name, model.project, "config")
    return _named(found.asked_as, trees.flatten(model.config_path, model.release))


def _file(asked: str, root: str | Path | None, trees: Releases) -> NamedConfig:
    tree, path = local_tree(asked, root, show_directory=False)
    tree.packages = first_of(installed_configs, trees.packages)
    flat = tree.flatten(path)
    name = posixpath.basename(path)
    count = len(flat.files)
    return NamedConfig(flat, name, name, Header(name, f"{count} file{'s' * (count > 1)}", flat.files, __version__))


def _named(name: str, made: Flattened) -> NamedConfig:
    origin = f"{made.release.project} {made.release.version}"
    return NamedConfig(made.flat, name, origin, made.header(name))


def _in_package(package: str, path: str, release: str | None, connection: sqlite3.Connection) -> tuple[str, Release]:
    """The path in the tree of `package::path`, and the release: the newest, unless one is named."""
    known = [each for each in releases(connection) if each.config_root.endswith("/.mim/")]
    ours = [
        each for each in known if package == each.project or (package == module_of(each) and "/" not in each.project)
    ]
    if not ours:
        names = tuple(sorted({each.project for each in known}))
        raise UnknownPackage(package, None, near(package, names), names)
    if release:
        versions = tuple(each.version for each in ours)
        ours = [each for each in ours if each.version == release]
        if not ours:
            raise UnknownPackage(package, release, near(release, versions), versions)
    inside = posixpath.normpath(path)
    inside = inside if inside.startswith("configs/") else f"configs/{inside}"
    inside = inside if _FORMAT.search(inside) else f"{inside}.py"
    return inside, max(ours, key=lambda each: each.precedence)
