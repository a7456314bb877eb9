"""Configs without execution: an OpenMMLab config and its chain of bases become one flat dict.

Pure: files come through `read`, by their posix path inside the config tree (`configs/yolo/yolov3.py`). Equal to what
`mmengine.Config.fromfile` (0.10.7) gives for the same file, but by walking the syntax tree: no byte of a config runs,
nothing is imported, and the work is bounded (`Limits`). Understood: `_base_` chains, `{{_base_.a.b}}`, `_base_.a.b` in
code, the `{{ fileDirname }}` family (as a path inside the tree), bases of other packages (`pkg::path`), JSON and YAML.
Environment placeholders (`{{$NAME:default}}`) stay as they are: mmengine fills them in where the config is used.
Refused by name: new-style configs (`with read_base()`), functions, and whatever else would need to run.
"""

from __future__ import annotations

import ast
import posixpath
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zoo_cli.models.bounded import Budget, Limits
from zoo_cli.models.config_errors import (
    BaseCycle,
    BaseMissing,
    BaseOutside,
    BrokenConfig,
    CannotEvaluate,
    ConfigTooLarge,
    OtherPackage,
)
from zoo_cli.models.evaluate import evaluate, evaluate_expression, placed
from zoo_cli.models.merge import BaseDict, CannotInherit, fresh, merged, scoped
from zoo_cli.models.syntax import BASE, is_base_line

Read = Callable[[str], bytes | None]  # a file of a config tree by its posix path; None: there is none

RESERVED = frozenset({"filename", "text", "pretty_text", "env_variables"})  # attributes of mmengine's Config
_FORMATS = (".py", ".json", ".yaml", ".yml")
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")  # PEP 263
_PLAIN_PATH = re.compile(r"[\w.+@%,= /-]*")
_BASE_VARIABLE = re.compile(r"\{\{\s*_base_\.([\w.]+)\s*\}\}")
_OPERATORS = re.compile(r"[-+*/%@&|^<>.(\[]")


@dataclass(frozen=True, slots=True)
class Flat:
    """A config with its bases merged in."""

    settings: dict[str, Any]
    files: tuple[str, ...]  # what it was made from, bases first; `pkg::path` for another package's

    @property
    def imports(self) -> tuple[str, ...]:
        """Modules that a framework will import when it loads this config (`custom_imports`), as they stand there."""
        custom = self.settings.get("custom_imports")
        names = custom.get("imports") if isinstance(custom, dict) else None
        names = [names] if isinstance(names, str) else names
        return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list | tuple) else ()


def no_packages(_package: str) -> Read | None:
    """The default for `packages`: no other package is at hand."""
    return None


@dataclass
class ConfigTree:
    """The configs of one release; files read once are kept, so a whole release is flattened in a second.

    `packages` gives the tree of another package by its import name (`mmpretrain`), for `pkg::` bases.
    """

    read: Read
    limits: Limits = field(default_factory=Limits)
    packages: Callable[[str], Read | None] = no_packages
    _known: dict[tuple[str, str], Flat] = field(default_factory=dict, repr=False)

    def flatten(self, path: str) -> Flat:
        """The config at a posix path of the tree, flattened; the result shares nothing with other results.

        Raises:
            ConfigError: Of the kind that fits, with the file and the line.
        """
        budget = Budget(self.limits)
        flat = _Flattener(self, budget).flat("", path)
        for key in RESERVED & flat.settings.keys():
            raise BrokenConfig(path, 0, f"the name {key} is reserved by mmengine")
        with placed(path, lambda: 0):
            return Flat(fresh(flat.settings, budget), flat.files)


def load_config(
    path: str, read: Read, limits: Limits | None = None, packages: Callable[[str], Read | None] = no_packages
) -> dict[str, Any]:
    """The settings of one flattened config; see `ConfigTree.flatten`."""
    return ConfigTree(read, limits or Limits(), packages).flatten(path).settings


