"""A list of files to fetch: lines of addresses, destination and SHA-256, separated by tabs.

Edge: reads the list. `URL<tab>DEST<tab>SHA256`; several addresses of one file stand in the first field with blanks
between them; the destination may be left out (then it is the name in the address), the digest, too. Empty lines and
lines that begin with # are passed over. A destination stays inside the directory the list is fetched into, on every
system, and is a directory where it ends in a slash.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.addresses import file_name_of, local_path, parse_address, redacted
from zoo_cli.transfer.failures import BadAddress
from zoo_cli.transfer.hashes import BadDigest, Sha256, parse_sha256

MAX_LIST_BYTES = 256 * 1024 * 1024
_MAX_LINE = 64 * 1024  # letters: several addresses of the longest
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|\.{0,2}/")  # a path says by its beginning that it is one


class BadList(ZooError):
    """A line of a list of files cannot be read."""

    code = "bad-list"
    exit_code = ExitCode.USAGE

    file: str
    line: int  # from 1; 0 when the whole file is meant
    why: str


class Line(NamedTuple):
    """One file of a list."""

    urls: tuple[str, ...]
    path: PurePosixPath  # relative
    sha256: Sha256 | None


def read_list(path: str) -> list[Line]:
    """The files of a list; "-" is standard input.

    Raises:
        BadList: It cannot be read, or a line is wrong; nothing should be fetched then.
    """
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_LIST_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(MAX_LIST_BYTES + 1)
        if len(data) > MAX_LIST_BYTES:
            raise BadList(path, 0, f"it is larger than {MAX_LIST_BYTES} bytes")
        text = data.decode("utf-8-sig")
    except OSError as exc:
        raise BadList(path, 0, exc.strerror or str(exc)) from exc
    except UnicodeDecodeError as exc:
        raise BadList(path, data.count(b"\n", 0, exc.start) + 1, "it is not UTF-8") from exc
    return list(parse_list(text, path))


def parse_list(text: str, name: str) -> list[Line]:
    """The files of a list as text; `name` is for errors.

    Raises:
        BadList: A line is wrong.
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.rstrip("\r")
        if not bare.strip() or bare.startswith("#"):
            continue
        if len(bare) > _MAX_LINE:
            raise BadList(name, number, f"it has more than {_MAX_LINE} letters")
        try:
            found.append(_parse_line(bare))
        except BadAddress as exc:
            raise BadList(name, number, f"{exc.url}: {exc.why}") from exc
        except BadDigest as exc:
            raise BadList(name, number, f"{exc.text} is no SHA-256: 64 hex digits") from exc
        except ValueError as exc:
            raise BadList(name, number, str(exc)) from exc
    return found


def _parse_line(line: str) -> Line:
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) > 3:
        raise ValueError("it has more than three fields: address, destination, sha256")
    addresses, path, digest = (*fields, "", "")[:3]
    urls = tuple(addresses.split())
    if not urls:
        raise ValueError("it has no address")
    for url in urls:
        if local_path(url) is None:
            parse_address(url)
    for word in urls[1:]:
        if not _ADDRESS.match(word):
            raise ValueError(
                f"{word[:300]} is no address: fields are separated by tabs, addresses of one file by blanks"
            )
    name = path if path and not path.endswith("/") else path + file_name_of(urls[0])
    return Line(urls, _inside(name, path or redacted(urls[0])), parse_sha256(digest) if digest else None)


def _inside(text: str, shown: str) -> PurePosixPath:
    """A path that stays where it is put, on Windows too: a list goes from one system to the other."""
    path = PurePosixPath(text)
    if "\\" in text or PureWindowsPath(text).drive:
        raise ValueError(f"its destination has a backslash or a drive, write models/a.pth: {shown}")
    if path.is_absolute() or ".." in path.parts or not path.name or "\0" in text:
        raise ValueError(f"its destination must be a path inside the directory: {shown}")
    return path
