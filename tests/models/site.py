"""A small model zoo on loopback: an index of two releases, their wheels, checkpoints, and a server for all of it.

The index names hosts that do not exist (`upstream.example`, `wheels.example`); a mirrors file leads to the server
instead. So the addresses stay the same although the port does not, and no name is ever looked up.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.pickles import checkpoint as torch_checkpoint
from tests.support.server import Server
from tests.support.wheels import write_wheel
from zoo_cli.catalog.compiler import compile_index

REPOSITORY = Path(__file__).parent.parent.parent
CHECKPOINTS = "https://upstream.example"
WHEELS = "https://wheels.example"

CONFIGS = {
    "configs/_base_/runtime.py": "log_level = 'INFO'\n",
    "configs/_base_/r50.py": "model = dict(type='Net', backbone=dict(type='ResNet', depth=50), num=(1, 2))\n",
    "configs/net/net_r50.py": "_base_ = ['../_base_/r50.py', '../_base_/runtime.py']\nmodel = dict(num=(3, ))\n",
    "configs/net/net_r101.py": "_base_ = './net_r50.py'\nmodel = dict(backbone=dict(depth=101))\n",
    "configs/net/program.py": "_base_ = './net_r50.py'\nimport os\nos.system('touch ran')\n",
    "configs/net/plain.py": "_base_ = './net_r50.py'\n",
    "configs/net/untrained.py": "_base_ = './net_r50.py'\n",
    "configs/net/orphan.py": "_base_ = './gone.py'\n",
    "configs/net/tracker.py": "_base_ = './net_r50.py'\ncustom_imports = dict(imports=['net.extra'])\n",
}
R50 = {"model": {"type": "Net", "backbone": {"type": "ResNet", "depth": 50}, "num": (3,)}, "log_level": "INFO"}


def checkpoint(seed: str, size: int = 100_000) -> bytes:
    """A checkpoint of about so many bytes, one tensor that looks random and is always the same."""
    around = len(torch_checkpoint(bytes(size))) - size
    return torch_checkpoint(hashlib.shake_256(seed.encode()).digest(size - around))


def named(stem: str, body: bytes) -> str:
    """The name that upstream would give a checkpoint: with the first 8 digits of its SHA-256."""
    return f"{stem}_20220902_112414-{hashlib.sha256(body).hexdigest()[:8]}.pth"


BODIES = {
    named("net_r50", checkpoint("r50")): checkpoint("r50"),
    named("net_r101", checkpoint("r101", 4_000_000)): checkpoint("r101", 4_000_000),
    named("program", checkpoint("program")): checkpoint("program"),
    named("reid", checkpoint("reid")): checkpoint("reid"),
    named("detector", checkpoint("detector")): checkpoint("detector"),
    "plain.pth": checkpoint("plain"),  # no digest in its name
    f"resnet50_caffe-{hashlib.sha256(checkpoint('backbone')).hexdigest()[:8]}.pth": checkpoint("backbone"),
}
LOGS = {"20220902_112414.log.json": b'{"epoch": 1}\n', "net_r101_20220902_112414-00000000.log": b"epoch 1\n"}
NAME = {stem: next(name for name in BODIES if name.startswith(stem)) for stem in ("net_r50", "net_r101", "program")}


def _model(name: str, config: str | None, *files: str, state: str = "found", **more: Any) -> dict[str, Any]:
    weights = [{"url": f"{CHECKPOINTS}/zoo/{file}", "name": file} for file in files]
    for each in weights:
        if "-" in each["name"]:
            each["prefix"] = each["name"][-12:-4]
    row = {"name": name, "at": "configs/net/metafile.yml:1", "collection": "Net", "config_state": state, **more}
    return row | ({"config": config} if config else {}) | ({"weights": weights} if weights else {})


def _logs(stem: str) -> list[str]:
    return [f"{CHECKPOINTS}/zoo/{name}" for name in LOGS if name.startswith(stem)]


def _file(stem: str) -> str:
    return next(name for name in BODIES if name.startswith(stem))


RESULTS = [
    {"task": "Object Detection", "dataset": "COCO", "metrics": [{"name": "box AP", "value": 40.9, "unit": "percent"}]}
]
MODELS = [
    _model("net_r50", "configs/net/net_r50.py", NAME["net_r50"], results=RESULTS, logs=_logs("20220902")),
    _model("net_r101", "configs/net/net_r101.py", NAME["net_r101"], logs=_logs("net_r101")),
    _model("program", "configs/net/program.py", NAME["program"]),
    _model("orphan", "configs/net/orphan.py", "plain.pth"),
    _model("tracker", "configs/net/tracker.py", _file("detector"), _file("reid")),
    _model("plain", "configs/net/plain.py", "plain.pth"),
    _model("untrained", "configs/net/untrained.py"),
    _model("weights", None, _file("reid"), state="none"),
    _model("nothing", None, state="none"),
]
OLD_MODELS = [_model("net_r50_old", "configs/net/net_r50.py", NAME["net_r50"])]


@dataclass
class Site:
    """The zoo; `server` serves it, `arguments` lead there."""

    folder: Path
    server: Server
    wheel: Path
    environ: dict[str, str] = field(default_factory=dict)

    def path_of(self, name: str) -> str:
        """Where the server has a checkpoint."""
        return f"/zoo/{name}"


def _record_of(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("/RECORD")))


def _document(wheel: Path, version: str, models: list[dict[str, Any]]) -> str:
    release = {
        "project": "mmnet", "version": version, "file": wheel.name, "url": f"{WHEELS}/{wheel.name}",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), "size_bytes": wheel.stat().st_size,
        "date": "2024-01-05", "source": f"{WHEELS}/simple/mmnet/", "evidence": "seen", "config_root": "mmnet/.mim/",
        "record_sha256": hashlib.sha256(_record_of(wheel)).hexdigest(),
    }  # fmt: skip
    return json.dumps({"schema": 1, "release": release, "collections": [], "models": models, "issues": []})


def _backbones() -> dict[str, Any]:
    origin = {"source": f"{CHECKPOINTS}/hub.json", "date": "2024-01-05", "evidence": "seen"}
    aliases: list[dict[str, Any]] = [
        {"alias": "open-mmlab://detectron2/resnet50_caffe", "url": f"{CHECKPOINTS}/zoo/{_file('resnet50_caffe')}"},
        {"alias": "torchvision://resnet50"},
    ]
    rows = [each | {"origin": "hub"} for each in aliases]
    nothing: dict[str, Any] = {name: [] for name in ("norms", "pages", "notes", "deprecated", "used_with")}
    return {"schema": "1", "origins": {"hub": origin}, "aliases": rows, **nothing}


def build_index(folder: Path) -> tuple[Path, Path]:
    """The compiled index and the newest wheel, made in the folder."""
    index, wheels = folder / "index", folder / "wheels"
    shutil.copytree(REPOSITORY / "index" / "compat", index / "compat")
    (index / "models" / "mmnet").mkdir(parents=True)
    files = {f"mmnet/.mim/{path}": text for path, text in CONFIGS.items()}
    # Bulk before and after, as in a real wheel: what is not needed must not be fetched.
    bulk = {f"mmnet/bulk{number}.bin": checkpoint(f"bulk{number}", 700_000) for number in range(3)}
    newest = write_wheel(wheels, "mmnet", "2.0", files={**bulk, **files, "mmnet/.mim/model-index.yml": "Import: []\n"})
    old = write_wheel(wheels, "mmnet", "1.0", files=files)
    for wheel, version, models in ((newest, "2.0", MODELS), (old, "1.0", OLD_MODELS)):
        (index / "models" / "mmnet" / f"{version}.json").write_text(_document(wheel, version, models))
    (index / "extras").mkdir()
    (index / "extras" / "backbones.yaml").write_text(json.dumps(_backbones()))
    compile_index(index, folder / "zoo.db")
    return folder / "zoo.db", newest


def environ_of(folder: Path, database: Path, server: Server) -> dict[str, str]:
    """An environment in which zoo knows this index, takes every file from the server, and has nothing of the user."""
    rules = [(CHECKPOINTS, server.url()), (WHEELS, server.url("/wheels"))]
    mirrors = folder / "mirrors.yaml"
    mirrors.write_text(json.dumps({
        "version": "1", "mirrors": [{"from": start, "to": to, "order": "instead"} for start, to in rules],
    }))  # fmt: skip
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("ZOO_")},
        "ZOO_INDEX": str(database),
        "ZOO_CACHE": str(folder / "cache"),
        "ZOO_STATE": str(folder / "state"),
        "ZOO_MIRRORS": str(mirrors),
        "PYTHONPATH": str(REPOSITORY),
    }


def files_to_serve(wheel: Path) -> dict[str, bytes]:
    """What the server has: all checkpoints and both wheels."""
    served = {f"/zoo/{name}": body for name, body in (BODIES | LOGS).items()}
    return served | {f"/wheels/{each.name}": each.read_bytes() for each in wheel.parent.iterdir()}