class _Flattener:
    """One walk from a config down to its last base."""

    def __init__(self, tree: ConfigTree, budget: Budget) -> None:
        self.tree = tree
        self.budget = budget
        self.open: list[tuple[str, str]] = []  # the chain from the asked config to here
        self.files = 0

    def flat(self, package: str, path: str) -> Flat:
        """The flattened file; `package` is empty for the tree itself."""
        key = (package, path)
        if key in self.tree._known:
            return self.tree._known[key]
        shown = _shown(package, path)
        if key in self.open:
            raise BaseCycle(shown, 0, tuple(_shown(*each) for each in [*self.open[self.open.index(key) :], key]))
        if len(self.open) >= self.tree.limits.chain:
            raise ConfigTooLarge(shown, 0, "bases of bases", self.tree.limits.chain)
        self.files += 1
        if self.files > self.tree.limits.files:
            raise ConfigTooLarge(shown, 0, "files in one chain", self.tree.limits.files)
        self.open.append(key)
        made = self.file(package, path, shown)
        self.open.pop()
        self.tree._known[key] = made
        return made

    def file(self, package: str, path: str, shown: str) -> Flat:
        text, variables = _substituted(self.text(package, path, shown), path, shown)
        with placed(shown, lambda: 0):
            parsed: ast.Module | dict[str, Any]
            parsed = _parsed(text, shown, self.tree.limits) if path.endswith(".py") else _document(text, path, shown)
        base, files = self.bases(parsed, package, path, shown)
        if isinstance(parsed, dict):
            own = {key: value for key, value in parsed.items() if key != BASE}
        else:
            if _reads_base(parsed):
                base = fresh(base, self.budget, BaseDict)
            own = evaluate(parsed, shown, base if isinstance(base, BaseDict) else BaseDict(), self.budget)
        with placed(shown, lambda: 0):
            own = fresh(own, self.budget, replace=_filled(variables, base) if variables else None)
        own.pop("_deprecation_", None)
        try:
            result = merged(own, base)
        except CannotInherit as error:
            raise BrokenConfig(shown, 0, str(error)) from error
        settings = {key: value for key, value in result.items() if not str(key).startswith("__")}
        return Flat(settings, (*files, shown))

    def text(self, package: str, path: str, shown: str) -> str:
        if not path.endswith(_FORMATS):
            raise BrokenConfig(shown, 0, "a config is a .py, .json or .yaml file")
        read = self.tree.packages(package) if package else self.tree.read
        if read is None:
            raise OtherPackage(shown, 0, package, path)
        data = read(path)
        if data is None:
            asked_by = _shown(*self.open[-2]) if len(self.open) > 1 else shown
            raise BaseMissing(asked_by, 0, shown)
        return _decoded(data, shown, self.tree.limits)

    def bases(
        self, parsed: ast.Module | dict[str, Any], package: str, path: str, shown: str
    ) -> tuple[dict[Any, Any], tuple[str, ...]]:
        """The bases of a file in one dict, and the files that they were made from."""
        result: dict[Any, Any] = {}
        files: dict[str, None] = {}
        names, line = _base_names(parsed, shown, self.budget)
        for name in names:
            scope, base_path = _base_path(name, path, shown, line)
            flat = self.flat(scope or package, base_path)
            double = sorted(map(str, result.keys() & flat.settings.keys()))
            if double:
                raise BrokenConfig(shown, line, f"two bases both set {', '.join(double)[:200]}")
            result.update(scoped(flat.settings, scope) if scope else flat.settings)
            files.update(dict.fromkeys(flat.files))
        return result, tuple(files)


# -- one file --------------------------------------------------------------------------------------------------------


def _shown(package: str, path: str) -> str:
    return f"{package}::{path}" if package else path


