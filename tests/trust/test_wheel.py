"""Wheels that are what they say, and all the ways not to be."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.libraries import compile_library
from tests.support.wheels import Content, record_text, retag, write_wheel, write_zip
from zoo_cli.trust.wheel import UnreadableWheel, inspect_wheel
from zoo_cli.trust.wheelreport import require_sound

TAG = "cp311-cp311-linux_x86_64"


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_library(tmp_path_factory.mktemp("so"), "_ext.so", "int PyInit__ext;").read_bytes()


def codes(path: Path) -> set[str]:
    return {problem.code for problem in inspect_wheel(path).problems}


def test_a_good_wheel_of_ops(tmp_path: Path, extension: bytes) -> None:
    files: dict[str, Content] = {"mmcv/__init__.py": "", "mmcv/_ext.cpython-311-x86_64-linux-gnu.so": extension}
    path = write_wheel(
        tmp_path, "mmcv", "2.1.0", TAG, files=files, requires=("addict", "numpy"), requires_python=">=3.7"
    )
    report = require_sound(inspect_wheel(path))
    assert (report.name, report.version, report.tags) == ("mmcv", "2.1.0", (TAG,))
    assert (report.requires, report.requires_python) == (("addict", "numpy"), ">=3.7")
    assert report.problems == ()
    assert report.has_ops
    assert not report.root_is_purelib
    (found,) = report.extensions
    assert found.kind == "elf"
    assert found.elf is not None
    assert not report.needs_cuda
    assert report.cuda_major is None


def test_local_versions_and_normal_forms_are_the_same_name(tmp_path: Path) -> None:
    path = write_wheel(
        tmp_path, "torch_scatter", "2.1.2+pt213cpu", TAG, metadata="Name: Torch-Scatter\nVersion: 2.1.2+PT213cpu\n"
    )
    assert codes(path) == set()


def test_several_tags(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, "six", "1", "py2.py3-none-any")
    assert inspect_wheel(path).tags == ("py2-none-any", "py3-none-any")
    assert codes(path) == set()


def test_a_wheel_without_ops(tmp_path: Path, extension: bytes) -> None:
    """What setup.py leaves behind when torch is absent, under either name; that it is no good, `arrivals` says."""
    good = write_wheel(tmp_path, "mmcv", "2.1.0", TAG, files={"mmcv/_ext.so": extension})
    pure = write_wheel(tmp_path, "mmcv", "2.1.0", "py2.py3-none-any", files={"mmcv/__init__.py": ""})
    lying = retag(good, tmp_path / "other", keep_extensions=False)
    assert [inspect_wheel(path).has_ops for path in (good, pure, lying)] == [True, False, False]
    assert [codes(path) for path in (good, pure, lying)] == [set()] * 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"metadata": "Name: other\nVersion: 1.0\n"}, "name-mismatch"),
        ({"metadata": "Name: tiny\nVersion: 99.1\n"}, "version-mismatch"),
        ({"wheel": "Tag: cp310-cp310-win_amd64\n"}, "tag-mismatch"),
        ({"wheel": "Root-Is-Purelib: true\n"}, "tag-mismatch"),
        ({"filename": "tiny-1.0-cp311-cp311-linux_x86_64.whl"}, "tag-mismatch"),
        ({"filename": "tiny-1.1-py3-none-any.whl"}, "version-mismatch"),
        ({"filename": "tiny.whl"}, "name-mismatch"),
        ({"record": "tiny.py,sha256=AAAA,1\n"}, "record-mismatch"),
        ({"record": "\n"}, "record-incomplete"),
        ({"record": "tiny.py,md5=AAAA,1\n"}, "record-incomplete"),
        ({"unlisted": {"tiny/more.py": "import os"}}, "record-incomplete"),
        ({"requires": ("numpy", "evil @ https://example.org/evil.whl")}, "direct-url"),
        ({"files": {"../escaped.py": ""}}, "unsafe-path"),
        ({"files": {"/etc/cron.d/x": ""}}, "unsafe-path"),
        ({"files": {"a\\b.py": ""}}, "unsafe-path"),
        ({"files": {"tiny/A.py": "", "tiny/a.py": ""}}, "collision"),
        ({"files": {"tiny.py": "", "tiny-0.9.dist-info/METADATA": "Name: tiny\n"}}, "dist-info"),
        ({"files": {"tiny/_ext.so": b"\x7fELF\x02\x01" + bytes(100)}}, "bad-extension"),
    ],
)
def test_a_wheel_that_must_not_be_installed(tmp_path: Path, changes: dict[str, object], code: str) -> None:
    report = inspect_wheel(write_wheel(tmp_path, **changes))  # type: ignore[arg-type]
    assert code in {problem.code for problem in report.fatal}


@pytest.mark.parametrize("name", ["tiny.pth", "sitecustomize.py", "_manylinux.py"])
def test_code_that_runs_at_every_start_is_told(tmp_path: Path, name: str) -> None:
    report = inspect_wheel(write_wheel(tmp_path, files={name: "import os"}))
    assert [(problem.code, problem.is_fatal) for problem in report.problems] == [("startup-code", False)]


def test_links_and_twins(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("tiny/link.py")
    link.external_attr = 0o120777 << 16
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    members: list[tuple[str | zipfile.ZipInfo, Content]] = [
        (link, "/etc/passwd"),
        ("tiny/a.py", "1"),
        ("tiny/a.py", "2"),
    ]
    members += [
        ("tiny-1.0.dist-info/METADATA", "Name: tiny\nVersion: 1.0\n"),
        ("tiny-1.0.dist-info/WHEEL", "Tag: py3-none-any\n"),
    ]
    members += [
        ("tiny-1.0.dist-info/RECORD", record_text({str(n): c for n, c in members[1:]}, "tiny-1.0.dist-info/RECORD"))
    ]
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_zip(path, members)
    assert {"link", "collision"} <= codes(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, files={"tiny/zeros": bytes(70 << 20)})
    assert codes(path) >= {"too-large"}


@pytest.mark.parametrize("content", [b"", b"PK", b"<!doctype html><title>404</title>", b"not a zip at all" * 100])
def test_no_wheel_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    path.write_bytes(content)
    with pytest.raises(UnreadableWheel):
        inspect_wheel(path)


def test_a_zip_without_metadata(tmp_path: Path) -> None:
    write_zip(tmp_path / "tiny-1.0-py3-none-any.whl", {"tiny.py": ""})
    write_zip(tmp_path / "tiny-2.0-py3-none-any.whl", {"tiny-2.0.dist-info/WHEEL": ""})
    for name in ("tiny-1.0-py3-none-any.whl", "tiny-2.0-py3-none-any.whl", "nowhere-1.0-py3-none-any.whl"):
        with pytest.raises(UnreadableWheel):
            inspect_wheel(tmp_path / name)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_wheel(
        tmp_path_factory.mktemp("good"), files={"tiny/a.py": "x = 1\n" * 50, "tiny/b.py": ""}
    ).read_bytes()


@given(cut=st.integers(0, 2000), place=st.integers(0, 2000), value=st.integers(0, 255))
def test_damage_is_never_taken_for_a_good_wheel(
    tmp_path_factory: pytest.TempPathFactory, good: bytes, cut: int, place: int, value: int
) -> None:
    """One changed byte, or a cut: an error, a problem, or (dates, comments) the same content."""
    data = bytearray(good)
    data[place % len(data)] = value
    path = tmp_path_factory.mktemp("damage") / "tiny-1.0-py3-none-any.whl"
    path.write_bytes(data[: cut or None])
    try:
        report = inspect_wheel(path)
    except UnreadableWheel as error:
        assert error.reason
        return
    if not report.problems:
        with zipfile.ZipFile(path) as archive:
            assert archive.read("tiny/a.py") == b"x = 1\n" * 50
