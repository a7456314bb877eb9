"""Releases of which the index says that their code needs no op without a CPU version: looked up in the wheels again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.ops_use import op_use
from tests.support.pypi import wheel
from zoo_cli.catalog.cpu import cpu_verdict, is_surely_free
from zoo_cli.catalog.database import open_catalog

ROOT = Path(__file__).parent.parent.parent
FACTS = yaml.safe_load((ROOT / "index" / "compat" / "ops_cpu.yaml").read_text(encoding="utf-8"))
RELEASES = [pytest.param(row, id=f"{row['project']}-{row['version']}") for row in FACTS["releases"]]
# What the code of one release imports under another name than the fact, and why that is the same.
_KNOWN_AS = {"sigmoid_focal_loss": "sigmoid_focal_loss_in_mmseg"}
# Of mmdet: a hook of training and two transforms of data; of packages that have no ops.
HARMLESS = frozenset({
    "mmdet.PipelineSwitchHook", "mmdet.YOLOXHSVRandomAug", "mmdet.RandomCrop", "mmcls", "mmpretrain", "mmpose", "mmseg",
})  # fmt: skip
# A file that puts something on CUDA, and the folder of configs that use it.
ON_CUDA = {
    "mmpretrain/models/multimodal/ram/openset_utils.py": "ram",
    "mmpose/models/heads/transformer_heads/edpose_head.py": "body_2d_keypoint/edpose",
}


@pytest.mark.network  # the packages come from the package index, once
@pytest.mark.parametrize("row", RELEASES)
def test_the_code_uses_what_the_index_says(row: dict[str, Any]) -> None:
    found = op_use(wheel(row["project"], row["version"]))
    assert {_KNOWN_AS.get(name, name) for name in found.imports} == set(row["uses"])
    but = " ".join(row.get("but", ()))
    assert {ON_CUDA[name] for name in found.on_cuda} <= set(but.split())
    missing = frozenset(word for op in FACTS["ops"] if op["by"] == "none" for word in (op["op"], *op.get("names", ())))
    doubtful = found.naming(missing | {"RoIPool", "Correlation", "PrRoIPool", "TINShift"}, HARMLESS)
    assert not [path for path in doubtful if is_surely_free(f"configs/{path}", but)]
    assert len(found.configs) > 400


def test_verdicts_of_whole_releases() -> None:
    catalog = open_catalog()
    free = cpu_verdict(catalog, "mmpretrain", "1.2.0", "configs/resnet/resnet50_8xb32_in1k.py")
    assert (free.answer, free.evidence) == ("yes", "inferred")
    assert free.reasons[0] == "the code of mmpretrain 1.2.0 uses none of mmcv's compiled ops"
    assert "SyncBN" in free.reasons[1]
    unsure = cpu_verdict(catalog, "mmsegmentation", "1.2.2", "configs/maskformer/maskformer_r50-d32.py")
    assert unsure.answer == "unknown"
    query = (
        "SELECT e.cpu_ok, count(*) FROM entry e JOIN package p ON p.id = e.package "
        "WHERE p.project = ? AND p.version = ? GROUP BY 1"
    )
    counted = dict(catalog.execute(query, ("mmsegmentation", "1.2.2")).fetchall())
    assert counted["yes"] > 600
    assert 0 < counted[None] <= 20  # mask2former, maskformer, and three without config
    assert "no" not in counted
    catalog.close()


@pytest.mark.parametrize(
    ("config", "but", "answer"),
    [("configs/a/x.py", "", True), ("configs/a/x.py", "a", False), ("configs/ab/x.py", "a", True), (None, "", False),
     ("configs/a/b/x.py", "c a/b", False), ("elsewhere/x.py", "", False)],
)  # fmt: skip
def test_a_config_is_free_outside_the_doubtful_folders(config: str | None, but: str, answer: bool) -> None:
    assert is_surely_free(config, but) is answer
