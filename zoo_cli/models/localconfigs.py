"""Config trees in folders of this computer, and `zoo_cli.load_config`.

Edge: reads files. A tree has a root that no base may leave, by `..`, by an absolute path or by a link: what a path
leads to must be a plain file below the root, whatever the links on the way say. Other packages (`mmdet::path`) are
looked for where Python would find them installed; nothing of them is imported.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.models.bounded import Limits
from zoo_cli.models.config_errors import BaseOutside
from zoo_cli.models.configs import ConfigTree, Read
from zoo_cli.models.configtext import with_defaults

if TYPE_CHECKING:
    from zoo_cli.models.configs import Packages


class NoConfigFile(ZooError):
    """The file asked for is not there, is no plain file, or lies outside the root that was given."""

    code = "no-config-file"
    exit_code = ExitCode.USAGE

    path: str
    reason: str


def load_config(path: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The settings of a config file with all its bases merged in; nothing of it is executed or imported.

    Equal to what `mmengine.Config.fromfile(path).to_dict()` of mmengine 0.10.7 gives where no environment variable is
    set: plain dicts, lists, tuples and scalars; classes that a new-style config imports are dotted strings. Functions
    and modules among the top-level names are left out. Python, JSON and YAML configs are understood.

    Args:
        path: The config.
        root: The folder that no base may leave. By default the one that holds the outermost `configs` folder on the
            way to the file, else the file's own folder.

    Raises:
        NoConfigFile: There is no such file.
        ConfigError: The config is wrong, too large, or would need code to run; with file, line and construct.
    """
    tree, inside = local_tree(path, root)
    flat = tree.flatten(inside)
    return flat.settings if flat.new_style else with_environment_defaults(flat.settings, inside)


def local_tree(
    path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None, *, show_directory: bool = True
) -> tuple[ConfigTree, str]:
    """The tree that a config file stands in, and the file's path there.

    `show_directory` lets {{ fileDirname }} be the folder on this machine; without it, it is the path inside the tree.

    Raises:
        NoConfigFile: There is no such file, or it is not below the root.
    """
    try:
        file = Path(path).resolve(strict=True)
        top = Path(root).resolve(strict=True) if root is not None else _default_root(file)
    except (OSError, ValueError, RuntimeError) as exc:
        raise NoConfigFile(os.fspath(path), getattr(exc, "strerror", None) or str(exc)) from exc
    if not file.is_file() or not file.is_relative_to(top):
        reason = "it is not below the root" if file.is_file() else "it is no plain file"
        raise NoConfigFile(os.fspath(path), reason)
    directory = top.as_posix() if show_directory else ""
    tree = ConfigTree(folder(top), packages=installed_configs, modules=installed_package, directory=directory)
    return tree, file.relative_to(top).as_posix()


def is_there(path: str) -> bool:
    """Whether a file of that path is here."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def with_environment_defaults(settings: dict[str, Any], file: str) -> dict[str, Any]:
    """Settings whose strings have the defaults of environment placeholders; the environment is not looked at."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return with_defaults(value, file)
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        return type(value)(map(filled, value)) if isinstance(value, list | tuple) else value

    return {key: filled(value) for key, value in settings.items()}


def folder(root: Path) -> Read:
    """Reads files below a folder by their posix path; never anything that lies elsewhere.

    Raises (the reader):
        BaseOutside: The path leads out of the folder.
    """
    top = root.resolve()

    def read(path: str) -> bytes | None:
        try:
            found = (top / path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):  # a missing file, a null byte, links in a circle
            return None
        if not found.is_relative_to(top):
            raise BaseOutside(path, 0, path)
        return _plain_file(found)

    return read


def _plain_file(path: Path) -> bytes | None:
    """The bytes of a plain file, one more than a config may have at most; None for pipes, devices and folders."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read(Limits().file_bytes + 1)


def _default_root(file: Path) -> Path:
    """The folder that holds the outermost `configs` on the way to the file, else the file's own."""
    outermost = [parent for parent in file.parents if parent.name == "configs"][-1:]
    top = outermost[0].parent if outermost else file.parent
    return top.parent if (top / "__init__.py").is_file() else top  # mmdet/configs/x.py imports mmdet.configs.y


def installed_configs(package: str) -> Read | None:
    """The config tree of a package installed beside zoo, by its import name: what `mmdet::path` is looked for in."""
    return _installed(package, ".mim/configs")


def installed_package(package: str) -> Read | None:
    """The folder of a package installed beside zoo: what `from mmdet.configs.x import *` is looked for in."""
    return _installed(package, "configs")


def _installed(package: str, configs: str) -> Read | None:
    """Reads below the `configs` of a package; in a development install that folder is a link into the repository."""
    if not package.isidentifier():
        return None
    for entry in sys.path:
        place = Path(entry or ".") / package / configs
        if place.is_dir():
            read = folder(place)
            return lambda path: read(path.removeprefix("configs/")) if path.startswith("configs/") else None
    return None


def first_of(*packages: Packages) -> Packages:
    """Looks for a package's tree in one place after the other."""

    def find(package: str) -> Read | None:
        return next((read for look in packages if (read := look(package)) is not None), None)

    return find
