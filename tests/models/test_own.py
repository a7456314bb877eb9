"""`zoo index read`: a wheel of one's own and its checkpoints become a document; what does not fit is one error."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests.support.cli import Ran
from tests.support.wheels import write_wheel
from zoo_cli.cli.app import run

URL = "https://zoo.acme.example/wheels/vision-1.0-py3-none-any.whl"
BODY = b"weights"
NAMED = f"net-{hashlib.sha256(BODY).hexdigest()[:8]}.pth"
METAFILE = (
    f"Models:\n  - Name: net\n    Weights: https://zoo.acme.example/{NAMED}\n"
    "  - Name: other\n    Weights: https://zoo.acme.example/other.pth\n"
)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files = {"vision/.mim/model-index.yml": "Import: [metafile.yml]\n", "vision/.mim/metafile.yml": METAFILE}
    (tmp_path / "files" / "deep").mkdir(parents=True)
    return write_wheel(tmp_path / "wheels", "vision", "1.0", files=files)


def read(wheel: Path, *words: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(["index", "read", str(wheel), "--url", URL, "--index", "catalogue", "--files", "files", *words])
    return Ran(code, out.getvalue(), err.getvalue())


def test_the_document_has_the_digests_of_what_was_read(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "files" / "deep" / NAMED).write_bytes(BODY)
    done = read(wheel, "--date", "2026-11-20")
    assert done.code == 0, done.err
    assert "other.pth was not among the files" in done.err
    body = (tmp_path / done.out.strip()).read_bytes()
    document = json.loads(body)
    weights = {model["name"]: model["weights"][0] for model in document["models"]}
    assert (weights["net"]["sha256"], weights["net"]["size_bytes"]) == (hashlib.sha256(BODY).hexdigest(), len(BODY))
    assert "sha256" not in weights["other"]
    assert (document["release"]["url"], document["release"]["date"]) == (URL, "2026-11-20")
    assert read(wheel, "--date", "2026-11-20", "--json").document["missing"] == ["other.pth"]
    assert (tmp_path / "catalogue" / "models" / "vision" / "1.0.json").read_bytes() == body  # the same bytes again


def test_a_file_that_is_not_the_one_its_name_says_is_refused(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "files" / NAMED).write_bytes(b"another network")
    refused = read(wheel)
    assert (refused.code, refused.out) == (6, "")
    assert "error[other-checkpoint]" in refused.err
    assert not (tmp_path / "catalogue" / "models").exists()


def test_what_is_no_wheel_is_one_error(wheel: Path, tmp_path: Path) -> None:
    for name in ("vision.zip", "vision-2.0-py3-none-any.whl"):
        (tmp_path / name).write_bytes(b"no archive")
        refused = read(tmp_path / name)
        assert (refused.code, refused.out, refused.err.count("error[")) == (6, "", 1), name
    without = write_wheel(tmp_path / "plain", "plain", "1.0", files={"plain/__init__.py": ""})
    assert "error[no-model-index]" in read(without).err
    assert read(wheel, "--date", "yesterday").code == 2
    assert read(wheel, "--url", "http://zoo.acme.example/v.whl").code == 2
