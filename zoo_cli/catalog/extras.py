"""Backbones, published benchmarks, baselines of a page and README-only checkpoints, as typed values.

The reader gets an open connection. Every value names where it stands and the day it was read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING

from zoo_cli.catalog.names import near
from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    import sqlite3


class UnknownBackbone(ZooError):
    """No backbone of the index is called so."""

    code = "unknown-backbone"
    exit_code = ExitCode.USAGE

    asked: str
    near: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Norm:
    """Normalisation of images: `img_norm_cfg` of a config; `configs` is in how many it was found with the alias."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    to_rgb: bool
    configs: int | None = None


@dataclass(frozen=True, slots=True)
class Backbone:
    """What an alias of a pretrained backbone means.

    `url` is None where upstream names none, or replaces a deprecated alias by one that does not exist. `norm` is what
    the model-zoo page says of this alias, `used_with` what configs really have beside it, the most frequent first;
    where they differ, both are told.
    """

    alias: str
    scheme: str  # open-mmlab | torchvision | mmcls
    url: str | None
    family: str | None
    norm: Norm | None
    used_with: tuple[Norm, ...]
    trained_on: str | None
    asked_as: str  # another alias than `alias` when the one asked for is deprecated
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One published figure; `hardware` is the publisher's."""

    name: str  # training-throughput | detectron2-comparison
    subject: str
    implementation: str
    metric: str
    value: float
    unit: str
    hardware: str
    url: str | None
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class BenchmarkCheckpoint:
    """A checkpoint trained for a published comparison; its config as mmdet 3.x and 2.x call it."""

    subject: str
    config: str
    config_2x: str
    detectron2_config: str
    url: str
    log: str
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline or dataset of MMDetection's model-zoo page: its config folders, and checkpoints counted a release."""

    section: str  # baselines | datasets
    name: str
    folders_2x: tuple[str, ...]
    folders_3x: tuple[str, ...]
    in_metafiles: dict[str, int]
    readme_only: dict[str, int]
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class ReadmeOrigin:
    """Why a model is known from a README only: kind of checkpoint, reason, and where it stands."""

    kind: str  # detector | proposal | backbone | other_package | project | original
    why: str  # readme_only | not_imported | old_release_only | no_checkpoint
    remark: str | None
    source: str
    date: str


def find_backbone(connection: sqlite3.Connection, text: str) -> Backbone:
    """What an alias means: `open-mmlab://detectron2/resnet50_caffe`; a deprecated one is followed.

    `openmmlab://` and `modelzoo://` are mmengine's other spellings of `open-mmlab://` and `torchvision://`.

    Raises:
        UnknownBackbone: There is no such alias.
    """
    asked = _known_scheme(text.strip()[:200])
    row = _alias(connection, asked)
    if row is None:
        known = [alias for (alias,) in connection.execute("SELECT alias FROM backbone_alias ORDER BY alias")]
        bare = {alias.partition("://")[2].casefold(): alias for alias in reversed(known)}
        found = bare.get(asked.partition("://")[2].casefold() or asked.casefold())
        raise UnknownBackbone(asked, (found,) if found else near(asked, known))
    if row[6]:
        row = _alias(connection, str(row[6])) or row
    return _backbone(connection, row, asked)


def backbones(connection: sqlite3.Connection, scheme: str | None = None) -> tuple[Backbone, ...]:
    """Every alias, or those of one scheme, sorted; deprecated ones are left out."""
    query = f"{_ALIASES} WHERE a.replaced_by IS NULL AND (?1 IS NULL OR a.scheme = ?1) ORDER BY a.alias"
    return tuple(_backbone(connection, row, str(row[0])) for row in connection.execute(query, (scheme,)).fetchall())


def backbones_like(connection: sqlite3.Connection, glob: str) -> tuple[Backbone, ...]:
    """The backbones whose alias, or what follows its scheme, is like the glob; case does not matter."""
    like = re.compile(translate(_known_scheme(glob).casefold()))
    return tuple(
        each
        for each in backbones(connection)
        if like.match(each.alias.casefold()) or like.match(each.alias.partition("://")[2].casefold())
    )


