"""The README is true: marked blocks are what the program prints, and nothing that a user needs is missing."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from zoo_cli.cli.app import COMMANDS
from zoo_cli.cli.commands.help_ import ENVIRONMENT
from zoo_cli.errors import ExitCode

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TESTED = re.findall(r"<!-- tested -->\n```console\n\$ (zoo [^\n]*)\n(.*?)```", README, re.DOTALL)


def on_terminal(command: str, columns: int = 160) -> str:
    """What a shell command prints on a terminal, stdout and stderr together."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    words = command.replace("zoo ", f"{sys.executable} -m zoo_cli ", 1)
    environ = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    for name in ("ZOO_INDEX", "COLUMNS", "LINES"):  # the terminal alone says how wide it is
        environ.pop(name, None)
    # What is printed to type by hand has the user's package index in it; the README's user has none.
    environ = {name: value for name, value in environ.items() if not name.startswith(("PIP_", "UV_"))}
    environ["PIP_CONFIG_FILE"] = os.devnull
    child = subprocess.Popen(["sh", "-c", words], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    chunks = []
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(ours)
    child.wait(timeout=60)
    return b"".join(chunks).decode("utf-8").replace("\r\n", "\n")


def test_blocks_are_marked() -> None:
    assert len(TESTED) >= 6


@pytest.mark.parametrize(("command", "shown"), TESTED, ids=[command[:60] for command, _shown in TESTED])
def test_a_marked_block_is_what_the_program_prints(command: str, shown: str) -> None:
    assert on_terminal(command) == shown


def test_every_command_is_in_the_readme() -> None:
    for name in COMMANDS:
        if name != "index":  # for maintainers: CONTRIBUTING.md
            assert f"zoo {name}" in README


def test_an_example_of_a_help_is_one_line() -> None:
    """However narrow the terminal: it is there to be pasted."""
    shown = on_terminal("zoo mirror sync --help", columns=60).splitlines()
    start = shown.index("  Examples:")
    assert shown[start + 1 : start + 3] == [
        "    zoo mirror sync mmdet --filter 'box_AP>=50' --to /srv/mirror",
        "    zoo mirror sync --wheels mmdet --machine gpu=A100,driver=535.183.01,python=3.10 --to s3://bucket/zoo",
    ]


def test_every_environment_variable_is_told_and_read() -> None:
    told = {word for names, _text in ENVIRONMENT for word in re.findall(r"ZOO_[A-Z_]+", names)}
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "zoo_cli").rglob("*.py") if path.name != "help_.py"
    )
    read = set(re.findall(r"[\"'](ZOO_[A-Z_]+)[\"']", source))
    assert told == read


def test_every_exit_code_is_told() -> None:
    text = on_terminal("zoo help exit-codes")
    for code in ExitCode:
        assert re.search(rf"^\s*{int(code)}\s", text, re.MULTILINE)


def test_links_of_the_docs_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_page_names_a_path_of_a_machine() -> None:
    pattern = re.compile(r"/(root|work|home/(?!user\b)[a-z]+)/")
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        assert not pattern.search(page.read_text(encoding="utf-8")), page.name


def test_every_test_named_in_the_security_page_exists() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?", page)
    assert len(named) > 25
    for path, function in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert not function or re.search(rf"^def {function}\(", source, re.MULTILINE), (path, function)
    promises = re.findall(r"^\| P(\d+) \| .* \| (kept|in part|not yet) \| \S.* \|$", page, re.MULTILINE)
    assert [int(number) for number, _state in promises] == list(range(1, 21))
