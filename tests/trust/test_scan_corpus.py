"""The corpus: live payloads proven live, ordinary checkpoints made by torch, and what other scanners say of both.

Slow: makes an environment with torch and one with the other scanners, once. `-s` prints the tables.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.live_payloads import payloads
from tests.support.scan_peers import PEERS, peer_verdicts, regression_files
from tests.support.torch_env import mmcv_python, torch_python
from tests.trust.scanned import verdict_on
from zoo_cli.trust.scanning import scan_file

SUPPORT = Path(__file__).parent.parent / "support"
pytestmark = [pytest.mark.slow, pytest.mark.torch]


def loaded(folder: Path, how: str, python: str) -> dict[str, dict[str, bool]]:
    argv = (python, "-I", str(SUPPORT / "loading_child.py"), str(folder), how)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, bool]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    for name, data in payloads().items():
        (folder / f"{name}{'.pth' if name.startswith('container') else '.pkl'}").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ordinary")
    argv = (mmcv_python(), "-I", str(SUPPORT / "ordinary_checkpoints.py"), str(folder))
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def ours(folder: Path) -> dict[str, str]:
    return {path.name: "stopped" if scan_file(path).is_refused else "passed" for path in sorted(folder.iterdir())}


def table(title: str, rows: dict[str, dict[str, str]]) -> None:
    sys.stdout.write(f"\n{title}\n")
    for name, verdicts in rows.items():
        sys.stdout.write(f"  {name:14}{dict(sorted(Counter(verdicts.values()).items()))}\n")


def test_every_payload_is_live_and_stopped(live: Path) -> None:
    unsafe = loaded(live, "unsafe", torch_python())
    assert len(unsafe) >= 90
    assert [name for name, how in unsafe.items() if not how["fired"]] == []
    assert set(ours(live).values()) == {"stopped"}


@pytest.mark.network
def test_payloads_beside_other_scanners(live: Path) -> None:
    safe = loaded(live, "weights-only", torch_python())
    assert not any(how["fired"] for how in safe.values())
    rows = {"zoo": ours(live)} | {peer: peer_verdicts(peer, live) for peer in PEERS}
    rows["weights_only"] = {name: "passed" if how["loaded"] else "stopped" for name, how in safe.items()}
    table(f"{len(rows['zoo'])} live payloads", rows)
    stopped = {name: Counter(verdicts.values())["stopped"] for name, verdicts in rows.items()}
    assert stopped["zoo"] == len(rows["zoo"]) >= max(stopped.values())


@pytest.mark.network
def test_ordinary_checkpoints_beside_other_scanners(ordinary: Path) -> None:
    files = sorted(ordinary.iterdir())
    assert len(files) >= 25
    unsafe = loaded(ordinary, "unsafe", mmcv_python())
    # A safetensors file and a raw pickle are not for torch.load.
    assert [name for name, how in unsafe.items() if not how["loaded"] and name.endswith((".pth", ".bin", ".tar"))] == []
    safe = loaded(ordinary, "weights-only", mmcv_python())
    rows = {"zoo": ours(ordinary)} | {peer: peer_verdicts(peer, ordinary) for peer in PEERS}
    rows["weights_only"] = {name: "passed" if how["loaded"] else "stopped" for name, how in safe.items()}
    table(f"{len(files)} ordinary checkpoints", rows)
    assert [name for name, verdict in rows["zoo"].items() if verdict != "passed"] == []
    warned = [path.name for path in files if scan_file(path).findings]
    assert warned == ["torchvision-whole-module-legacy.pth", "torchvision-whole-module.pth"]


@pytest.mark.network
def test_the_regression_files_of_picklescan(tmp_path: Path) -> None:
    files = regression_files()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    rows = {"zoo": ours(tmp_path)} | {peer: peer_verdicts(peer, tmp_path) for peer in PEERS}
    table(f"{len(files)} regression files of picklescan", rows)
    passed = {name for name, verdict in rows["zoo"].items() if verdict == "passed"}
    assert len(files) > 80
    assert all(name.startswith("benign") for name in passed), passed
    assert all(verdict_on(files[name]).globals == () for name in passed)
