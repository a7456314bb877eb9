"""timm's models: its pretrained configurations, read from the modules of a released wheel.

Pure. An entry is `resnet50.a1_in1k` (architecture and tag); the architecture alone is an alias of its default tag, by
the rule of timm's registry. The wheel states addresses, digests in file names, input sizes and licences; it states no
metrics, so there are none. Most weights stand twice: on the Hugging Face hub and as a file elsewhere. The file is taken
where its name carries a digest, because it can be checked; else the hub, which timm itself asks first. The other
address stays a remark.
"""

from __future__ import annotations

import ast
import posixpath
import re
from typing import TYPE_CHECKING, Any

from zoo_cli.models.bounded import Budget, Limits
from zoo_cli.models.config_errors import BrokenConfig, CannotEvaluate, ConfigTooLarge
from zoo_cli.models.evaluate import evaluate
from zoo_cli.models.merge import BaseDict
from zoo_cli.models.records import Collection, Issue, ModelEntry, Paper, ReleaseRecords, Training, Weights
from zoo_cli.models.zoos.literals import Module, Unreadable
from zoo_cli.models.zoos.torchvision import HUB_DIGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.models.build import Archive

ROOT = "timm/models/"
SHARED = "timm/data/constants.py"
TABLE = "default_cfgs"
HUB = "https://huggingface.co/"
HUB_FILE = "model.safetensors"  # what timm looks for first, when the entry names no file
_KEPT = {
    "input_size": "input size",
    "test_input_size": "test input size",
    "num_classes": "classes",
    "crop_pct": "crop",
    "interpolation": "interpolation",
    "mean": "mean",
    "std": "std",
}


def read_timm(archive: Archive) -> ReleaseRecords:
    """Every pretrained configuration with weights."""
    issues: list[Issue] = []
    given = _shared(archive)
    models: list[ModelEntry] = []
    collections: list[Collection] = []
    files = 0
    for path in archive.paths:
        if not path.startswith(ROOT) or not path.endswith(".py") or "/" in path.removeprefix(ROOT):
            continue
        try:
            table, lines = _table(Module(archive.read(path), given), path)
        except (Unreadable, BrokenConfig, CannotEvaluate, ConfigTooLarge) as exc:
            issues.append(Issue("unreadable-module", f"{path}:1", "", str(exc)[:200], blocks=True))
            continue
        found = list(_entries(table, lines, path))
        files += bool(table)
        models += found
        if found:
            collections.append(Collection(name=_family(path), at=f"{path}:1"))
    if not models:
        issues.append(Issue("no-weights", f"{ROOT}__init__.py:1", "", f"no {TABLE} in this release", blocks=True))
    issues += _twice(models)
    unique = {each.name: each for each in reversed(models)}
    return ReleaseRecords(tuple(collections), tuple(unique[name] for name in sorted(unique)), tuple(issues), files)


def _shared(archive: Archive) -> dict[str, Any]:
    """Names that modules import: means and standard deviations."""
    try:
        return Module(archive.read(SHARED)).names() if SHARED in archive.paths else {}
    except Unreadable:
        return {}


def _twice(models: list[ModelEntry]) -> Iterator[Issue]:
    seen: dict[str, ModelEntry] = {}
    for each in models:
        if each.name in seen:
            yield Issue("name-twice", each.at, each.name, f"also in {seen[each.name].at}, which is taken")
        seen.setdefault(each.name, each)


