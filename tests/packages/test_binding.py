"""Names that are bound to a source: what other indexes offer under them is never installed, by uv or by pip.

Two package indexes and PyTorch's on loopback. The second index and a find-links directory offer every name of the
stack again: higher, with a local version, with a build tag. All files of theirs say so when they are imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import ROOT, Ran, environment, zoo
from tests.support.server import Page, Server, Status
from tests.support.wheels import write_wheel
from zoo_cli.catalog.compat import projects
from zoo_cli.catalog.database import open_catalog
from zoo_cli.packages.binding import files_of, kept_out, limits
from zoo_cli.packages.findlinks import Link

TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
LINUX = f"{TAG}-{TAG}-linux_x86_64"
TORCH = f"torch-2.6.0+cpu-{LINUX}.whl"
VERSION_FILE = "__version__ = '2.6.0+cpu'\ncuda = None\nhip = None\n"


@dataclass
class World:
    """The indexes, and one target that an installer can fill."""

    home: Path
    server: Server
    python: Path
    kind: str  # uv | pip

    def publish(self, page: str, *wheels: Path) -> None:
        """A page that lists these wheels, beside them."""
        names = "".join(f'<a href="{wheel.name.replace("+", "%2B")}">{wheel.name}</a>\n' for wheel in wheels)
        self.server.files[page] = Page(f"<title>Links for it</title>{names}".encode())
        for wheel in wheels:
            self.server.files[page + wheel.name] = wheel.read_bytes()

    def wheel(self, name: str, version: str, tag: str = "py3-none-any", origin: str = "bound", **more: object) -> Path:
        """A wheel whose one module says where it is from."""
        folder = self.home / f"made-{origin}-{name}"
        files = {f"{name.replace('-', '_')}/__init__.py": f"origin = '{origin}'\n"}
        return write_wheel(folder, name, version, tag, files=files, **more)  # type: ignore[arg-type]

    def engine(self, *requires: str) -> None:
        """The engine of the stack on the first index."""
        self.publish("/simple/mmengine/", self.wheel("mmengine", "0.10.7", requires=requires))

    def install(self, *words: str, cwd: Path | None = None, **more: str) -> Ran:
        """Installs the stack as a user would: by the program, in a directory."""
        return self.run("install", "--python", self.python, *words, cwd=cwd, **more)

    def run(self, command: str, *words: str | Path, cwd: Path | None = None, **more: str) -> Ran:
        """A command about the stack."""
        environ: dict[str, Any] = {
            "PIP_INDEX_URL": self.server.url("/simple/"),
            "PIP_EXTRA_INDEX_URL": self.server.url("/evil/"),
            "PIP_FIND_LINKS": str(self.home / "evil"),
            "UV_CACHE_DIR": str(self.home / "uv"),
            "PIP_CACHE_DIR": str(self.home / "pip"),
            "ZOO_INSTALLER": self.kind,
        }
        mirror = f"https://download.pytorch.org={self.server.url('/')}"
        stack = ("mmengine==0.10.7", "torch==2.6.0", "--device", "cpu", "--mirror", mirror)
        argv: list[str | Path] = [Path(sys.executable).with_name("zoo"), command, *stack, *words]
        done = subprocess.run(
            argv, cwd=cwd or self.home, env=environment(self.home, **{**environ, **more}), capture_output=True,
            timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def sync(self, lock: Path) -> Ran:
        """Makes the target equal a lock."""
        return zoo(self.home, "sync", lock, "--python", self.python, "--yes", ZOO_INSTALLER=self.kind)

    def installed(self) -> dict[str, str]:
        """The version and origin of each project that is there."""
        site = next((self.python.parent.parent / "lib").glob("python3*/site-packages"))
        found = {}
        for info in site.glob("*.dist-info"):
            name, version = info.name.removesuffix(".dist-info").split("-", 1)
            if name not in ("pip", "setuptools"):
                found[name] = f"{version} {'evil' if 'evil' in (site / name / '__init__.py').read_text() else 'bound'}"
        return found


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An empty environment for each installer, to be copied."""
    return make_targets(tmp_path_factory.mktemp("targets"))


def make_targets(root: Path) -> dict[str, Path]:
    """One with pip, and one without."""
    for kind, words in (("uv", ["--without-pip"]), ("pip", [])):
        subprocess.run([sys.executable, "-m", "venv", *words, root / kind], check=True)
    return {kind: root / kind for kind in ("uv", "pip")}


@pytest.fixture(params=["uv", "pip"])
def world(request: pytest.FixtureRequest, tmp_path: Path, targets: dict[str, Path]) -> Iterator[World]:
    with stack_of(str(request.param), tmp_path, targets) as world:
        spoil(world)
        yield world


