"""An index of any number of plausible models, for measuring scale: the same number gives the same files.

Shapes follow what was counted in the real metafiles: 98 of 100 models have a checkpoint, most of them one result with
one or two metrics, a few datasets hold most results, seven in ten tell epochs, half tell memory, a quarter inference
times; a family has some ten models; half of the projects have an older release whose files are partly the same.
"""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RELEASES = 20  # at least
MOST_A_RELEASE = 10_000

_FAMILIES = [
    "faster-rcnn",
    "mask-rcnn",
    "retinanet",
    "fcos",
    "atss",
    "gfl",
    "paa",
    "yolov3",
    "yolox",
    "rtmdet",
    "detr",
    "dino",
    "ddq",
    "solo",
    "pointrend",
    "deeplabv3plus",
    "pspnet",
    "upernet",
    "segformer",
    "ocrnet",
    "resnet",
    "swin",
    "vit",
    "convnext",
    "efficientnet",
    "mobilenet",
    "hrnet",
    "rtmpose",
    "simcc",
    "slowfast",
    "tsn",
    "tsm",
    "uniformer",
    "edsr",
    "esrgan",
    "basicvsr",
    "stylegan",
    "pointpillars",
    "centerpoint",
    "votenet",
    "dbnet",
    "crnn",
    "raft",
    "flownet",
    "sort",
]
_BACKBONES = [
    "r18",
    "r50",
    "r101",
    "r152",
    "x101-32x4d",
    "swin-t",
    "swin-s",
    "swin-b",
    "swin-l",
    "regnetx-3.2GF",
    "mbv2",
    "hrnet-w32",
    "vit-b",
]
_SCHEDULES = ["1x", "2x", "ms-3x", "8xb2-12e", "8xb32-300e", "160k", "4xb4-80k", "210e", "32xb64-100e"]


class Task(NamedTuple):
    """What a project's models do: its datasets, most frequent first, and its metrics with mean and spread."""

    name: str
    datasets: tuple[str, ...]
    metrics: tuple[tuple[str, str, float, float], ...]


_TASKS = (
    Task("Object Detection", ("COCO", "LVIS v1", "Objects365", "OpenImages", "VOC"),
         (("box AP", "percent", 41, 6), ("mask AP", "percent", 37, 5))),
    Task("Semantic Segmentation", ("Cityscapes", "ADE20K", "Pascal VOC 2012", "COCO-Stuff 164k", "LoveDA"),
         (("mIoU", "percent", 62, 18), ("mIoU(ms+flip)", "percent", 64, 18))),
    Task("Image Classification", ("ImageNet-1k", "CIFAR-10", "CUB-200-2011"),
         (("Top 1 Accuracy", "percent", 79, 5), ("Top 5 Accuracy", "percent", 94, 2))),
    Task("Body 2D Keypoint", ("COCO", "MPII", "CrowdPose", "AI Challenger"),
         (("AP", "fraction", 0.7, 0.06), ("AR", "fraction", 0.76, 0.05))),
    Task("Action Recognition", ("Kinetics-400", "SthV2", "UCF101"), (("Top 1 Accuracy", "percent", 71, 8),)),
    Task("3D Object Detection", ("nuScenes", "KITTI", "Waymo"),
         (("mAP", "percent", 45, 12), ("NDS", "percent", 55, 9))),
    Task("Image Super-Resolution", ("Set5", "Set14", "DIV2K"),
         (("PSNR", "none", 31, 3), ("SSIM", "fraction", 0.9, 0.04))),
)  # fmt: skip


