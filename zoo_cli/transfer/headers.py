"""Header fields for mirrors that ask for a key: which address gets which field, its value in the environment.

Edge: the environment and the user's mirrors file. A field belongs to the beginning of an address, boundary and all, and
each address that is asked is looked at by itself: after a redirect to another host nothing of it is sent. The value is
read from the environment when it is needed; it is in no file, no argument list, no event and no error.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from zoo_cli.transfer.addresses import redacted
from zoo_cli.transfer.failures import HeaderUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from zoo_cli.transfer.addresses import Address

NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")  # a token of RFC 9110, section 5.6.2
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
OURS = frozenset({
    "host", "range", "if-range", "user-agent", "accept", "accept-encoding", "connection", "content-length",
    "transfer-encoding", "te", "trailer", "upgrade", "proxy-authorization", "expect",
})  # fmt: skip
"""What the engine sets itself, in small letters."""


class Header(NamedTuple):
    """One field for the addresses that begin with `start`: the variable has its value, after `scheme` and a blank."""

    start: str  # as `Address.url` writes it
    name: str
    variable: str
    scheme: str = ""  # Bearer, Basic, Token

    def is_for(self, address: Address) -> bool:
        """Whether the address begins with `start`, which ends at a boundary, and does not climb out of it again."""
        rest = address.url.removeprefix(self.start)
        climbs = ".." in unquote(address.target).replace("\\", "/").split("/")
        at_boundary = not rest or self.start.endswith("/") or rest[0] in "/?"
        return address.url.startswith(self.start) and at_boundary and not climbs


def fields_for(
    address: Address, headers: tuple[Header, ...], environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The fields to send to an address; the environment is the process's own when None.

    Raises:
        HeaderUnusable: The variable is not set, or its value cannot be sent.
    """
    environ = os.environ if environ is None else environ
    return {each.name: _value(each, address, environ) for each in headers if each.is_for(address)}


def _value(header: Header, address: Address, environ: Mapping[str, str]) -> str:
    value = environ.get(header.variable, "").strip()
    why = "is not set" if not value else ""
    if not (value.isascii() and value.isprintable()):
        why = "has characters that no header may have"
    if why:
        raise HeaderUnusable(redacted(address.url), header.name, header.variable, why)
    return f"{header.scheme} {value}".strip()


def users_headers(environ: Mapping[str, str] | None = None) -> tuple[Header, ...]:
    """What the user's own mirrors file says; nothing when there is none.

    Raises:
        BadMirrors: It cannot be read.
    """
    from zoo_cli.transfer.mirrors import user_file

    path = user_file(os.environ if environ is None else environ)
    if path is None:
        return ()
    about = path.stat() if path.exists() else None
    return _headers_in(path, (about.st_mtime_ns, about.st_size, about.st_ino) if about else ())


@lru_cache(maxsize=4)
def _headers_in(path: Path, _version: tuple[int, ...]) -> tuple[Header, ...]:
    from zoo_cli.transfer.mirrors import read_mirrors

    return read_mirrors(path).headers
