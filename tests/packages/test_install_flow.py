"""`zoo install` end to end on loopback with small wheels: pages confirmed, digests, inspection, uv, the receipt."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.cli import Ran, zoo
from tests.support.server import Page, Server, Status
from tests.support.wheels import write_wheel

TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
TORCH = f"torch-2.6.0+cpu-{TAG}-{TAG}-linux_x86_64.whl"
VERSION_FILE = "__version__ = '2.6.0+cpu'\ncuda = None\nhip = None\n"
ADDRESS = f"/whl/cpu/{TORCH}"


@dataclass
class Loopback:
    """PyTorch's index and the user's package index, both on one server."""

    home: Path
    server: Server
    wheels: dict[str, bytes] = field(default_factory=dict)

    def publish(self, digest: str | None = None, name: str = TORCH) -> None:
        """The page of torch with one link."""
        told = f"#sha256={digest or hashlib.sha256(self.wheels['torch']).hexdigest()}"
        self.server.files["/whl/cpu/torch/"] = Page(
            f'<a href="../{name.replace("+", "%2B")}{told}">{name}</a>'.encode()
        )
        self.server.files[ADDRESS] = self.wheels["torch"]

    def install(self, *words: str | Path, torch: str = "torch==2.6.0") -> Ran:
        mirror = f"https://download.pytorch.org={self.server.url('/')}"
        return zoo(
            self.home,
            "install",
            torch,
            "--device",
            "cpu",
            "--mirror",
            mirror,
            *words,
            UV_DEFAULT_INDEX=self.server.url("/simple/"),
            UV_CACHE_DIR=str(self.home / "uv"),
        )

    def installed(self, python: Path) -> list[str]:
        site = next((python.parent.parent / "lib").glob("python3*/site-packages"))
        return sorted(path.name for path in site.glob("*.dist-info"))


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Loopback]:
    folder = tmp_path / "made"
    wheels = {
        "torch": write_wheel(
            folder,
            "torch",
            "2.6.0+cpu",
            tag=f"{TAG}-{TAG}-linux_x86_64",
            files={"torch/version.py": VERSION_FILE, "torch/__init__.py": ""},
        ),
    }
    with Server({}) as server:
        place = Loopback(tmp_path, server, {name: path.read_bytes() for name, path in wheels.items()})
        place.publish()
        yield place


def environment(folder: Path) -> Path:
    """An empty environment; without pip it is made at once."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin/python"


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return environment(tmp_path / "env")


def test_the_page_is_asked_and_its_digest_decides(there: Loopback, python: Path) -> None:
    ran = there.install("--python", python, "--json")
    assert ran.code == 0, ran.err + ran.out
    digest = hashlib.sha256(there.wheels["torch"]).hexdigest()
    assert ran.document["wheels"] == [{"file": TORCH, "sha256": digest}]
    assert there.installed(python) == ["torch-2.6.0+cpu.dist-info"]
    kept = there.home / "cache/wheels/download.pytorch.org/whl/cpu" / TORCH
    assert kept.read_bytes() == there.wheels["torch"]


def test_a_second_run_changes_nothing_and_fetches_nothing(there: Loopback, python: Path) -> None:
    assert there.install("--python", python).code == 0
    asked = len(there.server.requests)
    again = there.install("--python", python, "--json")
    assert (again.code, again.document["changed"]) == (0, False)
    assert len(there.server.requests) == asked


def test_another_environment_costs_no_bytes(there: Loopback, tmp_path: Path) -> None:
    assert there.install("--env", environment(tmp_path / "one").parent.parent).code == 0
    assert there.install("--python", environment(tmp_path / "two")).code == 0
    assert len(there.server.requests_for(ADDRESS.replace("+", "%2B"))) == 1
    assert "torch-2.6.0+cpu.dist-info" in there.installed(tmp_path / "two/bin/python")


def test_a_wheel_that_left_its_page_is_told(there: Loopback, python: Path) -> None:
    there.publish(name="torch-2.5.0+cpu-cp39-cp39-linux_x86_64.whl")
    ran = there.install("--python", python)
    assert ran.code == 5
    assert "error[wheel-gone]" in ran.err
    assert TORCH in ran.err
    assert there.installed(python) == []


OLDER = f"torch-2.5.1+cpu-{TAG}-{TAG}-linux_x86_64.whl"


def offer_older(there: Loopback, folder: Path) -> str:
    """Torch 2.5.1 beside 2.6.0; gives its anchor, relative and percent-encoded."""
    files = {"torch/version.py": VERSION_FILE.replace("2.6.0", "2.5.1"), "torch/__init__.py": ""}
    path = write_wheel(folder, "torch", "2.5.1+cpu", tag=f"{TAG}-{TAG}-linux_x86_64", files=files)
    there.server.files[f"/whl/cpu/{OLDER}"] = path.read_bytes()
    return f'<a href="../{OLDER.replace("+", "%2B")}">{OLDER}</a>'


@pytest.mark.parametrize("newest", ["", f'<a href="../{TORCH.replace("+", "%2B")}" data-yanked="broken">{TORCH}</a>'])
def test_a_wheel_that_is_gone_or_taken_back_is_a_fact_and_the_next_is_planned(
    there: Loopback, python: Path, tmp_path: Path, newest: str
) -> None:
    there.server.files["/whl/cpu/torch/"] = Page((newest + offer_older(there, tmp_path / "older")).encode())
    ran = there.install("--python", python, torch="torch>=2.5,<2.7")
    assert ran.code == 0, ran.err
    how = "was taken back by its publisher" if newest else "is not on its page any more"
    assert f"{TORCH} {how}" in ran.err
    assert there.installed(python) == ["torch-2.5.1+cpu.dist-info"]