def write_index(directory: Path, models: int) -> None:
    """Writes `models` models below `directory`/models, in releases of equal size."""
    left, project = models, 0
    most = min(MOST_A_RELEASE, -(-models // RELEASES))
    while left:
        first = min(left, most)
        _write(directory, project, "2.0.0", first)
        left -= first
        if project % 2 and left:
            older = min(left, most)
            _write(directory, project, "1.0.0", older)
            left -= older
        project += 1


def _write(directory: Path, project: int, version: str, models: int) -> None:
    name = f"zoo{project:04}"
    path = directory / "models" / name / f"{version}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    task = _TASKS[project % len(_TASKS)]
    release = {
        "project": name, "version": version, "file": f"{name}-{version}-py3-none-any.whl",
        "url": f"https://wheels.example/{name}-{version}-py3-none-any.whl", "sha256": _digest(f"{name} {version}"),
        "size_bytes": 2_000_000, "date": "2024-01-05", "source": f"https://pypi.org/simple/{name}/", "evidence": "seen",
        "config_root": f"{name}/.mim/", "metafiles": max(1, models // 10),
    }  # fmt: skip
    chance = random.Random(f"{name} {version}")
    rows = [_model(chance, project, version, task, number) for number in range(models)]
    families = sorted({(row["collection"], row["at"].partition(":")[0]) for row in rows})
    collections = [_collection(family, at, task) for family, at in families]
    sections = {"collections": collections, "models": rows, "issues": []}
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps({"schema": 1, "release": release})[:-1])
        for section, records in sections.items():
            file.write(f',\n"{section}": [\n' + ",\n".join(json.dumps(each) for each in records) + "\n]")
        file.write("\n}\n")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _collection(family: str, at: str, task: Task) -> dict[str, Any]:
    return {
        "name": family, "at": f"{at}:1", "readme": at.replace("metafile.yml", "README.md"),
        "paper": {"title": f"{family}: a method for {task.name}", "url": f"https://arxiv.org/abs/{_digest(family)[:8]}"},
        "training": {"data": [task.datasets[0]], "resources": "8x V100 GPUs", "extra": {"Architecture": [family]}},
    }  # fmt: skip


def _model(chance: random.Random, project: int, version: str, task: Task, number: int) -> dict[str, Any]:
    family = f"{_FAMILIES[number // 10 % len(_FAMILIES)]}{number // 10 // len(_FAMILIES) or ''}"
    backbone, schedule = chance.choice(_BACKBONES), _SCHEDULES[number % len(_SCHEDULES)]
    dataset = task.datasets[min(int(chance.expovariate(1.3)), len(task.datasets) - 1)]
    separator = "_" if version == "1.0.0" else "-"
    name = f"{family}_{backbone}{separator}{schedule}_{dataset.lower().replace(' ', '-')}_{project}-{number}"
    folder = f"configs/{family}"
    row: dict[str, Any] = {
        "name": name, "at": f"{folder}/metafile.yml:{20 + number % 10 * 15}", "collection": family,
        "config": f"{folder}/{name}.py", "config_state": "found",
    }  # fmt: skip
    if chance.random() < 0.98:
        same = number % 2 == 0  # also in the other release, where there is one
        prefix = _digest(f"{project} {'' if same else version} {number}")[:8]
        file = f"{family}-{project}-{number}_20230105_1200{number % 60:02}-{prefix}.pth"
        row["weights"] = [{"url": f"https://models.example/zoo{project}/{file}", "name": file, "prefix": prefix}]
    row["results"] = list(_results(chance, task, dataset))
    row["training"] = _training(chance)
    return row


def _results(chance: random.Random, task: Task, dataset: str) -> Iterator[dict[str, Any]]:
    quality = chance.gauss(0, 1)
    metrics = [
        {"name": name, "value": round(mean + spread * quality, 3 if unit == "fraction" else 1), "unit": unit}
        for name, unit, mean, spread in task.metrics[: 1 + (chance.random() < 0.4)]
    ]
    yield {"task": task.name, "dataset": dataset, "metrics": metrics}
    if chance.random() < 0.2:
        yield {"task": task.name, "dataset": chance.choice(task.datasets), "metrics": metrics[:1]}


def _training(chance: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if chance.random() < 0.7:
        found["epochs"] = chance.choice((12, 24, 36, 50, 100, 210, 300))
    if chance.random() < 0.5:
        found["memory_gb"] = round(chance.uniform(1.5, 30), 1)
    if chance.random() < 0.3:
        found["params"] = round(chance.lognormvariate(17.3, 0.9))
        found["flops"] = round(chance.lognormvariate(24, 1.2))
    if chance.random() < 0.25:
        found["inference"] = [
            {"value_ms": round(chance.uniform(8, 200), 1), "hardware": "V100", "backend": "PyTorch", "batch_size": 1}
        ]
    return found
