"""Pages as they are in the world: links out, or a clear word that it is no listing."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.packages.findlinks import MAX_PAGE, Link, NotAListing, is_site_root, page_address, read_links

PAGE = "https://download.openmmlab.com/mmcv/dist/cu121/torch2.1.0/index.html"
WHEEL = "mmcv-2.1.0-cp310-cp310-manylinux1_x86_64.whl"
SHA = "ab" * 32


def read(text: str, url: str = PAGE, content_type: str = "text/html") -> tuple[Link, ...]:
    return read_links(text.encode(), url, content_type)


def test_relative_encoded_and_absolute_links() -> None:
    links = read(
        '<a href="./torch-2.1.2%2Bcu121-cp310-cp310-linux_x86_64.whl">a</a>'
        '<A HREF="../torch2.1.0/mmcv-2.1.0-cp310-cp310-manylinux1_x86_64.whl">b</A>'
        '<a href="https://else.where/x-1.0-py3-none-any.whl?sig=1#sha256=' + SHA.upper() + '">c</a>'
        '<a href="mmcv-2.1.0.tar.gz">d</a>'
    )
    base = "https://download.openmmlab.com/mmcv/dist/cu121/torch2.1.0/"
    assert [link.url for link in links] == [
        f"{base}torch-2.1.2%2Bcu121-cp310-cp310-linux_x86_64.whl",
        f"{base}{WHEEL}",
        "https://else.where/x-1.0-py3-none-any.whl?sig=1",
        f"{base}mmcv-2.1.0.tar.gz",
    ]
    assert links[0].filename == "torch-2.1.2+cu121-cp310-cp310-linux_x86_64.whl"
    assert links[2].sha256 == SHA
    assert {link.page for link in links} == {PAGE}


def test_base_href_moves_relative_links() -> None:
    (link,) = read(f'<head><base href="/other/place/"></head><a href="{WHEEL}">x</a>')
    assert link.url == f"https://download.openmmlab.com/other/place/{WHEEL}"


def test_a_broken_base_is_no_listing() -> None:
    with pytest.raises(NotAListing):
        read(f'<head><base href="http://[::1"></head><a href="{WHEEL}">x</a>')


def test_attributes_of_the_simple_index() -> None:
    first, second, third = read(
        f'<a href="a-1-py3-none-any.whl" data-yanked="broken &amp; wrong">1</a>'
        f'<a href="b-1-py3-none-any.whl" data-yanked>2</a>'
        f'<a href="{WHEEL}#sha256={SHA}" data-requires-python="&gt;=3.7">3</a>'
    )
    assert (first.yanked, second.yanked, third.yanked) == ("broken & wrong", "", None)
    assert (third.requires_python, third.sha256) == (">=3.7", SHA)


@pytest.mark.parametrize("fragment", ["sha256=abc", "md5=" + "a" * 32, "sha256=" + "g" * 64])
def test_other_fragments_are_no_digest(fragment: str) -> None:
    (link,) = read(f'<a href="{WHEEL}#{fragment}">x</a>')
    assert link.sha256 is None


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)//x-1-py3-none-any.whl",
        "ftp://host/x-1-py3-none-any.whl",
        "https://host/..%2Fx-1-py3-none-any.whl",
        "https://host/a%5Cx-1-py3-none-any.whl",
        "https://host/x%00-1-py3-none-any.whl",
        "https://[broken/x-1-py3-none-any.whl",
        "https://host/.x-1-py3-none-any.whl",
        "https://host/" + "x" * 5000 + "-1-py3-none-any.whl",
        "https://host/readme.txt",
    ],
)
def test_strange_links_are_left_out(href: str) -> None:
    assert [link.filename for link in read(f'<a href="{href}">x</a><a href="{WHEEL}">y</a>')] == [WHEEL]


def test_json_of_the_simple_index() -> None:
    document = {
        "meta": {"api-version": "1.1"},
        "name": "mmcv",
        "files": [
            {
                "filename": WHEEL,
                "url": WHEEL,
                "hashes": {"sha256": SHA},
                "size": 94_000_000,
                "requires-python": ">=3.7",
                "yanked": False,
            },
            {"filename": "x.whl", "url": "x-1-py3-none-any.whl", "hashes": {}, "yanked": "bad", "size": True},
            {"filename": "y.whl", "url": "y-1-py3-none-any.whl", "yanked": True},
            {"url": 5},
            "nothing",
        ],
    }
    first, second, third = read(json.dumps(document), content_type="application/vnd.pypi.simple.v1+json")
    assert (first.url, first.sha256, first.size_bytes, first.yanked) == (
        PAGE.replace("index.html", WHEEL),
        SHA,
        94_000_000,
        None,
    )
    assert (second.yanked, third.yanked, second.size_bytes) == ("bad", "", None)


@pytest.mark.parametrize(
    ("text", "content_type", "looks_like"),
    [
        ("404: Not Found", "text/plain", "text: '404: Not Found'"),
        ("<html><title>NoSuchKey</title><body>The key is not there</body></html>", "text/html", "'NoSuchKey'"),
        ("<form><input type='password'></form><a href='/home/'>home</a>", "text/html", "a login page"),
        ("<html><a href='https://host/about'>about</a></html>", "text/html", "without any link"),
        ("", "text/html", "an empty answer"),
        ("{", "application/json", "broken JSON"),
        ("[" * 100_000, "application/json", "broken JSON"),
        ('{"message": "Not Found"}', "application/json", "without a list of files"),
        ("[]", "application/json", "without a list of files"),
    ],
)
def test_what_is_no_listing_is_said(text: str, content_type: str, looks_like: str) -> None:
    with pytest.raises(NotAListing) as caught:
        read(text, content_type=content_type)
    assert looks_like in caught.value.looks_like


@pytest.mark.parametrize(
    "text",
    [
        "<title>Links for mmcv</title><h1>Links for mmcv</h1>",
        "<title>Index of /mmcv</title>",
        "<title>Directory listing for /</title><a href='cpu/'>cpu/</a>",
        "<a href='cu121/'>cu121/</a>",
        '{"files": []}',
    ],
)
def test_an_empty_listing_is_one(text: str) -> None:
    assert read(text, content_type="") == ()


def test_a_huge_page_is_refused() -> None:
    with pytest.raises(NotAListing):
        read_links(b" " * (MAX_PAGE + 1), PAGE)


def test_the_same_link_twice_is_one() -> None:
    assert len(read(f'<a href="{WHEEL}">x</a><a href="./{WHEEL}">x</a>')) == 1


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="/\\"), min_size=1, max_size=40
)


@given(st.lists(NAMES.filter(lambda name: not name.startswith(".")), min_size=1, max_size=5, unique=True))
def test_what_a_page_writer_escapes_comes_back(stems: list[str]) -> None:
    names = [f"{stem}.whl" for stem in stems]
    page = "".join(f'<a href="{html.escape(quote(name))}">{html.escape(name)}</a>\n' for name in names)
    assert [link.filename for link in read(page)] == names


@given(st.binary(max_size=2000), st.sampled_from(["", "text/html", "application/json"]))
def test_any_bytes_give_links_or_one_error(body: bytes, content_type: str) -> None:
    try:
        links = read_links(body, PAGE, content_type)
    except NotAListing as error:
        assert error.looks_like
    else:
        assert all(link.filename for link in links)


@given(st.text(st.sampled_from("<>!-[]&#;\"'/ =abhref"), max_size=200))
def test_broken_markup_is_survived(text: str) -> None:
    try:
        read(text)
    except NotAListing as error:
        assert error.looks_like


def test_pages_of_a_site() -> None:
    root = "https://download.openmmlab.com/mmcv/dist/"
    assert page_address(root, "cu121", "2.1.2+cu121") == PAGE
    assert page_address(root, "cpu", "2.13") == f"{root}cpu/torch2.13.0/index.html"
    assert is_site_root(root)
    assert not is_site_root(PAGE)
