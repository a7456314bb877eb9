"""`zoo index propose`: a wheel is looked into, its row goes into the index, the solver uses it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import ROOT, Ran, zoo
from tests.support.fatbins import PTX, SASS, container, library_with
from tests.support.server import Page, Server
from tests.support.wheels import write_wheel

NAME = "mmcv-2.1.0-cp310-cp310-manylinux1_x86_64.whl"
FOLDER = "/mmcv/dist/cu121/torch2.1.0"
ADDRESS = f"https://download.openmmlab.com{FOLDER}/{NAME}"
HOPPER = container([(SASS, 90, 0), (PTX, 90, 0)])
MACHINE = "gpu=GPU,driver=535.183.01,python=3.10,glibc=2.35"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A copy of the facts, without models."""
    shutil.copytree(ROOT / "index/compat", tmp_path / "index/compat")
    (tmp_path / "index/models").mkdir()
    return tmp_path / "index"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    library = library_with(tmp_path / "so", {".nv_fatbin": HOPPER}).read_bytes()
    return write_wheel(
        tmp_path / "made", "mmcv", "2.1.0", "cp310-cp310-manylinux1_x86_64", files={"mmcv/_ext.so": library}
    )


def plan(home: Path, index: Path, gpu: str) -> Ran:
    described = MACHINE.replace("=GPU", f"={gpu}")
    words = (
        "install",
        "mmcv==2.1.0",
        "--torch",
        "2.1",
        "--cuda",
        "cu121",
        "--machine",
        described,
        "--dry-run",
        "--json",
    )
    return zoo(home, *words, ZOO_INDEX=str(index))


