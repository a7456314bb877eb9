"""Foreign text made visible: what `cli.text` shows and what log files hold pass the same functions. Pure."""

from __future__ import annotations

import re

# One slash: a mistyped address is a path for pathlib, which leaves out the second one.
_PASSWORD = re.compile(r"""(?<=/)[^\s/?#@"'<>:]{0,300}:[^\s/?#@"'<>]{0,3000}@""")
_KEY = re.compile(
    r"""(?i)([?&][\w.-]{0,60}(?:token|signature|sig|secret|password|credential|key))=(?!\.\.\.)[^\s&#"'<>]+"""
)


def without_passwords(text: str) -> str:
    """The text with no user name and password in its addresses, and no values of query fields that look secret.

    The last of several: whoever puts an address into an error or a file takes them out by `transfer.addresses`.
    """
    if "@" in text and "/" in text:
        text = _PASSWORD.sub("", text)
    return _KEY.sub(r"\1=...", text) if "=" in text and ("?" in text or "&" in text) else text


def printable(text: str, limit: int = 4000) -> str:
    """The text with control, bidirectional and line-separator characters shown as escapes, at most `limit` long."""
    if text.isascii() and text.isprintable():
        return text if len(text) <= limit else text[:limit] + "..."
    # Unicode's format characters (bidirectional controls, zero-width letters) are not printable for Python either.
    parts = [char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text[:limit]]
    return "".join(parts) + ("..." if len(text) > limit else "")
