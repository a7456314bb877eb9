"""What a config would do once a framework builds it: modules to import, files to fetch, paths it counts on.

Pure. Reading a config safely is not enough: mmengine's registries import whatever dotted name stands under `type` and
call it, and `custom_imports` is imported on load. Names below the model packages' own parts, `torch.nn` and the like
are what configs are made of; everything else is told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.models.configs import Flat

Kind = Literal["imports", "calls", "fetches", "counts-on"]

# The packages of OpenMMLab by import name, whose registries may stand before a type: `mmdet.RTMDet`.
_PACKAGES = (
    "mmaction", "mmagic", "mmcls", "mmcv", "mmdet", "mmdet3d", "mmedit", "mmengine", "mmflow", "mmgen", "mmocr",
    "mmpose", "mmpretrain", "mmrazor", "mmrotate", "mmseg", "mmselfsup", "mmtrack", "mmyolo",
)  # fmt: skip
_PARTS = (  # of such a package, that hold what configs name
    "cnn", "codecs", "core", "datasets", "dataset", "engine", "evaluation", "evaluator", "hooks", "model", "models",
    "ops", "optim", "runner", "structures", "transforms", "visualization",
)  # fmt: skip
_OWN = re.compile(
    rf"(?:{'|'.join(_PACKAGES)})\.(?:[A-Z]\w*|(?:{'|'.join(_PARTS)})(?:\.\w+)+)"
    r"|torch\.(?:nn|optim)(?:\.\w+)+|torchvision\.(?:datasets|models|ops|transforms)(?:\.\w+)+"
)
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_FETCHED = frozenset({"checkpoint", "load_from", "pretrained", "resume_from"})
_ADDRESS = re.compile(r"[a-zA-Z][\w+-]*://")


class Finding(NamedTuple):
    """One thing that a config would do, and where it says so."""

    kind: Kind
    key: str  # dotted: model.backbone.type
    what: str


def findings(flat: Flat) -> tuple[Finding, ...]:
    """Everything to tell of a flattened config, in its order, each once."""
    found = [Finding("imports", "custom_imports", name) for name in _custom_imports(flat.settings)]
    found += [Finding("counts-on", "", directory or ".") for directory in flat.directories]
    found += _below(flat.settings, "")
    return tuple(dict.fromkeys(found))


def imports_of(flat: Flat) -> tuple[str, ...]:
    """The modules and names that whoever builds the config will import, beyond what configs are made of."""
    return tuple(dict.fromkeys(each.what for each in findings(flat) if each.kind in ("imports", "calls")))


def _custom_imports(settings: dict[str, Any]) -> Iterator[str]:
    custom = settings.get("custom_imports")
    names = custom.get("imports") if isinstance(custom, dict) else None
    names = [names] if isinstance(names, str) else names
    yield from (name for name in names if isinstance(name, str)) if isinstance(names, list | tuple) else ()


def _below(value: Any, key: str) -> Iterator[Finding]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _below(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            if not isinstance(item, int | float):
                yield from _below(item, f"{key}.{at}")
    elif isinstance(value, str):
        name = key.rpartition(".")[2]
        if name == "type" and _DOTTED.fullmatch(value) and not _OWN.fullmatch(value):
            yield Finding("calls", key, value)
        elif name in _FETCHED and _ADDRESS.match(value):
            yield Finding("fetches", key, value)
