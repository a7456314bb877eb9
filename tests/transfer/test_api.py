"""`zoo_cli.transfer` as other programs use it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import zoo_cli
from tests.support.server import Server
from tests.transfer.conftest import BODY, DIGEST

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_there_and_told() -> None:
    told = (ROOT / "docs" / "fetch.md").read_text()
    for name in zoo_cli.transfer.__all__:
        assert getattr(zoo_cli.transfer, name).__module__.startswith("zoo_cli.transfer.")
        assert re.search(rf"\b{name}\b", told), name
    with pytest.raises(AttributeError):
        _ = zoo_cli.transfer.nothing_like_it


def test_importing_it_imports_nothing_else() -> None:
    code = (
        "import sys; import zoo_cli; from zoo_cli import transfer; before = set(sys.modules); "
        "print([name for name in before if name.startswith('zoo_cli')]); assert callable(transfer.fetch_file); "
        "import zoo_cli.transfer.fetch; assert callable(transfer.fetch_many) and 'click' not in sys.modules"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert sorted(eval(ended.stdout)) == ["zoo_cli", "zoo_cli.transfer"]


def test_a_file_from_python(server: Server, tmp_path: Path) -> None:
    transfer = zoo_cli.transfer
    wanted = transfer.Wanted("a.pth", (server.url("/none"), server.url("/a.pth")), sha256=DIGEST)
    store = transfer.Store(tmp_path / "cache")
    settings = transfer.Settings(proxies=transfer.Proxies())
    received = transfer.fetch_file(wanted, tmp_path / "a.pth", settings, store=store)
    assert received.path.read_bytes() == BODY
    jobs = [transfer.Job(wanted, tmp_path / name) for name in ("b.pth", "c.pth")]
    assert all(outcome.received.from_cache for outcome in transfer.fetch_many(jobs, settings, store=store)
               if outcome.received)  # fmt: skip