def test_what_was_read_in_a_wheel_is_what_the_solver_uses(tmp_path: Path, index: Path, wheel: Path) -> None:
    words = ("index", "propose", wheel, "--at", ADDRESS, "--index", index, "--write", "--json")
    told = zoo(tmp_path, *words)
    assert told.code == 0, told.err
    (proposal,) = told.document["proposals"]
    assert (proposal["provider"], proposal["torch"], proposal["variant"]) == ("openmmlab", "2.1", "cu121")
    assert (proposal["targets"], proposal["python_tags"]) == (["9.0+PTX"], ["cp310"])
    assert proposal["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert told.document["files"] == [{"name": "compat/ops_mmcv.yaml", "new": False}]
    hopper = plan(tmp_path, index, "H100").document
    (pin,) = [pin for pin in hopper["plan"] if pin["name"] == "mmcv"]
    assert (pin["evidence"], pin["url"], pin["sha256"]) == ("seen", ADDRESS, proposal["sha256"])
    assert "not-proven" not in {each["code"] for each in hopper["cautions"]}
    ampere = plan(tmp_path, index, "RTX 3090")
    assert ampere.code == 3, "the file has no code for sm_86, so the table that lists it does not count any more"
    again = zoo(tmp_path, *words)
    assert again.code == 0, "a row that is there is not put there twice"
    assert (index / "compat/ops_mmcv.yaml").read_text().count(ADDRESS.replace("https://", "")) == 2


@pytest.mark.slow  # compiles a second index
def test_glibc_of_a_proposed_wheel_counts(tmp_path: Path, index: Path, wheel: Path) -> None:
    assert zoo(tmp_path, "index", "propose", wheel, "--at", ADDRESS, "--index", index, "--write").code == 0
    path = index / "compat/ops_mmcv.yaml"
    text = path.read_text()
    line = f'  file: "{ADDRESS}"\n'
    assert text.count(line) == 1
    path.write_text(text.replace(line, f'  glibc: "2.39"\n{line}'))
    assert plan(tmp_path, index, "H100").code == 3


@pytest.fixture
def server(wheel: Path) -> Iterator[Server]:
    files: dict[str, object] = {f"{FOLDER}/{NAME}": wheel.read_bytes()}
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    files[f"{FOLDER}/index.html"] = Page(f'<a href="{NAME}#sha256={digest}">{NAME}</a>'.encode())
    with Server(files) as running:  # type: ignore[arg-type]
        yield running


def test_a_page_is_read_by_ranges(tmp_path: Path, index: Path, server: Server) -> None:
    page, mirror = (
        f"https://download.openmmlab.com{FOLDER}/index.html",
        f"https://download.openmmlab.com={server.url('')}",
    )
    told = zoo(tmp_path, "index", "propose", page, "--mirror", mirror, "--index", index)
    assert told.code == 0, told.err
    assert told.out.startswith("- project: mmcv\n  provider: openmmlab\n  platform: linux_x86_64\n")
    assert '  targets: ["9.0+PTX"]\n' in told.out
    assert f'  file: "{ADDRESS}"\n' in told.out
    assert "Belongs into index/compat/ops_mmcv.yaml; the compiler takes it." in told.err
    assert (index / "compat/ops_mmcv.yaml").read_text() == (ROOT / "index/compat/ops_mmcv.yaml").read_text()


def test_a_new_version_and_a_new_provider(tmp_path: Path, index: Path, wheel: Path) -> None:
    newer = write_wheel(
        tmp_path / "newer", "mmcv", "2.1.5", "cp310-cp310-manylinux1_x86_64",
        files={"mmcv/_ext.so": library_with(tmp_path / "two", {".nv_fatbin": HOPPER}).read_bytes()},
    )  # fmt: skip
    address = ADDRESS.replace("2.1.0-cp", "2.1.5-cp")
    told = zoo(tmp_path, "index", "propose", newer, "--at", address, "--index", index, "--write")
    assert told.code == 0, told.err
    assert '"2.1.0", "2.1.5", "2.2.0"' in (index / "compat/ops_mmcv.yaml").read_text().replace("\n   ", "")
    other = "https://example.org/whl/cu121/torch2.1.0/" + NAME
    told = zoo(tmp_path, "index", "propose", wheel, "--at", other, "--index", index)
    assert (told.code, "no-provider" in told.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "no-address"),
        (("--at", ADDRESS.replace("cu121", "cu118"), "--cuda", "cpu"), "cuda-differs"),
        (("--at", "https://download.openmmlab.com/mmcv/dist/x/" + NAME), "torch-not-told"),
    ],
)
def test_what_gives_no_fact(tmp_path: Path, index: Path, wheel: Path, words: tuple[str, ...], code: str) -> None:
    told = zoo(tmp_path, "index", "propose", wheel, *words, "--index", index, "--json")
    assert told.code == 1
    assert [each["code"] for each in told.document["refused"]] == [code]
    assert told.document["proposals"] == []


def test_what_is_no_wheel_is_said_by_its_path(tmp_path: Path, index: Path) -> None:
    missing = zoo(tmp_path, "index", "propose", tmp_path / "nope.whl", "--index", index)
    assert (missing.code, f"cannot read {tmp_path}/nope.whl" in missing.err) == (2, True)
    assert f"ls -l {tmp_path}\n" in missing.err
    assert "--find-links" not in missing.err
    none = zoo(tmp_path, "index", "propose", index, "--index", index)
    assert (none.code, f"There is no wheel at {index}." in none.err) == (2, True)


def test_op_less_wheels_and_rows_that_the_compiler_refuses(tmp_path: Path, index: Path, wheel: Path) -> None:
    bare = write_wheel(tmp_path / "bare", "mmcv", "2.1.0", "cp310-cp310-manylinux1_x86_64")
    told = zoo(tmp_path, "index", "propose", bare, "--at", ADDRESS, "--index", index, "--json")
    assert [each["code"] for each in told.document["refused"]] == ["no-ops"]
    odd = zoo(tmp_path, "index", "propose", wheel, "--at", ADDRESS, "--provider", "No Such", "--index", index)
    assert odd.code != 0
    assert "error[broken-row]" in odd.err
