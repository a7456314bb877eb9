"""How much the index holds: the numbers of the harvest of 2026-11-23. A change of one is a change of facts."""

from __future__ import annotations

import sqlite3
from collections import Counter

from packaging.specifiers import SpecifierSet

from tests.catalog.conftest import INDEX, PLATFORMS
from zoo_cli.catalog.compat import FrameworkRelease, Matrix, gpu_models, project_names, projects
from zoo_cli.catalog.compiler.sources import read_source


def test_torch_releases_and_variants(matrices: dict[str, Matrix]) -> None:
    """46 releases, 1.8.2 (long-term support, not on PyPI) among them."""
    builds = [build for matrix in matrices.values() for build in matrix.torch]
    assert len({build.version for build in builds}) == 46
    variants = {(build.version, build.variant) for build in builds}
    assert len(variants) == 178
    assert sum(variant == "cpu" for _, variant in variants) == 46


def test_official_tables_of_mmcv() -> None:
    """182 rows of the two version.json stand for 2143 combinations of version, torch, variant and platform."""
    source = read_source(INDEX / "compat/ops_mmcv.yaml", "compat/ops_mmcv.yaml")
    releases = source.row("releases")
    order = {project: releases.texts(project) for project in releases.names()}
    rows = 0
    combinations = set()
    for row in source.rows("wheels"):
        rows += 1
        row.text("origin")
        project = row.text("project")
        for span in row.texts("versions"):
            first, _, last = span.partition(" .. ")
            start, stop = order[project].index(first), order[project].index(last or first)
            for version in order[project][start : stop + 1]:
                combinations.add((project, version, row.text("platform"), row.text("torch"), row.text("variant")))
    assert (rows, len(combinations)) == (182, 2143)


def test_every_listed_mmcv_combination_is_a_row(matrices: dict[str, Matrix]) -> None:
    listed = [
        wheels
        for matrix in matrices.values()
        for wheels in matrix.ops
        if wheels.provider == "openmmlab" and wheels.origin.evidence == "listed"
    ]
    assert len(listed) == 2143
    assert Counter(wheels.project for wheels in listed) == {"mmcv-full": 1669, "mmcv": 474}


def test_files_seen_by_name(matrices: dict[str, Matrix]) -> None:
    """140 files were seen; three of them name no torch and are left out, one stands on two pages."""
    tags = Counter(
        evidence
        for matrix in matrices.values()
        for wheels in matrix.ops
        if wheels.provider == "openmmlab"
        for evidence in wheels.python_tags.values()
    )
    assert tags["seen"] == 137
    assert set(tags) == {"seen", "inferred"}


def releases_of(matrices: dict[str, Matrix]) -> list[FrameworkRelease]:
    return [release for group in matrices["linux_x86_64"].frameworks.values() for release in group]


def test_framework_releases(matrices: dict[str, Matrix]) -> None:
    assert len(releases_of(matrices)) == 466
    assert len(matrices["linux_x86_64"].frameworks) == 27
    assert sum(bool(release.asserted) for release in releases_of(matrices)) == 355
    assert sum(bool(release.declared) for release in releases_of(matrices)) == 321
    assert sum(release.is_yanked for release in releases_of(matrices)) == 4


def test_where_declared_and_asserted_ranges_of_mmcv_differ(
    matrices: dict[str, Matrix], catalog: sqlite3.Connection
) -> None:
    """163 releases declare one range of mmcv and assert another: the reason why the two are never merged."""
    published = {name: each.sdists for name, each in projects(catalog).items()}
    differing = [release for release in releases_of(matrices) if has_differing_ranges(release, published)]
    assert len(differing) == 163


def has_differing_ranges(release: FrameworkRelease, published: dict[str, tuple[str, ...]]) -> bool:
    """Whether the two ranges accept different releases of the project that the declared one names."""
    for project in ("mmcv-full", "mmcv"):
        if project in release.declared and "mmcv" in release.asserted:
            declared = SpecifierSet(release.declared[project], prereleases=True)
            asserted = SpecifierSet(release.asserted["mmcv"], prereleases=True)
            return any(declared.contains(each) != asserted.contains(each) for each in published[project])
    return False


def test_gpu_names(catalog: sqlite3.Connection) -> None:
    models = gpu_models(catalog)
    assert len(models) == 244
    assert len({model.name for model in models}) == 244


def test_every_platform_has_torch(matrices: dict[str, Matrix]) -> None:
    assert {platform: len(matrices[platform].torch) for platform in PLATFORMS} == {
        "linux_x86_64": 178,
        "linux_aarch64": 83,
        "win_amd64": 169,
        "macos_x86_64": 25,
        "macos_arm64": 38,
    }


def test_projects(catalog: sqlite3.Connection) -> None:
    names = project_names(catalog)
    assert len(names) == 53
    assert {"torch", "mmcv", "mmcv-full", "mmcv-lite", "onedl-mmcv", "mmdet", "mmengine"} <= set(names)
