"""mmpose from the package index beside the real torch: chumpy has no wheel, xtcocotools has one for numpy 1 only.

The package index here has torchvision for CUDA only, which does not load beside a torch for the CPU; a stand-in has the
one name of it that mmpose imports. Everything else is real, mmcv and chumpy are built.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cli import zoo
from tests.support.torch_env import CACHE, mmcv_wheel, torch_python, twin_of
from tests.support.wheels import write_wheel

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.network]

TORCHVISION = {
    "torchvision/__init__.py": "__version__ = '0.28.0+cpu'\n",
    "torchvision/transforms.py": "class ToPILImage: pass\n",
}
ESTIMATE = """
import glob, os, numpy, mmpose
from mmpose.apis import inference_topdown, init_model
configs = os.path.join(os.path.dirname(mmpose.__file__), '.mim/configs/body_2d_keypoint/topdown_heatmap/coco')
(config,) = glob.glob(configs + '/td-hm_res50_8xb64-210e_coco-256x192.py')
image = numpy.zeros((256, 192, 3), dtype=numpy.uint8)
print(numpy.__version__, inference_topdown(init_model(config, None, 'cpu'), image)[0].pred_instances.keypoints.shape)
"""


def test_mmpose_with_a_chumpy_that_is_built(tmp_path: Path) -> None:
    mmcv_wheel()  # fills the cache of built wheels
    python = twin_of(torch_python(), tmp_path / "env")
    stand_in = write_wheel(tmp_path / "made", "torchvision", "0.28.0+cpu", files=TORCHVISION)
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", stand_in], check=True, timeout=60)
    words = ("install", "mmpose", "--python", python, "--build", "mmcv", "--yes")
    cache = {"ZOO_CACHE": str(CACHE / "zoo")}

    refused = zoo(tmp_path, *words, timeout=900, **cache)
    assert refused.code == 3, refused.err
    assert "error[no-wheel]: there is no wheel of chumpy" in refused.err
    assert "--build chumpy==0.70" in refused.err

    ran = zoo(tmp_path, *words, "--build", "chumpy==0.70", "--json", timeout=900, **cache)
    assert ran.code == 0, ran.err
    pins = {each["name"]: (each["version"], each["kind"]) for each in ran.document["plan"]}
    assert (pins["chumpy"], pins["mmcv"]) == (("0.70", "build"), ("2.1.0", "build"))
    walls = {each["name"]: each["fact"] for each in ran.document["bounds"]}
    assert "xtcocotools" in walls["numpy"]
    assert {each["name"] for each in ran.document["checked"] if each["ok"]} >= {"nms", "roi_align", "mmpose", "mmdet"}
    done = subprocess.run([python, "-W", "ignore", "-c", ESTIMATE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    version, shape = done.stdout.strip().splitlines()[-1].split(" ", 1)
    assert (version.partition(".")[0], shape) == ("1", "(1, 17, 2)")
