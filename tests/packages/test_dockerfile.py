"""`zoo export --format dockerfile`: which image, which layers, what is refused; a linter and a real build agree."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tests.packages.test_locks import LOCK, package
from tests.support.cli import zoo
from tests.support.dockerfile import Build, debian_root, instructions, lint, pip_settings
from tests.support.upstream import upstream
from zoo_cli.catalog.compat import images, projects, system_packages
from zoo_cli.catalog.database import open_catalog
from zoo_cli.packages.dockerfile import NoImage, OnlyHere, choose_image, dockerfile
from zoo_cli.packages.locked import Lock, LockedFile, LockedModel
from zoo_cli.packages.lockfile import BadLock, from_document, to_document
from zoo_cli.packages.locking import read_lock, write_lock


def lock_for(python: str, variant: str, glibc: str = "2.28", arch: str = "x86_64") -> Lock:
    return replace(
        LOCK, requires_python=f"=={python}.*", environment=f"python_version == '{python}'", variant=variant,
        minimum={"glibc": glibc, "python": python}, machine={"arch": arch, "os": "linux"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lock", "image"),
    [
        (lock_for("3.10", "cu121"), "nvidia/cuda:12.1.1-base-ubuntu22.04"),
        (lock_for("3.12", "cu128"), "nvidia/cuda:12.8.2-base-ubuntu24.04"),
        (lock_for("3.8", "cu118"), "nvidia/cuda:11.8.0-base-ubuntu20.04"),
        (lock_for("3.11", "cu121"), "python:3.11.14-slim-bookworm"),  # no Ubuntu image has Python 3.11
        (lock_for("3.10", "cu113"), "python:3.10.19-slim-bookworm"),  # no image of that toolkit is listed
        (lock_for("3.10", "cpu"), "python:3.10.19-slim-bookworm"),
        (lock_for("3.12", "cu128", arch="aarch64"), "python:3.12.12-slim-bookworm"),
        (lock_for("3.10", "cu121", glibc="2.36"), "python:3.10.19-slim-bookworm"),  # 22.04 has glibc 2.35
    ],
)
def test_the_image_fits_the_plan(lock: Lock, image: str) -> None:
    assert choose_image(lock, images(open_catalog()), "pylock.toml").name == image


@pytest.mark.parametrize("lock", [lock_for("3.7", "cpu"), lock_for("3.11", "cpu", glibc="2.40")])
def test_without_an_image_the_error_says_what_is_needed(lock: Lock, tmp_path: Path) -> None:
    with pytest.raises(NoImage):
        choose_image(lock, images(open_catalog()), "pylock.toml")
    write_lock(lock, tmp_path / "pylock.toml", "zoo")
    ran = zoo(tmp_path, "export", "pylock.toml", "--format", "dockerfile")
    assert (ran.code, "error[no-image]" in ran.err, "--base python:3." in ran.err) == (3, True, True)
    own = zoo(tmp_path, "export", "pylock.toml", "--format", "dockerfile", "--base", "team/base@sha256:" + "ab" * 32)
    assert (own.code, own.out.count("FROM team/base@sha256:abab")) == (0, 1)


def text_of(lock: Lock) -> str:
    catalog = open_catalog()
    image = choose_image(lock, images(catalog), "pylock.toml")
    return dockerfile(lock, image, system_packages(catalog), projects(catalog), "pylock.toml", {})


def test_what_changes_least_comes_first_and_every_package_once() -> None:
    asked = package("mmdet", "3.3.0")
    ours = (asked, package("torch", "2.1.0"), package("nvidia-nccl-cu12", "2.18"), package("opencv-python", "4.9"))
    done = instructions(text_of(replace(lock_for("3.10", "cu121"), packages=(*LOCK.packages, *ours))))
    copies = [document.replace(" @ ", "==") for word, _rest, document in done if word == "COPY"]
    names = [[line.partition("==")[0] for line in document.splitlines()] for document in copies]
    assert names == [["nvidia-nccl-cu12", "torch"], ["mmcv", "opencv-python", "tiny"], ["mmdet"]]
    runs = [rest for word, rest, _document in done if word == "RUN"]
    assert "libgl1" in runs[0]
    assert all("--require-hashes" in run and "--no-deps" in run for run in runs if " pip install " in run)
    assert runs[-1] == "python -c 'import mmcv.ops, mmdet'"
    assert [rest for word, rest, _document in done if word == "USER"] == ["zoo"]


def test_files_of_this_computer_are_refused() -> None:
    here = package("tiny", "1.0")._replace(
        wheels=(LockedFile("tiny-1.0-py3-none-any.whl", "file:///w/t.whl", "ab" * 32),)
    )
    with pytest.raises(OnlyHere):
        text_of(replace(lock_for("3.11", "cpu"), packages=(here,)))


@pytest.mark.parametrize(
    "change",
    [
        {"requested": ("mmdet\nUSER root",)},
        {"minimum": {"driver": "1\rRUN x"}},
        {"packages": (package("tiny", "1.0")._replace(marker="os_name == 'a\nZOO'"),)},
        {
            "packages": (
                package("tiny", "1.0")._replace(wheels=(LockedFile("tiny-1.0-py3-none-any.whl", "u\nZOO", "ab" * 32),)),
            )
        },
    ],
)
def test_no_text_of_a_lock_becomes_an_instruction(change: dict[str, object]) -> None:
    with pytest.raises(BadLock):
        from_document(to_document(replace(LOCK, **change), "zoo"), "pylock.toml")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.torch
@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="Debian 12 has Python 3.11")
def test_a_real_stack_is_built_by_its_instructions(tmp_path: Path) -> None:
    with upstream() as site:
        mirror = ("--mirror", f"https://download.pytorch.org={site.url('/pytorch')}")
        wanted = ("mmdet", "--torch", "2.13", "--device", "cpu", "--find-links", site.ops_page, *mirror)
        locked = zoo(tmp_path, "lock", *wanted, "--python", sys.executable, timeout=600)
        assert locked.code == 0, locked.err
        lock = tmp_path / "pylock.zoo.toml"
        lock.write_text(lock.read_text().replace("https://download.pytorch.org", site.url("/pytorch")))
        (site.ops_directory / "tiny.pth").write_bytes(b"weights")
        weights = LockedFile(
            "tiny.pth", site.ops_page.replace("index.html", "tiny.pth"), sha256(b"weights").hexdigest()
        )
        write_lock(replace(read_lock(lock), models=(LockedModel("tiny", "", "", (weights,)),)), lock, "zoo")
        exported = zoo(tmp_path, "export", "--format", "dockerfile")
        assert exported.code == 0, exported.err
        (tmp_path / "Dockerfile").write_text(exported.out)
        assert lint(tmp_path / "Dockerfile") == ""
        settings = pip_settings()
        build = Build(debian_root(tmp_path / "root"), {"pip": settings} if settings else {})
        build.build(exported.out)
    assert (build.base, build.command) == ("python:3.11.14-slim-bookworm", ["python"])
    code = "import os, torch, mmcv.ops; b = torch.tensor([[0., 0, 2, 2], [0, 0, 2, 2], [5, 5, 6, 6]]); "
    code += "print(os.getuid(), mmcv.ops.nms(b, torch.tensor([.9, .8, .7]), .5)[1].tolist())"
    assert build.run("python", "-W", "ignore", "-c", code).strip() == "10001 [0, 2]"
    assert build.run("cat", "/opt/zoo/models/tiny.pth") == "weights"
    assert not (build.root / "etc/pip.conf").exists(), "a secret stayed in the image"
    (tmp_path / "bad").write_text(exported.out.replace("USER zoo", "USRE zoo"))
    assert "USRE" in lint(tmp_path / "bad"), "the linter reads the file"
