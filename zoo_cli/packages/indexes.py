"""The package index that the user already uses, and a clean environment for pip and uv.

Edge: reads environment variables and pip's configuration files. Ordinary projects come from the user's own index (a
company mirror, a PyPI proxy); everything else that PIP_* and UV_* variables or files could change is taken away from
the child, so that a plan means the same everywhere. Addresses may hold credentials: they travel by environment
variable, never on a command line that other users can see.
"""

from __future__ import annotations

import configparser
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from zoo_cli.transfer.addresses import redacted
from zoo_cli.transfer.headers import users_headers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PYPI = "https://pypi.org/simple"
# How to reach the network is the user's business; what to install is the plan's.
_KEPT = frozenset({
    "PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES", "PIP_TRUSTED_HOST",
    "PIP_CACHE_DIR", "PIP_KEYRING_PROVIDER", "UV_CACHE_DIR", "UV_HTTP_TIMEOUT", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS",
    "UV_INSECURE_HOST", "UV_LINK_MODE", "UV_CONCURRENT_DOWNLOADS", "UV_KEYRING_PROVIDER",
})  # fmt: skip
_NETWORK_KEYS = ("cert", "client-cert", "proxy", "timeout", "trusted-host")
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__")
_MAX_CONFIG = 1 << 20  # bytes


class UserIndex(NamedTuple):
    """Where ordinary projects come from; empty fields mean PyPI itself. Not to be shown: may hold credentials."""

    index_url: str | None = None
    extra_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    network: tuple[tuple[str, str], ...] = ()  # pip's own keys: cert, proxy ...
    are_equal: bool = (
        False  # extra_urls count as much as index_url, as pip has it; for uv the first with a project wins
    )
    source: str = "PyPI"  # where it was read, for the plan
    only: tuple[str, ...] | None = None  # without network: these directories, and for uv what it has cached

    @property
    def hides_credentials(self) -> bool:
        """Whether an address has a user name or a password that a printed command leaves out."""
        return any(redacted(url) != url for url in (self.index_url or "", *self.extra_urls, *self.find_links))

    def with_credentials(self, url: str) -> str:
        """An address of one of these indexes' hosts with the credentials that the index's own address has.

        Locks and pages name files without them. The origin must be the same: scheme, host and port.
        """
        parts = urlsplit(url)
        if parts.username is None and parts.scheme in ("http", "https"):
            for index in (self.index_url or "", *self.extra_urls):
                known, _, host = urlsplit(index).netloc.rpartition("@")
                if known and (urlsplit(index).scheme, host.lower()) == (parts.scheme, parts.netloc.lower()):
                    return parts._replace(netloc=f"{known}@{parts.netloc}").geturl()
        return url

    def words(self, kind: str) -> list[str]:
        """The options that keep an installer off the network; none where it may use it."""
        if self.only is None:
            return []
        places = [word for place in self.only for word in ("--find-links", place)]
        alone = ["--no-index", *places] if places or kind == "pip" else []
        return ["--offline", *alone] if kind == "uv" else alone

    def variables(self, kind: str) -> dict[str, str]:
        """The environment variables that tell it to an installer (`uv` or `pip`)."""
        if self.only:
            return {}
        return self._for_uv() if kind == "uv" else self._for_pip()

    def _for_pip(self) -> dict[str, str]:
        found = {f"PIP_{key.upper().replace('-', '_')}": value for key, value in self.network}
        if self.index_url:
            found["PIP_INDEX_URL"] = self.index_url
        if self.extra_urls:
            found["PIP_EXTRA_INDEX_URL"] = " ".join(self.extra_urls)
        if self.find_links:
            found["PIP_FIND_LINKS"] = " ".join(self.find_links)
        return found

    def _for_uv(self) -> dict[str, str]:
        network = dict(self.network)
        found = {}
        if self.index_url:
            found["UV_DEFAULT_INDEX"] = self.index_url
        if self.extra_urls:
            found["UV_INDEX"] = " ".join(self.extra_urls)
            if self.are_equal:
                found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        if self.find_links:
            found["UV_FIND_LINKS"] = ",".join(self.find_links)
        if "cert" in network:
            found["SSL_CERT_FILE"] = network["cert"]
        if "proxy" in network:
            found["ALL_PROXY"] = network["proxy"]
        if "trusted-host" in network:
            found["UV_INSECURE_HOST"] = network["trusted-host"]
        return found


