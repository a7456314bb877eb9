"""Releases of PyPI for tests marked `network`: downloaded once, checked, kept in the checkout's cache.

Standard library only, and nothing of zoo: a test must not check zoo's transfer with itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import urllib.request
from functools import lru_cache
from pathlib import Path
from typing import Any

CACHE = Path(__file__).parent.parent.parent / ".cache" / "pypi"

_SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"  # PEP 691
_MAX_BYTES = 400 * 1024 * 1024


@lru_cache(maxsize=32)
def release_files(project: str) -> tuple[dict[str, Any], ...]:
    """The rows of `files` of the project's simple page: filename, url, hashes, size, upload-time."""
    request = urllib.request.Request(f"https://pypi.org/simple/{project}/", headers={"Accept": _SIMPLE_JSON})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return tuple(json.load(answer)["files"])


def wheel(project: str, version: str) -> Path:
    """The wheel of a release as a file, its sdist where no pure wheel exists; sha256 as PyPI states it.

    Raises:
        LookupError: PyPI has neither.
    """
    stems = {f"{name}-{version}" for name in (project, project.replace("-", "_"))}
    endings = ("-py3-none-any.whl", "-py2.py3-none-any.whl", ".tar.gz")
    wanted = [stem + ending for ending in endings for stem in stems]
    for name in wanted:  # what is kept needs no page
        if (CACHE / name).is_file():
            return CACHE / name
    rows = {row["filename"]: row for row in release_files(project)}
    for name in wanted:
        if name in rows:
            return _download(name, rows[name]["url"], rows[name]["hashes"]["sha256"])
    raise LookupError(f"PyPI has no wheel or sdist of {project} {version}")


def file(name: str) -> Path:
    """Any file of a release by its own name, such as a wheel for one platform; sha256 as PyPI states it.

    Raises:
        LookupError: PyPI has no file of that name.
    """
    if (CACHE / name).is_file():
        return CACHE / name
    row = next((row for row in release_files(name.split("-")[0]) if row["filename"] == name), None)
    if row is None:
        raise LookupError(f"PyPI has no {name}")
    return _download(name, row["url"], row["hashes"]["sha256"])


def _download(name: str, url: str, sha256: str) -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    with urllib.request.urlopen(url, timeout=60) as answer:
        body = answer.read(_MAX_BYTES)
    assert hashlib.sha256(body).hexdigest() == sha256, f"{url} is not the file PyPI promises"
    handle, part = tempfile.mkstemp(dir=CACHE, prefix=f".{name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        Path(part).replace(CACHE / name)  # other workers see the whole file or none
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(part).unlink()
    return CACHE / name
