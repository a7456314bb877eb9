"""A list of files to fetch: lines of addresses, destination and SHA-256, separated by tabs.

Edge: reads the list. `URL<tab>DEST<tab>SHA256`; several addresses of one file stand in the first field with blanks
between them; the destination may be left out (then it is the name in the address), the digest, too. Empty lines and
lines that begin with # are passed over. A destination stays inside the directory the list is fetched into.
"""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.addresses import file_name_of, local_path, parse_address, redacted
from zoo_cli.transfer.failures import BadAddress
from zoo_cli.transfer.hashes import BadDigest, Sha256, parse_sha256

MAX_LIST_BYTES = 256 * 1024 * 1024


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
    relative = PurePosixPath(path or file_name_of(urls[0]))
    if relative.is_absolute() or ".." in relative.parts or not relative.name or "\0" in path:
        raise ValueError(f"its destination must be a path inside the directory: {path or redacted(urls[0])}")
    return Line(urls, relative, parse_sha256(digest) if digest else None)
