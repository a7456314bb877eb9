"""`zoo_cli.transfer` as other programs use it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zoo_cli
from tests.support.server import Cut, Server
from tests.transfer.conftest import BODY, DIGEST
from zoo_cli.cli.commands.fetch import command as fetch_command

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


def test_the_examples_of_the_documentation_run(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a program of their own, with this server's addresses and the file's digest in them."""
    text = (ROOT / "docs" / "fetch.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    code = "\n".join(examples).replace("https://host/model.pth", server.url("/none")).replace("...", DIGEST)
    code = code.replace("https://mirror/model.pth", server.url("/a.pth"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    first, *others = ended.stdout.splitlines()
    assert first == f"{DIGEST} locked {server.url('/a.pth')} False", ended.stderr
    assert sorted(others) == [f"copies/{name} ok" for name in ("a.pth", "b.pth")]
    assert len(server.requests_for("/a.pth")) == 1 and (tmp_path / "copies" / "b.pth").read_bytes() == BODY


def test_documentation_of_options_events_and_documents(server: Server, tmp_path: Path) -> None:
    """What docs/fetch.md says of `zoo fetch` is what it takes and gives."""
    text = (ROOT / "docs" / "fetch.md").read_text()
    told = set(re.findall(r"--[a-z][a-z0-9-]+", text.partition("## From Python")[0]))
    options = {name for each in fetch_command.params for name in each.opts if name.startswith("--")}
    assert options - told <= {"--help", "--quiet", "--verbose", "--color", "--no-progress"} and told <= options
    server.misbehave("/a.pth", Cut(1000))
    words = ["fetch", server.url("/a.pth"), "-o", "a.pth", "--events", "--json"]
    environ = {**os.environ, "NO_PROXY": "*", "ZOO_STATE": str(tmp_path / "state")}
    argv = [sys.executable, "-m", "zoo_cli", *words]
    ended = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path, env=environ)
    *events, document = [json.loads(line) for line in ended.stdout.splitlines()]
    keys = {kind: {key for row in rows for key in row} - {"event"} for kind, rows in grouped(events).items()}
    for kind in ("started", "advanced", "sourcefailed", "finished"):
        (row,) = re.findall(rf"^\| `{kind}` \| (.*) \|$", text, re.MULTILINE)
        assert keys[kind] <= set(re.findall(r"`(\w+)`", row)), kind
    for key in document:
        assert re.search(rf"^\| .*`{key}`.* \|", text, re.MULTILINE), key


def grouped(events: list[dict[str, object]]) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for each in events:
        found.setdefault(str(each["event"]), []).append(each)
    return found
