"""The wheel of zoo itself carries the database: built by pip from a copy of the checkout, opened outside of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PARTS = ("zoo_cli", "index", "pyproject.toml", "mirrors.yaml", "LICENSE", "README.md", "hatch_build.py")


@pytest.mark.slow
def test_the_wheel_works_from_its_own_database(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "zoo.db*")
            shutil.copytree(ROOT / name, source / name, ignore=ignore)
        else:
            shutil.copyfile(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w"]
    subprocess.run([*command, str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("zoo_cli-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import sys\n"
        "from zoo_cli.catalog import database\n"
        "from zoo_cli.catalog.compat import read_matrix\n"
        "catalog = database.open_catalog(environ={})\n"
        "print(len(read_matrix(catalog, 'win_amd64').torch), database.BUNDLED, 'yaml' in sys.modules)\n"
        "catalog.close()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["169", str(tmp_path / "site/zoo_cli/catalog/zoo.db"), "False"]