@contextmanager
def stack_of(kind: str, tmp_path: Path, targets: dict[str, Path]) -> Iterator[World]:
    """The bound source of every project of a small stack, and a target for one installer."""
    shutil.copytree(targets[kind], tmp_path / "env", symlinks=True)
    with Server({}) as server:
        world = World(tmp_path, server, tmp_path / "env/bin/python", kind)
        torch = {"torch/version.py": VERSION_FILE, "torch/__init__.py": "origin = 'bound'\n"}
        world.publish("/whl/cpu/torch/", write_wheel(tmp_path / "t", "torch", "2.6.0+cpu", LINUX, files=torch))
        server.files[f"/whl/cpu/{TORCH}"] = (tmp_path / "t" / TORCH).read_bytes()
        world.engine()
        world.publish("/simple/setuptools/", world.wheel("setuptools", "80.0"))
        yield world


def spoil(world: World) -> None:
    """Every name of the stack once more: on the second index, in the directory, higher ones on the first as well."""
    evil = world.home / "evil"
    evil.mkdir()
    for name in ("mmengine", "torch", "torchvision", "mmcv-full", "mmcv"):
        higher = world.wheel(name, "99.1", origin="evil")
        public = {"mmengine": "0.10.7", "torch": "2.6.0", "torchvision": "0.21.0"}.get(name, "2.1.0")
        sames = [world.wheel(name, f"{public}+zzz", origin="evil"), world.wheel(name, public, origin="evil")]
        tagged = sames[1].with_name(sames[1].name.replace("-py3", "-99-py3"))
        shutil.copyfile(sames[1], tagged)
        world.publish(f"/evil/{name}/", higher, *sames, tagged)
        for wheel in (higher, *sames, tagged):
            shutil.copyfile(wheel, evil / wheel.name)
        if name != "mmengine":
            world.publish(f"/simple/{name}/", higher)


def test_the_bound_source_wins(world: World) -> None:
    ran = world.install("--json")
    assert ran.code == 0, ran.err + ran.out
    assert world.installed() == {"mmengine": "0.10.7 bound", "torch": "2.6.0+cpu bound"}
    assert not [each.path for each in world.server.requests if each.path.startswith("/evil/mmengine")]


@pytest.mark.parametrize("answer", [503, 404])
def test_the_bound_source_wins_also_when_it_is_down_or_has_no_such_version(world: World, answer: int) -> None:
    if answer == 503:
        world.server.always("/simple/mmengine/", Status(503))
    else:
        world.publish("/simple/mmengine/", world.wheel("mmengine", "0.10.6"))
    ran = world.install()
    assert ran.code == 5, ran.err
    assert ("error[http-status]" if answer == 503 else "error[not-at-source]") in ran.err
    assert world.installed() == {}


def test_an_ordinary_dependency_brings_no_bound_project_along(world: World) -> None:
    world.engine("mmcv-full>=1")
    ran = world.install()
    assert ran.code == 3, ran.err
    assert "error[unplanned-project]" in ran.err
    assert "mmcv-full" in ran.err
    assert world.installed() == {}


def test_a_companion_that_is_needed_comes_from_the_page_of_its_torch(world: World) -> None:
    world.engine("torchvision")
    name = f"torchvision-0.21.0+cpu-{LINUX}.whl"
    made = world.wheel("torchvision", "0.21.0+cpu", LINUX)
    world.server.files[f"/whl/cpu/{name}"] = made.read_bytes()
    ran = world.install()
    assert ran.code == 0, ran.err
    assert world.installed()["torchvision"] == "0.21.0+cpu bound"


