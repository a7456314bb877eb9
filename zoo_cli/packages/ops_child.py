"""Runs inside the target interpreter (3.7 and newer), sent there as text: are the compiled ops really working?

Standard library, torch and the asked projects only. One JSON line a check, each behind a mark given on the command
line, so that warnings on stdout do no harm and a crash leaves the checks before it. The expected values follow from the
definitions of the ops, not from a run of them:

- nms: boxes 0 and 1 overlap with IoU 81/119 > 0.5, box 2 is apart, so boxes 0 and 2 stay.
- roi_align: bilinear samples of the plane 4y + x at (0.5, 0.5) ... (1.5, 1.5).
- deform_conv2d: a 1x1 kernel moved by half a pixel over the ramp 0, 1, 2, 3 reads 0.5, 1.5, 2.5.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import signal
import sys
import time
import warnings
from typing import Any

warnings.simplefilter("ignore")
MARK = sys.argv[1] if len(sys.argv) > 1 else ""
EXPECTS_GPU = sys.argv[2:3] == ["gpu"]
PROJECTS = sys.argv[4:]
if hasattr(signal, "alarm") and len(sys.argv) > 3:
    signal.alarm(int(sys.argv[3]))  # who watches this process may be killed: it ends all the same, whatever it imports


def tell(**facts: Any) -> None:
    """Writes one marked line."""
    sys.stdout.write("\n" + MARK + json.dumps(facts) + "\n")
    sys.stdout.flush()


class Check:
    """One check: says that it begins, then how it ended; a failure ends the check, not the run."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        self.facts = {"check": name, "device": device}
        self.is_ok = False
        self.started = time.time()

    def __enter__(self) -> Check:  # noqa: PYI034 (Self is of 3.11)
        tell(event="begin", **self.facts)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _trace: object) -> bool:
        self.is_ok = kind is None
        told: dict[str, Any] = {"seconds": time.time() - self.started}
        if kind is not None:
            told["kind"], told["text"] = kind.__name__, str(value)[:2000]
            told["module"] = str(getattr(value, "name", None) or "")
        tell(event="end", ok=self.is_ok, **self.facts, **told)
        return True


class WrongAnswer(Exception):
    """An op ran and gave something else than its definition says."""


def expect(found: list[float], wanted: list[float]) -> None:
    """Compares numbers with a tolerance for float32."""
    if len(found) != len(wanted) or any(abs(a - b) > 1e-4 for a, b in zip(found, wanted)):  # noqa: B905 (3.10)
        raise WrongAnswer(f"got {found}, expected {wanted}")


def check_nms(torch: Any, ops: Any, device: str) -> None:
    """Of two boxes that overlap the weaker one goes."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], device=device)
    scores = torch.tensor([0.9, 0.8, 0.7], device=device)
    _, kept = ops.nms(boxes, scores, iou_threshold=0.5)
    expect([float(each) for each in kept.tolist()], [0.0, 2.0])


def check_roi_align(torch: Any, ops: Any, device: str) -> None:
    """Bilinear samples of a plane are the plane."""
    plane = torch.arange(16.0, device=device).reshape(1, 1, 4, 4)
    region = torch.tensor([[0.0, 0.5, 0.5, 2.5, 2.5]], device=device)
    expect(ops.roi_align(plane, region, 2, 1.0, 1, "avg", True).flatten().tolist(), [2.5, 3.5, 6.5, 7.5])


def check_deform_conv(torch: Any, ops: Any, device: str) -> None:
    """A kernel moved by half a pixel reads between the pixels."""
    ramp = torch.arange(4.0, device=device).reshape(1, 1, 1, 4)
    offset = torch.tensor([0.0, 0.5], device=device).reshape(1, 2, 1, 1).repeat(1, 1, 1, 4)
    weight = torch.ones(1, 1, 1, 1, device=device)
    moved = ops.deform_conv2d(ramp, offset, weight, 1, 0, 1, 1, 1)
    expect(moved.flatten().tolist()[:3], [0.5, 1.5, 2.5])


def check_vision_nms(torch: Any, ops: Any, device: str) -> None:
    """The same boxes through torchvision."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], device=device)
    kept = ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)
    expect([float(each) for each in kept.tolist()], [0.0, 2.0])


def check_vision_roi_align(torch: Any, ops: Any, device: str) -> None:
    """The same plane through torchvision."""
    plane = torch.arange(16.0, device=device).reshape(1, 1, 4, 4)
    region = torch.tensor([[0.0, 0.5, 0.5, 2.5, 2.5]], device=device)
    expect(ops.roi_align(plane, region, 2, 1.0, 1, True).flatten().tolist(), [2.5, 3.5, 6.5, 7.5])


# Import package -> the modules that load its compiled code, the last with the ops; and the checks.
OPS = {
    "mmcv": (
        ("mmcv._ext", "mmcv.ops"),
        [("nms", check_nms), ("roi_align", check_roi_align), ("deform_conv2d", check_deform_conv)],
    ),
    "torchvision": (
        ("torchvision", "torchvision.ops"),
        [("torchvision nms", check_vision_nms), ("torchvision roi_align", check_vision_roi_align)],
    ),
}


def devices(torch: Any) -> list[str]:
    """The CPU, and every GPU that torch can use when the ops were built for CUDA."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return found


def load(modules: tuple[str, ...]) -> Any:
    """The last of these modules; None when one of them cannot be imported."""
    loaded = None
    for name in modules:
        with Check(name) as check:
            loaded = importlib.import_module(name)
        if not check.is_ok:
            return None
    return loaded


def run() -> None:
    """Torch, the ops, then the other projects."""
    torch: Any = None
    with Check("torch"):
        torch = importlib.import_module("torch")
    if torch is not None and EXPECTS_GPU and not torch.cuda.is_available():
        with Check("torch", "cuda"):
            torch.cuda.init()  # says why
            raise RuntimeError("torch.cuda.is_available() is False")
    for project in PROJECTS:
        modules, checks = OPS.get(project, ((), []))
        ops = load(modules)
        for device in devices(torch) if ops is not None and torch is not None else ():
            for name, check in checks:
                with Check(name, device):
                    check(torch, ops, device)
    for project in PROJECTS:
        if project != "torch" and project not in OPS:
            with Check(project):
                importlib.import_module(project)
                # `import mmdet` alone succeeds without ops; its apis module does not.
                if importlib.util.find_spec(project + ".apis"):
                    importlib.import_module(project + ".apis")
    tell(event="imported", imported=sources())


def sources() -> list[str]:
    """The files of the modules that are loaded; nothing is asked of modules that load when they are asked."""
    loaded = [vars(module).get("__file__") for module in list(sys.modules.values()) if type(module) is type(sys)]
    return [name for name in loaded if isinstance(name, str) and name.endswith(".py")]


if __name__ == "__main__":
    run()
