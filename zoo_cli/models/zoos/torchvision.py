"""torchvision's models: the members of its weights enums, read from the modules of a released wheel.

Pure. An entry is `ResNet50_Weights.IMAGENET1K_V2`; the builder's name (`resnet50`) and `ResNet50_Weights.DEFAULT` are
aliases of the default member. torch.hub checks a file against the first digits of its SHA-256 where its name has them
after a dash; another number in the name is no digest, and none is claimed. File sizes are upstream's, in MiB with three
digits: too coarse to check a file with, so they stay a remark. Releases before 0.13 have no enums.
"""

from __future__ import annotations

import ast
import posixpath
import re
from typing import TYPE_CHECKING, Any

from zoo_cli.models.measures import quantity
from zoo_cli.models.records import (
    Collection,
    Issue,
    Metric,
    ModelEntry,
    Paper,
    ReleaseRecords,
    Result,
    Training,
    Weights,
)
from zoo_cli.models.zoos.literals import Module, Symbol, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.models.build import Archive

ROOT = "torchvision/models/"
SHARED = ROOT + "_meta.py"  # the names of classes
HUB_DIGEST = re.compile(
    r"-([a-f0-9]{8}|[a-f0-9]{10}|[a-f0-9]{64})\."
)  # torch.hub takes the first match; these lengths are real
_PAPER = re.compile(r"`([^`<>]{5,200}?)\s*<(https?://arxiv\.org/[^<>\s]{5,80})>`", re.DOTALL)
_TASKS = {
    "": "Image Classification",
    "quantization": "Image Classification",
    "detection": "Object Detection",
    "segmentation": "Semantic Segmentation",
    "video": "Action Recognition",
    "optical_flow": "Optical Flow",
}
_TEXTS = {"recipe": "recipe", "backend": "quantized backend"}


def read_torchvision(archive: Archive) -> ReleaseRecords:
    """Every member of every weights enum."""
    issues: list[Issue] = []
    shared = _module(archive, SHARED, {}, issues) if SHARED in archive.paths else None
    given = shared.names() if shared else {}
    models: list[ModelEntry] = []
    collections: dict[str, Collection] = {}
    for path in archive.paths:
        if path.startswith(ROOT) and path.endswith(".py") and path != SHARED:
            module = _module(archive, path, given, issues)
            found = list(_members(module, path, issues)) if module else []
            models += found
            if found:
                name = found[0].collection or ""
                collections.setdefault(name, Collection(name=name, at=f"{path}:1"))
    if not models:
        issues.append(Issue("no-weights", f"{ROOT}__init__.py:1", "", "no weights enum in this release", blocks=True))
    models.sort(key=lambda each: each.name)
    files = len({each.at.rpartition(":")[0] for each in models})
    return ReleaseRecords(tuple(collections[name] for name in sorted(collections)), tuple(models), tuple(issues), files)


def _module(archive: Archive, path: str, given: dict[str, Any], issues: list[Issue]) -> Module | None:
    try:
        return Module(archive.read(path), given)
    except Unreadable as exc:
        issues.append(Issue("unreadable-module", f"{path}:1", "", str(exc), blocks=True))
        return None


def _members(module: Module, path: str, issues: list[Issue]) -> Iterator[ModelEntry]:
    builders = dict(_builders(module))
    for node in module.tree.body:
        is_enum = isinstance(node, ast.ClassDef) and any(
            isinstance(base, ast.Name) and base.id == "WeightsEnum" for base in node.bases
        )
        if not is_enum:
            continue
        assert isinstance(node, ast.ClassDef)
        default = _default(node)
        for name, call in _calls(node):
            own = f"{node.name}.{name}"
            at = f"{path}:{call.lineno}"
            builder, paper = builders.get(node.name, (None, None))
            aliases = (f"{node.name}.DEFAULT", *([builder] if builder else [])) if name == default else ()
            try:
                fields = {each.arg: module.value(each.value) for each in call.keywords if each.arg}
            except Unreadable as exc:
                issues.append(Issue("unreadable-entry", at, own, str(exc), blocks=True))
                continue
            yield _entry(own, at, path, fields, builder, paper, aliases)


