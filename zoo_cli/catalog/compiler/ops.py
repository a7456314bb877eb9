"""ops_*.yaml: wheels of compiled projects, expanded to one row a version, torch, variant and platform.

A file has, besides `origins`: the `releases` of its projects in order, `layouts` that say where files stand, `wheels`
(and `extra`, the same form) and, where the tables do not tell the interpreters, `python_tags` to expect and files that
were `seen`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from zoo_cli.catalog.compiler.rows import (
    CODE_TARGET,
    DRIVER,
    NAME,
    PLATFORMS,
    PYTHON_TAG,
    SHA256,
    URL,
    Row,
    version,
)
from zoo_cli.catalog.compiler.tables import Collector, Origins, filled, words
from zoo_cli.catalog.entries import fill_tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Key = tuple[str, str, str, str, str, str]  # project, provider, platform, torch, variant, version


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a provider keeps its files: one row of `layouts`."""

    page: str
    file: str | None
    platform_tags: Mapping[str, str]


@dataclass(slots=True)
class Wheels:
    """One expanded row before it is written."""

    row: Row
    layout: str
    pythons: dict[str, int]  # tag -> where that very wheel stands
    targets: str | None
    fill: dict[str, str]
    sha256: str | None
    file: str | None
    origin: int
    glibc: str | None
    page: str | None  # where it has a page of its own, not its layout's


@dataclass(slots=True)
class OpsFile:
    """What the head of an ops file says."""

    origins: Origins
    collector: Collector
    provider: str | None
    releases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    python_tags: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=dict)  # project, torch, platform


def load_ops(document: Row, collector: Collector, import_names: Mapping[str, str]) -> None:
    """All wheels of one ops file.

    Args:
        document: The file.
        collector: Where the rows go.
        import_names: Import package by project, from projects.yaml.

    Raises:
        BrokenRow: A row breaks the schema, names an unknown project, release or layout, or says a thing twice.
    """
    head = _head(document, collector)
    found: dict[Key, list[Wheels]] = {}
    for section in ("wheels", "extra"):
        for row in document.rows(section):
            for key, wheels in _expand(row, head):
                found.setdefault(key, []).append(wheels)
    for row in document.rows("seen"):
        _mark_seen(row, head, found)
    for key, group in found.items():
        if key[0] not in import_names:
            group[0].row.broken(f"projects.yaml knows no {key[0]}")
        for wheels in _told_by_files(key, group, head):
            _write(key, wheels, head, import_names[key[0]])


def _head(document: Row, collector: Collector) -> OpsFile:
    head = OpsFile(Origins(document, collector), collector, document.optional("provider", NAME))
    releases = document.row("releases")
    for project in releases.names():
        head.releases[project] = tuple(version(releases, each) for each in releases.texts(project))
    releases.done()
    for row in document.rows("layouts"):
        head.origins.of(row)
        head.layouts[row.text("id", NAME)] = Layout(
            row.text("page", URL), row.optional("file", URL), row.mapping("platform_tags")
        )
    for row in document.rows("python_tags"):
        tags = dict.fromkeys(row.texts("tags", PYTHON_TAG), head.origins.of(row))
        project, platform = row.text("project"), row.choice("platform", PLATFORMS)
        for torch in row.texts("torch", DRIVER):
            head.python_tags[project, torch, platform] = tags
    return head


def _expand(row: Row, head: OpsFile) -> Iterator[tuple[Key, Wheels]]:
    """Each version, torch and variant of a row of `wheels`."""
    project, platform = row.text("project", NAME), row.choice("platform", PLATFORMS)
    provider = row.optional("provider", NAME) or head.provider or row.broken("provider is missing")
    layout = row.optional("layout", NAME) or next(iter(head.layouts))
    if layout not in head.layouts:
        row.broken(f"no layout is named {layout}")
    origin = head.origins.of(row)
    given = dict.fromkeys(row.texts("python", PYTHON_TAG), origin) if row.has("python") else None
    targets = words(row.texts("targets", CODE_TARGET)) if row.has("targets") else None
    wheels = Wheels(
        row,
        layout,
        pythons={},
        targets=targets,
        fill=row.mapping("fill"),
        sha256=row.optional("sha256", SHA256),
        file=row.optional("file", URL),
        origin=origin,
        glibc=row.optional("glibc", DRIVER),
        page=row.optional("page", URL),
    )
    versions = _versions(row, head.releases.get(project, ()))
    variants = row.texts("variant", NAME)
    for torch in row.texts("torch", DRIVER):
        pythons = given if given is not None else head.python_tags.get((project, torch, platform))
        if not pythons:
            row.broken(f"no Python tags for torch {torch}")
        for variant in variants:
            for number in versions:
                key = (project, provider, platform, torch, variant, number)
                yield key, replace(wheels, pythons=dict(pythons), targets="" if variant == "cpu" else targets)


