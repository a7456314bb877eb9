"""Credentials go to their origin and nowhere else: no output, file, argument list, other origin or other child.

Every command that reaches a network is run with distinctive secrets: in addresses, in header fields from the
environment, in a netrc, in the address of a proxy and of the package index, in query fields; in ways that work and in
ways that fail, plain, with -vv, with --json and with ZOO_DEBUG. Then everything that was said or written is searched.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote

import pytest

from tests.models.conftest import index as index
from tests.models.site import NAME, files_to_serve
from tests.support.children import Child, children
from tests.support.server import Behaviour, Cut, Page, Redirect, Request, Server, Status
from tests.support.signed import Publisher
from tests.support.wheels import write_wheel
from zoo_cli.cli.app import run
from zoo_cli.plaintext import without_passwords

KINDS = ("address", "header", "netrc", "proxy", "index", "query", "mirror", "links")
CORE = {kind: f"Zq7{kind.title()}Core" for kind in KINDS}
SECRET = {kind: f"{core}/@+%:" for kind, core in CORE.items()}  # each sign has a meaning in an address
WAYS: tuple[tuple[str, ...], ...] = ((), ("-vv",), ("--json",), ("ZOO_DEBUG",))
ONE = (("-vv",),)  # for what waits between attempts
TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
TORCH = f"torch-2.6.0+cpu-{TAG}-{TAG}-linux_x86_64.whl"


def forms(core: str) -> list[bytes]:
    """How a secret can be written: as it is, and in base64 at each of the three alignments; in both alphabets."""
    found = [core.encode()]
    for before in (b"", b"x", b"xx"):
        encoded = base64.b64encode(before + core.encode())
        whole = encoded[len(before) and 4 : -4]  # the ends depend on the neighbours
        found += [whole, whole.replace(b"+", b"-").replace(b"/", b"_")]
    return found


FORMS = {kind: forms(core) for kind, core in CORE.items()}


def secrets_in(data: bytes) -> list[str]:
    """The kinds of secrets that these bytes hold."""
    return [kind for kind, written in FORMS.items() if any(each in data for each in written)]


def test_the_search_would_find_them() -> None:
    for kind, secret in SECRET.items():
        for text in (secret, quote(secret, safe=""), f"https://u:{quote(secret)}@h/", base64.b64encode(
            f"alice:{secret}".encode()).decode(), base64.b64encode(f"u:{secret}".encode()).decode()):  # fmt: skip
            assert secrets_in(b"..." + text.encode() + b"...") == [kind], text


class Guarded(Server):
    """What is below /private/ asks for a password, what is below /lab/ for a key; the rest is open."""

    def behaviour_for(self, request: Request, path: str) -> Behaviour | None:
        found = super().behaviour_for(request, path)
        told = request.headers.get("authorization", "")
        if path.startswith("/private/") and not any(told == basic("alice", SECRET[kind]) for kind in KINDS):
            return Status(401)
        if path.startswith("/lab/") and request.headers.get("x-lab-key") != f"Token {SECRET['header']}":
            return Status(403)
        return found


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass
class Office:
    """Two origins, a proxy, and a home with settings that hold secrets."""

    home: Path
    origin: Guarded
    other: Server
    proxy: Server
    inputs: Path
    said: list[tuple[tuple[str, ...], bytes]] = field(default_factory=list)
    started: list[Child] = field(default_factory=list)

    def private(self, kind: str, path: str = "", *, port: int | None = None) -> str:
        """An address below /private/ with this password."""
        return f"http://alice:{quote(SECRET[kind], safe='')}@127.0.0.1:{port or self.origin.port}/private{path}"

    def zoo(
        self,
        *words: str | Path,
        code: int | None = None,
        ways: tuple[tuple[str, ...], ...] = WAYS,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Runs a command in each way; all that it says is kept, and the last of it returned."""
        text = ""
        for way in ways:
            argv = [*map(str, words), *(each for each in way if each.startswith("-"))]
            extra = {"ZOO_DEBUG": "1"} if "ZOO_DEBUG" in way else {}
            out, err = io.StringIO(), io.StringIO()
            with (
                patch.dict(os.environ, {**(env or {}), **extra}),
                patch.object(sys, "argv", ["zoo", *argv]),  # ways out repeat what was typed
                redirect_stdout(out),
                redirect_stderr(err),
                children() as started,
            ):
                ended = run(argv)
            text = out.getvalue() + err.getvalue()
            self.said.append((tuple(argv), text.encode("utf-8", "replace")))
            self.started += started
            assert code is None or ended == code, (argv, ended, text)
        return text

    def written(self) -> list[tuple[Path, bytes]]:
        """Every file below the home that is not an input of the user."""
        files = [each for each in self.home.rglob("*") if each.is_file() and not each.is_symlink()]
        return [(each, each.read_bytes()) for each in files if self.inputs not in each.parents]


