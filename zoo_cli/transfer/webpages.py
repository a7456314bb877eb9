"""Web pages that come where a file was asked for: a login, a parked domain, an error with status 200. Pure."""

from __future__ import annotations

_BINARY = (
    ".whl", ".pth", ".pt", ".pkl", ".bin", ".ckpt", ".safetensors", ".onnx", ".pdparams", ".h5", ".npz", ".npy",
    ".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".tar", ".7z", ".conda", ".db", ".so", ".jpg", ".png",
)  # fmt: skip
_BEGINNINGS = (b"<!doctype", b"<html")
BEGIN_BYTES = 200  # enough of a body to see that it is one


def is_binary(name: str) -> bool:
    """Whether no file of such a name is a web page."""
    return name.lower().endswith(_BINARY)


def is_said_page(content_type: str) -> bool:
    """Whether a Content-Type field says that the body is a web page."""
    return content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")


def begins_page(body: bytes) -> bool:
    """Whether a body begins as web pages do."""
    return body[:BEGIN_BYTES].lstrip().lower().startswith(_BEGINNINGS)