def hostile_directory(folder: Path, evil: str) -> dict[str, str]:
    """Everything that pip, uv and Python would take from a directory they are started in; and variables beside it.

    Each piece of code leaves a file called `ran-...`.
    """
    folder.mkdir()
    ran = "import pathlib\npathlib.Path({!r}).touch()\n"
    for name in (
        "sitecustomize",
        "usercustomize",
        "click",
        "packaging",
        "torch",
        "pip",
        "uv",
        "encodings_",
        "json",
        "zoo_cli",
    ):
        (folder / f"{name}.py").write_text(ran.format(str(folder / f"ran-{name}")))
    (folder / "x.pth").write_text(f"import pathlib; pathlib.Path({str(folder / 'ran-pth')!r}).touch()\n")
    for name in ("pip.conf", "pip.ini", ".pip.conf"):
        (folder / name).write_text(f"[global]\nindex-url = {evil}\nextra-index-url = {evil}\npre = true\n")
    (folder / "uv.toml").write_text(f'index-url = "{evil}"\n[pip]\nindex-url = "{evil}"\nprerelease = "allow"\n')
    (folder / "pyproject.toml").write_text(f'[[tool.uv.index]]\nurl = "{evil}"\ndefault = true\n')
    (folder / ".env").write_text(f"UV_INDEX_URL={evil}\n")
    (folder / "mirrors.yaml").write_text("this: is no mirrors file of anybody's\n")
    (folder / "evil.txt").write_text("mmengine==99.1\n")
    named = str(folder / "evil.txt")
    return {
        "UV_CONFIG_FILE": str(folder / "uv.toml"), "UV_CONSTRAINT": named, "UV_OVERRIDE": named,
        "PIP_CONSTRAINT": named, "PIP_REQUIREMENT": named, "PIP_PRE": "1", "UV_PRERELEASE": "allow",
        "PIP_TARGET": str(folder / "target"), "UV_TORCH_BACKEND": "cu121", "PIP_NO_BINARY": ":all:",
        "UV_NO_BINARY": "1", "PIP_USER": "1", "PYTHONSTARTUP": str(folder / "click.py"), "UV_SYSTEM_PYTHON": "1",
        "PIP_PYTHON": "/nowhere", "UV_PYTHON": "/nowhere", "UV_ENV_FILE": str(folder / ".env"),
        "UV_INSTALL_DIR": str(folder),
    }  # fmt: skip


def test_the_directory_and_the_environment_add_no_source_and_no_code(world: World) -> None:
    folder = world.home / "project"
    variables = hostile_directory(folder, world.server.url("/evil/"))
    subprocess.run([sys.executable, "-c", "import click"], cwd=folder, check=True)
    assert [each.name for each in folder.glob("ran-*")] == ["ran-click"]  # Python itself would run it
    (folder / "ran-click").unlink()
    ran = world.install(cwd=folder, **variables)
    assert ran.code == 0, ran.err + ran.out
    assert world.installed() == {"mmengine": "0.10.7 bound", "torch": "2.6.0+cpu bound"}
    assert not list(folder.glob("ran-*"))
    assert not [each.path for each in world.server.requests if each.path.startswith("/evil/mmengine")]


def test_the_path_of_modules_reaches_no_child(world: World) -> None:
    folder, log = world.home / "path", world.home / "started.txt"
    folder.mkdir()
    code = f"import sys\nopen({str(log)!r}, 'a').write(sys.orig_argv[1] + chr(10))\n"
    for name in ("sitecustomize", "usercustomize"):
        (folder / f"{name}.py").write_text(code)
    base = next(world.python.parent.parent.glob("lib/python3*")).name
    users = world.home / "base/lib" / base / "site-packages"
    users.mkdir(parents=True)
    (users / "x.pth").write_text(code.replace("\n", "; ").rstrip("; ") + "\n")
    path = os.pathsep.join([str(folder), str(ROOT)])
    ran = world.install(PYTHONUSERBASE=str(world.home / "base"), PYTHONPATH=path)
    assert ran.code == 0, ran.err
    zoo_itself = str(Path(sys.executable).with_name("zoo"))
    assert {*log.read_text().splitlines()} == {zoo_itself}, "Python runs it for zoo, and zoo for no child"


def test_limits_keep_what_is_there_and_refuse_what_is_not() -> None:
    with closing(open_catalog()) as connection:
        known = projects(connection)
    found = limits(known, frozenset({"torch"}), {"mmcv": "2.1.0"}, {"torchvision": "torchvision @ https://h/x.whl"})
    assert {"mmcv==2.1.0", "mmcv-full<0", "torchvision @ https://h/x.whl", "mmengine<0"} <= set(found)
    assert not [each for each in found if each.startswith(("torch<", "torch=", "numpy", "setuptools"))]


def test_an_installer_that_ran_into_a_limit_is_understood() -> None:
    given = ("mmcv-full<0", "mmcv<0", "mmdet==3.3.0")
    assert kept_out(("Because aaa==1.0 depends on mmcv<0, which does not allow",), given) == "mmcv"
    assert kept_out(("The user requested (constraint) mmcv-full<0",), given) == "mmcv-full"
    assert kept_out(("error: mmcv<0.9 is wanted by x", "mmdet==3.3.0"), given) is None


def test_only_files_of_the_very_version_count() -> None:
    names = (
        "x-1.0-py3-none-any.whl",
        "x-1.0+a-py3-none-any.whl",
        "x-1.0.tar.gz",
        "x-1.0.0.zip",
        "x-1.1.tar.gz",
        "x.exe",
    )
    links = [Link(name) for name in (*names, "x-1.0-1-py3-none-any.whl")]
    found = [link.filename for link in files_of([*links, Link("x-1.0-2-py3-none-any.whl", yanked="")], "1.0")]
    assert found == [names[0], names[2], names[3], "x-1.0-1-py3-none-any.whl"]
