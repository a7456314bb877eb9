"""`zoo convert` in a real environment with torch: the same tensors, and nothing but tensors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import zoo
from tests.support.live_payloads import SYSTEM
from tests.support.pickles import call, checkpoint, lookup, mapping, pickle, tensor, text, torch_zip
from tests.support.torch_env import torch_python

pytestmark = pytest.mark.torch

MAKE = """
import collections, sys, torch
kinds = (torch.bool, torch.uint8, torch.int8, torch.int64, torch.bfloat16, torch.half, torch.float64, torch.complex64)
base = torch.arange(24.0).reshape(4, 6)
state = collections.OrderedDict((str(kind), torch.arange(6).reshape(2, 3).to(kind)) for kind in kinds)
state |= {"turned": base.t(), "part": base[1:3, ::2], "one": torch.tensor(3.0), "none": torch.empty(0, 3)}
state["p"] = torch.nn.Parameter(base)
value = {"meta": {"epoch": 3}, "state_dict": state}
torch.save(value, sys.argv[1], _use_new_zipfile_serialization=sys.argv[2] == "zip")
"""
COMPARE = """
import json, struct, sys, torch
data = open(sys.argv[2], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header, body = json.loads(data[8:8 + size]), data[8 + size:]
state = torch.load(sys.argv[1], weights_only=True)["state_dict"]
header.pop("__metadata__")
assert list(header) == list(state), (list(header), list(state))
for name, entry in header.items():
    begin, end = entry["data_offsets"]
    piece = bytearray(body[begin:end])
    raw = torch.frombuffer(piece, dtype=torch.uint8) if piece else torch.empty(0, dtype=torch.uint8)
    again = raw.view(state[name].dtype).reshape(entry["shape"])
    assert torch.equal(again, state[name].detach()), name
print(len(header))
"""


def run(code: str, *words: str | Path) -> str:
    argv = (torch_python(), "-I", "-c", code, *map(str, words))
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.slow
@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_every_tensor_is_the_same(tmp_path: Path, container: str) -> None:
    source = tmp_path / "model.pth"
    run(MAKE, source, container)
    ran = zoo(tmp_path, "convert", "model.pth", "--to", "safetensors", "--python", torch_python(), "--json")
    assert ran.code == 0, ran.err
    assert ran.document | {"size_bytes": 0, "torch": "", "scan": {}, "network": ""} == {
        "ok": True, "command": "convert", "path": "model.safetensors", "size_bytes": 0, "tensors": 13,
        "part": "state_dict", "left_out": ["meta"], "network": "", "torch": "", "scan": {},
    }  # fmt: skip
    assert run(COMPARE, source, tmp_path / "model.safetensors").strip() == "13"
    assert zoo(tmp_path, "scan", "model.safetensors").code == 0
    again = zoo(tmp_path, "convert", "model.pth", "--to", "safetensors", "--python", torch_python())
    assert again.code != 0 and "error[destination-exists]" in again.err


@pytest.mark.slow
def test_classes_of_a_training_checkpoint_are_not_imported(tmp_path: Path) -> None:
    """Neither mmengine nor the trusted class exists in the environment: what stands for them has no code."""
    history = lookup("mmengine.logging.history_buffer", "HistoryBuffer")
    methods = mapping(min=call(lookup("__builtin__", "getattr"), history, text("min")))
    hub = history + b")\x81" + mapping(statistics_methods=methods) + b"b"
    head = call(lookup("lab.models", "Head"), text("x"))
    value = mapping(state_dict=mapping(weight=tensor("0", 2)), message_hub=hub, head=head)
    (tmp_path / "model.pth").write_bytes(torch_zip(value, {"0": b"\x00\x00\x80\x3f" * 2}))
    words = ("convert", "model.pth", "--to", "safetensors", "--python", torch_python())
    assert zoo(tmp_path, *words).code == 6
    ran = zoo(tmp_path, *words, "--trust-global", "lab.models.Head")
    assert ran.code == 0, ran.err
    assert (tmp_path / "model.safetensors").read_bytes().endswith(b"\x00\x00\x80\x3f" * 2)
    assert "left out: message_hub, head" in ran.err


def test_code_is_refused_before_any_child_starts(tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(torch_zip(mapping(a=SYSTEM)))
    ran = zoo(tmp_path, "convert", "bad.pth", "--to", "safetensors", "--python", sys.executable)
    assert ran.code == 6 and "error[checkpoint-refused]" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["bad.pth"]


def reason(ran: Any) -> str:
    return str(json.loads(ran.out)["error"]["facts"]["reason"])


def test_what_cannot_be_converted_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "good.pth").write_bytes(checkpoint(b"x" * 10))
    (tmp_path / "raw.pkl").write_bytes(pickle(b"}"))
    words = ("--to", "safetensors", "--json", "--python")
    assert reason(zoo(tmp_path, "convert", "good.pth", *words, sys.executable)) == "no-torch"
    assert reason(zoo(tmp_path, "convert", "raw.pkl", *words, sys.executable)) == "not-loaded"
    missing = zoo(tmp_path, "convert", "none.pth", *words, sys.executable)
    assert missing.document["error"]["code"] == "unreadable-checkpoint"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["good.pth", "raw.pkl"]
