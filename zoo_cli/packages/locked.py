"""What a lock holds: packages with the files or sources they come from, models, and the machine it is for.

Pure values. Their form as a file is in `lockfile`; `locking` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class LockedFile(NamedTuple):
    """One wheel or sdist."""

    name: str
    url: str
    sha256: str
    size_bytes: int | None = None


class LockedSource(NamedTuple):
    """What a project is built from where it is installed, instead of a release."""

    kind: str  # vcs | directory | archive
    place: str  # the repository's address; the directory's path; the archive's address or path
    digest: str = ""  # the commit; the SHA-256 of an archive; a directory has none
    requested: str = ""  # the branch or tag that was asked for
    subdirectory: str = ""
    is_editable: bool = False
    size_bytes: int | None = None


class LockedPackage(NamedTuple):
    """One project at one version."""

    project: str
    version: str  # of a source "", where the lock does not say it
    wheels: tuple[LockedFile, ...]
    sdist: LockedFile | None = None
    marker: str | None = None  # an environment marker: the project is for some environments only
    evidence: str = ""  # of the wheels of the binary stack: seen | listed | reported | inferred
    source: str = ""  # where that fact stands
    built_from: LockedSource | None = None  # then there is neither wheel nor sdist


class LockedModel(NamedTuple):
    """A model that belongs to the environment: which one, and the digests of what it brings."""

    name: str  # upstream's; the alias of a backbone
    package: str  # empty: a backbone
    release: str
    files: tuple[LockedFile, ...]
    config: str = ""  # file name; empty: it has none
    config_sha256: str = ""  # of its text without the comment it begins with


@dataclass(frozen=True)
class Lock:
    """A whole lock.

    Attributes:
        requires_python: Such as ">=3.11".
        environment: The marker of the environments it is for.
        packages: By name.
        requested: What the user asked for.
        index_date: The day of the facts.
        variant: Of torch: "cu121", "cpu".
        machine: The machine it was solved for, as facts of `--machine`.
        minimum: The least machine it runs on: `python`, `driver`, `glibc`, `compute-capability`.
        targets: Project -> the CUDA code targets of its wheel, as published ("8.6", "9.0+PTX"); only those known.
        models: Those that come with it.
    """

    requires_python: str
    environment: str
    packages: tuple[LockedPackage, ...]
    requested: tuple[str, ...] = ()
    index_date: str = ""
    variant: str = ""
    machine: Mapping[str, str] = field(default_factory=dict)
    minimum: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    models: tuple[LockedModel, ...] = ()

    def package(self, project: str) -> LockedPackage | None:
        """The package of a normalised name."""
        return next((each for each in self.packages if each.project == project), None)