def _decoded(data: bytes, shown: str, limits: Limits) -> str:
    """The text of a file: UTF-8 only, whatever a coding line (PEP 263) says."""
    if len(data) > limits.file_bytes:
        raise ConfigTooLarge(shown, 0, "bytes of a file", limits.file_bytes)
    for number, line in enumerate(data.split(b"\n", 2)[:2], 1):
        cookie = _COOKIE.match(line)
        if cookie and cookie[1].lower().replace(b"_", b"-") not in (b"utf-8", b"utf8", b"ascii", b"us-ascii"):
            raise CannotEvaluate(shown, number, f"the encoding {cookie[1].decode('ascii', 'replace')}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line_number = data.count(b"\n", 0, error.start) + 1
        raise BrokenConfig(shown, line_number, f"not UTF-8 ({error.reason})") from error


def _substituted(text: str, path: str, shown: str) -> tuple[str, dict[str, str]]:
    """The text with path variables filled in and `{{_base_.a.b}}` as marked strings, and what the marks stand for."""
    if "{{" not in text:
        return text, {}
    stem, extension = posixpath.splitext(posixpath.basename(path))
    for name, value in {
        "fileDirname": posixpath.dirname(path),
        "fileBasename": stem + extension,
        "fileBasenameNoExtension": stem,
        "fileExtname": extension,
    }.items():
        pattern = re.compile(r"\{\{\s*" + name + r"\s*\}\}")
        if pattern.search(text):
            if not _PLAIN_PATH.fullmatch(value):
                raise CannotEvaluate(shown, 0, f"{{{{ {name} }}}} in a file whose path has unusual letters")
            text = pattern.sub(value, text)
    mark = "_base_variable"
    while mark in text:  # a config cannot forge a mark
        mark += "_"
    variables: dict[str, str] = {}
    for variable in sorted(set(_BASE_VARIABLE.findall(text))):
        variables[f"{mark}_{len(variables)}"] = variable
    names = {variable: name for name, variable in variables.items()}
    return _BASE_VARIABLE.sub(lambda match: f'"{names[match[1]]}"', text), variables


def _filled(variables: dict[str, str], base: dict[Any, Any]) -> Callable[[str], Any]:
    """Replaces a string that is a mark by the base's value it stands for."""

    def replace(text: str) -> Any:
        if text not in variables:
            if any(mark in text for mark in variables):
                raise ValueError("{{_base_...}} must be a value of its own")
            return text
        value: Any = base
        for key in variables[text].split("."):
            value = value[key]
        return value

    return replace


def _parsed(text: str, shown: str, limits: Limits) -> ast.Module:
    """The syntax tree of a Python config of the old style."""
    if len(text) > 2 * limits.operators and sum(1 for _ in _OPERATORS.finditer(text)) > limits.operators:
        raise ConfigTooLarge(shown, 0, "operators in a file", limits.operators)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" of a foreign file is not ours
            tree = ast.parse(text)
    except SyntaxError as error:
        raise BrokenConfig(shown, error.lineno or 0, f"not Python: {error.msg}") from error
    for node in tree.body:
        if isinstance(node, ast.With) and "read_base" in ast.dump(node.items[0].context_expr):
            raise CannotEvaluate(shown, node.lineno, "with read_base() (a new-style config)")
    return tree


def _document(text: str, path: str, shown: str) -> dict[str, Any]:
    """The dict in a JSON or YAML config; YAML without tags that make objects."""
    if path.endswith(".json"):
        import json

        try:
            loaded = json.loads(text)
        except json.JSONDecodeError as error:
            raise BrokenConfig(shown, error.lineno, f"not JSON: {error.msg}") from error
    else:
        loaded = _yaml(text, shown)
    if not isinstance(loaded, dict):
        raise BrokenConfig(shown, 0, "a config document must be a mapping")
    return loaded


def _yaml(text: str, shown: str) -> Any:
    import yaml

    from zoo_cli.models import safe_yaml

    try:
        safe_yaml.read_yaml(text.encode(), safe_yaml.Limits(bytes=200_000, depth=100))
        # Once more, for keys that are numbers: `read_yaml` gives text.
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except safe_yaml.UnreadableYaml as error:
        raise BrokenConfig(shown, error.line or 0, f"not YAML: {error.problem}"[:300]) from error


# -- bases -----------------------------------------------------------------------------------------------------------


def _base_names(parsed: ast.Module | dict[str, Any], shown: str, budget: Budget) -> tuple[list[str], int]:
    """The bases as a file names them, and the line where it does."""
    line = 0
    value: Any
    if isinstance(parsed, dict):
        value = parsed.get(BASE, [])
    else:
        node = next((node for node in parsed.body if is_base_line(node)), None)
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


def _base_path(name: str, path: str, shown: str, line: int) -> tuple[str, str]:
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


def _reads_base(tree: ast.Module) -> bool:
    """Whether the code uses `_base_` as a value: only then the bases are copied for it."""
    return any(
        isinstance(node, ast.Name) and node.id == BASE and isinstance(node.ctx, ast.Load) for node in ast.walk(tree)
    )