def _known_scheme(text: str) -> str:
    """The text with mmengine's other spelling of a scheme replaced."""
    return re.sub(r"^openmmlab://", "open-mmlab://", re.sub(r"^modelzoo://", "torchvision://", text))


_ALIASES = (
    "SELECT a.alias, a.scheme, a.url, a.family, a.norm, a.trained_on, a.replaced_by, o.source, o.date "
    "FROM backbone_alias a JOIN origin o ON o.id = a.origin"
)


def _alias(connection: sqlite3.Connection, alias: str) -> tuple[str | None, ...] | None:
    found: tuple[str | None, ...] | None = connection.execute(f"{_ALIASES} WHERE a.alias = ?", (alias,)).fetchone()
    return found


def _backbone(connection: sqlite3.Connection, row: tuple[str | None, ...], asked: str) -> Backbone:
    alias, scheme, url, family, norm, trained_on, _replaced, source, date = row
    named = connection.execute("SELECT mean, std, to_rgb FROM backbone_norm WHERE name = ?", (norm,)).fetchone()
    used = "SELECT mean, std, to_rgb, configs FROM backbone_use WHERE alias = ? ORDER BY configs DESC, mean, std"
    return Backbone(
        alias=str(alias),
        scheme=str(scheme),
        url=url,
        family=family,
        norm=_norm(*named) if named else None,
        used_with=tuple(_norm(*each) for each in connection.execute(used, (alias,))),
        trained_on=trained_on,
        asked_as=asked,
        source=str(source),
        date=str(date),
    )


def _norm(mean: str, std: str, to_rgb: int, configs: int | None = None) -> Norm:
    return Norm(tuple(map(float, mean.split())), tuple(map(float, std.split())), bool(to_rgb), configs)


def benchmarks(connection: sqlite3.Connection, name: str | None = None) -> tuple[Benchmark, ...]:
    """The published figures, or those of one table."""
    query = (
        "SELECT b.name, b.subject, b.implementation, b.metric, b.value, b.unit, b.hardware, b.url, o.source, o.date "
        "FROM benchmark b JOIN origin o ON o.id = b.origin WHERE ?1 IS NULL OR b.name = ?1 ORDER BY b.rowid"
    )
    return tuple(Benchmark(*row) for row in connection.execute(query, (name,)))


def benchmark_checkpoints(connection: sqlite3.Connection) -> tuple[BenchmarkCheckpoint, ...]:
    """The checkpoints that were trained for the published comparisons."""
    query = (
        "SELECT b.subject, b.config_3x, b.config_2x, b.detectron2_config, b.url, b.log, o.source, o.date "
        "FROM benchmark_checkpoint b JOIN origin o ON o.id = b.origin ORDER BY b.subject"
    )
    return tuple(BenchmarkCheckpoint(*row) for row in connection.execute(query))


def baselines(connection: sqlite3.Connection) -> tuple[Baseline, ...]:
    """The baselines and further datasets, in the order of the page."""
    query = (
        "SELECT b.section, b.name, b.folders_2x, b.folders_3x, b.in_metafiles, b.readme_only, o.source, o.date "
        "FROM baseline b JOIN origin o ON o.id = b.origin ORDER BY b.position"
    )
    return tuple(
        Baseline(section, name, tuple(json.loads(old)), tuple(json.loads(new)), _counts(meta), _counts(readme), *origin)
        for section, name, old, new, meta, readme, *origin in connection.execute(query)
    )


def _counts(text: str) -> dict[str, int]:
    return {release: int(count) for release, count in json.loads(text).items()}


def readme_origin(connection: sqlite3.Connection, entry: int) -> ReadmeOrigin | None:
    """Where a model of a README stands, by the entry's number; None for any other model."""
    query = "SELECT kind, why, remark, source, date FROM readme_checkpoint WHERE entry = ?"
    row = connection.execute(query, (entry,)).fetchone()
    return ReadmeOrigin(*row) if row else None
