"""Pretrained backbones as lines: what an alias such as `open-mmlab://resnet50_caffe` means."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.catalog.extras import Backbone, Norm
    from zoo_cli.cli.console import Console


def norm_text(norm: Norm | None) -> str:
    """An img_norm_cfg on one line; "" when it is not known."""
    if norm is None:
        return ""
    mean, std = ("[" + ", ".join(f"{each:g}" for each in values) + "]" for values in (norm.mean, norm.std))
    return f"mean {mean} std {std} to_rgb {norm.to_rgb}"


def show_backbones(console: Console, backbones: Sequence[Backbone], total: int) -> None:
    """The list, as `zoo list --backbones` prints it."""
    if console.json:
        found = [asdict(each) for each in backbones]
        console.document({"ok": True, "command": "list", "matched": len(found), "of": total, "backbones": found})
    elif console.quiet:
        for each in backbones:
            console.data(each.alias)
    elif not backbones:
        console.say("No backbone matches.")
    else:
        rows: list[tuple[str, ...]] = [
            (each.alias, each.family or "", norm_text(each.norm), each.url or "") for each in backbones
        ]
        console.table(("backbone", "family", "normalisation", "url"), rows)
        if console.is_terminal:
            console.say()
            console.say(f"{len(backbones)} of {total} backbones.")


def show_backbone(console: Console, backbone: Backbone) -> None:
    """One backbone with its origin, as `zoo show open-mmlab://resnet50_caffe` prints it."""
    if console.json:
        console.document({"ok": True, "command": "show", "backbone": asdict(backbone)})
        return
    origin = f"{backbone.source}, {backbone.date}"
    rows: list[tuple[str, ...]] = [
        ("backbone", backbone.alias, origin),
        ("url", backbone.url or "none that upstream names", origin),
        *([("family", backbone.family, origin)] if backbone.family else []),
        *([("trained_on", backbone.trained_on, origin)] if backbone.trained_on else []),
        *([("normalisation", norm_text(backbone.norm), origin)] if backbone.norm else []),
        *(("used_with", norm_text(each), f"in {each.configs} configs") for each in backbone.used_with),
    ]
    if backbone.asked_as != backbone.alias:
        console.say(f"{backbone.asked_as} is deprecated: it is {backbone.alias} now")
    console.table(("field", "value", "from"), rows)
