"""Configs without execution: an OpenMMLab config and its chain of bases become one flat dict.

Pure. Files come through `read`, by their posix path inside the config tree (`configs/yolo/yolov3.py`). Equal to what
`mmengine.Config.fromfile` (0.10.7) gives for the same file, but by walking the syntax tree: no byte of a config runs,
nothing is imported, and the work is bounded (`Limits`). Understood: the old style (`_base_` chains, `{{_base_.a.b}}`,
`_base_.a.b` in code), the new style (`with read_base()`, see `newstyle`), the `{{ fileDirname }}` family, bases of
other packages (`pkg::path`), JSON and YAML. What would need to run is refused by its name and place.

Two differences are meant. `{{ fileDirname }}` is a path inside the tree, unless `directory` says where the tree is; and
a string with `{{$NAME:default}}` stays as it is, for mmengine fills it in where the config is used.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from zoo_cli.models.bounded import Budget, Limits
from zoo_cli.models.config_errors import (
    BaseCycle,
    BaseMissing,
    BaseOutside,
    BrokenConfig,
    ConfigTooLarge,
    OtherPackage,
)
from zoo_cli.models.configtext import decoded, document, filled, may_import, parsed, substituted
from zoo_cli.models.evaluate import evaluate, evaluate_expression, evaluate_new_style, placed
from zoo_cli.models.expressions import Function
from zoo_cli.models.merge import BaseDict, CannotInherit, fresh, merged, scoped
from zoo_cli.models.newstyle import Imported, NewStyle, is_new_style, module_of, parts_of
from zoo_cli.models.syntax import BASE, is_base_line

Read = Callable[[str], bytes | None]  # a file of a config tree by its posix path; None: there is none
Packages = Callable[[str], Read | None]  # the tree of a package by its import name; None: it is not at hand

RESERVED = frozenset({"filename", "text", "pretty_text", "env_variables"})  # attributes of mmengine's Config
_BASE_NAME = re.compile(r"(?<![\w/])_base_(?![\w/])")  # a name, not the folder of bases in a path
_FORMATS = (".py", ".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Flat:
    """A config with its bases merged in."""

    settings: dict[str, Any]
    files: tuple[str, ...]  # what it was made from, bases first; `pkg::path` for another package's
    directories: tuple[str, ...] = ()  # what {{ fileDirname }} stands for, where the files use it
    new_style: bool = False  # {{...}} in a string of a new-style config is only text


def no_packages(_package: str) -> Read | None:
    """The default for `packages`: no other package is at hand."""
    return None


@dataclass
class ConfigTree:
    """The configs of one release; files read once are kept, so a whole release is flattened in a second.

    `packages` gives the tree of another package by its import name (`mmpretrain`), for `pkg::` bases: the folder that
    holds its `configs/`. `modules` gives the folder of the package itself, for `from mmdet.configs.x import *` in a
    `read_base()`. `directory` is where the tree is, for {{ fileDirname }}.
    """

    read: Read
    limits: Limits = field(default_factory=Limits)
    packages: Packages = no_packages
    modules: Packages = no_packages
    directory: str = ""
    _known: dict[tuple[str, str], Flat] = field(default_factory=dict, repr=False)

    def flatten(self, path: str) -> Flat:
        """The config at a posix path of the tree, flattened; the result shares nothing with other results.

        Raises:
            ConfigError: Of the kind that fits, with the file and the line.
        """
        budget = Budget(self.limits)
        flattener = _Flattener(self, budget)
        key = ("", path)
        flat = flattener.known(key) or flattener.first(key)
        for reserved in RESERVED & flat.settings.keys():
            raise BrokenConfig(path, 0, f"the name {reserved} is reserved by mmengine")
        with placed(path, lambda: 0):
            return Flat(fresh(flat.settings, budget), flat.files, flat.directories, flat.new_style)


_Key = tuple[str, str]  # package and path; the package is "" for the tree itself, "pkg/" for a package's own folder


class _Flattener:
    """One walk from a config down to its last base."""

    def __init__(self, tree: ConfigTree, budget: Budget) -> None:
        self.tree = tree
        self.budget = budget
        self.open: list[_Key] = []  # the chain from the asked config to here
        self.count = 0
        self.line = 0  # where the file that is worked on names the base that is looked for
        self.styled: dict[_Key, tuple[NewStyle, list[str]]] = {}  # files of the new style that are done

    def known(self, key: _Key) -> Flat | None:
        """What an earlier walk made of the file."""
        return self.tree._known.get(key)

    def first(self, key: _Key) -> Flat:
        """The asked file, of whichever style it is."""
        text = self.text(key)
        tree = self.new_style_tree(key, text)
        made = self.old(key, text) if tree is None else self.finished(key, tree)
        self.tree._known[key] = made
        return made

    @contextmanager
    def inside(self, key: _Key) -> Iterator[None]:
        """While a file is worked on.

        Raises:
            BaseCycle, ConfigTooLarge: It is being worked on already, or there are too many.
        """
        if key in self.open:
            chain = [*self.open[self.open.index(key) :], key]
            raise BaseCycle(_shown(key), 0, tuple(map(_shown, chain)))
        if len(self.open) >= self.tree.limits.chain:
            raise ConfigTooLarge(_shown(key), 0, "bases of bases", self.tree.limits.chain)
        self.count += 1
        if self.count > self.tree.limits.files:
            raise ConfigTooLarge(_shown(key), 0, "files in one chain", self.tree.limits.files)
        self.open.append(key)
        yield
        self.open.pop()

    def text(self, key: _Key) -> str:
        """The text of a file."""
        package, path = key
        shown = _shown(key)
        if not path.endswith(_FORMATS):
            raise BrokenConfig(shown, 0, "a config is a .py, .json or .yaml file")
        if package.endswith("/"):
            read = self.tree.modules(package[:-1])
        else:
            read = self.tree.packages(package) if package else self.tree.read
        if read is None:
            raise OtherPackage(shown, 0, package.rstrip("/"), path)
        data = read(path)
        if data is None:
            raise BaseMissing(_shown(self.open[-1]) if self.open else shown, self.line, shown)
        return decoded(data, shown, self.tree.limits)

    def new_style_tree(self, key: _Key, text: str) -> ast.Module | None:
        """The syntax tree of a config of the new style; None when it is one of the old style."""
        if not key[1].endswith(".py") or not may_import(text):
            return None
        with placed(_shown(key), lambda: 0):
            tree = parsed(text, _shown(key), self.tree.limits)
            return tree if is_new_style(tree) else None

    # -- old style ---------------------------------------------------------------------------------------------------

    def base(self, key: _Key) -> Flat:
        """A base of the old style, flattened."""
        if (found := self.known(key)) and not found.new_style:
            return found
        if key in self.open:  # before it is read once more
            with self.inside(key):
                pass
        text = self.text(key)
        if self.new_style_tree(key, text) is not None:
            reason = f"the base {_shown(key)} imports: it is of the new style, this file of the old"
            raise BrokenConfig(_shown(self.open[-1]), self.line, reason)
        made = self.old(key, text)
        self.tree._known[key] = made
        return made

    def old(self, key: _Key, raw: str) -> Flat:
        """A file of the old style with its bases merged in."""
        with self.inside(key):
            return self.merged(key, raw)

    def merged(self, key: _Key, raw: str) -> Flat:
        path, shown = key[1], _shown(key)
        source = substituted(raw, path, shown, self.tree.directory)
        with placed(shown, lambda: 0):
            tree: ast.Module | dict[str, Any]
            is_code = path.endswith(".py")
            tree = parsed(source.text, shown, self.tree.limits) if is_code else document(source.text, path, shown)
        base, files, directories = self.bases(tree, key)
        if isinstance(tree, dict):
            own = {name: value for name, value in tree.items() if name != BASE}
        else:
            if _reads_base(source.text):
                with placed(shown, lambda: 0):
                    base = fresh(base, self.budget, BaseDict)
            own = evaluate(tree, shown, base if isinstance(base, BaseDict) else BaseDict(), self.budget)
        own.pop("_deprecation_", None)
        try:
            with placed(shown, lambda: 0):
                if source.marks:
                    own = fresh(own, self.budget, replace=filled(source.marks, base))
                result = merged(own, base)
        except CannotInherit as error:
            raise BrokenConfig(shown, 0, str(error)) from error
        settings = {name: value for name, value in result.items() if not str(name).startswith("__")}
        if source.directory is not None:
            directories = (*directories, source.directory)
        return Flat(settings, (*files, shown), tuple(dict.fromkeys(directories)))

    def bases(
        self, tree: ast.Module | dict[str, Any], key: _Key
    ) -> tuple[dict[Any, Any], tuple[str, ...], tuple[str, ...]]:
        """The bases of a file in one dict, the files that they were made from, and the directories they name."""
        result: dict[Any, Any] = {}
        files: dict[str, None] = {}
        directories: dict[str, None] = {}
        names, line = _base_names(tree, _shown(key), self.budget)
        for name in names:
            scope, path = _base_path(name, key[1], _shown(key), line)
            self.line = line
            flat = self.base((scope or key[0], path))
            double = sorted(map(str, result.keys() & flat.settings.keys()))
            if double:
                raise BrokenConfig(_shown(key), line, f"two bases both set {', '.join(double)[:200]}")
            with placed(_shown(key), lambda: 0):
                result.update(scoped(flat.settings, scope) if scope else flat.settings)
            files.update(dict.fromkeys(flat.files))
            directories.update(dict.fromkeys(flat.directories))
        return result, tuple(files), tuple(directories)

    # -- new style ---------------------------------------------------------------------------------------------------

    def finished(self, key: _Key, tree: ast.Module) -> Flat:
        """The asked file of the new style: imported names are dropped as settings and are dotted paths as values."""
        made, files = self.new(key, tree)
        settings = {
            name: value
            for name, value in made.settings.items()
            if name not in made.imported and type(value) is not Function
        }
        with placed(_shown(key), lambda: 0):
            return Flat(fresh(settings, self.budget, names=_dotted), tuple(dict.fromkeys(files)), (), new_style=True)

    def new(self, key: _Key, tree: ast.Module) -> tuple[NewStyle, list[str]]:
        """A file of the new style and the files it was made from."""
        shown = _shown(key)
        with self.inside(key):
            with placed(shown, lambda: 0):
                parts = parts_of(tree)
            bases: dict[str, NewStyle] = {}
            files: list[str] = []
            for node in parts.bases:
                self.line = node.lineno
                base, more = self.new_base(self.module_place(node, key))
                with placed(shown, lambda: 0):
                    copy = fresh(base.settings, self.budget, BaseDict, names=lambda name: name)
                bases[module_of(node)] = NewStyle(copy, base.imported)
                files += more
            return evaluate_new_style(parts, shown, bases, self.budget), [*files, shown]

    def new_base(self, key: _Key) -> tuple[NewStyle, list[str]]:
        """A base of the new style and the files it was made from."""
        if key not in self.styled:
            with placed(_shown(key), lambda: 0):
                tree = parsed(self.text(key), _shown(key), self.tree.limits)
            self.styled[key] = self.new(key, tree)
        return self.styled[key]

    def module_place(self, node: ast.ImportFrom, key: _Key) -> _Key:
        """Where the base is that a file of the new style imports."""
        package, path = key
        names = str(node.module).split(".")
        if node.level:
            up = [".."] * (node.level - 1)
            below = posixpath.normpath(posixpath.join(posixpath.dirname(path), *up, *names) + ".py")
            if below.startswith(".."):
                raise BaseOutside(_shown(key), node.lineno, module_of(node))
            return package, below
        if len(names) == 1:
            raise BrokenConfig(_shown(key), node.lineno, f"the base {names[0]} is a package and no config")
        here = "/".join(names) + ".py"
        if not package and self.tree.read(here) is not None:
            return package, here
        return names[0] + "/", "/".join(names[1:]) + ".py"


def _dotted(value: Any) -> str:
    if type(value) is Imported:
        return value.dotted
    raise TypeError(f"a config cannot hold a {type(value).__name__}")


def _shown(key: _Key) -> str:
    package, path = key
    return f"{package}{path}" if package.endswith("/") else f"{package}::{path}" if package else path


def _base_names(tree: ast.Module | dict[str, Any], shown: str, budget: Budget) -> tuple[list[str], int]:
    """The bases as a file names them, and the line where it does."""
    line = 0
    value: Any
    if isinstance(tree, dict):
        value = tree.get(BASE, [])
    else:
        node = next((node for node in tree.body if is_base_line(node)), None)
        if node is None:
            return [], 0
        assert isinstance(node, ast.Assign)
        line = node.lineno
        value = evaluate_expression(node.value, shown, budget)
    names = value if isinstance(value, list) else [value]
    for name in names:
        if not isinstance(name, str):
            raise BrokenConfig(shown, line, f"{BASE} must be a path or a list of paths")
    return names, line


def _base_path(name: str, path: str, shown: str, line: int) -> _Key:
    """The package (empty: the same) and the path in its tree that a base's name means.

    Raises:
        BaseOutside: The name is absolute, a URL, leaves the tree, or has letters that a shell or `~` would expand.
    """
    package, double_colon, inside = name.rpartition("::")
    if double_colon:
        if not package.isidentifier() or not inside.count("/"):
            raise BaseOutside(shown, line, name)
        joined = posixpath.normpath(posixpath.join("configs", inside))
    else:
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), inside))
    if inside.startswith(("/", "~")) or joined.startswith("..") or re.search(r"[\\$\x00-\x1f:]", inside):
        raise BaseOutside(shown, line, name)
    return package, joined


def _reads_base(text: str) -> bool:
    """Whether code may use `_base_` as a value, beside the line that names the bases: only then they are copied for it.

    Looks at the text, for walking the tree would be a third of all the work. A name that is `_base_` only after Unicode
    normalization is not seen: such a config finds no base, and is refused.
    """
    return len(_BASE_NAME.findall(text)) > 1