@pytest.fixture
def office(tmp_path: Path, index: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    database, wheel = index
    home, inputs = tmp_path / "home", tmp_path / "home" / "inputs"
    inputs.mkdir(parents=True)
    served = files_to_serve(wheel)
    body = b"a file" * 20_000
    files: dict[str, bytes | Page | Path] = {f"/private{name}": each for name, each in served.items()}
    files |= {"/private/file.bin": body, "/lab/file.bin": body, "/open/file.bin": body, "/private/moved.bin": body}
    with Guarded(files) as origin, Server({"/file.bin": body}) as other, Server() as proxy:
        for name in ("ZOO_INDEX", "ZOO_MIRRORS", "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "PIP_CONFIG_FILE"):
            monkeypatch.delenv(name, raising=False)
        settings = {
            "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "ZOO_CACHE": str(home / "cache"),
            "ZOO_STATE": str(home / "state"), "ZOO_INDEX": str(database), "NETRC": str(inputs / "netrc"),
            "LAB_KEY": SECRET["header"], "ZOO_MIRRORS": str(inputs / "mirrors.yaml"),
            "UV_CACHE_DIR": str(home / "uv"), "PIP_CACHE_DIR": str(home / "pip"),
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(home)
        for name in ("netrc", ".netrc"):
            (inputs / name).write_text(f"machine 127.0.0.1 login alice password {SECRET['netrc']}\n")
        (home / ".netrc").symlink_to(inputs / ".netrc")
        header = {"for": origin.url("/lab/"), "name": "X-Lab-Key", "from-environment": "LAB_KEY", "scheme": "Token"}
        (inputs / "mirrors.yaml").write_text(json.dumps({"version": "1", "headers": [header]}))
        origin.always("/private/moved.bin", Redirect(other.url("/file.bin")))
        yield Office(home, origin, other, proxy, inputs)


def check(office: Office) -> None:
    """Nothing was said, written, passed on or sent that must not be."""
    leaks = [f"said by zoo {' '.join(argv)}: {found}" for argv, said in office.said if (found := secrets_in(said))]
    leaks += [f"written to {path}: {found}" for path, data in office.written() if (found := secrets_in(data))]
    for child in office.started:
        leaks += [f"in words of a child: {child.argv}"] if secrets_in(child.argv.encode()) else []
    for server, name in ((office.other, "the other origin"), (office.proxy, "a proxy")):
        for request in server.requests:
            sent = json.dumps([request.path, dict(request.headers)]).encode()
            found = [kind for kind in secrets_in(sent) if kind != "proxy" or server is office.other]
            leaks += [f"sent to {name}: {found}"] if found else []
    leaks += ["from the netrc"] * sum(
        "netrc" in secrets_in(str(each.headers).encode()) for each in office.origin.requests
    )
    assert not leaks, "\n".join(leaks)
    assert office.said


def test_fetch(office: Office) -> None:
    address, digest = office.private("address", "/file.bin"), hashlib.sha256(b"a file" * 20_000).hexdigest()
    office.zoo("fetch", address, "-o", "a.bin", "--force", code=0)
    office.zoo("fetch", address, "-o", "b.bin", "--sha256", digest, "--events", "--force", code=0)
    office.zoo("fetch", address, "-o", "wrong.bin", "--sha256", "ab" * 32, code=6)
    office.zoo("fetch", office.private("address", "/missing.bin"), "-o", "c.bin", code=5)
    office.zoo("fetch", office.private("query", "/../x"), "-o", "c.bin")
    office.zoo("fetch", office.private("address", "/moved.bin"), "-o", "moved.bin", "--force", code=0)
    office.zoo("fetch", office.origin.url(f"/open/file.bin?token={quote(SECRET['query'], safe='')}&x=1"), "-o", "q.bin")
    office.zoo("fetch", office.origin.url(f"/open/gone.bin?sig={quote(SECRET['query'], safe='')}&x=1"), "-o", "g.bin")
    office.zoo("fetch", office.origin.url(f"/open/gone.bin?X-Amz-Signature={CORE['query']}"), "-o", "g.bin")
    office.zoo("fetch", office.origin.url("/lab/file.bin"), "-o", "lab.bin", "--force", code=0)
    office.zoo("fetch", office.origin.url("/lab/gone.bin"), "-o", "lab2.bin", code=5)
    office.origin.always("/private/file.bin", Cut(1000))
    office.zoo("fetch", address, "-o", "cut.bin", code=5, ways=ONE)
    office.origin.behave()
    office.zoo("fetch", office.private("address", port=1), "-o", "bad.bin", code=5, ways=ONE)  # nobody is there
    wrong = office.private("address")
    at = f"127.0.0.1:{office.origin.port}"
    for here, there in (
        ("http:", "ftp:"), ("http://", "//"), ("http:", "xhttp:"), ("http:", "file:"), ("http:", "http"), (at, "h h"),
        (at, "h\x07"), (at, "127.0.0.1:99999"), (at, "[::1"), ("@", "@@"),
        ("@", "@a@"), ("/private", ""), ("alice", ""),
    ):  # fmt: skip
        bad = wrong.replace(here, there)
        office.zoo("fetch", bad, "-o", "bad.bin")
        office.zoo("scan", bad)
    (office.inputs / "list.tsv").write_text(f"{address}\tone.bin\n{office.private('address', '/no')}\ttwo.bin\n")
    office.zoo("fetch", "--from", office.inputs / "list.tsv", "-o", "many")
    office.zoo("fetch", office.other.url("/none.bin"), "--mirror", address, "-o", "m.bin", "--force")
    check(office)
    assert any("authorization" in each.headers for each in office.origin.requests)
    assert office.other.requests and not any("authorization" in each.headers for each in office.other.requests)


def test_models(office: Office) -> None:
    mirror = f"https://upstream.example={office.private('mirror')}"
    wheels = f"https://wheels.example={office.private('mirror', '/wheels')}"
    words = ("--mirror", mirror, "--mirror", wheels)
    office.zoo("download", "net_r50", "--dest", "m", *words, code=0)
    office.zoo("download", "net_r50", "tracker", "--dest", "again", "--force", "--layout", "by-model", *words, code=0)
    for more in (("--list",), ("--dry-run",), ("--cross-check", "--force"), ("--logs", "--force")):
        office.zoo("download", "net_r50", "--dest", "m", *words, *more)
    office.zoo(
        "download", "net_r101", "--dest", "m", "--mirror", mirror.replace("/private", "/gone"), *words[2:], ways=ONE
    )
    office.origin.files[f"/private/zoo/{NAME['program']}"] = b"another file"
    office.zoo("download", "program", "--dest", "m", *words)
    office.zoo("bundle", "net_r50", "-o", "b.tar", "--force", *words, code=0)
    office.zoo("download", "--from-bundle", "b.tar", "--dest", "b", "--force", code=0)
    office.zoo("mirror", "sync", "net_r50", "--to", "lab", *words, code=0)
    office.zoo("mirror", "verify", "lab", code=0)
    office.zoo("verify", "m", "lab")
    office.zoo("scan", office.private("address", f"/zoo/{NAME['net_r50']}"), code=0)
    office.zoo("scan", office.private("address", "/zoo/gone.pth"))
    office.zoo("scan", office.private("address", "/file.bin"), "--sarif", ways=((),))
    office.zoo("config", "net_r50", *words)
    office.zoo("cache", "list")
    check(office)
    assert (office.home / "m" / NAME["net_r50"]).is_file()


def test_mirrors(office: Office) -> None:
    mirror = f"https://upstream.example={office.private('mirror')}"
    own = {"ZOO_MIRRORS": ""}  # the file that zoo itself writes
    assert "password-kept" in office.zoo("mirror", "add", mirror, code=2, ways=(("-vv",),), env=own)
    office.zoo("mirror", "add", f"https://upstream.example={office.origin.url('/x/?token=' + CORE['query'])}", env=own)
    office.zoo("mirror", "use", office.private("mirror"), env=own)
    office.zoo("mirror", "remove", mirror, env=own)
    office.zoo("mirror", "add", mirror)
    lines = [{"from": "https://upstream.example", "to": office.private("mirror"), "order": "before", "source": "mine"}]
    path = office.inputs / "mirrors.yaml"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mirrors": lines}))
    (office.home / "state").mkdir(exist_ok=True)  # what mirrors say is kept there
    office.zoo("mirror", "list", code=0)
    office.zoo("mirror", "test", ways=ONE)
    office.zoo("mirror", "test", f"https://upstream.example/zoo/{NAME['net_r50']}")
    office.zoo("mirror", "add", "https://a.example=https://b.example/")
    office.zoo("download", "net_r50", "--weights-only", "--dest", "m", code=0)
    path.write_text(path.read_text().replace('"before"', '"sideways"'))
    office.zoo("mirror", "list", code=2)
    path.write_text(path.read_text().replace('"sideways"', '"before"').replace("http://alice", "gopher://alice"))
    office.zoo("mirror", "list", code=2)
    check(office)


def test_the_signed_index(office: Office, tmp_path: Path) -> None:
    publisher = Publisher(tmp_path / "maintainers")
    publisher.index("2099-01-01")
    office.origin.files |= {f"/private/{name}": body for name, body in publisher.files().items()}
    (office.inputs / "root.json").write_bytes(publisher.trusted.root)
    address = office.private("address")
    office.zoo("index", "trust", "add", "zoo", office.inputs / "root.json", "--from", address, "--yes")
    office.zoo("index", "trust", "list")
    office.zoo("index", "update")
    office.zoo("index", "update", "--from", address)
    office.zoo("index", "update", "--from", address + "/gone")
    office.zoo("index", "status")
    check(office)


def test_a_proxy(office: Office) -> None:
    proxy = f"http://alice:{quote(SECRET['proxy'], safe='')}@127.0.0.1"
    office.proxy.files["/a.pth"] = b"through the proxy"
    given = {"http_proxy": f"{proxy}:{office.proxy.port}", "NO_PROXY": ""}
    office.zoo("fetch", "http://somewhere.example/a.pth", "-o", "a.pth", "--force", code=0, env=given)
    office.zoo("fetch", "http://somewhere.example/b.pth", "-o", "b.pth", env=given)
    office.zoo(
        "fetch", "http://somewhere.example/a.pth", "-o", "c.pth", ways=ONE, env={**given, "http_proxy": f"{proxy}:1"}
    )
    office.zoo("check-env", env=given)
    office.zoo("check-env", "--markdown", ways=((),), env=given)
    check(office)
    assert {each.headers["proxy-authorization"] for each in office.proxy.requests} == {basic("alice", SECRET["proxy"])}


def test_packages(office: Office) -> None:
    made = office.home / "made"
    version = "__version__ = '2.6.0+cpu'\ncuda = None\nhip = None\n"
    torch = write_wheel(made, "torch", "2.6.0+cpu", tag=f"{TAG}-{TAG}-linux_x86_64", requires=["tiny>=1"],
                        files={"torch/version.py": version, "torch/__init__.py": ""})  # fmt: skip
    tiny = write_wheel(made, "tiny", "1.0")
    link = '<a href="../../{place}/{name}#sha256={digest}">{name}</a>'
    for place, wheel, page in (("whl", torch, "/private/whl/cpu/torch/"), ("files", tiny, "/private/simple/tiny/")):
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        where = "cpu" if place == "whl" else "../private/files"
        text = link.format(place=where, name=wheel.name.replace("+", "%2B"), digest=digest)
        office.origin.files[page] = Page(text.replace("../../cpu", "..").encode())
        office.origin.files[f"/private/{'whl/cpu' if place == 'whl' else 'files'}/{wheel.name}"] = wheel.read_bytes()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", office.home / "env"], check=True)
    python = office.home / "env/bin/python"
    index = {"UV_DEFAULT_INDEX": office.private("index", "/simple/")}
    words = (
        "--python",
        python,
        "--device",
        "cpu",
        "--mirror",
        f"https://download.pytorch.org={office.private('mirror')}",
    )
    office.zoo("install", "torch==2.6.0", *words, "--dry-run", code=0, env=index)
    office.zoo("lock", "torch==2.6.0", *words, "-o", "pylock.toml", code=0, env=index)
    office.zoo("export", "pylock.toml", code=0)
    for form in ("conda", "script", "colab", "dockerfile"):
        office.zoo("export", "pylock.toml", "--format", form, ways=((),), env=index)
    office.zoo("lock", "--show", "pylock.toml", code=0)
    office.zoo("install", "torch==2.6.0", *words, code=0, env=index)
    office.zoo("uninstall", "tiny", "torch", "--python", python, env=index)
    office.zoo("history", "--python", python, env=index)
    office.zoo("undo", "--python", python, "--yes", env=index)
    office.zoo("sync", "pylock.toml", *words[:2], *words[4:], "--yes", code=0, env=index)
    office.zoo("check-env", "--python", python, env=index)
    office.zoo("check-env", "--python", python, "--markdown", ways=((),), env=index)
    wrong = {"UV_DEFAULT_INDEX": office.private("index", "/none/")}
    office.zoo("uninstall", "tiny", "torch", "--python", python, "--yes", ways=ONE, env=index)
    office.zoo("install", "torch==2.6.0", *words, env=wrong)
    office.zoo("install", "torch==2.6.0", "--find-links", office.private("links", "/gone/"), *words, env=index)
    office.zoo("install", "torch==2.6.0", "--find-links", office.private("links", "/whl/cpu/torch/"), *words, env=index)
    office.zoo("bundle", "net_r50", "--with-env", "-o", "e.tar", "--force", *words[:4], env=index)
    (office.inputs / "r.txt").write_text(f"torch==2.6.0\n--extra-index-url {office.private('index', '/simple/')}\n")
    office.zoo("install", "-r", office.inputs / "r.txt", "torch", "--dry-run", *words, env=index)
    (office.inputs / "bad.txt").write_text(f"torch @ {office.private('index', '/x.whl')}\n")
    office.zoo("install", "-r", office.inputs / "bad.txt", "torch", "--dry-run", *words, env=index)
    office.zoo("install", f"torch @ {office.private('index', '/x.whl')}", *words, env=index)
    office.zoo("install", f"git+{office.private('links', '/x.git')}", *words, env=index)
    for place in (f"/whl/cpu/{torch.name}", "/gone.whl", "/whl/cpu/torch/"):
        office.zoo("inspect", office.private("address", place))
    check(office)
    installers = [each for each in office.started if "pip install" in each.argv]
    assert any("index" in secrets_in(str(each.environ).encode()) for each in installers)
    installing = [each for each in office.started if "-m pip" in each.argv or "uv pip" in each.argv]
    others = [each for each in office.started if each not in installing]
    assert others and not [each.argv for each in others if "index" in secrets_in(str(each.environ).encode())]
    assert installing and not [each.argv for each in installing if "header" in secrets_in(str(each.environ).encode())]


def test_the_gate_takes_its_time_from_the_length_alone() -> None:
    for text in ("/" + "a:" * 200_000, "/:" * 200_000 + "@", "?token=" * 100_000, "//" + ":" * 400_000 + "@"):
        assert without_passwords(text) is not None  # seconds, were it by the square of the length
    assert without_passwords("https://a:b@h/ //x:y:z@h git+ssh://git@h/p") == "https://h/ //h git+ssh://git@h/p"
    assert without_passwords("GET /x?a=1&X-Amz-Signature=abc&b=2") == "GET /x?a=1&X-Amz-Signature=...&b=2"
