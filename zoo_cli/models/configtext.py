"""The text of one config file: decoded, its variables filled in, parsed; nothing is evaluated here.

Pure. Follows mmengine 0.10.7: `{{ fileDirname }}` and its like are filled in before parsing, `{{_base_.a.b}}` becomes a
marked string, environment placeholders in strings (`'{{$NAME:default}}'`) stay, for mmengine fills them in where the
config is used. Only UTF-8 is read, whatever a coding line says; YAML is read without tags that make objects.
"""

from __future__ import annotations

import ast
import posixpath
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo_cli.models.config_errors import BrokenConfig, CannotEvaluate, ConfigTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo_cli.models.bounded import Limits

_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")  # PEP 263
_PLAIN_PATH = re.compile(r"[\w.+@%,=:/ -]*")
_BASE_VARIABLE = re.compile(r"\{\{\s*_base_\.([\w.]+)\s*\}\}")
# Bounded, where mmengine's own are not: a megabyte of `{{"$a:` would keep theirs busy for hours.
_ENVIRONMENT = re.compile(r"\{\{['\"]?\s{0,20}\$(\w{1,100})\s{0,20}:\s{0,20}(\S{0,400}?)\s{0,20}['\"]?\}\}")
_QUOTED_ENVIRONMENT = re.compile(r"\{\{['\"]\s{0,20}\$(\w{1,100})\s{0,20}:\s{0,20}(\S{0,400}?)\s{0,20}['\"]\}\}")
_OPERATORS = re.compile(r"[-+*/%@&|^<>.(\[]")
_IMPORTS = re.compile(r"^[ \t]*(?:from|import|with)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Substituted:
    """A text with its variables filled in."""

    text: str
    marks: dict[str, str] = field(default_factory=dict)  # mark in the text -> the `a.b` of its {{_base_.a.b}}
    directory: str | None = None  # what {{ fileDirname }} was filled in with, where it was used


def decoded(data: bytes, shown: str, limits: Limits) -> str:
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


def may_import(text: str) -> bool:
    """Whether a line begins like an import: only then a config can be of the new style."""
    return _IMPORTS.search(text) is not None


def substituted(text: str, path: str, shown: str, directory: str = "") -> Substituted:
    """The text with path variables filled in and `{{_base_.a.b}}` as marked strings.

    `directory` is put before the file's path in its tree, for {{ fileDirname }}.
    """
    if "{{" not in text:
        return Substituted(text)
    stem, extension = posixpath.splitext(posixpath.basename(path))
    folder = posixpath.dirname(path)
    used = None
    for name, value in {
        "fileDirname": posixpath.join(directory, folder) if folder else directory,
        "fileBasename": stem + extension,
        "fileBasenameNoExtension": stem,
        "fileExtname": extension,
    }.items():
        pattern = re.compile(r"\{\{\s*" + name + r"\s*\}\}")
        if pattern.search(text):
            if not _PLAIN_PATH.fullmatch(value):
                raise CannotEvaluate(shown, 0, f"{{{{ {name} }}}} in a file whose path has unusual letters")
            text = pattern.sub(value, text)
            used = value if name == "fileDirname" else used
    text = _QUOTED_ENVIRONMENT.sub(lambda match: _default(match, shown), text)
    mark = "_base_variable"
    while mark in text:  # a config cannot forge a mark
        mark += "_"
    variables: dict[str, str] = {}
    for variable in sorted(set(_BASE_VARIABLE.findall(text))):
        variables[f"{mark}_{len(variables)}"] = variable
    names = {variable: name for name, variable in variables.items()}
    return Substituted(_BASE_VARIABLE.sub(lambda match: f'"{names[match[1]]}"', text), variables, used)


def with_defaults(text: str, shown: str) -> str:
    """The text with environment placeholders replaced by their defaults; the environment is not looked at.

    Raises:
        BrokenConfig: A placeholder has no default: mmengine, too, refuses it where the variable is not set.
    """
    return _ENVIRONMENT.sub(lambda match: _default(match, shown), text) if "{{" in text else text


def _default(match: re.Match[str], shown: str) -> str:
    if not match[2]:
        raise BrokenConfig(shown, 0, f"the environment variable {match[1]} has no default")
    return match[2]


def filled(marks: dict[str, str], base: dict[Any, Any]) -> Callable[[str], Any]:
    """Replaces a string that is a mark by the base's value it stands for."""

    def replace(text: str) -> Any:
        if text not in marks:
            if any(mark in text for mark in marks):
                raise ValueError("{{_base_...}} must be a value of its own")
            return text
        value: Any = base
        for key in marks[text].split("."):
            value = value[key]
        return value

    return replace


def parsed(text: str, shown: str, limits: Limits) -> ast.Module:
    """The syntax tree of a Python config."""
    if len(text) > 2 * limits.operators and sum(1 for _ in _OPERATORS.finditer(text)) > limits.operators:
        raise ConfigTooLarge(shown, 0, "operators in a file", limits.operators)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" of a foreign file is not ours
            return ast.parse(text)
    except SyntaxError as error:
        raise BrokenConfig(shown, error.lineno or 0, f"not Python: {error.msg}") from error


def document(text: str, path: str, shown: str) -> dict[str, Any]:
    """The dict in a JSON or YAML config; of YAML's tags for Python only the tuple is read."""
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
    from zoo_cli.models import safe_yaml

    try:
        return safe_yaml.read_config(text.encode(), safe_yaml.Limits(bytes=200_000, depth=100))
    except safe_yaml.UnreadableYaml as error:
        raise BrokenConfig(shown, error.line or 0, f"not YAML: {error.problem}"[:300]) from error
