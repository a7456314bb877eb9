"""Reading the places a user names: pages, sites, directories, and those that are dead."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tests.support.server import Page, Server
from tests.support.wheels import write_wheel
from zoo_cli.packages.findlinks import NotAListing
from zoo_cli.packages.pages import NoSuchPlace, read_listing
from zoo_cli.transfer.fetch import Settings
from zoo_cli.transfer.sources import Mirrors, Order, Rule

QUICK = Settings(connect_seconds=2, stall_seconds=2, retries=0)
WHEEL = "mmcv-2.1.0-cp311-cp311-linux_x86_64.whl"


def page(*names: str) -> bytes:
    return "".join(f'<a href="{name}">{name}</a>\n' for name in names).encode()


def names(listing_links: tuple[object, ...]) -> list[str]:
    return [str(getattr(link, "filename")) for link in listing_links]  # noqa: B009


def test_a_page_and_its_json_twin() -> None:
    document = b'{"files": [{"url": "b-1-py3-none-any.whl"}]}'
    served = {"/html/": Page(page(WHEEL)), "/json/": Page(document, "application/vnd.pypi.simple.v1+json")}
    with Server(served) as server:
        listing = read_listing((server.url("/html/"), server.url("/json/")), QUICK)
        assert names(listing.links) == [WHEEL, "b-1-py3-none-any.whl"]
        assert listing.links[0].url == server.url(f"/html/{WHEEL}")
    assert listing.skipped == ()


def test_a_page_comes_from_a_mirror_where_there_is_one() -> None:
    with Server({"/m/p/": Page(page(WHEEL))}) as server:
        for to, order in ((server.url("/m"), "before"), (server.url("/m"), "instead")):
            mirrors = Mirrors((Rule("https://127.0.0.1:9", (to,), ("wheels",), cast("Order", order)),))
            (link,) = read_listing(("https://127.0.0.1:9/p/",), QUICK, (), mirrors).links
            assert link.url == server.url(f"/m/p/{WHEEL}")
        elsewhere = Mirrors((Rule("https://127.0.0.1:9", (server.url("/no"),)),))
        assert read_listing((server.url("/m/p/"),), QUICK, (), elsewhere).links
        assert read_listing(("https://127.0.0.1:9/p/",), QUICK, (), elsewhere).skipped


def test_a_dead_page_is_told_and_hides_no_other() -> None:
    served = {"/good/": Page(page(WHEEL)), "/login/": Page(b"<title>Sign in</title><form><input type=password></form>")}
    with Server(served) as server:
        listing = read_listing((server.url("/missing/"), server.url("/login/"), server.url("/good/")), QUICK)
        assert names(listing.links) == [WHEEL]
        assert [skipped.place for skipped in listing.skipped] == [server.url("/missing/"), server.url("/login/")]
    assert listing.skipped[0].error.exit_code == 5
    assert isinstance(listing.skipped[1].error, NotAListing)


def test_a_site_is_read_page_by_page_as_wanted() -> None:
    served = {"/mmcv/dist/cpu/torch2.13.0/index.html": Page(page(f"./{WHEEL}"))}
    with Server(served) as server:
        root = server.url("/mmcv/dist/")
        listing = read_listing((root,), QUICK, wanted=(("cpu", "2.13.0+cpu"), ("cu130", "2.13.1"), ("cpu", "2.13.2")))
        assert [link.url for link in listing.links] == [f"{root}cpu/torch2.13.0/{WHEEL}"]
        assert [skipped.place for skipped in listing.skipped] == [f"{root}cu130/torch2.13.0/index.html"]


def test_the_address_of_a_wheel_is_a_link_itself() -> None:
    listing = read_listing((f"https://127.0.0.1:9/cpu/torch2.13.0/{WHEEL}#sha256=00",), QUICK)
    assert listing.links[0].url == f"https://127.0.0.1:9/cpu/torch2.13.0/{WHEEL}"


def test_offline_reads_directories_only(tmp_path: Path) -> None:
    write_wheel(tmp_path, "tiny", "1.0")
    listing = read_listing((str(tmp_path), "https://127.0.0.1:9/page/"), Settings(offline=True))
    assert names(listing.links) == ["tiny-1.0-py3-none-any.whl"]
    assert len(listing.skipped) == 1


def test_a_directory_with_its_parts(tmp_path: Path) -> None:
    dist = tmp_path / "dist" / "cpu" / "torch2.13.0"
    wheel = write_wheel(dist, "mmcv", "2.1.0", "cp311-cp311-linux_x86_64", files={"mmcv/_ext.so": b"x"})
    (dist / "notes.txt").write_text("no wheel")
    (tmp_path / ".hidden").mkdir()
    write_wheel(tmp_path / ".hidden", "hidden")
    for place in (str(tmp_path), tmp_path.as_uri(), str(tmp_path / "dist")):
        (link,) = read_listing((place,), QUICK).links
        assert link.filename == wheel.name
        assert link.url == wheel.as_uri()
        assert link.size_bytes == wheel.stat().st_size
        assert "/cpu/torch2.13.0/" in link.page


def test_the_page_of_a_directory_knows_what_is_yanked(tmp_path: Path) -> None:
    write_wheel(tmp_path, "tiny", "1.0")
    (tmp_path / "index.html").write_text('<a href="tiny-1.0-py3-none-any.whl" data-yanked="wrong">t</a>')
    (link,) = read_listing((str(tmp_path),), QUICK).links
    assert link.yanked == "wrong"
    assert link.url == (tmp_path / "tiny-1.0-py3-none-any.whl").as_uri()


def test_a_local_page_and_a_local_wheel(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "tiny", "1.0")
    (tmp_path / "page.html").write_bytes(page(wheel.name))
    listing = read_listing((str(tmp_path / "page.html"), str(wheel)), QUICK)
    assert names(listing.links) == [wheel.name, wheel.name]


@pytest.mark.parametrize("place", ["nowhere", "file:///no/such/directory"])
def test_a_place_that_is_not_there(place: str) -> None:
    listing = read_listing((place,), QUICK)
    assert isinstance(listing.skipped[0].error, NoSuchPlace)


def test_an_endless_page_ends() -> None:
    from tests.support import server as support

    with Server({"/page/": Page(page(WHEEL))}) as server:
        server.always("/page/", support.Cut(after=5))
        listing = read_listing((server.url("/page/"),), QUICK)
        assert listing.links == ()
        assert len(listing.skipped) == 1
