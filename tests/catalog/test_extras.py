"""Facts beside the releases: backbones, README-only checkpoints, training logs, benchmark tables, baselines.

The counts are those of the study (docs of each fact file), not of the code that reads them.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo_cli.catalog.compiler import BrokenRow, compile_index
from zoo_cli.catalog.compiler.extras import load_extras
from zoo_cli.catalog.compiler.readmes import load_logs, read_readme_checkpoints
from zoo_cli.catalog.compiler.sources import read_source
from zoo_cli.catalog.compiler.tables import Collector
from zoo_cli.catalog.database import open_catalog
from zoo_cli.catalog.extras import (
    UnknownBackbone,
    backbones,
    baselines,
    benchmark_checkpoints,
    benchmarks,
    find_backbone,
    readme_origin,
)
from zoo_cli.catalog.references import find_models

INDEX = Path(__file__).parent.parent.parent / "index"


@pytest.fixture(scope="module")
def catalog() -> Iterator[sqlite3.Connection]:
    connection = open_catalog()
    yield connection
    connection.close()


def test_backbones_by_scheme(catalog: sqlite3.Connection) -> None:
    found = backbones(catalog)
    assert Counter(each.scheme for each in found) == {"open-mmlab": 48, "torchvision": 55, "mmcls": 57}
    assert sum(each.url is None for each in found) == 2
    assert all(each.source and each.date for each in found)


def test_a_deprecated_alias_is_followed(catalog: sqlite3.Connection) -> None:
    found = find_backbone(catalog, "open-mmlab://resnet50_caffe")
    assert (found.alias, found.asked_as) == ("open-mmlab://detectron/resnet50_caffe", "open-mmlab://resnet50_caffe")
    assert found.url == "https://download.openmmlab.com/pretrain/third_party/resnet50_caffe-788b5fa3.pth"
    assert found.norm is not None and found.norm.mean == (103.53, 116.28, 123.675), "as the page says"
    assert (found.used_with[0].mean, found.used_with[0].configs) == ((102.9801, 115.9465, 122.7717), 6), "as it is used"


def test_upstream_replaces_an_alias_by_none(catalog: sqlite3.Connection) -> None:
    assert find_backbone(catalog, "open-mmlab://resnet50_caffe_bgr").url is None


def test_checkpoints_behind_the_benchmarks(catalog: sqlite3.Connection) -> None:
    found = {each.subject: each for each in benchmark_checkpoints(catalog)}
    assert sorted(found) == ["Faster R-CNN", "Mask R-CNN", "Mask R-CNN R-50-FPN", "RetinaNet"]
    assert found["RetinaNet"].url.endswith("retinanet_r50_caffe_fpn_mstrain_1x_coco-586977a0.pth")
    assert found["RetinaNet"].config == "configs/retinanet/retinanet_r50-caffe_fpn_ms-1x_coco.py"


def test_an_unknown_backbone(catalog: sqlite3.Connection) -> None:
    with pytest.raises(UnknownBackbone) as caught:
        find_backbone(catalog, "mmcls://detectron2/resnet50_caffe")
    assert caught.value.near == ("open-mmlab://detectron2/resnet50_caffe",)


def test_readme_only_checkpoints_are_models(catalog: sqlite3.Connection) -> None:
    counts = dict(
        catalog.execute(
            "SELECT p.version, count(*) FROM readme_checkpoint r JOIN entry m ON m.id = r.entry "
            "JOIN package p ON p.id = m.package WHERE p.project = 'mmdet-readmes' GROUP BY 1"
        )
    )
    assert counts == {"2.25.0": 78 + 7, "3.3.0": 75 + 8}  # with a checkpoint, and without
    bare = find_models(catalog, "ssd300_8xb32-24e_widerface").models[0]
    assert (bare.files, bare.config_state) == ((), "found")
    assert (bare_origin := readme_origin(catalog, bare.id)) is not None
    assert (bare_origin.why, bare_origin.source.endswith("configs/wider_face/README.md")) == ("no_checkpoint", True)
    found = find_models(catalog, "faster-rcnn_r50_fpn_1x_voc0712").models[0]
    assert found.identity == "mmdet-readmes/3.3.0/faster-rcnn_r50_fpn_1x_voc0712"
    assert (found.config_state, found.config_path) == (
        "found",
        "configs/pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py",
    )
    origin = readme_origin(catalog, found.id)
    assert origin is not None
    assert (origin.why, origin.source.rpartition("/blob/")[2][41:]) == ("readme_only", "configs/pascal_voc/README.md")
    assert readme_origin(catalog, find_models(catalog, "mmdet/3.3.0/atss_r50_fpn_1x_coco").models[0].id) is None


@pytest.mark.parametrize("release", ["2.25.0", "3.3.0"])
def test_readme_checkpoints_by_folder(release: str) -> None:
    rows = [row for row in read_readme_checkpoints(INDEX) if row["release"] == f"mmdet/{release}"]
    folders = Counter("/".join(row["model"]["at"].split("/")[:2]) for row in rows)
    assert (folders["configs/pascal_voc"], folders["configs/cityscapes"], folders["docs/en"]) == (5, 2, 4)
    assert folders["configs/rpn"] == {"2.25.0": 10, "3.3.0": 2}[release]


def test_training_logs(catalog: sqlite3.Connection) -> None:
    whole = json.loads((INDEX / "extras" / "training_logs.json").read_text())
    for release, counts in whole["counts"].items():
        project, _, version = release.partition("/")
        rows = [row for row in whole["logs"] if row["project"] == project and version in row["releases"]]
        assert sum(version in row.get("in_index", row["releases"]) for row in rows) == counts["with_log"], release
    logged = (
        "SELECT count(DISTINCT x.file) FROM log l JOIN entry m ON m.model = l.model JOIN package p ON p.id = m.package "
        "JOIN model_file x ON x.model = m.model "
        "WHERE l.source = 'readme' AND p.project = 'mmdet' AND p.version = '3.3.0'"
    )
    assert catalog.execute(logged).fetchone()[0] >= 555


def test_benchmarks(catalog: sqlite3.Connection) -> None:
    rows = {(each.subject, each.implementation, each.metric): each.value for each in benchmarks(catalog)}
    assert rows["RetinaNet 1x", "MMDetection", "box AP"] == 37.0, "the translation has 38.0"
    speed = [each for each in benchmarks(catalog, "training-throughput") if each.source.endswith("model_zoo.md")]
    assert [each.value for each in sorted(speed, key=lambda each: -each.value)] == [62, 61, 53, 50, 39, 19, 14]


def test_baselines(catalog: sqlite3.Connection) -> None:
    found = baselines(catalog)
    assert Counter(each.section for each in found) == {"baselines": 57, "datasets": 4}
    first = [each for each in found if each.section == "baselines"]
    assert [sum(each.in_metafiles[release] for each in first) for release in ("2.25.0", "2.28.2", "3.3.0")] == [
        390,
        405,
        416,
    ]


def test_other_zoos(catalog: sqlite3.Connection) -> None:
    query = "SELECT project, version, models FROM package WHERE project IN ('detectron2', 'timm', 'torchvision')"
    assert {(project, version): models for project, version, models in catalog.execute(query)} == {
        ("detectron2", "0.6"): 64,
        ("timm", "1.0.31"): 1827,
        ("torchvision", "0.16.0"): 166,
        ("torchvision", "0.29.2"): 166,
    }
    lengths = (
        "SELECT length(f.prefix), f.prefix_algorithm, count(*) FROM package p JOIN entry m ON m.package = p.id "
        "JOIN model_file x ON x.model = m.model JOIN file f ON f.id = x.file WHERE p.project = ? AND p.rank = 0 "
        "GROUP BY 1, 2 ORDER BY 1"
    )
    assert catalog.execute(lengths, ("torchvision",)).fetchall() == [
        (None, None, 4),
        (8, "sha256", 158),
        (10, "sha256", 4),
    ]
    assert catalog.execute(lengths, ("detectron2",)).fetchall() == [(6, "md5", 64)]
    assert find_models(catalog, "detectron2/mask_rcnn_R_50_FPN_1x@a54504").models[0].license == "CC-BY-SA-3.0"
    assert find_models(catalog, "torchvision/resnet50").models[0].name == "ResNet50_Weights.IMAGENET1K_V2"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("backbones", "schema: '1'\naliases:\n  - {alias: 'ftp://x', origin: o}\n"),
        ("backbones", "schema: '1'\naliases:\n  - {alias: 'mmcls://x', norm: none}\n"),
        ("benchmarks", "schema: '1'\nrows:\n  - {table: t}\n"),
        ("baselines", "schema: '2'\n"),
        ("baselines", "schema: '1'\nodd: x\n"),
    ],
)
def test_broken_rows(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    with pytest.raises(BrokenRow):
        load_extras({name: read_source(path, f"extras/{name}.yaml")}, Collector())


@pytest.mark.parametrize(
    "change",
    [
        '{"schema": 2}',
        "[]",
        "{",
        '{"schema": 1, "sources": {}, "logs": [{"project": "p"}]}',
        '{"schema": 1, "sources": {}, "logs": [], "x": 1}',
    ],
)
def test_broken_logs(tmp_path: Path, change: str) -> None:
    (tmp_path / "extras").mkdir()
    (tmp_path / "extras" / "training_logs.json").write_text(change)
    with pytest.raises(BrokenRow), sqlite3.connect(":memory:") as connection:
        load_logs(connection, tmp_path)


def test_an_index_without_extras_compiles(tmp_path: Path) -> None:
    shutil.copytree(INDEX / "compat", tmp_path / "compat")
    compile_index(tmp_path, tmp_path / "zoo.db")
    with sqlite3.connect(tmp_path / "zoo.db") as connection:
        assert not backbones(connection)
