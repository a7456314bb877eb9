"""Models in locks: `zoo lock --model` writes digests down, `zoo sync` brings these bytes or says why not."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.models.site import BODIES, CHECKPOINTS, NAME, Site
from tests.support.dockerfile import instructions
from tests.support.server import Page, Server
from tests.support.wheels import write_wheel
from zoo_cli.cli.app import run
from zoo_cli.cli.model_lock import _digest
from zoo_cli.packages.locked import Lock, LockedFile
from zoo_cli.packages.lockfile import BadLock, from_document, to_document
from zoo_cli.packages.locking import read_lock, write_lock
from zoo_cli.packages.modelexport import end

CHECKPOINT = NAME["net_r50"]
LOCK = Path("pylock.zoo.toml")


@pytest.fixture
def locked(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A lock of a small stack with two models, made by the command; the servers go on."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    torch = {"torch/version.py": "__version__ = '2.6.0+cpu'\ncuda = None\nhip = None\n"}
    wheels = site.folder / "stack"
    wheel = write_wheel(wheels, "torch", "2.6.0+cpu", f"{tag}-{tag}-linux_x86_64", files=torch)
    engine = write_wheel(wheels, "mmengine", "0.10.7")
    tools = write_wheel(wheels, "setuptools", "80.0")
    pages: dict[str, bytes | Page | Path] = {
        f"/whl/cpu/{wheel.name}": wheel.read_bytes(),
        "/whl/cpu/torch/": Page(f'<a href="../{wheel.name.replace("+", "%2B")}">{wheel.name}</a>'.encode()),
    }
    for each in (engine, tools):
        folder = f"/simple/{each.name.partition('-')[0]}/"
        pages |= {
            folder: Page(f'<a href="{each.name}">{each.name}</a>'.encode()),
            folder + each.name: each.read_bytes(),
        }
    with Server(pages) as server:
        monkeypatch.setenv("UV_DEFAULT_INDEX", server.url("/simple/"))
        monkeypatch.setenv("UV_CACHE_DIR", str(site.folder / "uv"))
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        stack = ["mmengine==0.10.7", "torch==2.6.0", "--device", "cpu", "--python", sys.executable]
        mirror = ["--mirror", f"https://download.pytorch.org={server.url('/')}"]
        assert run(["lock", *stack, *mirror, "--model", "net_r50", "--model", "plain", "--allow-unverified"]) == 0
        yield site


@pytest.fixture
def python(tmp_path: Path) -> str:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    return str(tmp_path / "env/bin/python")


def test_a_lock_has_the_digest_of_every_file_and_sync_brings_these(
    locked: Site, python: str, capsys: pytest.CaptureFixture[str]
) -> None:
    models = read_lock(LOCK).models
    assert [(each.name, each.package, each.release, each.config) for each in models] == [
        ("net_r50", "mmnet", "2.0", "net_r50.py"),
        ("plain", "mmnet", "2.0", "plain.py"),
    ]
    assert [each.files for each in models] == [
        (LockedFile(name, f"{CHECKPOINTS}/zoo/{name}", hashlib.sha256(BODIES[name]).hexdigest(), len(BODIES[name])),)
        for name in (CHECKPOINT, "plain.pth")
    ]
    assert not list(locked.folder.glob("cache/zoo-lock-*"))
    capsys.readouterr()
    assert run(["sync", "--python", python, "--models", "models", "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["changed"] is True
    assert sorted(Path(each).name for each in document["models"]) == sorted(
        [CHECKPOINT, "plain.pth", "net_r50.py", "plain.py"]
    )
    kept = json.loads(Path("models/plain.zoo.json").read_text())
    assert [each["evidence"] for each in kept["files"] if each["role"] == "checkpoint"] == ["locked"]
    assert run(["verify", "models"]) == 0
    asked = len(locked.server.requests)
    assert run(["sync", "--python", python, "--models", "models"]) == 0
    assert len(locked.server.requests) == asked  # all of it is there


def test_what_the_server_has_now_is_held_against_the_lock(
    locked: Site, python: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file without digits in its name: on a machine that never saw it, only the lock can tell."""
    monkeypatch.setenv("ZOO_STATE", str(locked.folder / "state2"))
    digest = hashlib.sha256(BODIES["plain.pth"]).hexdigest()
    Path("cache/sha256", digest[:2], digest).unlink()
    locked.server.files["/zoo/plain.pth"] = BODIES[CHECKPOINT]
    assert run(["sync", "--python", python, "--models", "models"]) == 6
    assert not Path("models/plain.pth").exists()
    assert Path("models", CHECKPOINT).read_bytes() == BODIES[CHECKPOINT]
    assert "error[" in capsys.readouterr().err


