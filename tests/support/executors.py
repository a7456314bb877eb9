"""The matrix of executors: which installer, Python and setuptools, on a site of decoys; and what peers make of it.

    python -m tests.support.executors            # all of it, as tables
    python -m tests.support.executors --peers    # only what pip, uv and openmim make of one decoy at a time

Everything is real: interpreters, pip and setuptools from the package index, compiled extensions. Only torch is a stub
of the same name (`tiny_ops`), since what is measured is which wheel an installer takes. What cannot be is said, in the
words of the package index. Python 3.14 is among them once a test has unpacked it (`python314`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.machine.pythons import FOUND
from tests.support import python314
from tests.support.cli import Ran, environment, zoo
from tests.support.decoys import DECOYS, DecoySite
from tests.support.server import Server
from tests.support.tiny_ops import TinyStack, pure_wheels
from tests.support.torch_env import made_once, pip_install
from zoo_cli.packages.executor import find_uv
from zoo_cli.packages.indexes import user_index
from zoo_cli.packages.smoke import check_ops

EXECUTORS = ("uv", "pip 23.0", "pip 24.0", "pip 24.1", "pip 26")
SETUPTOOLS = ("60", "81", "84")
_VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
_UNPACKED = python314.present()
_HERE = {**({"3.14": _UNPACKED} if _UNPACKED else {}), **FOUND}
PYTHONS: dict[str, Path] = {version: _HERE[version] for version in _VERSIONS if version in _HERE}
# A torch release that exists for each Python; the page is that of its minor release.
TORCH = {"3.8": "2.4.1+cpu", "3.14": "2.10.0+cpu"}
DEFAULT_TORCH = "2.6.0+cpu"
WANTED = "mmcv>=2.0.0rc4,<2.2.0"  # what mmdet 3.3.0 asks for


class Cell(NamedTuple):
    """One combination, and how it ended."""

    python: str
    executor: str
    setuptools: str
    result: str  # ok | impossible: ... | FAIL: ...

    @property
    def is_good(self) -> bool:
        return not self.result.startswith("FAIL")


class Matrix:
    """The site, the server and a directory to work in."""

    def __init__(self, root: Path, server: Server, pages: dict[str, str], pythons: dict[str, Path]) -> None:
        self.root, self.server, self.pages, self.pythons = root, server, pages, pythons
        self.stacks = {version: TinyStack(python, root / "compiled") for version, python in pythons.items()}

    def variables(self) -> dict[str, str]:
        index = self.server.url("/simple/")
        caches = {"UV_CACHE_DIR": str(self.root / "uv-cache"), "PIP_CACHE_DIR": str(self.root / "pip-cache")}
        return {"UV_DEFAULT_INDEX": index, "PIP_INDEX_URL": index, **caches}

    def environment(self, name: str, python: str, *tools: str) -> tuple[Path, str]:
        """An environment with a torch and these tools; its interpreter, and why it cannot be, if so."""
        uv = str(find_uv())
        place = self.root / "envs" / name
        shutil.rmtree(place, ignore_errors=True)
        run([uv, "venv", "-q", "--python", str(self.pythons[python]), str(place)])
        interpreter = place / "bin/python"
        torch = self.stacks[python].torch(self.root / "made" / python, TORCH.get(python, DEFAULT_TORCH))
        run([uv, "pip", "install", "-q", "--no-index", "--python", str(interpreter), str(torch)])
        if not tools:
            return interpreter, ""
        from_index = {**os.environ, **user_index().variables("uv")}
        done = run([uv, "pip", "install", "-q", "--python", str(interpreter), *tools], check=False, env=from_index)
        why = " ".join(done.stderr.split())
        return interpreter, why[why.find("Because") :][:150] if done.returncode else ""

    def cell(self, python: str, executor: str, setuptools: str) -> Cell:
        """`zoo install mmdet` from the page with every decoy."""
        kind, _, version = executor.partition(" ")
        tools = [f"setuptools=={setuptools}.*", *([f"pip=={version}.*"] if version else [])]
        interpreter, why = self.environment(f"{python}-{executor.replace(' ', '')}-{setuptools}", python, *tools)
        if not why and kind == "pip":
            why = self.control(interpreter)
        if why:
            return Cell(python, executor, setuptools, f"impossible: {why}")
        ran = self.zoo(interpreter, kind)
        return Cell(python, executor, setuptools, self.judge(ran, interpreter, kind))

    def control(self, interpreter: Path) -> str:
        """Why this pip cannot install even one file on this Python; "" where it can."""
        torch = next(self.root.glob(f"made/{interpreter.parent.parent.name.split('-')[0]}/torch-*.whl"))
        alone = ("--no-index", "--no-deps", "--force-reinstall", str(torch))
        done = run([str(interpreter), "-I", "-m", "pip", "install", *alone], check=False)
        return f"its plain install fails: {done.stderr.strip().splitlines()[-1]}" if done.returncode else ""

    def zoo(self, interpreter: Path, kind: str) -> Ran:
        home = self.root / "homes" / interpreter.parent.parent.name
        home.mkdir(parents=True, exist_ok=True)
        place = ("--python", interpreter, "--find-links", self.server.url(self.page(interpreter)))
        return zoo(home, "install", "mmdet", "-v", "--yes", *place, timeout=600, ZOO_INSTALLER=kind, **self.variables())

    def page(self, interpreter: Path) -> str:
        return self.pages[TORCH.get(interpreter.parent.parent.name.split("-")[0], DEFAULT_TORCH)]

    @staticmethod
    def judge(ran: Ran, interpreter: Path, kind: str) -> str:
        """Whether the right wheel came, by the right installer, with every decoy refused in its words."""
        if ran.code:
            return f"FAIL: exit code {ran.code}: {ran.err[-400:]}"
        missing = [decoy for decoy, (_make, reason) in DECOYS.items() if reason not in ran.err]
        if missing or f"({kind})" not in ran.err:
            return f"FAIL: not told: {missing or kind}"
        report = check_ops(str(interpreter), ["mmcv"])
        return "ok" if report.is_ok and installed(interpreter).get("mmcv") == "2.1.0" else "FAIL: other wheel"

    def all(self) -> Iterator[Cell]:
        """Every cell; two at a time."""
        cells = [(p, e, s) for p in self.pythons for e in EXECUTORS for s in SETUPTOOLS]
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(lambda each: self.cell(*each), cells)


def run(argv: list[str], *, check: bool = True, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600, env=env)
    assert not check or done.returncode == 0, done.stderr
    return done


def installed(python: Path) -> dict[str, str]:
    code = "import importlib.metadata as m; print(*(d.metadata['Name'] + '==' + d.version for d in m.distributions()))"
    found = run([str(python), "-I", "-c", code]).stdout.split()
    return dict(each.split("==") for each in found)


@contextmanager
def matrix(pythons: dict[str, Path] = PYTHONS) -> Iterator[Matrix]:
    """The site with every decoy for every Python, served."""
    with tempfile.TemporaryDirectory(prefix="zoo-executors-") as folder:
        root = Path(folder)
        stacks = [TinyStack(python, root / "compiled") for python in pythons.values()]
        site = DecoySite(root / "site", stacks)
        releases = {*TORCH.values(), DEFAULT_TORCH}
        pages = {release: site.write("cpu", release.rpartition(".")[0], DECOYS) for release in releases}
        site.publish(*pure_wheels(root / "made"), *real_setuptools(root / "made"))
        with Server(root=site.root) as server:
            yield Matrix(root, server, pages, pythons)


def real_setuptools(folder: Path) -> list[Path]:
    """The newest setuptools that mmengine can live with, as the package index has it."""
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check"]
    run([*argv, "--only-binary", ":all:", "-d", str(folder), "setuptools==81.*"])
    return list(folder.glob("setuptools-81*.whl"))


# --- peers


def openmim(place: Path) -> None:
    """An environment with openmim, which brings and pins pip's and setuptools' neighbours itself."""
    run([str(FOUND["3.11"]), "-m", "venv", str(place)])
    pip_install(place / "bin/python", "openmim==0.3.9")


class Peers:
    """The same page, with one decoy at a time, for zoo, pip, uv and openmim on Python 3.11."""

    TOOLS = ("zoo", "pip 26", "uv", "openmim 0.3.9")

    def __init__(self, made: Matrix) -> None:
        self._made = made
        self._mim = made_once("mim-peer", openmim, "openmim 0.3.9, Python 3.11")

    def row(self, decoy: str) -> list[str]:
        """What each tool does when the page has this decoy beside the right wheel."""
        name = re.sub(r"\W+", "-", decoy or "none")
        site = DecoySite(self._made.root / "site" / name, [self._made.stacks["3.11"]])
        page = f"/{name}" + site.write("cpu", "2.6", [decoy] if decoy else [])
        return [self._one(tool, page, f"/{name}", f"{name}-{tool.split()[0]}") for tool in self.TOOLS]

    def _one(self, tool: str, page: str, base: str, name: str) -> str:
        made, url = self._made, self._made.server.url(page)
        environ = {**environment(made.root / "homes" / name), **made.variables(), "PIP_CONFIG_FILE": os.devnull}
        if tool == "openmim 0.3.9":
            python = self._with_mim(name)
            mim = [str(python), "-c", "from mim.cli import cli; cli()", "install", WANTED]
            done = run(mim, check=False, env={**environ, "MMCV_BASE_URL": made.server.url(base)})
        else:
            tools = ["pip==26.*", "setuptools==81.*"] if tool == "pip 26" else ["setuptools==81.*"]
            python, _why = made.environment(f"3.11-{name}", "3.11", *tools)
            argv = {
                "zoo": [sys.executable, "-m", "zoo_cli", "install", WANTED, "--python", str(python), "-f", url],
                "pip 26": [str(python), "-m", "pip", "install", WANTED, "-f", url],
                "uv": [str(find_uv()), "pip", "install", "--python", str(python), WANTED, "-f", url],
            }[tool]
            done = run(argv, check=False, env=environ)
        return self._judge(done, python)

    def _with_mim(self, name: str) -> Path:
        place = self._made.root / "envs" / name
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(exist_ok=True)
        run(["cp", "-al", str(self._mim), str(place)])  # pip replaces files, and writes into none
        stack = self._made.stacks["3.11"]
        torch = stack.torch(self._made.root / "made/3.11", DEFAULT_TORCH)
        pip_install(place / "bin/python", "--no-index", str(torch))
        return place / "bin/python"

    @staticmethod
    def _judge(done: subprocess.CompletedProcess[str], python: Path) -> str:
        found = installed(python).get("mmcv")
        if done.returncode or not found:
            return f"stops, exit code {done.returncode}" if done.returncode else "exit code 0, nothing installed"
        works = check_ops(str(python), ["mmcv"]).is_ok
        if works and found == "2.1.0":
            return "right wheel"
        return f"installs {found}, {'ops run' if works else 'OPS BROKEN'}, exit code 0"


def table(header: tuple[str, ...], rows: list[list[str]]) -> str:
    widths = [max(len(row[index]) for row in [list(header), *rows]) for index in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def cells_table(cells: list[Cell]) -> str:
    """The matrix as lines, and what it comes to."""
    rows = [[cell.python, cell.executor, cell.setuptools, cell.result] for cell in cells]
    good, failed = sum(cell.result == "ok" for cell in cells), sum(not cell.is_good for cell in cells)
    end = f"{len(cells)} cells: {good} took the right wheel, ran its ops and told why not each decoy; {failed} failed; "
    return table(("PYTHON", "EXECUTOR", "SETUPTOOLS", "RESULT"), rows) + f"\n\n{end}the others cannot be."


def main() -> int:
    """Prints the tables; 1 when a cell of the matrix is not as it must be."""
    with matrix() as made:
        cells: list[Cell] = []
        if "--peers" not in sys.argv:
            cells = list(made.all())
            sys.stdout.write(cells_table(cells) + "\n\n")
        peers = Peers(made)
        rows = [[decoy or "none", *peers.row(decoy)] for decoy in ("", *DECOYS)]
        sys.stdout.write(table(("DECOY BESIDE THE RIGHT WHEEL", *peers.TOOLS), rows) + "\n")
    return int(any(not cell.is_good for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
