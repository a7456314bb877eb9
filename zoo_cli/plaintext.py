"""Foreign text made visible: what `cli.text` shows and what log files hold pass the same function. Pure."""

from __future__ import annotations


def printable(text: str, limit: int = 4000) -> str:
    """The text with control, bidirectional and line-separator characters shown as escapes, at most `limit` long."""
    if text.isascii() and text.isprintable():
        return text if len(text) <= limit else text[:limit] + "..."
    # Unicode's format characters (bidirectional controls, zero-width letters) are not printable for Python either.
    parts = [char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text[:limit]]
    return "".join(parts) + ("..." if len(text) > limit else "")
