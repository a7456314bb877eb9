"""Names that several packages share, on the real index: copies are one model, different models are asked about."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator

import pytest

from zoo_cli.catalog.database import open_catalog
from zoo_cli.catalog.references import AmbiguousModel, UnknownModel, find_models
from zoo_cli.catalog.scope import UnknownPackage

FORK = "onedl-"


@pytest.fixture(scope="module")
def real() -> Iterator[sqlite3.Connection]:
    connection = open_catalog()
    yield connection
    connection.close()


def shared(real: sqlite3.Connection) -> dict[str, dict[str, set[tuple[str, str]]]]:
    """Name -> package -> (config, files), for names that newest releases of several packages have; forks left out."""
    query = (
        "SELECT m.name, p.project, coalesce(m.config, ''), coalesce((SELECT group_concat(f.name) FROM model_file x "
        "JOIN file f ON f.id = x.file WHERE x.model = m.id), '') FROM entry e JOIN model m ON m.id = e.model "
        "JOIN package p ON p.id = e.package "
        "WHERE p.rank = 0"
    )
    found: defaultdict[str, defaultdict[str, set[tuple[str, str]]]] = defaultdict(lambda: defaultdict(set))
    for name, project, *content in real.execute(query):
        if not project.startswith(FORK):
            found[name][project].add(tuple(content))
    return {name: dict(packages) for name, packages in found.items() if len(packages) > 1}


def test_a_shared_name_is_one_model_or_asked_about(real: sqlite3.Connection) -> None:
    names = shared(real)
    assert len([name for name, packages in names.items() if {"mmpretrain", "mmselfsup"} <= packages.keys()]) >= 20
    for name, packages in names.items():
        contents = set.union(*packages.values())
        try:
            found = find_models(real, name)
        except AmbiguousModel as ambiguous:
            assert len(contents) > 1
            assert {choice.partition("/")[0] for choice in ambiguous.choices} <= packages.keys() | {
                f"{FORK}{project}" for project in packages
            }
            for choice in ambiguous.choices:
                assert find_models(real, choice).models[0].name == name
        else:
            assert len(contents) == 1, (name, packages)
            assert found.models[0].project in packages


def test_with_its_package_a_shared_name_is_that_package_s(real: sqlite3.Connection) -> None:
    for name, packages in shared(real).items():
        for project, contents in packages.items():
            if len(contents) == 1:
                assert find_models(real, f"{project}/{name}").models[0].project == project


def test_a_fork_never_hides_the_original(real: sqlite3.Connection) -> None:
    for name in ("rtmdet_tiny_8xb32-300e_coco", "RTMDET_tiny_8xb32-300e_COCO", "rtmdet_tiny_8xb32-300e_coco.py"):
        assert find_models(real, name).models[0].project == "mmdet"
    assert find_models(real, "onedl-mmdetection/rtmdet_tiny_8xb32-300e_coco").models[0].project == "onedl-mmdetection"


@pytest.mark.parametrize(
    "text",
    [
        "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml",
        "coco-detection/faster_rcnn_R_50_FPN_1x",
        "detectron2/COCO-Detection/faster_rcnn_R_50_FPN_1x",
    ],
)
def test_a_name_of_detectron2_has_a_slash(real: sqlite3.Connection, text: str) -> None:
    found = find_models(real, text)
    assert (found.models[0].project, found.models[0].name) == ("detectron2", "faster_rcnn_R_50_FPN_1x")
    assert found.via == "alias"


def test_a_package_before_such_a_name_must_be_one(real: sqlite3.Connection) -> None:
    with pytest.raises(UnknownPackage):
        find_models(real, "nope/Cityscapes/mask_rcnn_R_50_FPN")
    with pytest.raises(UnknownModel):
        find_models(real, "mmdet/Cityscapes/mask_rcnn_R_50_FPN")
