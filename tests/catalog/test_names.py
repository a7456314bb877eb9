"""Names: near ones, and finding a model by whatever it is called."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.modelsdb import document, model, models_db, result, write_index
from zoo_cli.catalog.models import releases
from zoo_cli.catalog.names import near, normalised, query_name
from zoo_cli.catalog.references import AmbiguousModel, UnknownModel, find_models
from zoo_cli.catalog.scope import UnknownPackage


@pytest.fixture(scope="module")
def real() -> Iterator[sqlite3.Connection]:
    connection = models_db()
    yield connection
    connection.close()


NAMES = [
    "rtmdet_l_8xb32-300e_coco",
    "rtmdet-ins_l_8xb32-300e_coco",
    "rtmdet_tiny_8xb32-300e_coco",
    "atss_r50_fpn_1x_coco",
]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("rtmdet_l_8xb32-300e_coco", "rtmdet_l_8xb32-300e_coco"),
        ("RTMDet-L_8xb32_300e-coco", "rtmdet_l_8xb32-300e_coco"),  # case and separators
        ("rtmdet_l", "rtmdet_l_8xb32-300e_coco"),  # the beginning
        ("rtmdet_8xb32_coco", "rtmdet_l_8xb32-300e_coco"),  # words in order
        ("rtmdet_l_8xb32-300e_cocco", "rtmdet_l_8xb32-300e_coco"),  # a letter
        ("atss_r50_fpn_2x_coco", "atss_r50_fpn_1x_coco"),
        ("yolov9", None), ("", None), ("---", None), ("mask_rcnn", None),
    ],
)  # fmt: skip
def test_near(asked: str, expected: str | None) -> None:
    found = near(asked, NAMES)
    assert (found[0] if found else None) == expected


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6))
def test_an_exact_name_is_its_own_nearest(names: list[str]) -> None:
    for name in names:
        if normalised(name):
            assert near(name, names)[0] == name


@given(st.text(max_size=20), st.lists(st.text(max_size=12), max_size=8), st.randoms())
def test_the_order_of_the_names_does_not_matter(asked: str, names: list[str], random: object) -> None:
    assert near(asked, names) == near(asked, list(reversed(names)))
    assert len(near(asked, names)) <= 3
    assert set(near(asked, names)) <= set(names)


@pytest.mark.parametrize(
    ("label", "name"),
    [("box AP", "box_AP"), ("mIoU(ms+flip)", "mIoU_ms_flip"), ("AP@0.5", "AP@0.5"), ("AR@1000", "AR@1000"),
     ("PSNR/<br/>SSIM", "PSNR_SSIM"), ("Top 1 Accuracy", "Top_1_Accuracy"), ("$\\sigma$", "sigma"), ("()", "_")],
)  # fmt: skip
def test_query_names(label: str, name: str) -> None:
    assert query_name(label) == name


@given(st.text(max_size=30))
def test_a_query_name_is_its_own(label: str) -> None:
    assert query_name(query_name(label)) == query_name(label)


YOLO = "yolov3_mobilenetv2_8xb24-320-300e_coco"
OLD = "yolov3_mobilenetv2_320_300e_coco"
FILE = "yolov3_mobilenetv2_320_300e_coco_20210719_215349-d18dff72.pth"
FOLDER = "https://download.openmmlab.com/mmdetection/v2.0/yolo/yolov3_mobilenetv2_320_300e_coco"


@pytest.mark.parametrize(
    ("text", "identity", "asked_as", "via"),
    [
        (YOLO, f"mmdet/3.3.0/{YOLO}", YOLO, "name"),
        (f"  {YOLO}\n", f"mmdet/3.3.0/{YOLO}", YOLO, "name"),
        (f"{YOLO}.py", f"mmdet/3.3.0/{YOLO}", YOLO, "name"),
        (YOLO.upper(), f"mmdet/3.3.0/{YOLO}", YOLO.upper(), "name"),
        (f"mmdet/{YOLO}", f"mmdet/3.3.0/{YOLO}", YOLO, "name"),
        (f"mmdet/3.3.0/{YOLO}", f"mmdet/3.3.0/{YOLO}", YOLO, "name"),
        (f"mmdet@3.3.0/{YOLO}", f"mmdet/3.3.0/{YOLO}", YOLO, "name"),
        (f"{YOLO}@d18dff72", f"mmdet/3.3.0/{YOLO}", YOLO, "name"),
        (OLD, f"mmdet/3.3.0/{YOLO}", OLD, "alias"),
        (f"mmdet/{OLD}", f"mmdet/3.3.0/{YOLO}", OLD, "alias"),
        (f"mmdet/2.28.2/{OLD}", f"mmdet/2.28.2/{OLD}", OLD, "name"),
        (f"mmdet@2.28.2/{OLD}", f"mmdet/2.28.2/{OLD}", OLD, "name"),
        (f"configs/yolo/{YOLO}.py", f"mmdet/3.3.0/{YOLO}", YOLO, "config"),
        (f"mmdet::configs/yolo/{YOLO}.py", f"mmdet/3.3.0/{YOLO}", YOLO, "config"),
        (f"mmdet/.mim/configs/yolo/{YOLO}.py", f"mmdet/3.3.0/{YOLO}", YOLO, "config"),
        (f"configs/yolo/{OLD}.py", f"mmdet/2.28.2/{OLD}", OLD, "config"),
        (FILE, f"mmdet/3.3.0/{YOLO}", YOLO, "file"),
        (f"{FOLDER}/{FILE}", f"mmdet/3.3.0/{YOLO}", YOLO, "url"),
        (f"https://mirror.example/copy/{FILE}?x=1", f"mmdet/3.3.0/{YOLO}", YOLO, "url"),
        ("rtmdet-t", "mmdet/3.3.0/rtmdet_tiny_8xb32-300e_coco", "rtmdet-t", "alias"),
        # gone in 3.x
        ("detr_r50_8x2_150e_coco", "mmdet/2.28.2/detr_r50_8x2_150e_coco", "detr_r50_8x2_150e_coco", "name"),
    ],
)  # fmt: skip
def test_what_a_text_names(real: sqlite3.Connection, text: str, identity: str, asked_as: str, via: str) -> None:
    found = find_models(real, text)
    assert (found.models[0].identity, found.asked_as, found.via) == (identity, asked_as, via)


def test_a_model_with_all_its_facts(real: sqlite3.Connection) -> None:
    found = find_models(real, YOLO).models[0]
    assert found.collection == "YOLOv3"
    assert (found.config_path, found.config_state) == (f"configs/yolo/{YOLO}.py", "found")
    assert (found.epochs, found.memory_gb, found.training_data) == (300, 3.2, ("COCO",))
    assert found.paper_url == "https://arxiv.org/abs/1804.02767"  # the collection's
    assert found.at == "configs/yolo/metafile.yml:100"
    (file,) = found.files
    assert (file.role, file.name, file.urls) == ("checkpoint", FILE, (f"{FOLDER}/{FILE}",))
    assert (file.prefix, file.prefix_algorithm, file.sha256, file.size_bytes) == ("d18dff72", "sha256", None, None)
    (metric,) = found.metrics
    assert (metric.name, metric.label, metric.value, metric.unit, metric.dataset, metric.task) == (
        "box_AP", "box AP", 22.2, "percent", "COCO", "Object Detection")  # fmt: skip
    release = found.release
    assert (release.project, release.version, release.wheel_name) == ("mmdet", "3.3.0", "mmdet-3.3.0-py3-none-any.whl")
    assert release.wheel_sha256 == "2e23e291281ac57e7dccf8678e957da45fbe560ce78a1f5ded6afeccd3730f17"
    assert (release.wheel_size, release.config_root, release.date) == (2231444, "mmdet/.mim/", "2024-01-05")


def test_the_old_release_is_told_with_the_new_one(real: sqlite3.Connection) -> None:
    found = [each.identity for each in find_models(real, OLD).models]
    assert found[:2] == [f"mmdet/3.3.0/{YOLO}", f"mmdet/3.2.0/{YOLO}"]
    assert {f"mmdet/3.0.0/{YOLO}", f"mmdet/2.28.2/{OLD}", f"mmdet/2.25.0/{OLD}"} < set(found)


def test_aliases_of_mmdet_2(real: sqlite3.Connection) -> None:
    """study 6: 461 of 476 entries of 2.28.2 have their checkpoint in 3.3.0; 2 of them name two entries there."""
    rows = real.execute(
        "SELECT m.name FROM entry e JOIN model m ON m.id = e.model "
        "JOIN package p ON p.id = e.package WHERE p.version = '2.28.2'"
    ).fetchall()
    ambiguous, new = [], 0
    for (name,) in rows:
        try:
            found = find_models(real, f"mmdet/{name}").models
        except AmbiguousModel as error:
            ambiguous.append(error.asked)
            continue
        old = next(each for each in found if each.release.version == "2.28.2")
        new += found[0].release.version == "3.3.0" and found[0].files == old.files
    assert (len(rows), new, len(ambiguous)) == (476, 459, 2)


def test_a_tracker_has_several_files(real: sqlite3.Connection) -> None:
    found = find_models(real, "strongsort_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval").models[0]
    assert [each.prefix for each in found.files] == ["b6c9ce9a", "4bf6b63d", "a7578ad3"]


def test_equal_entries_of_one_name_are_one_model(real: sqlite3.Connection) -> None:
    found = find_models(real, "mask-rcnn_regnetx-3.2GF_fpn_ms-3x_coco").models  # twice in each release
    versions = [each.release.version for each in found if each.project == "mmdet"]
    assert versions[0] == "3.3.0"
    assert (versions.count("3.3.0"), versions.count("3.0.0")) == (1, 2)
    assert found[0].ordinal == 1


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("resnet50_8xb32_in1k", "mmpretrain/1.2.0/resnet50_8xb32_in1k"),  # also mmcls and onedl-mmpretrain
        ("mmcls/resnet50_8xb32_in1k", "mmcls/0.25.0/resnet50_8xb32_in1k"),
        (f"onedl-mmdetection/{YOLO}", f"onedl-mmdetection/3.5.1/{YOLO}"),
    ],
)
def test_who_carries_a_model_on(real: sqlite3.Connection, text: str, identity: str) -> None:
    """Equal config and files in several packages are one model: the newest upstream package's, not a fork's."""
    assert find_models(real, text).models[0].identity == identity


def test_how_old_names_are_known(real: sqlite3.Connection) -> None:
    """Most by address; a model published again under another digest by the name and time before it."""
    vias = dict(real.execute("SELECT via, count(*) FROM alias GROUP BY via").fetchall())
    assert {"declared", "url", "file"} <= set(vias) <= {"declared", "url", "file", "digest", "time"}
    assert vias["url"] > 1500


@pytest.mark.parametrize(
    ("text", "near_names"),
    [
        ("rtmdet_l_8xb32-300e_cocco", "rtmdet_l_8xb32-300e_coco"),
        ("mmdet/yolov3_mobilenetv2_320", OLD),
        ("configs/nowhere/atss_r50_fpn_1x_cocoo.py", "atss_r50_fpn_1x_coco"),
        ("atss_r50_fpn_1x_coco_20200209-00000000.pth", "atss_r50_fpn_1x_coco"),
        ("nothing-like-it", None), ("", None), ("a/b/c/d", None), ("x" * 5000, None), ("\udcff", None), ("a\0b", None),
    ],
)  # fmt: skip
def test_unknown_names(real: sqlite3.Connection, text: str, near_names: str | None) -> None:
    with pytest.raises(UnknownModel) as caught:
        find_models(real, text)
    assert (caught.value.near[0].name if caught.value.near else None) == near_names
    assert len(caught.value.near) <= 3
    assert len(caught.value.asked) <= 2000


def test_near_models_come_with_the_fact_that_tells_them_apart(real: sqlite3.Connection) -> None:
    with pytest.raises(UnknownModel) as caught:
        find_models(real, "rtmdet_l_8xb32-300e_cocco")
    assert caught.value.near[0].fact == "box AP 51.3"


def test_unknown_packages_and_releases(real: sqlite3.Connection) -> None:
    with pytest.raises(UnknownPackage) as caught:
        find_models(real, "mmdett/x")
    assert caught.value.near[0] == "mmdet"
    assert {"mmdet", "mmpretrain", "onedl-mmdetection"} <= set(caught.value.known)
    with pytest.raises(UnknownPackage) as caught:
        find_models(real, "mmdet/9.9/x")
    assert (caught.value.release, caught.value.known[:3]) == ("9.9", ("3.3.0", "3.2.0", "3.1.0"))
    with pytest.raises(UnknownPackage):
        releases(real, "nobody")


# -- hand-made indexes -----------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Two packages that share a name; a name with two checkpoints; a rename over three releases."""
    u = "https://x.example/"
    index = write_index(
        tmp_path,
        document("3.0", models=[
            model("new", u + "r-aaaaaaaa.pth"), model("shared", u + "s.pth"),
            model("twice", u + "t-11111111.pth"), model("twice", u + "t-22222222.pth", ordinal=2),
            model("bare", u + "b1.pth"), model("bare", u + "b2.pth", ordinal=2),
            model("retrained", u + "v3.pth", aliases=["short", "new"]),
        ]),
        document("2.0", models=[model("middle", u + "r-aaaaaaaa.pth"), model("retrained", u + "v2.pth")]),
        document("1.10", models=[model("old", u + "r-aaaaaaaa.pth"), model("dropped", u + "d.pth")]),
        document("1.9", models=[model("dropped", u + "d0.pth"), model("older", u + "d.pth")]),
        document("4.0rc1", models=[model("preview", u + "p.pth")]),
        document("1.0", project="otherzoo", models=[
            model("shared", u + "s.pth", config="configs/other.py", results=[result(box_AP=1.0)])]),
    )  # fmt: skip
    connection = models_db(index)
    yield connection
    connection.close()


