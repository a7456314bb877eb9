"""Runs mmcv's CPU ops on fixed inputs and writes what they give, bit by bit: `python ops_outputs.py OUT.json`.

Runs inside an environment with torch and mmcv; PYTHONPATH says which mmcv.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def outputs() -> dict[str, str]:
    """Op -> SHA-256 over shape, type and bytes of every tensor that it gives."""
    import torch
    from mmcv import ops

    torch.manual_seed(7)
    torch.set_num_threads(1)
    image, weight = torch.randn(2, 8, 24, 24), torch.randn(8, 8, 3, 3)
    offset, mask = torch.randn(2, 18, 24, 24), torch.rand(2, 9, 24, 24)
    corners = torch.rand(300, 2) * 20
    boxes = torch.cat([corners, corners + 1 + torch.rand(300, 2) * 8], 1)
    rotated = torch.cat([corners, 1 + torch.rand(300, 2) * 8, torch.rand(300, 1) * 3], 1)
    rois = torch.cat([torch.randint(0, 2, (20, 1)).float(), boxes[:20]], 1)
    turned = torch.cat([torch.randint(0, 2, (20, 1)).float(), rotated[:20]], 1)
    scores = torch.rand(300)
    runs: dict[str, Callable[[], object]] = {
        "nms": lambda: ops.nms(boxes, scores, 0.5),
        "soft_nms": lambda: ops.soft_nms(boxes, scores, 0.3),
        "nms_rotated": lambda: ops.nms_rotated(rotated, scores, 0.3),
        "box_iou_rotated": lambda: ops.box_iou_rotated(rotated[:80], rotated[80:160]),
        "roi_align": lambda: ops.roi_align(image, rois, (7, 7), 1.0, 2, "avg", True),
        "roi_align, largest": lambda: ops.roi_align(image, rois, (5, 5), 0.5, 0, "max", False),
        "roi_align_rotated": lambda: ops.roi_align_rotated(image, turned, (7, 7), 1.0, 2, True, False),
        "deform_conv2d": lambda: ops.deform_conv2d(image, offset, weight, 1, 1),
        "modulated_deform_conv2d": lambda: ops.modulated_deform_conv2d(image, offset, mask, weight, None, 1, 1),
        "rotated_feature_align": lambda: ops.rotated_feature_align(
            image[:1], rotated.repeat(2, 1)[:576].view(1, 24, 24, 5)
        ),
    }
    return {name: _digest(run()) for name, run in runs.items()}


def _digest(value: object) -> str:
    import torch

    total = hashlib.sha256()
    for each in value if isinstance(value, (tuple, list)) else (value,):
        if isinstance(each, torch.Tensor):
            total.update(f"{tuple(each.shape)} {each.dtype}".encode() + each.contiguous().numpy().tobytes())
        else:
            total.update(repr(each).encode())
    return total.hexdigest()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(outputs(), indent=1), encoding="utf-8")
