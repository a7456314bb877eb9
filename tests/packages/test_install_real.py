"""`zoo install` for real: compiled mmcv from a find-links site among decoys, broken and mended again."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.cli import Ran, zoo
from tests.support.server import Server
from tests.support.torch_env import CACHE, mmcv_wheel, torch_python
from tests.support.wheels import retag, write_wheel

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.network]
PAGE = "/mmcv/dist/cpu/torch2.13.0/index.html"


@dataclass
class Place:
    """A site, a home and an environment with torch that the tests may change."""

    home: Path
    python: Path
    page: str

    def zoo(self, *words: str | Path) -> Ran:
        return zoo(self.home, *words, timeout=600)

    def python_says(self, code: str) -> str:
        done = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()


def with_torch(folder: Path) -> Path:
    """An environment with the torch of the shared one, as an installed torch that stays; nothing is copied."""
    base = Path(torch_python())
    subprocess.run([base, "-m", "venv", "--system-site-packages", "--without-pip", folder], check=True)
    site = next((folder / "lib").glob("python3*/site-packages"))
    shared = next((base.parent.parent / "lib").glob("python3*/site-packages"))
    for name in ("torch", "torchgen", "functorch", *(p.name for p in shared.glob("torch-*.dist-info"))):
        if (shared / name).exists():
            (site / name).symlink_to(shared / name)
    return folder / "bin/python"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("install")
    folder = root / "site/mmcv/dist/cpu/torch2.13.0"
    folder.mkdir(parents=True)
    right = mmcv_wheel()
    (folder / right.name).write_bytes(right.read_bytes())
    for tags in ("cp38-cp38-linux_x86_64", "cp311-cp311-win_amd64", "cp311-cp311-manylinux2014_aarch64"):
        retag(right, folder, tags=tags, keep_extensions=False)
    write_wheel(folder, "mmcv", "2.1.0", tag="py2.py3-none-any", files={"mmcv/__init__.py": ""})
    write_wheel(folder, "mmcv", "2.1.1", tag=right.name[:-4].split("-", 2)[2], files={"mmcv/__init__.py": ""})
    lines = [
        f'<a href="{quote(path.name)}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}"'
        f"{' data-yanked=broken' if '2.1.1' in path.name else ''}>{path.name}</a>"
        for path in sorted(folder.glob("*.whl"))
    ]
    (folder / "index.html").write_text("<html><body>" + "\n".join(lines) + "</body></html>")
    python = with_torch(root / "env")
    with Server(root=root / "site") as server:
        yield Place(root, python, server.url(PAGE))


def test_the_right_wheel_is_taken_and_its_ops_run(place: Place) -> None:
    ran = place.zoo("install", "mmdet", "--python", place.python, "--find-links", place.page, "--json")
    assert ran.code == 0, ran.err + ran.out
    document = ran.document
    pins = {pin["name"]: pin for pin in document["plan"]}
    assert pins["torch"]["action"] == "keep"
    assert (pins["mmcv"]["version"], pins["mmcv"]["evidence"]) == ("2.1.0", "seen")
    assert pins["mmcv"]["url"].endswith(mmcv_wheel().name)
    assert pins["mmdet"]["version"] == "3.3.0"
    checked = {check["name"]: check["ok"] for check in document["checked"]}
    assert checked["nms"]
    assert checked["roi_align"]
    assert place.python_says("import mmcv.ops, mmdet; print(mmcv.__version__, mmdet.__version__)") == "2.1.0 3.3.0"


def test_a_second_run_changes_nothing(place: Place) -> None:
    ran = place.zoo("install", "mmdet", "--python", place.python, "--find-links", place.page, "--json")
    assert (ran.code, ran.document["changed"]) == (0, False)


def test_check_env_finds_it_sound(place: Place) -> None:
    ran = place.zoo("check-env", "--python", place.python, "--json")
    assert ran.code == 0
    statuses = {(finding["subject"], finding["status"]) for finding in ran.document["findings"]}
    assert {("torch", "ok"), ("mmcv", "ok"), ("mmdet", "ok"), ("mmengine", "ok")} <= statuses
    assert "FAIL" not in {status for _subject, status in statuses}


def test_what_mmcv_lite_breaks_the_printed_command_mends(place: Place) -> None:
    uv = [
        str(Path(torch_python())),
        "-m",
        "pip",
        "--python",
        str(place.python),
        "install",
        "-q",
        "--no-deps",
        "mmcv-lite==2.2.0",
    ]
    subprocess.run(uv, check=True, timeout=300)
    broken = subprocess.run([place.python, "-c", "import mmdet"], capture_output=True, text=True, check=False)
    assert "AssertionError" in broken.stderr
    ran = place.zoo("check-env", "--python", place.python, "--json")
    assert ran.code == 4
    faults = [finding for finding in ran.document["findings"] if finding["status"] == "FAIL"]
    assert [fault["code"] for fault in faults] == ["two-owners"]
    mended = place.zoo(*shlex.split(faults[0]["fix"])[1:])
    assert mended.code == 0, mended.err
    assert place.zoo("check-env", "--python", place.python).code == 0
    assert place.python_says("import mmcv.ops, mmdet; print(mmcv.__version__)") == "2.1.0"


def test_an_op_less_mmcv_is_a_failure(place: Place) -> None:
    """A wheel with the right tag and no ops inside: refused by inspection, and nothing is changed."""
    folder = place.home / "opless/cpu/torch2.13.0"
    folder.mkdir(parents=True)
    retag(mmcv_wheel(), folder, version="2.0.1", keep_extensions=False)
    before = place.python_says("import mmcv; print(mmcv.__version__)")
    ran = place.zoo("install", "mmcv==2.0.1", "--python", place.python, "--find-links", folder, "--yes")
    assert ran.code == 3, ran.err
    assert "error[no-solution]" in ran.err
    assert "refused: mmcv 2.0.1 has no compiled ops" in ran.err
    assert "--build mmcv" in ran.err
    assert place.python_says("import mmcv; print(mmcv.__version__)") == before


def test_what_an_isolated_build_makes_is_caught_before_the_install(place: Place) -> None:
    """`pip wheel mmcv` succeeds without torch in its build environment and leaves a wheel without ops."""
    constraint = place.home / "constraint.txt"
    constraint.write_text("setuptools<81\n")
    folder = place.home / "isolated/cpu/torch2.13.0"
    words = ("wheel", "-q", "--use-pep517", "--no-deps", "--no-cache-dir", "-w", str(folder), "mmcv==2.0.1")
    environ = {**os.environ, "PIP_CONSTRAINT": str(constraint)}
    subprocess.run([torch_python(), "-m", "pip", *words], check=True, timeout=600, env=environ)
    (made,) = folder.glob("*.whl")
    assert made.name.endswith("-none-any.whl")
    command = ("install", "mmcv==2.0.1", "--python", place.python, "--find-links", folder, "--yes")
    by_name = place.zoo(*command)
    assert (by_name.code, "error[no-solution]" in by_name.err) == (3, True)
    retag(made, folder, tags=mmcv_wheel().stem.split("-", 2)[2])
    made.unlink()
    by_content = place.zoo(*command)
    assert by_content.code == 3
    assert "refused: mmcv 2.0.1 has no compiled ops" in by_content.err
    assert place.python_says("import mmcv; print(mmcv.__version__)") == "2.1.0"


def test_replacing_needs_consent_in_a_script(place: Place) -> None:
    ran = place.zoo("install", "mmengine==0.10.6", "--python", place.python)
    assert ran.code == 2
    assert "error[needs-consent]" in ran.err
    assert "0.10.7 -> 0.10.6" in ran.err
    assert "--replace mmengine" in ran.err


def test_direct_url_remembers_where_the_wheel_is(place: Place) -> None:
    url = place.python_says(
        "import importlib.metadata as m; print(m.distribution('mmcv').read_text('direct_url.json'))"
    )
    path, _, digest = json.loads(url)["url"].removeprefix("file://").partition("#sha256=")
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest


def test_what_has_no_wheel_is_compiled_when_asked(tmp_path: Path) -> None:
    """`--build mmcv` for a torch that nobody publishes wheels for: built (or from the cache), installed, run."""
    mmcv_wheel()  # fills the cache of built wheels
    python = with_torch(tmp_path / "env")
    refused = zoo(tmp_path, "install", "mmdet", "--python", python)
    assert refused.code == 3
    assert "--build mmcv" in refused.err
    ran = zoo(
        tmp_path,
        "install",
        "mmdet",
        "--python",
        python,
        "--build",
        "mmcv",
        "--json",
        timeout=900,
        ZOO_CACHE=str(CACHE / "zoo"),
    )
    assert ran.code == 0, ran.err + ran.out
    pins = {pin["name"]: pin for pin in ran.document["plan"]}
    assert (pins["mmcv"]["kind"], pins["mmcv"]["evidence"]) == ("build", "built")
    assert {"unsupported-build"} <= {caution["code"] for caution in ran.document["cautions"]}
    assert all(check["ok"] for check in ran.document["checked"])
    done = subprocess.run([python, "-c", "import mmcv.ops, mmdet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
