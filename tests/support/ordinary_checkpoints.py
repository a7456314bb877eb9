"""Runs in an environment with torch, mmengine and numpy: writes the forms in which models are published.

    python ordinary_checkpoints.py DIRECTORY

One file a form, called `<publisher>-<form>.<suffix>`; the shapes are small, the structure is that of the releases of
OpenMMLab 1.x and 2.x, Detectron2, torchvision and timm. Prints how many there are.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import pathlib
import pickle
import struct
import sys
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from torch import nn

FOLDER = pathlib.Path(sys.argv[1])


def save(name: str, value: Any, **how: Any) -> None:
    torch.save(value, FOLDER / name, **how)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))


def trained() -> tuple[nn.Module, Any, Any]:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    for _ in range(2):
        model(torch.rand(2, 3, 3, 3)).sum().backward()
        optimizer.step()
        scheduler.step()
    return model, optimizer, scheduler


def openmmlab() -> None:
    model, optimizer, scheduler = trained()
    state = model.state_dict()
    meta2 = {
        "cfg": "model = dict(type='RTMDet')\n" * 100,
        "dataset_meta": {"CLASSES": ("person", "car"), "palette": [(1, 2, 3)]},
        "mmengine_version": "0.10.7",
        "epoch": 12,
        "iter": 879,
        "seed": 5,
        "time": "20220101_120000",
    }
    save("openmmlab-2.x-published.pth", {"meta": meta2, "state_dict": state})
    hub = MessageHub.get_instance("ordinary")
    for step in range(3):
        hub.update_scalar("train/loss", 1.0 / (step + 1), 2)
    hub.update_info("best_score", np.float64(0.41))
    whole = {
        "meta": meta2,
        "state_dict": state,
        "message_hub": hub.state_dict(),
        "optimizer": optimizer.state_dict(),
        "param_schedulers": [scheduler.state_dict()],
        "ema_state_dict": collections.OrderedDict(state),
    }
    save("openmmlab-2.x-training.pth", whole)
    save(
        "openmmlab-2.x-config-dict.pth", {"meta": {"cfg": ConfigDict(model=ConfigDict(a=[1, 2]))}, "state_dict": state}
    )
    meta1 = {
        "mmdet_version": "2.3.0+8ec4f1c",
        "config": "x",
        "CLASSES": ("person",),
        "env_info": "sys.platform: linux",
        "hook_msgs": {"last_ckpt": "/x/epoch_12.pth", "best_score": np.float64(0.374), "iters": np.int64(9)},
    }
    save("openmmlab-1.x-published.pth", {"meta": meta1, "state_dict": state})
    save("openmmlab-1.x-legacy.pth", {"meta": meta1, "state_dict": state}, _use_new_zipfile_serialization=False)
    save("openmmlab-1.x-optimizer.pth", {"meta": meta1, "state_dict": state, "optimizer": optimizer.state_dict()})
    bare = collections.OrderedDict((name, value.half()) for name, value in state.items())
    save("openmmlab-pretrained-backbone-legacy.pth", bare, _use_new_zipfile_serialization=False)
    save("openmmlab-scaler.pth", {"state_dict": state, "loss_scaler": {"scale": 65536.0, "_growth_tracker": 3}})
    palette = np.array([[1, 2, 3]], dtype=np.uint8)
    objects = np.array(["person", None, 3], dtype=object)
    save(
        "openmmlab-numpy-meta.pth",
        {"meta": {"PALETTE": palette, "names": objects, "x": np.array(["a", "bc"])}, "state_dict": state},
    )


def detectron2() -> None:
    arrays = {"backbone.conv.weight": np.ones((4, 3, 3, 3), np.float32), "backbone.conv.bias": np.zeros(4, np.float64)}
    for protocol in (2, 4, 5):
        body = {"model": arrays, "__author__": "Detectron2 Model Zoo", "matching_heuristics": True}
        (FOLDER / f"detectron2-protocol-{protocol}.pkl").write_bytes(pickle.dumps(body, protocol))
    blobs = {"blobs": {"conv1_w": arrays["backbone.conv.weight"], "weight_order": np.array(["a", "b"], dtype="S3")}}
    (FOLDER / "detectron2-caffe2.pkl").write_bytes(pickle.dumps(blobs, 2))
    (FOLDER / "detectron2-protocol-0.pkl").write_bytes(pickle.dumps({"model": arrays}, 0))
    model, optimizer, scheduler = trained()
    save(
        "detectron2-training.pth",
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "iteration": 89999,
        },
    )


def torchvision() -> None:
    state = network().state_dict()
    save("torchvision-state-dict.pth", state)
    save("torchvision-legacy.pth", state, _use_new_zipfile_serialization=False)
    save("torchvision-protocol-4.pth", state, pickle_protocol=4)
    quantized = torch.quantize_per_tensor(torch.rand(3, 2), 0.1, 3, torch.qint8)
    channels = torch.quantize_per_channel(
        torch.rand(3, 2), torch.tensor([0.1, 0.2, 0.3]), torch.zeros(3), 0, torch.qint8
    )
    save("torchvision-quantized.pth", {"weight": quantized, "channels": channels, "scale": torch.tensor(0.1)})
    model, optimizer, scheduler = trained()
    args = argparse.Namespace(
        arch="resnet50", lr=0.1, device=torch.device("cuda"), output_dir=pathlib.PurePosixPath(".")
    )
    save(
        "torchvision-reference-training.pth",
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "lr_scheduler": scheduler.state_dict(),
            "epoch": 3,
            "args": args,
        },
    )
    save("torchvision-whole-module.pth", network())
    save("torchvision-whole-module-legacy.pth", network(), _use_new_zipfile_serialization=False)


def timm() -> None:
    model, optimizer, _scheduler = trained()
    state = model.state_dict()
    save("timm-state-dict.pth", state)
    save("timm-pytorch_model.bin", dict(state))
    save(
        "timm-training.pth.tar",
        {
            "epoch": 9,
            "arch": "vit",
            "state_dict": state,
            "optimizer": optimizer.state_dict(),
            "version": 2,
            "args": argparse.Namespace(model="vit", lr=1e-3, betas=(0.9, 0.99)),
            "amp_scaler": {"scale": 1.0},
            "metric": 81.2,
            "state_dict_ema": state,
        },
    )
    write_safetensors("timm-model.safetensors", state)
    parameters = {name: nn.Parameter(value.float()) for name, value in state.items()}
    save("timm-parameters.pth", parameters)


def write_safetensors(name: str, state: dict[str, torch.Tensor]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for key, value in state.items():
        data = value.contiguous().numpy().tobytes()
        kind = {torch.float32: "F32", torch.int64: "I64"}[value.dtype]
        header[key] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (FOLDER / name).write_bytes(struct.pack("<Q", len(text)) + text + body)


def others() -> None:
    """Kinds of tensors and values that occur in any of them."""
    base = torch.arange(24.0).reshape(4, 6)
    views = {
        "t": base.t(),
        "row": base[1:3, ::2],
        "one": torch.tensor(3.0),
        "none": torch.empty(0, 3),
        "same": base,
        "wide": torch.ones(1).expand(5),
    }
    save("tensor-views.pth", views)
    save("tensor-views-legacy.pth", views, _use_new_zipfile_serialization=False)
    kinds = (
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.bfloat16,
        torch.float16,
        torch.float64,
        torch.complex64,
        torch.complex128,
        torch.uint16,
        torch.uint32,
        torch.uint64,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
    )
    save("tensor-types.pth", {str(kind): torch.ones(3).to(kind) for kind in kinds} | {"types": list(kinds)})
    sparse = torch.eye(3).to_sparse()
    save("tensor-sparse.pth", {"coo": sparse, "csr": torch.eye(3).to_sparse_csr()})
    save("tensor-meta.pth", {"meta": torch.empty(3, 4, device="meta")})
    tagged = torch.ones(2)
    tagged.note = "x"
    save("tensor-attributes.pth", {"a": tagged})
    values = {
        "set": {1, 2},
        "frozen": frozenset({1}),
        "counter": collections.Counter("aab"),
        "size": torch.Size([1, 2]),
        "default": collections.defaultdict(list, {"a": [1]}),
        "when": datetime.datetime(2024, 1, 2, 3, 4),
        "complex": 1j,
        "range": range(3),
        "slice": slice(1, 2),
        "bytes": b"abc",
        "array": bytearray(b"abc"),
        "big": 1 << 200,
        "negative": -5,
        "float": 0.1,
        "random": np.random.get_state(),
        "seed": torch.get_rng_state(),
        "day": datetime.date(2024, 1, 2),
        "took": datetime.timedelta(seconds=3),
        "scalar": np.float32(1),
        "flag": np.bool_(True),
    }
    for protocol in (2, 3, 4, 5):
        save(f"values-protocol-{protocol}.pth", values, pickle_protocol=protocol)


openmmlab()
detectron2()
torchvision()
timm()
others()
sys.stdout.write(f"{len(list(FOLDER.iterdir()))}\n")
