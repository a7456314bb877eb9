"""Source archives on an index: nothing of them runs, by uv or by pip, but what the user named (promise P10).

Each archive has a setup.py and a build backend of its own, which need nothing from elsewhere and leave a mark.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import platform
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.test_binding import World, make_targets, stack_of
from tests.support.server import Page
from zoo_cli.packages.findlinks import Link
from zoo_cli.packages.locked import Lock, LockedFile, LockedPackage
from zoo_cli.packages.lockfile import environment_marker
from zoo_cli.packages.locking import write_lock
from zoo_cli.packages.request import BadRequirement
from zoo_cli.packages.wheelless import archive_for, asked_builds, needed_wheels

BACKEND = """
import pathlib, zipfile
pathlib.Path({mark!r}).touch()
def build_wheel(folder, settings=None, metadata=None):
    info = "{name}-{version}.dist-info"
    files = {{"{name}/__init__.py": "origin = 'built'", info + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
             info + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}}
    import base64, hashlib
    rows = [f"{{name}},sha256={{base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')}},"
            for name, text in files.items()]
    files[info + "/RECORD"] = "\\n".join([*rows, info + "/RECORD,,"]) + "\\n"
    with zipfile.ZipFile(folder + "/{name}-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return "{name}-{version}-py3-none-any.whl"
def get_requires_for_build_wheel(settings=None):
    return []
"""  # noqa: E501


class Archives:
    """Archives on the world's package index, and the marks of those whose code ran."""

    def __init__(self, world: World) -> None:
        self.world = world

    def publish(self, name: str, version: str = "1.0") -> str:
        """One archive as everything that the index has of a project; its address."""
        mark = str(self.world.home / f"ran-{name}")
        files = {
            "setup.py": f"import pathlib; pathlib.Path({mark!r}).touch()\n",
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n',
            "own.py": BACKEND.format(mark=mark, name=name, version=version),
        }
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for path, text in files.items():
                entry = tarfile.TarInfo(f"{name}-{version}/{path}")
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        content, file = gzip.compress(stream.getvalue(), mtime=0), f"{name}-{version}.tar.gz"
        digest = hashlib.sha256(content).hexdigest()
        self.world.server.files[f"/simple/{name}/"] = Page(f'<a href="{file}#sha256={digest}">{file}</a>'.encode())
        self.world.server.files[f"/simple/{name}/{file}"] = content
        return self.world.server.url(f"/simple/{name}/{file}")

    @property
    def ran(self) -> list[str]:
        """Whose code ran."""
        return sorted(path.name.removeprefix("ran-") for path in self.world.home.glob("ran-*"))


BOTH = pytest.mark.parametrize("world", ["uv", pytest.param("pip", marks=pytest.mark.slow)], indirect=True)


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_targets(tmp_path_factory.mktemp("targets"))


@pytest.fixture(params=["uv", "pip"])
def world(request: pytest.FixtureRequest, tmp_path: Path, targets: dict[str, Path]) -> Iterator[World]:
    (tmp_path / "evil").mkdir()  # a find-links place that has nothing
    with stack_of(str(request.param), tmp_path, targets) as world:
        yield world


@pytest.fixture
def archives(world: World) -> Archives:
    return Archives(world)


@pytest.mark.parametrize("world", ["pip"], indirect=True)
def test_an_installer_left_alone_runs_the_code(world: World, archives: Archives) -> None:
    """What the other tests keep from happening."""
    archives.publish("old")
    index = ("--index-url", world.server.url("/simple/"), "--target", str(world.home / "there"))
    subprocess.run([world.python, "-m", "pip", "install", *index, "old"], check=True, capture_output=True)
    assert archives.ran == ["old"]


def test_no_code_of_an_archive_runs_unasked(world: World, archives: Archives) -> None:
    archives.publish("old")
    world.engine("old")
    before = files_of(world)
    ran = world.install()
    assert ran.code == 3, ran.err
    assert "error[no-wheel]: there is no wheel of old" in ran.err
    assert "--build old==1.0" in ran.err
    assert (archives.ran, files_of(world)) == ([], before)


@BOTH
def test_what_is_named_is_built_and_nothing_else(world: World, archives: Archives) -> None:
    archives.publish("old")
    world.engine("old")
    ran = world.install("--build", "old==1.0")
    assert ran.code == 0, ran.err
    assert archives.ran == ["old"]
    assert set(world.installed()) == {"mmengine", "old", "torch"}


@BOTH
def test_one_that_is_named_speaks_for_no_other(world: World, archives: Archives) -> None:
    archives.publish("old")
    archives.publish("older")
    world.engine("old", "older")
    ran = world.install("--build", "old==1.0")
    assert ran.code == 3, ran.err
    assert "error[no-wheel]: there is no wheel of older" in ran.err
    assert (archives.ran, world.installed()) == (["old"], {})


@BOTH
def test_a_bound_project_with_archives_only_is_not_built_either(world: World, archives: Archives) -> None:
    archives.publish("mmengine", "0.10.7")
    ran = world.install()
    assert ran.code == 3, ran.err
    assert "error[no-wheel]: there is no wheel of mmengine==0.10.7" in ran.err
    assert (archives.ran, world.installed()) == ([], {})
    ran = world.install("--build", "mmengine==0.10.7")
    assert ran.code == 0, ran.err
    assert archives.ran == ["mmengine"]
    assert set(world.installed()) == {"mmengine", "torch"}


@pytest.mark.parametrize("listed", [True, False])
def test_an_archive_by_its_address_is_not_built_either(world: World, archives: Archives, *, listed: bool) -> None:
    """pip builds those in spite of --only-binary; uv refuses addresses of dependencies."""
    address = archives.publish("direct")
    (world.home / "wanted.txt").write_text(f"direct @ {address}\n")
    world.publish("/simple/brings/", world.wheel("brings", "1.0", requires=(f"direct @ {address}",)))
    world.engine(*([] if listed else ["brings"]))
    ran = world.install(*(["-r", str(world.home / "wanted.txt")] if listed else []))
    if world.kind == "pip" or listed:
        assert ran.code == 3, ran.err
        assert "error[no-wheel]: there is no wheel of direct" in ran.err
    else:
        assert ran.code == 1, ran.err
        assert "depend" in ran.err.partition("error[step-failed]")[2]

    assert (archives.ran, world.installed()) == ([], {})


@pytest.mark.parametrize("world", ["uv"], indirect=True)
def test_locks_and_wheelhouses_run_no_code(world: World, archives: Archives) -> None:
    archives.publish("old")
    world.engine("old")
    out, python = world.home / "pylock.zoo.toml", ("--python", world.python)
    for words in (("lock", *python, "-o", out), ("install", *python, "--download-only", world.home / "wheels")):
        ran = world.run(str(words[0]), *words[1:])
        assert ran.code == 3, ran.err
        assert "error[no-wheel]: there is no wheel of old" in ran.err
        assert "zoo build old==1.0 -o wheels" in ran.err
    assert (archives.ran, out.exists(), (world.home / "wheels").exists()) == ([], False, False)


@pytest.mark.parametrize("world", ["uv"], indirect=True)
def test_a_lock_with_an_archive_runs_no_code(world: World, archives: Archives) -> None:
    address = archives.publish("old")
    digest = hashlib.sha256(world.server.files["/simple/old/old-1.0.tar.gz"]).hexdigest()  # type: ignore[arg-type]
    package = LockedPackage("old", "1.0", (), LockedFile("old-1.0.tar.gz", address, digest))
    write_lock(
        Lock(">=3.8", environment_marker("linux", platform.machine(), platform.python_version()), (package,)),
        world.home / "pylock.toml",
        "test",
    )
    ran = world.sync(world.home / "pylock.toml")
    assert ran.code == 2, ran.err
    assert "error[runs-code]" in ran.err
    assert "old 1.0 (its sdist)" in ran.err
    assert (archives.ran, world.installed()) == ([], {})


def files_of(world: World) -> dict[str, bytes]:
    """Every file of the target but zoo's own record."""
    top = world.python.parent.parent
    return {
        str(path.relative_to(top)): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() and ".zoo" not in path.parts and path.suffix != ".pyc"
    }


def test_what_an_installer_lacked_is_read_from_its_words() -> None:
    uv = (
        "cause: Because old==1.0 has no usable wheels and only old==1.0 is available, we can conclude",
        "hint: Wheels are required for `old` because building from source is disabled for all packages",
    )
    assert needed_wheels(uv) == ("old==1.0",)
    pip = ("ERROR: Could not find a version that satisfies", "ERROR: No matching distribution found for old>=1")
    assert needed_wheels(pip) == ("old>=1",)
    assert needed_wheels(("Collecting direct@ http://h/direct-1.0.tar.gz", "Fatal Python error: init")) == ("direct",)
    assert needed_wheels(("error: the disk is full", "Collecting direct@ http://h/x")) == ()


def test_what_could_be_built_is_the_newest_that_is_admitted() -> None:
    links = [Link(f"old-{number}.tar.gz") for number in ("1.0", "1.5", "2.0", "3.0rc1")]
    links += [Link("old-1.9.tar.gz", yanked=""), Link("old-4.0-py3-none-any.whl"), Link("odd.tar.gz")]
    assert archive_for("old", links) == "old==2.0"
    assert archive_for("old>=1,<2", links) == "old==1.5"
    assert archive_for("old>4", links) is None


def test_only_what_has_a_version_is_asked_for() -> None:
    kinds = {"mmcv": "ops", "torch": "torch", "mmdet": "framework"}
    words = ("chumpy==0.70", "mmcv==2.1.0", "torch==2.1", "mmdet==2.0", "nothing", "Some_Thing == 1.0.0")
    assert asked_builds(words, kinds) == {"chumpy": "0.70", "mmdet": "2.0", "some-thing": "1.0.0"}
    with pytest.raises(BadRequirement):
        asked_builds(("x==one",), kinds)
