"""`zoo index build`: a release of a model package becomes one reviewable document of the index.

A flow: `read_release` (any archive of a release -> records), `document` (records -> what
`index/models/<project>/<version>.json` holds), `build` (request -> what would change); `indexfiles` puts it there. The
same release gives the same bytes: records are sorted, and nothing of the machine or the day gets in.
"""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from zoo_cli.catalog.compiler.deltas import SECTIONS, text_of
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.models.configpaths import ConfigPaths
from zoo_cli.models.metafile import Metafile, by_place, read_metafiles
from zoo_cli.models.records import Issue, ReleaseRecords, plain
from zoo_cli.models.safe_yaml import UnreadableYaml, Value, read_yaml
from zoo_cli.models.zoos import READERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo_cli.catalog.compiler.deltas import Document
    from zoo_cli.models.upstream import ReleaseFile

SCHEMA = 1
BUILDER = 3  # goes up whenever the same release gives another document
MODEL_INDEX = ("model-index.yml", "model-index.yaml")
MOST_METAFILES = 2000


class Archive(Protocol):
    """The config tree of one release: posix paths below the folder that holds `configs/` and `model-index.yml`."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file of the tree, sorted."""
        ...

    def read(self, path: str) -> bytes:
        """The content of one of `paths`."""
        ...


class NoModelIndex(ZooError):
    """The release carries no `model-index.yml` that can be read: there is nothing to build from."""

    code = "no-model-index"
    exit_code = ExitCode.FAILED

    project: str
    version: str
    file: str
    problem: str


def read_release(archive: Archive, release: ReleaseFile) -> ReleaseRecords:
    """Everything the release says about its models.

    Raises:
        NoModelIndex: There is no model index in it.
    """
    if release.project in READERS:
        return READERS[release.project](archive)
    index = next((path for path in MODEL_INDEX if path in archive.paths), None)
    if index is None:
        raise NoModelIndex(release.project, release.version, release.name, "no model-index.yml in it")
    try:
        listed = read_yaml(archive.read(index)).value
    except UnreadableYaml as exc:
        raise NoModelIndex(release.project, release.version, release.name, f"{index}: {exc}") from exc
    imports = listed.get("Import") if isinstance(listed, dict) else None
    wanted, issues = _imported(imports, index, archive.paths)
    metafiles: list[Metafile] = []
    for path in wanted:
        try:
            metafiles.append(Metafile(path, read_yaml(archive.read(path))))
        except UnreadableYaml as exc:
            issues.append(Issue("unreadable-metafile", f"{path}:{exc.line or 1}", "", exc.problem, blocks=True))
    issues += _not_imported(archive, set(wanted), index)
    records = read_metafiles(metafiles, ConfigPaths(path for path in archive.paths if path.endswith(".py")))
    return replace(records, issues=tuple(sorted([*records.issues, *issues], key=by_place)))


def _imported(imports: Value, index: str, paths: tuple[str, ...]) -> tuple[list[str], list[Issue]]:
    """The metafiles that the model index names, in its order; patterns are allowed."""
    wanted: dict[str, None] = {}
    issues: list[Issue] = []
    for item in imports if isinstance(imports, list) else []:
        pattern = posixpath.normpath(str(item))
        matches = [pattern] if pattern in paths else [path for path in paths if fnmatchcase(path, pattern)]
        wanted.update(dict.fromkeys(matches))
        if not matches:
            issues.append(Issue("import-missing", f"{index}:1", "", f"{item} is not in the release", blocks=True))
    if not wanted:
        wanted = dict.fromkeys(path for path in paths if _is_metafile(path))
        issues.append(Issue("no-imports", f"{index}:1", "", "names no metafile; all of the release are read"))
    return list(wanted)[:MOST_METAFILES], issues


def _is_metafile(path: str) -> bool:
    return posixpath.basename(path) in ("metafile.yml", "metafile.yaml")


def _not_imported(archive: Archive, wanted: set[str], index: str) -> Iterable[Issue]:
    """Metafiles that lie in the release and are not named: their models are upstream's to publish, not ours."""
    for path in archive.paths:
        if not _is_metafile(path) or path in wanted:
            continue
        try:
            value = read_yaml(archive.read(path)).value
        except UnreadableYaml:
            value = None
        models = value.get("Models") if isinstance(value, dict) else value
        count = len(models) if isinstance(models, list) else int(isinstance(models, dict))
        yield Issue("not-imported", f"{path}:1", "", f"{count} models left out: {index} does not import this file")


def document(release: ReleaseFile, records: ReleaseRecords) -> Document:
    """The release as the index has it."""
    head = {
        "project": release.project,
        "version": release.version,
        "file": release.name,
        "url": release.url,
        "sha256": release.sha256,
        "size_bytes": release.size_bytes,
        "date": release.date,
        "source": release.source,
        "evidence": "seen",
        **({"config_root": release.config_root} if release.config_root else {}),
        "metafiles": records.metafiles,
        "builder": BUILDER,
    }
    if release.record_sha256:
        head["record_sha256"] = release.record_sha256
    lists = {name: [plain(each) for each in getattr(records, name)] for name in SECTIONS}
    return {"schema": SCHEMA, "release": head, **lists}


@dataclass(frozen=True, slots=True)
class Built:
    """What building one release gave: its records, and how its document differs from the one that is there."""

    release: ReleaseFile
    path: str  # relative to the index
    document: Document
    records: ReleaseRecords
    added: tuple[str, ...]  # models, by name
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    is_new: bool
    is_same: bool

    @property
    def is_blocked(self) -> bool:
        """Whether something of the release had to be left out."""
        return any(issue.blocks for issue in self.records.issues)


def build(release: ReleaseFile, archive: Archive, before: Document | None) -> Built:
    """Reads the release and compares with `before`, the document that stands in the index now (None: none)."""
    records = read_release(archive, release)
    made = document(release, records)
    old, new = _models(before), _models(made)
    return Built(
        release=release,
        path=f"models/{release.project}/{release.version}.json",
        document=made,
        records=records,
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(name for name in new.keys() & old.keys() if new[name] != old[name])),
        is_new=before is None,
        is_same=before is not None and text_of(before) == text_of(made),
    )


def _models(document: Document | None) -> dict[str, str]:
    """The models of a document by name and ordinal, each as canonical text."""
    return {
        f"{row['name']}#{row['ordinal']}" if "ordinal" in row else row["name"]: json.dumps(row, sort_keys=True)
        for row in (document["models"] if document else [])
    }
