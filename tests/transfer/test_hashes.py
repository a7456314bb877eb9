from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.transfer.hashes import BadDigest, parse_sha256, prefix_in_name

HEX8 = st.text("0123456789abcdef", min_size=8, max_size=8)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("rtmdet_l_8xb32-300e_coco_20220719_112030-5a0be7c4.pth", "5a0be7c4"),
        ("resnet50-0676ba61.pth", "0676ba61"),
        ("rtmpose-s_simcc-aic-coco_pt-aic-coco_420e-256x192-8edcf0d7_20230127.pth", "8edcf0d7"),
        ("textsnake_resnet50-oclip_fpn-unet_1200e_ctw1500_20221101_134814-a216e5b2.pth", "a216e5b2"),
        ("drrg_r50_fpn_unet_1200e_ctw1500_cdc3ecb7-20220720.pth", "cdc3ecb7"),
        ("detectors_htc_r101_20e_coco_20210419_203638-348d533b.pth", "348d533b"),
        ("x_bbox_mAP-0.386_20200130-2f1a2b3c.pth", "2f1a2b3c"),
        ("faster_rcnn_bbox_mAP-0.374_20200504_210434.pth", None),
        ("model-20220719.pth", None),
        ("a_20220719-20220720.pth", None),
        ("model_final_f10217.pkl", None),
        ("model_final_f98268019.pth", None),
        ("model-5a0be7c.pth", None),
        ("model-5a0be7c4e.pth", None),
        ("model-5A0BE7C4.pth", None),
        ("model-5a0be7c4", None),
        ("", None),
    ],
)
def test_the_right_run_of_hex_is_taken(name: str, prefix: str | None) -> None:
    assert prefix_in_name(name) == prefix


@given(st.text(max_size=60), HEX8.filter(lambda digits: not digits.startswith("20")))
def test_a_digest_before_the_extension_is_always_found(stem: str, digits: str) -> None:
    assert prefix_in_name(f"{stem}-{digits}.pth") == digits
    assert prefix_in_name(f"{stem}-{digits}_20230127.pth") == digits


@given(st.text(max_size=400))
def test_any_name_gives_eight_digits_or_nothing(name: str) -> None:
    found = prefix_in_name(name)
    assert found is None or (len(found) == 8 and found in name)


def test_a_full_digest_is_read_in_its_usual_forms() -> None:
    digest = "0123456789abcdef" * 4
    for text in (digest, digest.upper(), f"sha256:{digest}", f"sha256={digest}", f" {digest}\n"):
        assert parse_sha256(text) == digest


@pytest.mark.parametrize("text", ["", "abc", "5a0be7c4", "g" * 64, "a" * 63, "a" * 65, "md5:" + "a" * 64])
def test_a_shorter_or_other_digest_is_refused(text: str) -> None:
    with pytest.raises(BadDigest):
        parse_sha256(text)
