"""The config of a model of the index, flattened: from its release's file, with bases of other packages.

Flow: joins the index's releases, their files (`release`) and the flattening (`configs`). A base of another package
(`mmdet::path`) comes from the index, too: from the newest release of that package, which is what pip would install.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli import __version__
from zoo_cli.catalog.scope import namespace_of
from zoo_cli.models.configs import ConfigTree, Flat
from zoo_cli.models.release import Release as ReleaseFile
from zoo_cli.models.release import Wheel
from zoo_cli.models.writer import Header

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zoo_cli.catalog.models import Release
    from zoo_cli.models.configs import Read
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import Mirrors


@dataclass(frozen=True, slots=True)
class Flattened:
    """A model's config.

    `evidence` says what the bytes were checked against: see `release.Release`. `neighbours` are the releases of other
    packages in which bases were found.
    """

    flat: Flat
    release: Release
    evidence: str
    neighbours: tuple[Release, ...]

    def header(self, name: str) -> Header:
        """What the first lines of the written file say."""
        others = f" with {', '.join(map(_named, self.neighbours))}" if self.neighbours else ""
        return Header(name, _named(self.release) + others, self.flat.files, __version__)


class Releases:
    """The config trees of the releases of one run, each opened once; close it, or use it in a `with`."""

    def __init__(
        self, mirrors: Mirrors, settings: Settings, cache: Path | None = None, index: Sequence[Release] = ()
    ) -> None:
        """Opens nothing yet.

        Args:
            mirrors: Rules for addresses.
            settings: Limits of transfers.
            cache: zoo's cache directory; None keeps nothing.
            index: The releases of every package, for bases of other packages.
        """
        self._mirrors, self._settings, self._cache, self._index = mirrors, settings, cache, index
        self._open = ExitStack()
        self._files: dict[Wheel, ReleaseFile] = {}

    def __enter__(self) -> Releases:  # noqa: PYI034 (typing.Self is 3.11)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()

    def flatten(self, path: str, release: Release) -> Flattened:
        """The config at a path of a release's tree, flattened.

        Raises:
            ConfigError: It cannot be flattened.
            BadWheel: A release's file is damaged, or not what the index says.
            Failed, AllSourcesFailed, TookTooLong: It cannot be reached.
        """
        own = self._file(release)
        used: dict[str, Release] = {}

        def packages(module: str) -> Read | None:
            if module == module_of(release):
                return own.read
            found = used.get(module) or neighbour(module, self._index, namespace_of(release.project))
            if found is None:
                return None
            used[module] = found
            return self._file(found).read

        own.evidence = "kept"
        flat = ConfigTree(own.read, packages=packages).flatten(path)
        return Flattened(flat, release, own.evidence, tuple(used.values()))

    def packages(self, module: str) -> Read | None:
        """The config tree of a package's newest release, by its import name."""
        found = neighbour(module, self._index)
        return self._file(found).read if found else None

    def _file(self, release: Release) -> ReleaseFile:
        wheel = wheel_of(release, self._mirrors)
        if wheel not in self._files:
            file = ReleaseFile(wheel, self._settings, self._cache)
            self._files[wheel] = self._open.enter_context(file)
        return self._files[wheel]


def module_of(release: Release) -> str:
    """The name by which the release's package is imported: the folder above its `.mim`."""
    return release.config_root.rstrip("/").rpartition("/")[0].rpartition("/")[2]


def neighbour(module: str, index: Sequence[Release], namespace: str = "") -> Release | None:
    """The release from which bases of another package come: the newest; a fork's only when there is nothing else.

    Packages of a namespace are there for configs of that namespace alone, and only where zoo has none of that name.
    """
    found = [each for each in index if each.config_root.endswith("/.mim/") and module_of(each) == module]
    for space in dict.fromkeys(("", namespace)):
        among = [each for each in found if namespace_of(each.project) == space]
        if among:
            return max(among, key=lambda each: each.precedence)
    return None


def wheel_of(release: Release, mirrors: Mirrors) -> Wheel:
    """The file with a release's configs, and where it may come from."""
    urls = mirrors.addresses(release.wheel_url, "configs")
    if urls == (release.wheel_url,):  # no rule for configs: those for package indexes hold
        urls = mirrors.addresses(release.wheel_url, "package-index")
    return Wheel(
        release.wheel_name, urls, release.wheel_sha256, release.config_root, release.record_sha256,
        namespace_of(release.project),
    )  # fmt: skip


def _named(release: Release) -> str:
    return f"{release.project} {release.version}"