def _versions(row: Row, releases: tuple[str, ...]) -> Iterator[str] | list[str]:
    """The versions a row names, ranges like "1.3.9 .. 1.7.1" written out in the order of `releases`."""
    found: list[str] = []
    for text in row.texts("versions"):
        first, dots, last = text.partition(" .. ")
        ends = (first, last if dots else first)
        for end in ends:
            if end not in releases:
                row.broken(f"{end} is not among the releases of the project")
        start, stop = (releases.index(end) for end in ends)
        if stop < start:
            row.broken(f"{text} runs backwards")
        found.extend(releases[start : stop + 1])
    if len(set(found)) != len(found):
        row.broken("versions holds a version twice")
    return found


def _mark_seen(row: Row, head: OpsFile, found: dict[Key, list[Wheels]]) -> None:
    """Files whose names were read: their tags are `seen`, their row takes the layout they were seen under."""
    provider = row.optional("provider", NAME) or head.provider or row.broken("provider is missing")
    key: Key = (
        row.text("project", NAME),
        provider,
        row.choice("platform", PLATFORMS),
        row.text("torch", DRIVER),
        row.text("variant", NAME),
        row.text("version"),
    )
    layout = row.optional("layout", NAME)
    row.optional("platform_tag", NAME)
    origin = head.origins.of(row)
    if layout is not None and layout not in head.layouts:
        row.broken(f"no layout is named {layout}")
    rows = found.get(key, [])
    rows = [each for each in rows if not each.file] or rows  # the table's, where files stand beside it
    if len(rows) != 1:
        row.broken("no row of `wheels` or `extra` has this file")
    wheels = rows[0]
    wheels.pythons |= dict.fromkeys(row.texts("tags", PYTHON_TAG), origin)
    wheels.layout = layout or wheels.layout


def _told_by_files(key: Key, group: list[Wheels], head: OpsFile) -> Iterator[Wheels]:
    """The rows without the wheels of which another row names the file itself: what was read in it stands there.

    That is a row with an exact address, and code targets or a glibc, as `zoo index propose` writes it; a table that
    lists the same address, or knows its page only, says nothing about that wheel any more.
    """
    read = [wheels for wheels in group if wheels.file and (wheels.targets or wheels.glibc)]
    files = {(tag, wheels.file) for wheels in read for tag in wheels.pythons}
    for wheels in group:
        if not wheels.file and files:
            template = _addresses(key, wheels, head)[1]
            told = [tag for tag, file in files if template is None or fill_tag(template, tag) == file]
            wheels.pythons = {tag: number for tag, number in wheels.pythons.items() if tag not in told}
        if wheels.pythons:
            yield wheels


def _addresses(key: Key, wheels: Wheels, head: OpsFile) -> tuple[str, str | None]:
    """The page and the address template of a row."""
    project, _provider, platform, torch, variant, number = key
    layout = head.layouts[wheels.layout]
    tag = layout.platform_tags.get(platform)
    fill = {"project": project, "name": project.replace("-", "_"), "version": number, "torch": torch}
    fill |= {"torch_digits": torch.replace(".", ""), "variant": variant} | wheels.fill
    if tag:
        fill.setdefault("platform_tag", tag)
    template = wheels.file or layout.file
    file_url = filled(template, fill) if template and ("platform_tag" in fill or wheels.file) else None
    return filled(wheels.page or layout.page, fill), file_url


def _write(key: Key, wheels: Wheels, head: OpsFile, import_name: str) -> None:
    from packaging.version import Version

    project, provider, platform, torch, variant, number = key
    page, file_url = _addresses(key, wheels, head)
    pythons = sorted(wheels.pythons.items(), key=lambda pair: (int(pair[0][2:].rstrip("t")), pair[0]))
    head.collector.add(
        "ops_wheels",
        wheels.row,
        (platform, project, provider, torch, variant, number, file_url),
        (
            *(platform, project, provider, import_name, number, torch, variant),
            *(words(f"{name}={number}" for name, number in pythons), wheels.targets),
            *(page, file_url, wheels.sha256, wheels.origin, wheels.glibc),
        ),
        (platform, project, provider, Version(torch), variant, Version(number)),
    )
    left = [text for text in (page, file_url or "") if "{" in _without_tags(text)]
    if left:
        wheels.row.broken(f"an address has a place nothing fills: {left[0]}")


def _without_tags(url: str) -> str:
    return url.replace("{python}", "").replace("{abi}", "")
