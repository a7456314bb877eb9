"""Pages and manifests of a mirror: what is written is what readers read, and foreign manifests name no other place."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from urllib.parse import unquote, urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_cli.mirror.manifest import BadMirror, Held, Manifest, NotMirrorable, place_of_url, read_manifest
from zoo_cli.mirror.pages import make_pages, shared_names
from zoo_cli.packages.findlinks import read_links
from zoo_cli.transfer.failures import BadAddress
from zoo_cli.transfer.sources import Mirrors, Rule

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
words = st.from_regex(r"[A-Za-z0-9_+~ 한]{1,12}", fullmatch=True).filter(lambda text: text.strip() == text)
wheels = st.builds(
    lambda host, folder, name, sha256, size, python, pages: Held(
        f"{host}.example/{folder}/{name}-1.0+cpu-py3-none-any.whl", "wheel", sha256, size, "https://x", python, pages
    ),
    st.sampled_from(["one", "two:8443"]), st.sampled_from(["a", "b/c"]), st.sampled_from(["torch", "my_ops", "A.b"]),
    digests, st.integers(0, 10**12), st.sampled_from(["", ">=3.8,<4"]), st.booleans(),
)  # fmt: skip


@settings(max_examples=30)
@given(st.lists(wheels, max_size=8), st.booleans())
def test_what_a_page_lists_is_what_the_mirror_has(held: list[Held], with_metadata: bool) -> None:
    files = {each.path: each for each in held}
    if with_metadata:
        files |= {f"{path}.metadata": Held(f"{path}.metadata", "metadata", "a" * 64, 3) for path in list(files)}
    pages = make_pages(files.values())
    root, shared = "http://lab.example/deep/", shared_names(files.values())
    seen = {path: read_links(body, root + path) for path, body in pages.items() if path != "simple/index.json"}
    for path, links in seen.items():
        for link in links if path != "simple/index.html" else ():
            found = files[unquote(link.url.removeprefix(root))]
            told = (link.filename, link.sha256, link.requires_python or "")
            assert told == (found.name, found.sha256, found.requires_python)
    everywhere = {link.filename for link in seen["wheels/index.html"]}
    assert everywhere == {each.name for each in files.values() if each.kind == "wheel"} - set(shared)
    for each in (each for each in files.values() if each.kind == "wheel" and (each.pages or each.name in shared)):
        page = f"{PurePosixPath(each.path).parent}/index.html"
        assert each.sha256 in {link.sha256 for link in seen[page]}, "also one whose name another wheel has"
    for path in pages:
        if path.endswith("index.json") and path != "simple/index.json":
            html = seen[path.replace(".json", ".html")]
            assert {link.filename for link in html} == {link.filename for link in seen[path]}


@settings(max_examples=30)
@given(st.dictionaries(words, st.tuples(digests, st.integers(0, 10**12)), max_size=8), st.lists(words, max_size=3))
def test_manifests_round_trip(files: dict[str, tuple[str, int]], pending: list[str]) -> None:
    held = {f"host/{name}": Held(f"host/{name}", "checkpoint", *about, "https://a/b") for name, about in files.items()}
    manifest = Manifest(held, tuple(sorted({f"host/{each}" for each in pending})), "2026-11-23")
    assert read_manifest(manifest.to_bytes(), "x") == manifest


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/x", "a/../x", "a//b", ".hidden", "a/.b", "a\\b", "", "mirror.json", "a\0b", "x" * 2000, 7, None],
)
def test_a_manifest_that_names_another_place_is_refused(path: object) -> None:
    row = {"path": path, "kind": "page", "sha256": "0" * 64, "size": 1}
    with pytest.raises(BadMirror):
        read_manifest(json.dumps({"zoo-mirror": 1, "files": [row]}).encode(), "x")
    with pytest.raises(BadMirror):
        read_manifest(json.dumps({"zoo-mirror": 1, "files": [], "pending": [path]}).encode(), "x")


keys = st.sampled_from(["zoo-mirror", "files", "pending", "path", "sha256", "size", "kind"])
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
documents = st.recursive(scalars, lambda each: st.lists(each, max_size=3) | st.dictionaries(keys, each, max_size=4))


@settings(max_examples=50)
@given(documents)
def test_any_json_is_a_manifest_or_one_error(value: object) -> None:
    try:
        found = read_manifest(json.dumps({"zoo-mirror": 1, "files": [value]}).encode(), "x")
    except BadMirror:
        return
    assert all(path == held.path and len(held.sha256) == 64 for path, held in found.files.items())


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"\xff", b"{}", b'{"zoo-mirror": 2, "files": []}'])
def test_what_is_no_manifest(body: bytes) -> None:
    with pytest.raises(BadMirror):
        read_manifest(body, "x")


@given(st.lists(words, min_size=1, max_size=4))
def test_a_client_finds_a_file_where_the_tree_has_it(parts: list[str]) -> None:
    from urllib.parse import quote

    url = "https://host.example/" + quote("/".join(parts))
    (asked,) = Mirrors((Rule("https://", ("http://lab/m/",), order="instead"),)).addresses(url, "checkpoints")
    assert unquote(urljoin("http://lab/m/", asked).removeprefix("http://lab/m/")) == place_of_url(url)


@pytest.mark.parametrize(
    "url",
    ["https://host/../x", "https://host/%2e%2e/x", "https://host/a//b", "https://host/.git/x", "https://host/a%00",
     "https://simple/x"],
)  # fmt: skip
def test_an_address_that_would_leave_the_tree(url: str) -> None:
    with pytest.raises((NotMirrorable, BadAddress)):
        place_of_url(url)