def test_renamed_names_lead_to_the_newest_name(small: sqlite3.Connection) -> None:
    assert find_models(small, "old").models[0].identity == "zoolet/3.0/new"
    assert find_models(small, "middle").models[0].identity == "zoolet/3.0/new"
    assert find_models(small, "older").models[0].identity == "zoolet/1.10/dropped"  # the newest that has the file


def test_a_name_goes_on_from_release_to_release(tmp_path: Path) -> None:
    """By address into 2.0, from there by the time stamp into 3.0; a name of 3.0 itself is no alias into it."""
    net = "https://x.example/net_20210101_101010"
    index = write_index(
        tmp_path,
        document("3.0", models=[model("new", f"{net}-bbbbbbbb.pth"), model("first", "https://x.example/other.pth")]),
        document("2.0", models=[model("second", f"{net}-aaaaaaaa.pth")]),
        document("1.0", models=[model("first", f"{net}-aaaaaaaa.pth"), model("oldest", f"{net}-aaaaaaaa.pth")]),
    )  # fmt: skip
    with closing(models_db(index)) as connection:
        aliases = "SELECT a.name, m.name, via FROM alias a JOIN model m ON m.id = a.model"
        assert connection.execute(aliases).fetchall() == [
            ("first", "second", "url"),
            ("oldest", "new", "time"),
            ("oldest", "second", "url"),
            ("second", "new", "time"),
        ]
        assert find_models(connection, "oldest").models[0].identity == "zoolet/3.0/new"
        assert find_models(connection, "zoolet/2.0/oldest").models[0].identity == "zoolet/2.0/second"
        assert find_models(connection, "first").models[0].files[0].name == "other.pth"


