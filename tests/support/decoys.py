"""A find-links site with one right wheel for each Python among everything that is wrong with wheels in the wild.

    site = DecoySite(folder, stacks)         # what is served: Server(root=folder)
    site.write("cpu/torch2.6.0", DECOYS)     # one page: the right wheels and the named decoys

A decoy is chosen so that an installer which looks at names only prefers it: a higher version, a build tag, a higher
local version. `REASONS` says in which words zoo refuses it.
"""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from tests.support.libraries import compile_library
from tests.support.tiny_ops import TinyStack
from tests.support.wheels import Content, write_wheel, write_zip

PAGE = "/mmcv/dist/{variant}/torch{torch}.0/index.html"
OP_LESS = {"mmcv/__init__.py": "__version__ = '2.1.0'\n", "mmcv/ops/__init__.py": "from mmcv import _ext\n"}
SETUP = """
from setuptools import setup
print("Skip building ext ops due to the absence of torch.")
setup(name="mmcv", version="2.1.9", packages=["mmcv"])
"""


def _tags(stack: TinyStack, folder: Path) -> None:
    for tag in ("cp37-cp37m-linux_x86_64", "cp314-cp314-linux_x86_64"):
        write_wheel(folder, "mmcv", "2.1.0", tag, files=stack.files())


def _platforms(stack: TinyStack, folder: Path) -> None:
    for platform in ("win_amd64", "macosx_11_0_arm64", "manylinux2014_aarch64"):
        stack.mmcv(folder, "2.1.1", tag=f"{stack.tag}-{stack.tag}-{platform}")


def _other_cuda(stack: TinyStack, folder: Path) -> None:
    stack.mmcv(folder, "2.1.0+cu124")


def _other_torch(stack: TinyStack, folder: Path) -> None:
    stack.mmcv(folder, "2.1.0+pt20cpu")


def _op_less(stack: TinyStack, folder: Path) -> None:
    write_wheel(folder, "mmcv", "2.1.2", files=OP_LESS)


def _tagged_op_less(stack: TinyStack, folder: Path) -> None:
    write_wheel(folder, "mmcv", "2.1.3", stack.wheel_tag, files=OP_LESS)


def _tampered(stack: TinyStack, folder: Path) -> None:
    """A good wheel whose module was exchanged for another of the same length; RECORD knows the first."""
    good = stack.mmcv(folder, "2.1.4")
    with zipfile.ZipFile(good) as archive:
        members: dict[str, Content] = {name: archive.read(name) for name in archive.namelist()}
    members["mmcv/__init__.py"] = "__version__ = '6.6.6'\n"
    write_zip(good, members)


def _lying(stack: TinyStack, folder: Path) -> None:
    told = "Metadata-Version: 2.1\nName: mmcv\nVersion: 1.7.2\n"
    write_wheel(folder, "mmcv", "2.1.5", stack.wheel_tag, files=stack.files(), metadata=told)


def _truncated(stack: TinyStack, folder: Path) -> None:
    path = stack.mmcv(folder, "2.1.6")
    path.write_bytes(path.read_bytes()[:-500])


def _yanked(stack: TinyStack, folder: Path) -> None:
    stack.mmcv(folder, "2.1.7")  # the page says so


def _missing(stack: TinyStack, folder: Path) -> None:
    (folder / f"mmcv-2.1.8-{stack.wheel_tag}.whl").touch()  # the page lists it, and it is taken away


def _for_cuda(stack: TinyStack, folder: Path) -> None:
    """Compiled against CUDA, on the CPU's page, and nothing in its name says so."""
    names = ("libtorch_cuda.so", "libcudart.so.12")
    stubs = [compile_library(stack.directory / "stubs", name, "", f"-Wl,-soname,{name}") for name in names]
    words = ("-Wl,--no-as-needed", *map(str, stubs))
    library = compile_library(stack.directory / "cuda" / stack.tag, stack.library.name, "int x;", *words)
    files = {**stack.files(), f"mmcv/{stack.library.name}": library.read_bytes()}
    write_wheel(folder, "mmcv", "2.1.8.post1", stack.wheel_tag, files=files)


def _squat(stack: TinyStack, folder: Path) -> None:
    for name in ("mmcvv", "mmcv-ops", "mm-cv"):
        write_wheel(folder, name, "9.9", files={"mmcv/__init__.py": "raise SystemExit('squatted')\n"})


def _sdist(stack: TinyStack, folder: Path) -> None:
    with tarfile.open(folder / "mmcv-2.1.9.tar.gz", "w:gz") as archive:
        told = "Metadata-Version: 2.1\nName: mmcv\nVersion: 2.1.9\n"
        for name, text in {"setup.py": SETUP, "PKG-INFO": told, **OP_LESS}.items():
            entry = tarfile.TarInfo(f"mmcv-2.1.9/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


# What is wrong -> (who makes it, the words in which zoo tells why it is not taken; "" where the project is another).
DECOYS: dict[str, tuple[Callable[[TinyStack, Path], None], str]] = {
    "another Python's tag": (_tags, "other-python"),
    "another platform": (_platforms, "other-platform"),
    "local version of a CUDA": (_other_cuda, "other-variant"),
    "local version of another torch": (_other_torch, "other-torch"),
    "newer, py3-none-any": (_op_less, "no-ops"),
    "newer, no ops under a right tag": (_tagged_op_less, "no compiled"),
    "tampered RECORD": (_tampered, "record-mismatch"),
    "METADATA of another version": (_lying, "version-mismatch"),
    "truncated": (_truncated, "cannot be read"),
    "yanked": (_yanked, "yanked"),
    "on the page, 404": (_missing, "404"),
    "needs CUDA, name does not tell": (_for_cuda, "libtorch_cuda"),
    "name-squat": (_squat, ""),
    "sdist, compiles without ops": (_sdist, "not-a-wheel"),
}


class DecoySite:
    """A directory in upstream's layout for an HTTP server."""

    def __init__(self, root: Path, stacks: Sequence[TinyStack]) -> None:
        self.root, self._stacks = root, stacks

    def write(self, variant: str, torch: str, decoys: Iterable[str] = ()) -> str:
        """One page: the right wheel for each Python, and the decoys for each; gives its path on the server."""
        path = PAGE.format(variant=variant, torch=torch)
        page = self.root / path.lstrip("/")
        page.parent.mkdir(parents=True, exist_ok=True)
        for stack in self._stacks:
            stack.mmcv(page.parent)
            for name in decoys:
                DECOYS[name][0](stack, page.parent)
        files = sorted(page.parent.glob("mm*"))
        page.write_text("<html><body>" + "\n".join(map(_anchor, files)) + "</body></html>")
        for each in files:
            if not each.stat().st_size:
                each.unlink()
        return path

    def publish(self, *wheels: Path) -> None:
        """Puts wheels into the site's simple index."""
        for wheel in wheels:
            project = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
            folder = self.root / "simple" / project
            folder.mkdir(parents=True, exist_ok=True)
            (folder / wheel.name).write_bytes(wheel.read_bytes())


def _anchor(path: Path) -> str:
    yanked = ' data-yanked="broken"' if "-2.1.7-" in path.name else ""
    return f'<a href="{quote(path.name)}"{yanked}>{path.name}</a>'
