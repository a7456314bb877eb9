"""index/compat into the compatibility tables: which file is read by which loader, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.catalog.compiler import facts, frameworks, ops, torch
from zoo_cli.catalog.compiler.rows import BrokenRow, Row
from zoo_cli.catalog.compiler.tables import Collector

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_OF_SOURCES = "1"
NEEDED = (
    *("projects", "torch", "torch_hashes", "frameworks", "walls", "cuda", "gpus", "gpu_reports", "ops_cpu"),
    *("ops_mmcv", "images", "recipes"),
)


def load_compat(documents: Mapping[str, Row]) -> Collector:
    """Every compatibility fact, checked and ready to be written.

    Args:
        documents: The files of index/compat by name without suffix: "torch", "ops_mmcv" ...

    Raises:
        BrokenRow: A file is missing or unknown, or a row breaks the schema.
    """
    for name in NEEDED:
        if name not in documents:
            raise BrokenRow(f"compat/{name}.yaml", 0, "", "the file is missing")
    collector = Collector()
    for document in documents.values():
        if document.text("schema") != SCHEMA_OF_SOURCES:
            document.broken(f"schema must be {SCHEMA_OF_SOURCES}")
    projects = facts.load_projects(documents["projects"], collector)
    import_names = {name: import_name for name, (import_name, _) in projects.items()}
    torch.load_torch(documents["torch"], collector)
    torch.load_hashes(documents["torch_hashes"], collector)
    frameworks.load_frameworks(documents["frameworks"], collector, projects)
    facts.load_walls(documents["walls"], collector)
    facts.load_recipes(documents["recipes"], collector)
    facts.load_cuda(documents["cuda"], collector)
    facts.load_gpus(documents["gpus"], collector)
    facts.load_gpu_reports(documents["gpu_reports"], collector, projects)
    facts.load_images(documents["images"], collector)
    facts.load_ops_cpu(documents["ops_cpu"], collector)
    for name in sorted(documents):
        if name.startswith("ops_") and name != "ops_cpu":
            ops.load_ops(documents[name], collector, import_names)
        elif name not in NEEDED:
            raise BrokenRow(f"compat/{name}.yaml", 0, "", "no part of the index has this name")
    for document in documents.values():
        document.done()
    return collector