def test_a_json_page_is_read(there: Loopback, python: Path) -> None:
    digest = hashlib.sha256(there.wheels["torch"]).hexdigest()
    address = f"../{TORCH.replace('+', '%2B')}"
    files = [{"filename": TORCH, "url": address, "hashes": {"sha256": digest}, "yanked": False}]
    body = json.dumps({"meta": {"api-version": "1.1"}, "name": "torch", "files": files}).encode()
    there.server.files["/whl/cpu/torch/"] = Page(body, "application/vnd.pypi.simple.v1+json")
    ran = there.install("--python", python, "--json")
    assert ran.code == 0, ran.err
    assert [pin["sha256"] for pin in ran.document["plan"]] == [digest]


def test_a_page_that_cannot_be_read_is_noted_and_not_needed(there: Loopback, python: Path) -> None:
    there.server.always("/whl/cpu/torch/", Status(500))
    ran = there.install("--python", python)
    assert ran.code == 0, ran.err
    assert "as the index knows it" in ran.err
    assert there.installed(python) == ["torch-2.6.0+cpu.dist-info"]


def test_other_bytes_than_the_page_promises_are_never_installed(there: Loopback, python: Path) -> None:
    there.publish(digest="0" * 64)
    ran = there.install("--python", python)
    assert ran.code == 6
    assert there.installed(python) == []
    assert not list((there.home / "cache").rglob("*.whl"))


def test_a_wheel_that_is_not_what_its_name_says_is_refused(there: Loopback, python: Path, tmp_path: Path) -> None:
    other = write_wheel(
        tmp_path / "other", "torch", "2.5.0", tag=f"{TAG}-{TAG}-linux_x86_64", files={"torch/version.py": ""}
    )
    there.wheels["torch"] = other.read_bytes()
    there.publish()
    ran = there.install("--python", python)
    assert ran.code == 6
    assert "error[unsound-wheel]" in ran.err
    assert there.installed(python) == []


def test_what_was_received_once_must_stay_the_same(there: Loopback, tmp_path: Path) -> None:
    """Without a digest on the page the first one seen decides."""
    there.server.always("/whl/cpu/torch/", Status(404))
    assert there.install("--env", environment(tmp_path / "one").parent.parent).code == 0
    shutil.rmtree(there.home / "cache")  # else no byte of the other file would be asked for
    other = write_wheel(
        tmp_path / "other", "torch", "2.6.0+cpu", tag=f"{TAG}-{TAG}-linux_x86_64", files={"torch/evil.py": ""}
    )
    there.server.files[ADDRESS] = other.read_bytes()
    ran = there.install("--python", environment(tmp_path / "two"))
    assert ran.code == 6, ran.err


def test_a_failing_installer_is_one_error_with_its_lines(there: Loopback, python: Path, tmp_path: Path) -> None:
    needy = write_wheel(
        tmp_path / "needy", "torch", "2.6.0+cpu", tag=f"{TAG}-{TAG}-linux_x86_64",
        files={"torch/version.py": VERSION_FILE}, requires=["not-to-be-found-anywhere"],
    )  # fmt: skip
    there.wheels["torch"] = needy.read_bytes()
    there.publish()
    ran = there.install("--python", python)
    assert ran.code == 1
    assert "error[step-failed]" in ran.err
    assert "not-to-be-found-anywhere" in ran.err
    assert "Traceback" not in ran.err
    assert there.installed(python) == []


def test_offline_takes_the_kept_wheel_and_asks_nobody(there: Loopback, tmp_path: Path) -> None:
    assert there.install("--env", environment(tmp_path / "one").parent.parent).code == 0
    asked = len(there.server.requests)
    ran = there.install("--python", environment(tmp_path / "two"), "--offline")
    assert ran.code == 0, ran.err
    assert "Offline: the pages of these wheels were not asked" in ran.err
    assert len(there.server.requests) == asked


@pytest.mark.slow  # an environment with pip takes seconds
def test_an_environment_is_made_where_there_is_none(there: Loopback, tmp_path: Path) -> None:
    ran = there.install("--env", "new")  # as people type it
    assert ran.code == 0, ran.err
    assert "new environment" in ran.err
    assert ran.err.index("  make the environment\n") < ran.err.index("  install the plan (")
    assert "torch-2.6.0+cpu.dist-info" in there.installed(tmp_path / "new/bin/python")
    undone = zoo(tmp_path, "undo", "--env", "new")
    assert undone.code == 0, undone.err
    assert "torch-2.6.0+cpu.dist-info" not in there.installed(tmp_path / "new/bin/python")


@pytest.mark.slow  # as above
def test_a_first_install_that_fails_leaves_no_environment(there: Loopback, tmp_path: Path) -> None:
    needy = write_wheel(
        tmp_path / "needy", "torch", "2.6.0+cpu", tag=f"{TAG}-{TAG}-linux_x86_64",
        files={"torch/version.py": VERSION_FILE}, requires=["not-to-be-found-anywhere"],
    )  # fmt: skip
    there.wheels["torch"] = needy.read_bytes()
    there.publish()
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        ran = there.install("--env", tmp_path / name)
        assert (ran.code, "error[step-failed]" in ran.err) == (1, True), ran.err
    assert not (tmp_path / "new").exists()
    assert not list((tmp_path / "empty").iterdir())
    there.install("--env", tmp_path / "new", "--no-rollback")
    assert (tmp_path / "new/pyvenv.cfg").is_file()


def test_a_foreign_directory_is_not_made_an_environment(there: Loopback, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("precious")
    ran = there.install("--env", tmp_path / "full")
    assert ran.code == 2
    assert "error[directory-in-use]" in ran.err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]
