"""frameworks.yaml: releases of frameworks with what they declare and what they assert."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.catalog.compiler.rows import DATE, NAME, Row, specifier, version
from zoo_cli.catalog.compiler.tables import Collector, Origins, document

if TYPE_CHECKING:
    from collections.abc import Mapping


def load_frameworks(source: Row, collector: Collector, projects: Mapping[str, tuple[str, str]]) -> None:
    """All releases.

    Args:
        source: The file.
        collector: Where the rows go.
        projects: Import package and provider by project, from projects.yaml.

    Raises:
        BrokenRow: A row breaks the schema, names an unknown project or stands twice.
    """
    for group in source.rows("projects"):
        project = group.text("project", NAME)
        if project not in projects:
            group.broken(f"projects.yaml knows no {project}")
        for row in group.rows("releases"):
            origin = Origins(group, collector).of(group, version=row.text("version"))
            _release(row, project, projects, origin, collector)


def _release(
    row: Row, project: str, projects: Mapping[str, tuple[str, str]], origin: int, collector: Collector
) -> None:
    from packaging.version import Version

    number = version(row, row.text("version"))
    requires_python = row.optional("requires_python")
    specifier(row, requires_python or "")
    declared, asserted = row.mapping("declared", specifier), row.mapping("asserted", specifier)
    for name in (*declared, *asserted):
        if name not in projects:
            row.broken(f"projects.yaml knows no {name}")
    values = (
        *(project, number, *projects[project], row.text("released", DATE), requires_python),
        *(document(declared), row.optional("declared_in"), document(asserted)),
        *(document(row.mapping("pins", specifier)), int(row.flag("yanked")), origin),
    )
    collector.add("framework_release", row, (project, number), values, (project, Version(number)))
