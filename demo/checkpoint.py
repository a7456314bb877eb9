"""Runs inside the demo's environment: makes a checkpoint with random weights for a config and publishes it.

usage: python checkpoint.py CONFIG.py DIRECTORY STEM   -> prints the file's path

Published as OpenMMLab does: only `meta` and `state_dict`, the first eight hex digits of its SHA-256 in the name.
"""

import hashlib
import sys
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config


def main(config_file: str, directory: str, stem: str) -> None:
    register_all_modules()
    torch.manual_seed(0)
    config = Config.fromfile(config_file)
    for part in ("backbone", "init_cfg"):  # random weights: nothing is fetched
        config.model.get(part, {}).pop("init_cfg", None) if isinstance(config.model.get(part), dict) else None
    model = MODELS.build(config.model)
    path = Path(directory) / f"{stem}.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {"mmdet_version": "3.3.0", "dataset_meta": {"classes": tuple(f"class {index}" for index in range(80))}}
    torch.save({"meta": meta, "state_dict": model.state_dict()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    final = path.with_name(f"{stem}-{digest[:8]}.pth")
    path.replace(final)
    sys.stdout.write(f"{final}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
