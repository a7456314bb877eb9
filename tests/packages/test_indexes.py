"""The user's own package index, and the environment that installers get."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo_cli.packages.indexes import UserIndex, clean_environment, user_index

SECRET = "https://me:pass@mirror.example/simple"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose home has no configuration yet; the machine's own files are kept out by XDG and HOME only."""
    return {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PIP_CONFIG_FILE": str(tmp_path / "none"),
    }


def configure(home: dict[str, str], text: str) -> None:
    path = Path(home["XDG_CONFIG_HOME"]) / "pip" / "pip.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_nothing_set_means_pypi() -> None:
    assert user_index({"PIP_CONFIG_FILE": os.devnull}) == UserIndex(are_equal=True)


def test_pips_file_is_honoured_and_reaches_uv(home: dict[str, str]) -> None:
    configure(
        home,
        f"[global]\nindex-url = {SECRET}\ncert = /ca.pem\ntimeout = 60\n[install]\nfind-links = /wheels\n"
        "extra-index-url =\n  https://one/simple\n  https://two/simple\n",
    )
    index = user_index(home)
    assert index.index_url == SECRET
    assert index.extra_urls == ("https://one/simple", "https://two/simple")
    assert index.variables("pip") == {
        "PIP_INDEX_URL": SECRET,
        "PIP_EXTRA_INDEX_URL": "https://one/simple https://two/simple",
        "PIP_FIND_LINKS": "/wheels",
        "PIP_CERT": "/ca.pem",
        "PIP_TIMEOUT": "60",
    }
    assert index.variables("uv") == {
        "UV_DEFAULT_INDEX": SECRET,
        "UV_INDEX": "https://one/simple https://two/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # what pip does with them
        "UV_FIND_LINKS": "/wheels",
        "SSL_CERT_FILE": "/ca.pem",
    }


@pytest.mark.parametrize("name", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_variables_are_stronger_than_files(home: dict[str, str], name: str) -> None:
    configure(home, "[global]\nindex-url = https://file/simple\n")
    index = user_index({**home, name: SECRET})
    assert (index.index_url, index.source) == (SECRET, name)


@pytest.mark.parametrize("named", [True, False])
def test_the_same_settings_as_pip_itself_finds(home: dict[str, str], named: bool) -> None:
    """pip's own answer: a file that PIP_CONFIG_FILE names takes the place of the user's."""
    text = "[global]\nindex-url = https://a/simple\nfind-links = /one\n[install]\nextra-index-url = https://b/simple"
    configure(home, text)
    if named:
        Path(home["PIP_CONFIG_FILE"]).write_text("[global]\nfind-links = /two\nindex-url = https://c/simple\n")
    argv = (sys.executable, "-m", "pip", "config", "list")
    environ = {**home, "PATH": os.environ["PATH"]}
    told = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout
    index = user_index(home, sys.prefix)
    assert f"global.index-url='{index.index_url}'" in told
    assert f"global.find-links='{index.find_links[0]}'" in told
    assert index.index_url == ("https://c/simple" if named else "https://a/simple")
    assert ("https://b/simple" in told) is ("https://b/simple" in index.extra_urls)


@pytest.mark.parametrize(
    "content", [b"no section", b"[global]\nindex-url", b"\xff\xfe\x00", b"[global\n", b"x" * (2 << 20)]
)
def test_a_broken_file_counts_as_empty(home: dict[str, str], content: bytes) -> None:
    configure(home, "")
    (Path(home["XDG_CONFIG_HOME"]) / "pip" / "pip.conf").write_bytes(content)
    assert user_index(home).index_url is None


def test_what_could_change_a_plan_is_taken_away() -> None:
    environ = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy",
        "PIP_INDEX_URL": SECRET,
        "PIP_PRE": "1",
        "PIP_REQUIREMENT": "x",
        "PIP_CERT": "/ca.pem",
        "UV_TORCH_BACKEND": "auto",
        "UV_PRERELEASE": "allow",
        "UV_CACHE_DIR": "/cache",
        "PYTHONPATH": "/evil",
        "VIRTUAL_ENV": "/other",
    }
    cleaned = clean_environment({"PIP_INDEX_URL": "https://planned/simple"}, environ)
    assert cleaned["PIP_INDEX_URL"] == "https://planned/simple"
    assert {"PATH", "HTTPS_PROXY", "PIP_CERT", "UV_CACHE_DIR"} <= cleaned.keys()
    assert cleaned.keys().isdisjoint(
        {"PIP_PRE", "PIP_REQUIREMENT", "UV_TORCH_BACKEND", "UV_PRERELEASE", "PYTHONPATH", "VIRTUAL_ENV"}
    )
    assert cleaned["PIP_CONFIG_FILE"] == os.devnull


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("https://host/files/a.whl", "https://me:word@host/files/a.whl"),
        ("https://HOST/a.whl", "https://me:word@HOST/a.whl"),
        ("https://key@other:8443/a.whl", "https://key@other:8443/a.whl"),
        ("https://other:8443/a.whl", "https://second@other:8443/a.whl"),
        ("https://other/a.whl", "https://other/a.whl"),
        ("http://host/a.whl", "http://host/a.whl"),
        ("https://host.evil/a.whl", "https://host.evil/a.whl"),
        ("file:///a.whl", "file:///a.whl"),
    ],
)
def test_credentials_go_to_the_origin_of_their_index_only(url: str, whole: str) -> None:
    index = UserIndex("https://me:word@host/simple/", ("https://second@other:8443/simple",))
    assert index.with_credentials(url) == whole


def test_without_network_there_is_no_index() -> None:
    index = UserIndex("https://host/simple", only=("/w",))
    assert (index.words("pip"), index.variables("pip")) == (["--no-index", "--find-links", "/w"], {})
    assert index.words("uv") == ["--offline", "--no-index", "--find-links", "/w"]
    assert UserIndex(only=()).words("uv") == ["--offline"]  # what uv has cached
    assert UserIndex(only=()).words("pip") == ["--no-index"]
    assert UserIndex().words("uv") == []