def test_the_same_name_means_the_newest_release(small: sqlite3.Connection) -> None:
    assert find_models(small, "retrained").models[0].files[0].name == "v3.pth"
    assert find_models(small, "dropped").models[0].identity == "zoolet/1.10/dropped"  # 1.10 is newer than 1.9


def test_a_declared_alias_never_hides_a_name(small: sqlite3.Connection) -> None:
    assert find_models(small, "new").models[0].name == "new"
    assert find_models(small, "short").models[0].name == "retrained"


def test_a_pre_release_is_not_the_newest(small: sqlite3.Connection) -> None:
    assert [each.version for each in releases(small, "zoolet")] == ["3.0", "2.0", "1.10", "1.9", "4.0rc1"]
    assert find_models(small, "preview").models[0].release.version == "4.0rc1"  # still found by its name


def test_ambiguity_is_said_and_each_choice_resolves(small: sqlite3.Connection) -> None:
    for text in ("shared", "twice", "bare", "s.pth"):
        with pytest.raises(AmbiguousModel) as caught:
            find_models(small, text)
        found = [find_models(small, choice).models[0] for choice in caught.value.choices]
        assert len({(each.id) for each in found}) == len(caught.value.choices) == 2
    assert find_models(small, "otherzoo/shared").models[0].identity == "otherzoo/1.0/shared"


def test_an_index_without_models_is_empty_and_says_so(tmp_path: Path) -> None:
    connection = models_db(tmp_path)
    with pytest.raises(UnknownModel):
        find_models(connection, "anything")
    connection.close()
