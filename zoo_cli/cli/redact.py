"""What a bug report must not tell: home directories, user and host names, private addresses, tokens. Pure.

One function, `redacted`, for everything that leaves as Markdown. It takes away more than it has to: a word that looks
like a secret is one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Hosts that everybody uses; any other may tell where somebody works.
_PUBLIC_HOSTS = (
    "pypi.org", "pythonhosted.org", "pytorch.org", "openmmlab.com", "github.com", "githubusercontent.com", "github.io",
    "huggingface.co", "onedl.ai", "nvidia.com", "docker.io", "conda.io", "anaconda.org", "localhost", "127.0.0.1",
)  # fmt: skip
_ADDRESS = re.compile(r"\b([a-z][a-z0-9+.-]{1,15}://)([^\s/'\"<>)]+)", re.IGNORECASE)
_HOME = re.compile(r"(?<![\w.-])(?:/(?:home|Users)/[^/\s'\":;,]+|/root(?=[/\s'\":;,]|$)|[A-Za-z]:\\Users\\[^\\\s'\"]+)")
_TOKENS = re.compile(
    r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{20,}|hf_[A-Za-z0-9]{16,}|pypi-[\w-]{16,}|glpat-[\w-]{16,}|AKIA[A-Z0-9]{12,}"
    r"|sk-[\w-]{16,}|xox[baprs]-[\w-]{10,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}|[A-Fa-f0-9]{40,})\b"
)
_NAMED_SECRET = re.compile(
    r"(?i)\b([\w-]*(?:token|secret|passw(?:or)?d|api[_-]?key|credential)[\w-]*)(\s*[=:]\s*)[^\s&'\",;]+"
)
# Versions have four numbers, too: an address is one of a private network, or one with a port.
_NETWORK = re.compile(
    r"\b(?:(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01])|169\.254)(?:\.\d{1,3}){2,3}\b(?!\.\d)|(?:\d{1,3}\.){3}\d{1,3}(?=:\d))"
)
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")


def redacted(text: str, environ: Mapping[str, str], host: str = "", environment: str = "") -> str:
    """The text without what tells who and where: `~`, `ENV`, `USER`, `HOST`, `TOKEN`, `ADDRESS` stand for it.

    Args:
        text: anything that is to be shown to strangers.
        environ: names the user (USER, LOGNAME, USERNAME) and the home directory (HOME, USERPROFILE).
        host: the name of this computer.
        environment: the directory of the target environment.
    """
    if len(environment) > 1:
        text = re.sub(rf"{re.escape(environment.rstrip('/'))}(?![\w.-])", "ENV", text)
    for variable in ("HOME", "USERPROFILE"):
        home = environ.get(variable, "").rstrip("/\\")
        if len(home) > 1:
            text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    text = _HOME.sub("~", text)
    text = _ADDRESS.sub(_address, text)
    text = _TOKENS.sub("TOKEN", _NAMED_SECRET.sub(r"\1\2SECRET", text))
    text = _MAIL.sub("ADDRESS", text)
    text = _NETWORK.sub("ADDRESS", text)
    names = {environ.get(variable, "") for variable in ("USER", "LOGNAME", "USERNAME")}
    for name in sorted(names, key=len, reverse=True):
        if len(name) > 1:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "USER", text)
    if len(host) > 1:
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(host)}(?![A-Za-z0-9])", "HOST", text)
    return text


def _address(hit: re.Match[str]) -> str:
    scheme, place = hit[1], hit[2].rpartition("@")[2]
    name = place.partition(":")[0].lower()
    is_public = scheme.lower() == "file://" or any(name == each or name.endswith(f".{each}") for each in _PUBLIC_HOSTS)
    return f"{scheme}{place if is_public else 'HOST'}"
