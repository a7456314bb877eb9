"""`zoo show`: everything the index knows of one model, each value with its origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console


@click.command(
    "show",
    epilog="Examples: zoo show rtmdet_l_8xb32-300e_coco; zoo show mmdet/2.28.2/detr_r50_8x2_150e_coco --json.",
)
@click.argument("model")
@common_options
@pass_console
def command(console: Console, model: str) -> None:
    """Tell all that is known of a model, and from where; nothing is fetched.

    MODEL is a name (old ones work, too), package/name, package::configs/x.py, a checkpoint's file name or its address;
    or a backbone: open-mmlab://resnet50_caffe.
    """
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.catalog.details import details_of
    from zoo_cli.catalog.references import find_models
    from zoo_cli.cli.freshness import heed_expiry, signer_of
    from zoo_cli.cli.model_view import model_document, sections, show_sections
    from zoo_cli.plaintext import printable

    catalog = open_catalog()
    heed_expiry(console)
    try:
        if "://" in model and not model.startswith(("http://", "https://")):
            from zoo_cli.catalog.extras import find_backbone
            from zoo_cli.cli.backbones_view import show_backbone

            show_backbone(console, find_backbone(catalog, model))
            return
        found = find_models(catalog, model)
        details, others = details_of(catalog, found.models[0]), found.models[1:]
    finally:
        catalog.close()
    signed = signer_of(console, details.model.project)
    if console.json:
        console.document(model_document(details, others, signed))
    elif console.quiet:
        console.data(details.model.identity)
    else:
        if found.via == "alias":
            console.say(f"{printable(found.asked_as)} is now {printable(details.model.identity)}")
        show_sections(console, sections(details, others, signed))
