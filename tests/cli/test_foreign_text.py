"""Foreign text in every place where zoo shows some: no control sequence, no direction, no CI command comes through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.cli import ROOT, Ran, zoo
from tests.support.modelsdb import document, model, result, write_index
from tests.support.pickles import lookup, pickle
from tests.support.server import Page, Server
from tests.support.wheels import write_wheel
from zoo_cli.cli.text import harmless, harmless_json
from zoo_cli.mirror.manifest import Held
from zoo_cli.mirror.pages import make_pages
from zoo_cli.plaintext import printable

EVIL = "\x1b[2J\x1b]0;x\x07\x9b31m\u202e\u2066\u200b\r\n::set-env name=A::b\n##vso[task.setvariable v=A]b\n##[error]x"
# What a line of zoo's own may hold beside printable letters, and nothing else.
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
COMMAND = re.compile(r"^\s*::\S|##vso\[|##\[", re.MULTILINE | re.IGNORECASE)


def require_harmless(ran: Ran) -> None:
    for text in (ran.out, ran.err):
        assert not FORBIDDEN.search(text), ascii(text)
        assert not COMMAND.search(text), ascii(text)
    assert "Traceback" not in ran.err


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which everything is called and filled by somebody hostile."""
    home = tmp_path_factory.mktemp("foreign")
    made = write_wheel(home, "tiny", "1.0", metadata=f"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0{EVIL[:20]}\n")
    (home / f"{EVIL[:24]}.whl".replace("/", "_")).write_bytes(made.read_bytes())
    (home / "evil.whl").write_bytes(write_wheel(home, files={f"{EVIL[:30]}.py": ""}).read_bytes())
    (home / "evil.pkl").write_bytes(pickle(lookup(f"evil{EVIL}", f"x{EVIL}")))
    (home / f"::set-env name={EVIL[:20]}.pkl").write_bytes(pickle(lookup("os", "system")))
    (home / "config.py").write_text(
        f"a = {EVIL!r}\ncustom_imports = dict(imports=[{EVIL!r}])\nb = dict(type={EVIL!r})\n"
    )
    (home / "broken.py").write_text(f"x = unknown({EVIL!r})  # {EVIL.splitlines()[0]}\n")
    (home / "x.zoo.json").write_text(
        '{"schema": "' + EVIL.encode("unicode_escape").decode().replace("\\x", "\\u00") + '"}'
    )
    (home / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "\\u001b[2J"\n"\\u202e::x" = 1\npackages = 3\n'
    )
    (home / "requirements.txt").write_text(f"{EVIL}\n", newline="")
    (home / "mirrors.yaml").write_text('rules: [{from: "\\e[2J", to: ["\\u202e"]}]\n')
    row = model(f"evil{EVIL}", f"https://h.example/{EVIL}-12345678.pth", results=[result(EVIL, EVIL, box_AP=3.0)])
    index = home / "index"
    index.mkdir()
    for name in ("compat", "extras", "expected"):
        (index / name).symlink_to(ROOT / "index" / name)
    write_index(index, document(models=[row]))
    return home


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "."), ("inspect", "evil.whl", "--json"), ("scan", "."), ("scan", ".", "--json"),
        ("scan", ".", "--sarif"), ("verify", "."), ("verify", ".", "--json"), ("config", "show", "config.py"),
        ("config", "flatten", "config.py"),
        ("config", "flatten", "broken.py"), ("diff", "config.py", "broken.py"), ("sync", "pylock.toml"),
        ("install", "-r", "requirements.txt", "--dry-run"), ("scan", f"missing{EVIL[:30]}"),
        ("fetch", f"http://127.0.0.1:9/{EVIL[6:20]}"), ("show", EVIL), ("install", EVIL, "--dry-run"), ("list", EVIL),
        (EVIL,), ("scan", "--no-such", EVIL),
    ],
    ids=ascii,
)  # fmt: skip
def test_what_files_hold_and_are_called(place: Path, words: tuple[str, ...]) -> None:
    require_harmless(zoo(place, *words))


@pytest.mark.parametrize("form", ["table", "tsv", "csv", "markdown", "json", "names"])
def test_what_an_index_says(place: Path, form: str) -> None:
    forms = {"table": (), "names": ("--names",), "json": ("--json",)}
    ran = zoo(place, "list", "zoolet", *forms.get(form, ("--format", form)), ZOO_INDEX=str(place / "index"))
    require_harmless(ran)


def test_what_a_server_says(place: Path) -> None:
    links = f'<a href="mmcv-2.1.0-{EVIL[:12]}.whl" data-yanked="{EVIL}">x</a><a href="{EVIL}.whl">y</a>'
    with Server(
        {"/page/": Page(f"<title>{EVIL}</title>{links}".encode()), "/x.pth": Page(f"<html>{EVIL}".encode())}
    ) as server:
        page = ("--find-links", server.url("/page/"))
        require_harmless(zoo(place, "install", "mmcv", "--dry-run", *page, "-v"))
        require_harmless(zoo(place, "fetch", server.url("/x.pth"), "--dest", "out"))


def test_pages_of_a_mirror_hold_no_markup_of_others() -> None:
    name = "<img src=x onerror=alert(1)>\"'&-1.0-py3-none-any.whl"
    held = Held(f"host/<b>/{name}", "wheel", "ab" * 32, 1, requires_python='>=3"><script>', pages=True)
    pages = [body.decode() for path, body in make_pages([held]).items() if path.endswith(".html")]
    assert len(pages) == 5
    for page in pages:
        tags: list[str] = re.findall(r"<(\w+)", page)
        assert set(tags) <= {"html", "head", "meta", "title", "body", "a", "br"}, page
        assert not re.search(r"\son\w+=|<!--", re.sub(r">[^<]*<", "><", page)), page


@given(st.text())
@example(EVIL)
@example(" ::warning::x")
def test_nothing_passes_the_gate(text: str) -> None:
    shown = harmless(text)
    assert not FORBIDDEN.search(re.sub(r"\x1b\[(?:[01]|3[1-6])m", "", shown))
    assert not COMMAND.search(shown)
    assert not FORBIDDEN.search(printable(text).replace("\t", "")) and "\n" not in printable(text)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
@example({EVIL: EVIL})
def test_a_document_says_the_same_in_harmless_letters(value: object) -> None:
    import json

    text = harmless_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert not FORBIDDEN.search(text) and not COMMAND.search(text)


def test_own_colours_and_lines_stay() -> None:
    assert harmless("\x1b[31mFAIL\x1b[0m a\tb\n  c::d") == "\x1b[31mFAIL\x1b[0m a\tb\n  c::d"