def _calls(node: ast.ClassDef) -> Iterator[tuple[str, ast.Call]]:
    """The members of an enum that are weights of their own, not another name for one."""
    for each in node.body:
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name) and isinstance(each.value, ast.Call):
            yield each.targets[0].id, each.value


def _default(node: ast.ClassDef) -> str | None:
    for each in node.body:
        if (
            isinstance(each, ast.Assign)
            and isinstance(each.targets[0], ast.Name)
            and each.targets[0].id == "DEFAULT"
            and isinstance(each.value, ast.Name)
        ):
            return each.value.id
    return None


def _builders(module: Module) -> Iterator[tuple[str, tuple[str, Paper | None]]]:
    """The function that builds a model from each enum: the name it is registered under, and the paper it names."""
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        for each in (*node.args.args, *node.args.kwonlyargs):
            if each.arg == "weights" and each.annotation is not None:
                named = re.findall(r"\w+Weights\b", ast.unparse(each.annotation))
                found = _PAPER.search(ast.get_docstring(node) or "")
                paper = Paper(" ".join(found[1].split()), found[2]) if found else None
                # A quantized builder takes Union[..._QuantizedWeights, ..._Weights]: its own enum stands first.
                if named:
                    yield named[0], (_registered(node), paper)


def _registered(node: ast.FunctionDef) -> str:
    for each in node.decorator_list:
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "register_model":
            for keyword in each.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return node.name


def _entry(
    name: str,
    at: str,
    path: str,
    fields: dict[str, Any],
    builder: str | None,
    paper: Paper | None,
    aliases: tuple[str, ...],
) -> ModelEntry:
    meta = fields.get("meta") if isinstance(fields.get("meta"), dict) else {}
    assert isinstance(meta, dict)
    folder = posixpath.dirname(path.removeprefix(ROOT))
    url, license_, origin = fields.get("url"), meta.get("license"), meta.get("unquantized")
    operations = quantity(meta.get("_ops"))
    return ModelEntry(
        name=name,
        ordinal=None,
        at=at,
        collection=posixpath.basename(path).removesuffix(".py") + (f" ({folder})" if folder == "quantization" else ""),
        config=None,
        config_state="none",
        weights=(_weights(url),) if isinstance(url, str) and url else (),
        aliases=aliases,
        results=tuple(_results(meta.get("_metrics"), _TASKS.get(folder))),
        training=Training(
            params=quantity(meta.get("num_params")),
            flops=round(operations * 1e9) if operations is not None else None,
            extra=_extra(meta, builder),
        ),
        paper=paper,
        license=license_ if isinstance(license_, str) else None,
        converted_from=origin.name if isinstance(origin, Symbol) else None,
    )


def _weights(url: str) -> Weights:
    name = posixpath.basename(url)
    digest = HUB_DIGEST.search(name)
    return Weights(url=url, name=name, prefix=digest[1] if digest else None)


def _results(metrics: object, task: str | None) -> Iterator[Result]:
    for dataset, values in (metrics if isinstance(metrics, dict) else {}).items():
        rows = values.items() if isinstance(values, dict) else ()
        found = [Metric(name, float(value), _unit(name)) for name, value in rows if isinstance(value, (int, float))]
        if found:
            yield Result(task, dataset, tuple(found))


def _unit(name: str) -> str:
    """Torchvision writes shares as 0..100: accuracies, mAP, mIoU, and KITTI's share of wrong pixels."""
    return "none" if name.endswith("epe") else "percent"


def _extra(meta: dict[str, Any], builder: str | None) -> dict[str, object]:
    found: dict[str, object] = {"builder": builder} if builder else {}
    for key, label in _TEXTS.items():
        if isinstance(meta.get(key), str):
            found[label] = meta[key]
    if isinstance(meta.get("categories"), tuple):
        found["categories"] = len(meta["categories"])
    if isinstance(meta.get("_file_size"), (int, float)):
        found["file size (MiB)"] = meta["_file_size"]
    if isinstance(meta.get("min_size"), tuple):
        found["smallest input"] = [each for each in meta["min_size"] if isinstance(each, int)]
    return found
