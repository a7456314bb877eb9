"""Find-links pages and simple-index pages: text in, links out.

Pure. Reads HTML (PEP 503, PEP 592, and the looser find-links pages) and JSON (PEP 691). Links are resolved against the
page's address or its `<base href>`; a page has a maximum size and a maximum number of links. A page that is no listing
(an error page, a login form) is an error that says what it looked like.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PAGE = 64 << 20  # bytes; PyPI's largest simple pages are near 10 MB
MAX_LINKS = 200_000
MAX_ADDRESS = 4096  # characters
_FILE = re.compile(r"\.(whl|tar\.gz|tar\.bz2|tgz|zip|egg)\Z", re.IGNORECASE)
_HASH = re.compile(r"(?:^|&)sha256=([0-9a-fA-F]{64})(?:&|\Z)")
_SCHEMES = ("http", "https", "file")


class Link(NamedTuple):
    """One file that a page offers."""

    filename: str  # decoded: "torch-2.1.2+cu121-....whl"
    url: str = ""  # absolute, without fragment
    sha256: str | None = None  # lower case
    yanked: str | None = None  # the reason, "" without one; None when it stands
    requires_python: str | None = None
    size_bytes: int | None = None
    page: str = ""  # the address of the page that offers it


class NotAListing(ZooError):
    """An address answered, but not with a list of files."""

    code = "not-a-listing"
    exit_code = ExitCode.NETWORK

    url: str
    looks_like: str


def read_links(body: bytes, url: str, content_type: str = "") -> tuple[Link, ...]:
    """The files that a page offers, in its order, without duplicates.

    Raises:
        NotAListing: it is too large, or it is neither a listing in HTML nor one in JSON.
    """
    if len(body) > MAX_PAGE:
        raise NotAListing(url, f"a document of {len(body)} bytes")
    text = body.decode("utf-8", "replace")
    is_json = "json" in content_type or text[:64].lstrip("\ufeff \t\r\n").startswith("{")
    links = _from_json(text, url) if is_json else _from_html(text, url)
    return tuple(dict.fromkeys(links))


def page_address(root: str, variant: str, torch: str) -> str:
    """The page of upstream's layout below a root such as `.../mmcv/dist/`: `<root>/<variant>/torchX.Y.0/index.html`."""
    release = ".".join(torch.split("+")[0].split(".")[:2])
    return f"{root.rstrip('/')}/{variant}/torch{release}.0/index.html"


def is_site_root(place: str) -> bool:
    """Whether a place names a whole site in upstream's layout (it ends in `/dist`), not one page of it."""
    return urlsplit(place).path.rstrip("/").endswith("/dist")


# -- HTML --------------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """Collects anchors, the base address, the title and whether there is a form."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.anchors: list[dict[str, str]] = []
        self.base: str | None = None
        self.title = ""
        self.is_html = False
        self.asks_password = False
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.is_html = True
        self._in_title = tag == "title"
        if tag == "a" and "href" in values and len(self.anchors) < MAX_LINKS:
            self.anchors.append(values)
        elif tag == "base" and self.base is None:
            self.base = values.get("href")
        elif tag == "input" and values.get("type") == "password":
            self.asks_password = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title = (self.title + data)[:200]


def _from_html(text: str, url: str) -> list[Link]:
    page = _Page()
    try:
        page.feed(text)
        page.close()
    except AssertionError as exc:  # html.parser's answer to malformed declarations in Python 3.10 to 3.12
        raise NotAListing(url, "broken HTML") from exc
    try:
        base = urljoin(url, page.base) if page.base else url
    except ValueError as exc:
        raise NotAListing(url, "HTML with a broken base address") from exc
    links = [link for link in (_link(anchor, base, url) for anchor in page.anchors) if link]
    if not links and not _may_be_empty(page):
        raise NotAListing(url, _looks_like(page, text))
    return links


def _link(anchor: Mapping[str, str], base: str, page: str) -> Link | None:
    try:
        address = urljoin(base, anchor["href"].strip())
        parts = urlsplit(address)
    except ValueError:
        return None
    filename = unquote(parts.path.rpartition("/")[2])
    if parts.scheme not in _SCHEMES or len(address) > MAX_ADDRESS or not is_file_name(filename):
        return None
    if parts.scheme == "file" and not page.startswith("file:"):  # only a page of this computer names files of it
        return None
    digest = _HASH.search(parts.fragment)
    return Link(
        filename=filename,
        url=parts._replace(fragment="").geturl(),
        sha256=digest[1].lower() if digest else None,
        yanked=anchor.get("data-yanked"),
        requires_python=anchor.get("data-requires-python") or None,
        page=page,
    )


def is_file_name(name: str) -> bool:
    """Whether a name is that of a wheel or an sdist, and safe as a file name."""
    return bool(_FILE.search(name)) and not re.search(r"[\x00-\x1f\x7f/\\]", name) and not name.startswith(".")


def _may_be_empty(page: _Page) -> bool:
    """A listing without files: it has a listing's title, or links to directories only."""
    if page.asks_password:
        return False
    title = page.title.strip().lower()
    listing = title.startswith(("links for", "index of", "directory listing", "simple index"))
    return listing or any(anchor["href"].endswith("/") for anchor in page.anchors)


def _looks_like(page: _Page, text: str) -> str:
    if page.asks_password:
        return "a login page"
    if page.title.strip():
        return f"a page titled {' '.join(page.title.split())[:80]!r}"
    if page.is_html:
        return "an HTML page without any link to a wheel"
    return f"text: {' '.join(text.split())[:80]!r}" if text.strip() else "an empty answer"


# -- JSON (PEP 691) ----------------------------------------------------------------------------------------------


def _from_json(text: str, url: str) -> list[Link]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise NotAListing(url, "broken JSON") from exc
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, list):
        raise NotAListing(url, "JSON without a list of files")
    return [link for link in (_json_link(entry, url) for entry in files[:MAX_LINKS]) if link]


def _json_link(entry: object, page: str) -> Link | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
        return None
    yanked = entry.get("yanked", False)
    anchor = {"href": entry["url"]}
    if isinstance(entry.get("requires-python"), str):
        anchor["data-requires-python"] = entry["requires-python"]
    if yanked:
        anchor["data-yanked"] = yanked if isinstance(yanked, str) else ""
    hashes = entry.get("hashes")
    if isinstance(hashes, dict) and isinstance(hashes.get("sha256"), str):
        anchor["href"] = f"{anchor['href'].partition('#')[0]}#sha256={hashes['sha256']}"
    link = _link(anchor, page, page)
    size = entry.get("size")
    if link and isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return link._replace(size_bytes=size)
    return link