def _table(module: Module, path: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The module's table of pretrained configurations as timm builds it, and the line of each literal entry."""
    for position, node in enumerate(module.tree.body):
        source = _source(node)
        if isinstance(source, ast.Dict):
            table = module.value(source)
            lines = {str(key.value): key.lineno for key in source.keys if isinstance(key, ast.Constant)}
            later = [each for each in module.tree.body[position + 1 :] if _changes(each)]
            return (_evaluated({TABLE: table}, later, path) if later else table), lines
        if isinstance(source, ast.DictComp):
            used = {each.id for each in ast.walk(source) if isinstance(each, ast.Name)}
            given = {name: value for name, value in module.names().items() if name in used}
            made = ast.Assign([ast.Name(TABLE, ast.Store())], source, lineno=node.lineno)
            table = _evaluated(given, [ast.fix_missing_locations(made)], path)
            return table, dict.fromkeys(table, node.lineno)
    return {}, {}


def _source(node: ast.stmt) -> ast.expr | None:
    """What the table is made from in `default_cfgs = {...}` or `default_cfgs = generate_default_cfgs({...})`."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == TABLE:
        return node.value.args[0] if isinstance(node.value, ast.Call) and node.value.args else node.value
    return None


def _changes(node: ast.stmt) -> bool:
    """Whether a statement adds to the table before `generate_default_cfgs` takes it."""
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        return False
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return isinstance(node, ast.Assign | ast.For) and TABLE in names


def _evaluated(given: dict[str, Any], statements: list[ast.stmt], path: str) -> dict[str, Any]:
    """The table after these statements, by the evaluator of configs; `given` are names with plain values."""
    start = "".join(f"{name} = {_plain(value)!r}\n" for name, value in given.items())
    body = [*ast.parse(f"import copy\n{start}").body, *statements]
    table = evaluate(ast.Module(body=body, type_ignores=[]), path, BaseDict(), Budget(Limits())).get(TABLE)
    return table if isinstance(table, dict) else {}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)
    return value if isinstance(value, (str, int, float, bool)) else None


def _entries(table: dict[str, Any], lines: dict[str, int], path: str) -> Iterator[ModelEntry]:
    defaults = _defaults(table)
    for key, fields in table.items():
        if not isinstance(fields, dict) or not _has_weights(fields):
            continue
        name = key.rstrip("*")
        architecture = name.partition(".")[0]
        alias = (architecture,) if defaults.get(architecture) == key and architecture != name else ()
        yield _entry(name, f"{path}:{lines.get(key, 1)}", fields, alias)


def _has_weights(fields: dict[str, Any]) -> bool:
    return bool(fields.get("url") or fields.get("file") or fields.get("hf_hub_id"))


def _defaults(table: dict[str, Any]) -> dict[str, str]:
    """The key that an architecture's bare name means: untagged or marked `*`, else the first one with weights."""
    marked: dict[str, str] = {}
    first: dict[str, str] = {}
    for key, fields in table.items():
        architecture, _, tag = key.partition(".")
        if not isinstance(fields, dict):
            continue
        if _has_weights(fields) and not tag:
            marked[architecture] = key
        elif tag.endswith("*"):
            marked.setdefault(architecture, key)
        elif _has_weights(fields):
            first.setdefault(architecture, key)
    return {**first, **marked}


def _entry(name: str, at: str, fields: dict[str, Any], aliases: tuple[str, ...]) -> ModelEntry:
    title, papers, origin = fields.get("paper_name"), fields.get("paper_ids"), fields.get("origin_url")
    address = next(iter(_papers(papers)), None)
    return ModelEntry(
        name=name,
        ordinal=None,
        at=at,
        collection=_family(at.rpartition(":")[0]),
        config=None,
        config_state="none",
        weights=_weights(name, fields),
        aliases=aliases,
        training=Training(extra=_extra(name, fields)),
        paper=Paper(title if isinstance(title, str) else None, address) if title or address else None,
        code=origin if isinstance(origin, str) and origin else None,
        license=fields["license"] if isinstance(fields.get("license"), str) else None,
    )


def _family(path: str) -> str:
    return posixpath.basename(path).removesuffix(".py")


def _papers(ids: object) -> Iterator[str]:
    for each in (ids,) if isinstance(ids, str) else ids if isinstance(ids, (tuple, list)) else ():
        found = re.fullmatch(r"arXiv:\s*(\S{4,40})", str(each), re.IGNORECASE)
        if found:
            yield f"https://arxiv.org/abs/{found[1]}"


def _hub(name: str, fields: dict[str, Any]) -> str | None:
    """The repository on the hub; `timm/` alone stands for the entry's own name (timm's registry)."""
    hub = fields.get("hf_hub_id")
    if not isinstance(hub, str) or not hub:
        return None
    return hub + name if hub == "timm/" else hub


def _direct(fields: dict[str, Any]) -> str | None:
    url = fields.get("url")
    url = url[0] if isinstance(url, (tuple, list)) and url else url
    return url if isinstance(url, str) and url else None


def _weights(name: str, fields: dict[str, Any]) -> tuple[Weights, ...]:
    direct, hub = _direct(fields), _hub(name, fields)
    digest = HUB_DIGEST.search(posixpath.basename(direct)) if direct else None
    if direct and (digest or not hub):
        return (Weights(direct, posixpath.basename(direct), digest[1] if digest else None),)
    if hub:
        file = fields.get("hf_hub_filename")
        file = file if isinstance(file, str) and file else HUB_FILE
        # Most files on the hub are called model.safetensors; they are kept under the repository's name.
        own = posixpath.basename(hub) + posixpath.splitext(file)[1] if file == HUB_FILE else posixpath.basename(file)
        return (Weights(f"{HUB}{hub}/resolve/main/{file}", own),)
    return ()


def _extra(name: str, fields: dict[str, Any]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, label in _KEPT.items():
        value = fields.get(key)
        if isinstance(value, (str, int, float)):
            found[label] = value
        elif isinstance(value, (tuple, list)) and all(isinstance(each, (int, float)) for each in value[:8]):
            found[label] = list(value[:8])
    hub, direct = _hub(name, fields), _direct(fields)
    found |= {label: value for label, value in (("hub", hub), ("url", direct)) if value}
    return found
