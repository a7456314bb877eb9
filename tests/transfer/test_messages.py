"""Every error of the transfer room has a sentence, facts of this run, and a way out."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo_cli import directories
from zoo_cli.cli.app import error_lines, run
from zoo_cli.cli.console import Console
from zoo_cli.cli.messages import describe, message_for
from zoo_cli.errors import ZooError
from zoo_cli.transfer import batch, failures, hashes, lists, mirrors, mirrorsfile, store

URL = "https://host/dir/a.pth"
EXAMPLES = {
    "str": "text", "int": 404, "float": 3.5, "bool": True, "str | None": "text", "int | None": 7, "float | None": 2.0,
    "tuple[str, ...]": ("text", "more"),
}  # fmt: skip


def kinds() -> Iterator[type[ZooError]]:
    for module in (batch, failures, hashes, lists, mirrors, mirrorsfile, store, directories):
        for _name, each in inspect.getmembers(module, inspect.isclass):
            if issubclass(each, ZooError) and each.__module__ == module.__name__ and each is not failures.Failed:
                yield each


def example(kind: type[ZooError]) -> ZooError:
    values: dict[str, object] = {}
    types = {name: type_ for each in kind.__mro__ for name, type_ in inspect.get_annotations(each).items()}
    for name in kind.fact_names:
        values[name] = URL if name == "url" else EXAMPLES.get(types[name])
        if name == "failures":
            wrong = failures.HashMismatch(URL, "a.pth", "0" * 64, "1" * 64, "given")
            values["failures"] = (wrong, failures.HttpFailed(URL, 503, "busy"), wrong)
    return kind(**values)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_each_error_is_told_with_a_way_out(kind: type[ZooError]) -> None:
    error = example(kind)
    message = message_for(error)
    assert describe.dispatch(type(error)) is not describe.dispatch(ZooError)
    assert message.what and message.ways_out
    assert error.exit_code in (1, 2, 5, 6) and error.code != "failed"
    lines = error_lines(Console(environ={}), error.code, message)
    assert lines[0].startswith(f"error[{error.code}]: ") and all(line.isascii() for line in lines)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_each_failure_says_it_in_a_few_words(kind: type[ZooError]) -> None:
    error = example(kind)
    if isinstance(error, failures.Failed):
        assert 0 < len(error.brief) < 200 and isinstance(error.again, bool)


def test_a_proxy_is_told_from_the_host_behind_it() -> None:
    asks = message_for(failures.HttpFailed("http://host/a", 407, "Proxy Authentication Required"))
    assert asks.what.startswith("the proxy on the way to host answered 407")
    assert [way.command for way in asks.ways_out] == ["export HTTP_PROXY=http://USER:PASSWORD@host:port"]
    behind = message_for(failures.Unreachable("https://host/a", "connect", "refused", "proxy:3128"))
    assert any((way.command or "").startswith("NO_PROXY=host zoo") for way in behind.ways_out)
    none = message_for(failures.Unreachable("http://host/a", "connect", "refused"))
    assert "export HTTP_PROXY=http://host:port" in [way.command for way in none.ways_out]


def test_codes_are_used_once() -> None:
    codes = [kind.code for kind in kinds()]
    assert len(set(codes)) == len(codes)


def test_sources_that_agree_with_each_other_are_pointed_out() -> None:
    text = str(message_for(example(failures.AllSourcesFailed)))
    assert "agree with each other" in text and "can run code" in text


def test_known_mirrors_of_the_address_are_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("ZOO_MIRRORS", raising=False)

    def way(url: str) -> str | None:
        ways = message_for(failures.Stalled(url, 30.0, 0, 0.0)).ways_out
        return next(each.command for each in ways if "another host" in each.text or "known mirror" in each.text)

    wheel = "https://download.pytorch.org/whl/cu121/torch-2.1.2%2Bcu121-cp310-cp310-linux_x86_64.whl"
    assert way(wheel) == "zoo mirror use sjtu-pytorch"
    assert way("https://me:pw@host.example/a.pth") == "zoo mirror add https://host.example=http://HOST"
    elsewhere = wheel.replace("pytorch.org", "pytorch.org.evil.example")
    assert way(elsewhere) == "zoo mirror add https://download.pytorch.org.evil.example=http://HOST"
    assert run(["mirror", "use", "hf-mirror"]) == 0
    assert way(wheel) == "zoo mirror use hf-mirror sjtu-pytorch"  # what was chosen before stays
    assert run(["mirror", "use", "sjtu-pytorch"]) == 0
    assert way(wheel) == "zoo mirror add https://download.pytorch.org=http://HOST"
    monkeypatch.setenv("ZOO_MIRRORS", str(tmp_path / "broken.yaml"))
    assert way(wheel) == "zoo mirror add https://download.pytorch.org=http://HOST"  # a second error hides none
