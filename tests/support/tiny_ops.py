"""A whole stack with compiled ops that fits in a few kilobytes: truly compiled for one Python, and as quick as a test.

    stack = TinyStack(python, directory)     # compiles mmcv._ext against that Python's headers
    stack.mmcv(folder)                       # its wheel, under the right tag
    stack.torch(folder, "2.6.0+cpu")         # a torch that does as little as the ops check needs

Only installers are measured with it, and only the ops check runs its ops: an extension for another Python, or none,
fails there as the real one does. torch is a module of lists; where torch itself is the point, `torch_env` has the real
one.
"""

from __future__ import annotations

import json
import subprocess
from functools import cached_property
from pathlib import Path

from tests.support.libraries import compile_library
from tests.support.wheels import Content, write_wheel

EXTENSION = r"""
#define PY_SSIZE_T_CLEAN
#include <Python.h>
static double at(PyObject *list, Py_ssize_t index) { return PyFloat_AsDouble(PyList_GetItem(list, index)); }
/* Intersection over union of two boxes x1, y1, x2, y2. */
static PyObject *iou(PyObject *, PyObject *args) {
    PyObject *a, *b;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &a, &PyList_Type, &b)) return nullptr;
    double side[2], area_a = 1, area_b = 1;
    for (int k = 0; k < 2; k++) {
        double low = at(a, k) > at(b, k) ? at(a, k) : at(b, k);
        double high = at(a, k + 2) < at(b, k + 2) ? at(a, k + 2) : at(b, k + 2);
        side[k] = high > low ? high - low : 0;
        area_a *= at(a, k + 2) - at(a, k);
        area_b *= at(b, k + 2) - at(b, k);
    }
    double both = side[0] * side[1];
    return PyFloat_FromDouble(both / (area_a + area_b - both));
}
/* Bilinear value of a plane of height x width, zero outside. */
static PyObject *bilinear(PyObject *, PyObject *args) {
    PyObject *plane; long height, width; double y, x, sum = 0;
    if (!PyArg_ParseTuple(args, "O!lldd", &PyList_Type, &plane, &height, &width, &y, &x)) return nullptr;
    long top = (long)y, left = (long)x;
    for (long row = top; row <= top + 1; row++)
        for (long column = left; column <= left + 1; column++) {
            double weight = (row == top ? top + 1 - y : y - top) * (column == left ? left + 1 - x : x - left);
            if (row < height && column < width && weight) sum += weight * at(plane, row * width + column);
        }
    return PyFloat_FromDouble(sum);
}
static PyMethodDef methods[] = {{"iou", iou, METH_VARARGS, ""}, {"bilinear", bilinear, METH_VARARGS, ""}, {}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "mmcv._ext", "", -1, methods};
PyMODINIT_FUNC PyInit__ext() { return PyModule_Create(&module); }
"""

OPS = """
from mmcv import _ext
import torch

def nms(boxes, scores, iou_threshold):
    boxes, scores, kept = boxes.tolist(), scores.tolist(), []
    for index in sorted(range(len(scores)), key=lambda each: -scores[each]):
        if all(_ext.iou(boxes[index], boxes[other]) <= iou_threshold for other in kept):
            kept.append(index)
    return None, torch.tensor(kept)

def roi_align(plane, region, size, scale, sampling, mode, aligned):
    height, width = plane.shape[-2:]
    left, top, right, bottom = (each - 0.5 for each in region.tolist()[0][1:])
    step_y, step_x = (bottom - top) / size, (right - left) / size
    centres = [(top + (row + 0.5) * step_y, left + (column + 0.5) * step_x)
               for row in range(size) for column in range(size)]
    return torch.tensor([_ext.bilinear(plane.values, height, width, y, x) for y, x in centres])

def deform_conv2d(plane, offset, weight, *_how):
    width = plane.shape[-1]
    moved = offset.values[width:]
    return torch.tensor([_ext.bilinear(plane.values, 1, width, 0.0, x + moved[x]) for x in range(width)])
"""

TORCH = """
from .version import __version__

def flat(data):
    return [value for each in data for value in flat(each)] if isinstance(data, list) else [data]

class Tensor:
    def __init__(self, values, shape):
        self.values, self.shape = list(values), tuple(shape)
    def reshape(self, *shape):
        return Tensor(self.values, shape)
    def flatten(self):
        return Tensor(self.values, (len(self.values),))
    def repeat(self, *times):
        return Tensor([value for value in self.values for _ in range(times[-1])], self.shape[:-1] + times[-1:])
    def tolist(self):
        if len(self.shape) < 2:
            return list(self.values)
        width = len(self.values) // self.shape[0]
        return [self.values[start:start + width] for start in range(0, len(self.values), width)]

def tensor(data, device=None):
    values = flat(data)
    return Tensor(values, (len(data), len(values) // len(data)) if isinstance(data[0], list) else (len(values),))

def arange(end, device=None):
    return tensor([float(value) for value in range(int(end))])

def ones(*shape, device=None):
    return Tensor([1.0], shape)

class cuda:
    is_available = staticmethod(lambda: False)
"""


def torch_wheel(folder: Path, version: str, tag: str) -> Path:
    """A torch that knows its version and what the ops check asks of it."""
    files: dict[str, Content] = {
        "torch/version.py": f"__version__ = {version!r}\ncuda = None\nhip = None\n",
        "torch/__init__.py": TORCH,
    }
    for name in ("libc10.so", "libtorch.so", "libtorch_cpu.so"):
        library = compile_library(folder / "lib", name, "", f"-Wl,-soname,{name}")
        files[f"torch/lib/{name}"] = library.read_bytes()
    return write_wheel(folder, "torch", version, tag, files=files)


def pure_wheels(folder: Path) -> list[Path]:
    """What else an `mmdet` needs: its framework and engine, and build tools older than the wall."""
    return [
        write_wheel(folder, "mmdet", "3.3.0", files={"mmdet/__init__.py": "import mmcv.ops\n"}),
        write_wheel(folder, "mmengine", "0.10.7", files={"mmengine/__init__.py": ""}),
        write_wheel(folder, "numpy", "1.26.4", files={"numpy/__init__.py": ""}),
    ]


class TinyStack:
    """Wheels for one Python."""

    def __init__(self, python: Path | str, directory: Path) -> None:
        self.python, self.directory = Path(python), directory
        code = (
            "import json, sysconfig as s, sys; print(json.dumps([s.get_paths()['include'], "
            "s.get_config_var('EXT_SUFFIX'), 'cp%d%d' % sys.version_info[:2]]))"
        )
        done = subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True, timeout=60)
        self._include, self._suffix, self.tag = json.loads(done.stdout)

    @cached_property
    def library(self) -> Path:
        """mmcv._ext for this Python."""
        return compile_library(self.directory / self.tag, f"_ext{self._suffix}", EXTENSION, f"-I{self._include}")

    @property
    def wheel_tag(self) -> str:
        return f"{self.tag}-{self.tag}-linux_x86_64"

    def files(self) -> dict[str, Content]:
        """The members of a good mmcv."""
        return {
            "mmcv/__init__.py": "__version__ = '2.1.0'\n",
            "mmcv/ops/__init__.py": OPS,
            f"mmcv/{self.library.name}": self.library.read_bytes(),
        }

    def mmcv(self, folder: Path, version: str = "2.1.0", *, tag: str = "") -> Path:
        """The wheel of mmcv with ops."""
        return write_wheel(folder, "mmcv", version, tag or self.wheel_tag, files=self.files())

    def torch(self, folder: Path, version: str) -> Path:
        return torch_wheel(folder, version, self.wheel_tag)