def user_index(environ: Mapping[str, str] | None = None, prefix: str = "") -> UserIndex:
    """The index that the user's variables name, else pip's configuration files, else the user's mirrors, else PyPI.

    Of mirrors only one that is asked instead of PyPI counts: an installer has no other notion of a mirror.

    Args:
        environ: the environment; this process's own by default.
        prefix: of the target interpreter, which may have a `pip.conf` of its own.
    """
    environ = os.environ if environ is None else environ
    options: dict[str, str] = {}
    source = "PyPI"
    for path in _config_files(environ, prefix):
        if found := _read_config(path):
            options.update(found)
            source = str(path)
    for key in ("index-url", "extra-index-url", "find-links", *_NETWORK_KEYS):
        if value := environ.get(f"PIP_{key.upper().replace('-', '_')}"):
            options[key] = value
    index_url = options.get("index-url")
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        if environ.get(name):
            index_url, source = environ[name], name
    uvs_extra = environ.get("UV_INDEX") or environ.get("UV_EXTRA_INDEX_URL") or ""
    extra = uvs_extra or options.get("extra-index-url", "")
    network = {key: options[key] for key in _NETWORK_KEYS if key in options}
    if index_url is None and (mirror := _mirror_of_pypi(environ)):
        index_url, source = mirror, "zoo mirror list"
        if mirror.startswith("http://"):  # chosen by the user for everything; pip wants to hear it once more
            network["trusted-host"] = f"{network.get('trusted-host', '')} {urlsplit(mirror).netloc}".strip()
    links = options.get("find-links", "").split() + re.split(r"[,\s]+", environ.get("UV_FIND_LINKS", ""))
    return UserIndex(
        index_url=index_url,
        extra_urls=tuple(extra.split()),
        find_links=tuple(dict.fromkeys(filter(None, links))),
        network=tuple(network.items()),
        are_equal=not uvs_extra,
        source=source,
    )


def _mirror_of_pypi(environ: Mapping[str, str]) -> str | None:
    """What the user's mirrors have instead of PyPI; None while PyPI itself may be asked."""
    from zoo_cli.transfer.mirrors import load_mirrors

    first, *others = load_mirrors((), environ).addresses(f"{PYPI}/", "package-index")
    return None if f"{PYPI}/" in (first, *others) else first


def clean_environment(additions: Mapping[str, str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for an installer: this one without what could change a plan, then the additions."""
    environ = os.environ if environ is None else environ
    keys = {each.variable for each in users_headers(environ)}  # of mirrors: zoo's own business
    kept = {
        name: value
        for name, value in environ.items()
        if name in _KEPT
        or not (name.upper().startswith(("PIP_", "UV_", "ZOO_SIGNING_PASSPHRASE")) or name in {*_FOREIGN, *keys})
    }
    neutral = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PYTHONUTF8": "1",
        "PYTHONNOUSERSITE": "1",
    }
    return {**kept, **neutral, **additions}


def has_configuration(environ: Mapping[str, str], prefix: str = "") -> bool:
    """Whether pip would read a configuration file; arguments as of `user_index`."""
    return any(path.is_file() for path in _config_files(environ, prefix))


def _config_files(environ: Mapping[str, str], prefix: str) -> Iterator[Path]:
    """Pip's files, the strongest last (`pip config debug` shows the same order)."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    yield from _machine_files(environ)
    if not (named and Path(named).exists()):  # pip skips the user's files for one that is named
        yield from _user_files(environ)
    if prefix:
        yield Path(prefix) / ("pip.ini" if sys.platform == "win32" else "pip.conf")
    if named:
        yield Path(named)


def _machine_files(environ: Mapping[str, str]) -> Iterator[Path]:
    if sys.platform == "win32":
        yield Path(environ.get("PROGRAMDATA", "C:\\ProgramData")) / "pip" / "pip.ini"
        return
    yield from (Path(folder) / "pip" / "pip.conf" for folder in ("/etc/xdg", "/Library/Application Support"))
    yield Path("/etc/pip.conf")


def _user_files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    if sys.platform == "win32":
        yield Path(environ.get("APPDATA", str(home))) / "pip" / "pip.ini"
        return
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield home / "Library" / "Application Support" / "pip" / "pip.conf"


def _read_config(path: Path) -> dict[str, str]:
    """The options of one file, `[install]` over `[global]`; a file that pip could not read counts as empty."""
    parser = configparser.RawConfigParser()
    try:
        if path.stat().st_size > _MAX_CONFIG:
            return {}
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
    sections = [section for section in ("global", "install") if parser.has_section(section)]
    return {key: value for section in sections for key, value in parser.items(section) if value}
