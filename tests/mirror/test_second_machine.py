"""A second machine that sees nothing but the mirror: zoo, plain pip and plain uv take everything from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mirror.test_wheels import lock
from tests.models.site import BODIES, NAME, Site
from tests.support.cli import ROOT
from tests.support.two_machines import THERE, TwoMachines
from zoo_cli.cli.app import run
from zoo_cli.packages.executor import find_uv

__all__ = ["lock"]
REACH = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"


def test_it_downloads_and_installs_what_the_mirror_has(site: Site, lock: Path, tmp_path: Path) -> None:
    words = ["mirror", "sync", "net_r50", "--lock", str(lock), "--python", sys.executable, "--to", "lab", "-q"]
    assert run(words) == 0
    home = tmp_path / "second"
    home.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "ZOO_INDEX": "lab.db"}
    zoo = [sys.executable, "-m", "zoo_cli"]
    asked = len(site.server.requests)
    with TwoMachines() as pair:
        serve = [*zoo, "mirror", "serve", Path("lab").absolute(), "--host", THERE, "-q"]
        line = pair.start_there(serve, site.environ)
        assert line == f"zoo mirror use http://{THERE}:8000/"

        def here(*argv: str | Path) -> subprocess.CompletedProcess[str]:
            done = pair.run(argv, environ, home)
            assert done.returncode == 0, done.stderr
            return done

        for place in (("127.0.0.1", site.server.url().rpartition(":")[2].strip("/")), ("192.0.2.1", "80")):
            assert pair.run([sys.executable, "-c", REACH, *place], environ, home).returncode != 0, "it sees no other"
        here(*zoo, "fetch", f"http://{THERE}:8000/index/zoo.db", "-o", "lab.db")
        here(*zoo, *line.split()[1:])
        here(*zoo, "list", "mmnet")
        here(*zoo, "download", "net_r50", "--dest", "model")
        assert (home / "model" / NAME["net_r50"]).read_bytes() == BODIES[NAME["net_r50"]]
        for folder in ("env0", "env1", "env2"):
            here(sys.executable, "-m", "venv", "--without-pip", folder)
        here(*zoo, "sync", lock, "--env", "env0", "--yes")
        index = f"http://{THERE}:8000/simple/"
        pip = [sys.executable, "-m", "pip", "--python", "env1/bin/python", "install", "--trusted-host", THERE]
        here(*pip, "--index-url", index, "top")
        here(str(find_uv()), "pip", "install", "--python", "env2/bin/python", "--index-url", index, "top")
        code = "from importlib.metadata import version; print(version('top'), version('base-lib'))"
        for folder in ("env0", "env1", "env2"):
            assert here(f"{folder}/bin/python", "-c", code).stdout == "2.0 1.5+cpu\n"
    assert len(site.server.requests) == asked


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.network
def test_the_whole_stack_with_torch_and_compiled_ops(tmp_path: Path) -> None:
    """mmdet, compiled mmcv and torch for the CPU, a model, and a detection with it."""
    from tests.mirror.stack import MODEL, made_site

    here_home, home = tmp_path / "one", tmp_path / "second"
    for each in (here_home, home):
        each.mkdir()
    with made_site(here_home) as (site, environ):
        zoo = [sys.executable, "-m", "zoo_cli"]
        words = ["mirror", "sync", MODEL, "--wheels", "mmdet", "--torch", "2.13", "--device", "cpu"]
        words += ["--python", sys.executable, "--find-links", site.ops_page, "--to", "lab"]
        done = subprocess.run([*zoo, *words], cwd=here_home, env=environ, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stderr[-3000:]
        sys.stdout.write(done.stderr[-600:])
    second = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "ZOO_INDEX": "lab.db"}
    with TwoMachines() as pair:

        def here(*argv: str | Path) -> str:
            ended = pair.run(argv, second, home, timeout=1200)
            assert ended.returncode == 0, ended.stderr[-3000:]
            sys.stdout.write(f"{' '.join(map(str, argv[-6:]))}\n{ended.stderr[-300:]}\n")
            return ended.stdout

        line = pair.start_there([*zoo, "mirror", "serve", here_home / "lab", "--host", THERE, "-q"], environ)
        here(*zoo, "fetch", f"http://{THERE}:8000/index/zoo.db", "-o", "lab.db")
        here(*zoo, *line.split()[1:])
        here(*zoo, "install", "mmdet", "--torch", "2.13", "--device", "cpu", "--env", "env0")
        config, checkpoint = here(*zoo, "download", MODEL, "--dest", "model").split()
        here("env0/bin/python", "-W", "ignore", ROOT / "demo/infer.py", home / config, home / checkpoint)
        index = f"http://{THERE}:8000/simple/"
        here(sys.executable, "-m", "venv", "env1")
        pip = ["env1/bin/python", "-m", "pip", "install", "-q", "--no-cache-dir", "--trusted-host", THERE]
        here(*pip, "--index-url", index, "mmcv", "mmdet", "torch")
        here(sys.executable, "-m", "venv", "--without-pip", "env2")
        uv = [str(find_uv()), "pip", "install", "-q", "--no-cache", "--python", "env2/bin/python", "--index-url", index]
        here(*uv, "mmcv", "mmdet", "torch")
        for folder in ("env0", "env1", "env2"):
            here(f"{folder}/bin/python", "-c", "import mmcv.ops, mmdet, torch; print(torch.__version__)")