def test_another_config_or_file_than_the_locked_one_is_an_error(
    locked: Site, python: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = read_lock(LOCK)
    first, plain = lock.models
    write_lock(replace(lock, models=(first._replace(config_sha256="0" * 64),)), LOCK, "")
    assert run(["sync", "--python", python, "--models", "changed"]) == 6
    assert "error[locked-model-differs]: net_r50 is not what was locked" in capsys.readouterr().err
    assert not Path("changed").exists()  # nothing that differs is placed
    write_lock(replace(lock, models=(first._replace(config="", config_sha256=""), plain)), LOCK, "")
    assert run(["sync", "--python", python, "--models", "without"]) == 0
    assert not Path("without", "net_r50.py").exists()
    other = plain._replace(files=(plain.files[0]._replace(name="other.pth"),))
    write_lock(replace(lock, models=(other,)), LOCK, "")
    assert run(["sync", "--python", python]) == 6
    assert "the index has other files for it" in capsys.readouterr().err


def exported(locked: Site, form: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The lock in the words of another tool, which knows no mirrors: for it the loopback server is the host."""
    LOCK.write_text(LOCK.read_text().replace(CHECKPOINTS, locked.server.url("")))
    capsys.readouterr()
    base = ["--base", "python:3-slim"] if form == "dockerfile" else []
    assert run(["export", "--format", form, *base]) == 0
    return capsys.readouterr().out


def models_part(text: str, form: str, folder: Path) -> str:
    """What brings the models, for a shell in a directory: the instructions of a Dockerfile, or lines of a script."""
    if form != "dockerfile":
        start = text.index("mkdir -p")
        python = f'python={shlex.quote(sys.executable)}; python() {{ "$python" "$@"; }}\nmodels=opt/zoo/models\n'
        return "set -eu\n" + python + text[start : text.rindex("\n)\n") + 3].replace("models\n", "$models\n")
    lines = ["set -eu"]
    for word, rest, document in instructions(text):
        if word == "COPY" and "/models" in rest:
            target = folder / rest.split()[1].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(document)
        if word == "RUN" and "models.py" in rest:
            lines.append(rest.replace("/opt/zoo", str(folder / "opt/zoo")).replace("&& python", f"&& {sys.executable}"))
    assert len(lines) == 2
    return "\n".join(lines)


@pytest.mark.parametrize("form", ["dockerfile", "script", "colab"])
def test_other_tools_bring_the_same_models_by_their_digests(
    locked: Site, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = exported(locked, form, capsys)
    folder = tmp_path / "there"
    folder.mkdir()
    part = models_part(text, form, folder)
    done = subprocess.run(["sh", "-c", part], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    models = folder / "opt/zoo/models"
    for model in read_lock(LOCK).models:
        (file,) = model.files
        assert hashlib.sha256((models / file.name).read_bytes()).hexdigest() == file.sha256
        assert _digest((models / model.config).read_text()) == model.config_sha256
    locked.server.files["/zoo/plain.pth"] = b"other"
    (models / "plain.pth").unlink()
    done = subprocess.run(["sh", "-c", part], cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "has another SHA-256" in done.stderr) == (1, True)
    assert not (models / "plain.pth").exists()


def test_a_config_that_changed_is_not_exported(locked: Site, capsys: pytest.CaptureFixture[str]) -> None:
    lock = read_lock(LOCK)
    write_lock(replace(lock, models=(lock.models[0]._replace(config_sha256="0" * 64),)), LOCK, "")
    assert run(["export", "--format", "script"]) == 6
    assert "error[locked-model-differs]" in capsys.readouterr().err
    assert run(["export", "--format", "conda"]) == 0
    assert "zoo sync pylock.zoo.toml --models DIR" in capsys.readouterr().err


def test_a_here_document_ends_where_it_should() -> None:
    assert end("a = 1\n") == "ZOO"
    assert end("a = 1\nZOO\nZOO0\n") == "ZOO1"


@pytest.mark.parametrize(
    "models",
    [
        [
            {
                "name": "net_r50",
                "files": [{"url": "https://x.example/a.pth", "name": "../a", "hashes": {"sha256": "0" * 64}}],
            }
        ],
        [
            {
                "name": "net_r50",
                "files": [{"url": "https://x.example/a.pth", "name": "-a", "hashes": {"sha256": "0" * 64}}],
            }
        ],
        [{"name": "net_r50", "files": [], "config": {"name": "a/b.py", "sha256": "0" * 64}}],
        "net_r50",
        ["net_r50"],
        [{"files": []}],
        [{"name": "net_r50", "files": {}}],
        [{"name": "net_r50", "files": ["x"]}],
        [{"name": "net_r50", "files": [{"url": "https://x.example/a.pth"}]}],
        [{"name": "net_r50", "files": [], "config": {"name": "a.py"}}],
        [{"name": "net_r50", "files": []}] * 1001,
    ],
)
def test_models_of_a_lock_are_read_strictly(models: object) -> None:
    document = to_document(Lock(">=3.11", "python_version == '3.11'", ()), "")
    document["tool"]["zoo"]["models"] = models
    with pytest.raises(BadLock):
        from_document(document, "pylock.zoo.toml")
