"""A wheel that another takes the place of: at any moment its page, its metadata and its bytes belong together."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

from tests.models.site import WHEELS, Site
from tests.support.s3 import s3_server
from tests.support.wheels import write_wheel
from zoo_cli.cli.app import run

BASE, BIG = "base_lib-1.5+cpu-py3-none-any.whl", "big-1.0-py3-none-any.whl"
ASKED = f"/wheels/{BASE.replace('+', '%2B')}"
Reader = Callable[[str], bytes]


def write_lock(site: Site, *wheels: Path) -> Path:
    """A lock of these wheels, which the site serves from now on."""
    lines = ['lock-version = "1.0"', 'created-by = "hand"']
    for wheel in wheels:
        site.server.files[f"/wheels/{wheel.name}"] = wheel.read_bytes()
        name, version = wheel.name.split("-")[:2]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines += ["[[packages]]", f'name = "{name.replace("_", "-")}"', f'version = "{version}"']
        lines += ["[[packages.wheels]]", f'name = "{wheel.name}"', f'url = "{WHEELS}/{wheel.name.replace("+", "%2B")}"']
        lines += [f'hashes = {{sha256 = "{digest}"}}']
    path = site.folder / "pylock.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(params=["lab", "s3://lab/zoo"])
def place(request: pytest.FixtureRequest, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Reader]]:
    """A place of a mirror, and what reads a path of it as a client would."""
    to = str(request.param)
    if not to.startswith("s3"):
        yield to, lambda path: Path(to, path).read_bytes()
        return
    with s3_server() as store:
        for name, value in store.items():
            monkeypatch.setenv(name, value)
        boto3.setup_default_session()
        bucket = boto3.resource("s3").Bucket("lab")
        bucket.create()
        yield to, lambda path: bytes(bucket.Object(f"zoo/{path}").get()["Body"].read())


def listed(read: Reader) -> str:
    """The digest that the page has of the wheel, after all that a page says was found true."""
    page = read("simple/base-lib/index.html").decode()
    sha256, metadata = re.findall(r"sha256=(\w{64})", page)[:2]
    assert hashlib.sha256(read(f"wheels.example/{BASE}")).hexdigest() == sha256
    assert hashlib.sha256(read(f"wheels.example/{BASE}.metadata")).hexdigest() == metadata
    return str(sha256)


def sync_words(lock: Path, to: str) -> list[str]:
    return ["mirror", "sync", "--lock", str(lock), "--python", sys.executable, "--to", to, "-q"]


@contextmanager
def stopped_at_the_last(site: Site, words: list[str]) -> Iterator[None]:
    """A sync that has everything but one wheel; killed at the end."""
    gate, last = threading.Event(), f"/wheels/{BIG}"
    site.server.always(last, lambda exchange: exchange.honest() if gate.wait(60) else None)
    environ = {**site.environ, **{name: value for name, value in os.environ.items() if name.startswith("AWS_")}}
    with subprocess.Popen([sys.executable, "-m", "zoo_cli", *words], env=environ, stdout=subprocess.DEVNULL) as child:
        try:
            end = time.monotonic() + 60
            while not all(map(site.server.requests_for, (last, ASKED))) and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(0.3)  # for what was asked to come
            yield
            assert child.poll() is None
        finally:
            child.kill()
            gate.set()


def test_it_gets_its_name_when_all_is_there(site: Site, place: tuple[str, Reader]) -> None:
    to, read = place
    lock = write_lock(site, write_wheel(site.folder / "one", "base_lib", "1.5+cpu"))
    assert run(sync_words(lock, to)) == 0
    before = listed(read)
    site.server.requests.clear()
    again = write_wheel(site.folder / "two", "base_lib", "1.5+cpu", requires_python=">=3.8", files={"more.py": "1"})
    lock = write_lock(site, again, write_wheel(site.folder / "two", "big", "1.0"))
    with stopped_at_the_last(site, sync_words(lock, to)):
        assert site.server.requests_for(ASKED), "the new one has come"
        assert listed(read) == before
    assert listed(read) == before, "also after kill -9"
    assert run(["mirror", "verify", to, "-q"]) == 0
    assert run(sync_words(lock, to)) == 0
    assert listed(read) == hashlib.sha256(again.read_bytes()).hexdigest() != before
    assert run(["mirror", "verify", to, "-q"]) == 0
    if to == "lab":
        hidden = sorted(path.name for path in Path(to).rglob(".*"))
        assert hidden == [".zoo-mirror-lock"] and not list(Path(to).rglob(before)), "nothing of the old one is left"


def test_one_that_does_not_come_leaves_what_was_there(site: Site, place: tuple[str, Reader]) -> None:
    to, read = place
    assert run(sync_words(write_lock(site, write_wheel(site.folder / "one", "base_lib", "1.5+cpu")), to)) == 0
    before = listed(read)
    lock = write_lock(site, write_wheel(site.folder / "two", "base_lib", "1.5+cpu", files={"more.py": "1"}))
    site.server.files[f"/wheels/{BASE}"] = b"damage"
    assert run([*sync_words(lock, to), "--prune"]) == 6
    assert listed(read) == before
