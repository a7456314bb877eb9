"""A small environment that tests change, and its journal; imports little, since children that are killed use it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from zoo_cli.packages.journal import Journal


def now() -> str:
    return "2026-11-23T06:00:00Z"


def content(prefix: Path) -> dict[str, tuple[str, int, bytes | str]]:
    """Everything below a directory by its bytes, without the journal: what "byte for byte" means."""
    found: dict[str, tuple[str, int, bytes | str]] = {}
    for path in sorted(prefix.rglob("*")):
        name = path.relative_to(prefix).as_posix()
        if name.split("/")[0] == ".zoo":
            continue
        mode = path.lstat().st_mode & 0o7777
        if path.is_symlink():
            found[name] = ("link", 0, os.readlink(path))
        elif path.is_dir():
            found[name] = ("directory", mode, "")
        else:
            found[name] = ("file", mode, path.read_bytes())
    return found


def journal(prefix: Path) -> Journal:
    return Journal(str(prefix / "bin/python"), prefix, (prefix,), prefix / ".zoo")


def site_of(prefix: Path) -> Path:
    return prefix / "lib/python3.11/site-packages"


def upgrade(prefix: Path, version: str = "2.0") -> None:
    """What an installer does: the old files go, new ones come, a script and a link are replaced."""
    site = site_of(prefix)
    old = next(site.glob("tiny-*.dist-info"))
    shutil.rmtree(old)
    (site / "tiny/__init__.py").unlink()
    (site / "tiny/__init__.py").write_text(f"value = '{version}'\n")
    (site / "tiny/_ext.so").unlink(missing_ok=True)
    (site / f"tiny-{version}.dist-info").mkdir()
    (site / f"tiny-{version}.dist-info/METADATA").write_text(f"Name: tiny\nVersion: {version}\n")
    (prefix / "bin/tiny").write_text("#!/bin/sh\necho new\n")  # written into, as people do
    (prefix / "share/tiny").mkdir(parents=True, exist_ok=True)
    (prefix / "share/tiny/data").write_text("data")
    (prefix / "bin/python").unlink()
    (prefix / "bin/python").symlink_to("/usr/bin/python3.11")
