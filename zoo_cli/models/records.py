"""What the index keeps of one release: its models and collections, and every oddity met on the way.

Pure. A record is written to `index/models/<project>/<version>.json` as it stands here, without the empty fields; the
catalogue's compiler reads it from there. Identity of a model is (project, version, name, ordinal): upstream gives one
name to several entries now and then.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """One oddity of upstream's data and what was done about it.

    `kind` is stable and kebab-case; `at` is file and line; `subject` the entry's name, if it has one. An entry that
    could not be taken at all is left out, and its issue `blocks`.
    """

    kind: str
    at: str
    subject: str
    detail: str
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Paper:
    """The publication a model or collection stands on."""

    title: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Inference:
    """Measured time of one image: `value_ms` in milliseconds, resolution as upstream writes it."""

    value_ms: float
    hardware: str | None = None
    backend: str | None = None
    batch_size: int | None = None
    mode: str | None = None
    resolution: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of a result; `text` is what upstream wrote where `value` does not say all of it."""

    name: str
    value: float | None
    unit: str  # percent | fraction | none
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a model reached on one task and dataset."""

    task: str | None
    dataset: str | None
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Training:
    """How a model was trained; each unknown is None. Memory in GB for one GPU, parameters and FLOPs as counts."""

    data: tuple[str, ...] = ()
    epochs: float | None = None
    iterations: float | None = None
    batch_size: float | None = None
    memory_gb: float | None = None
    params: float | None = None
    flops: float | None = None
    resources: str | None = None
    inference: tuple[Inference, ...] = ()
    extra: dict[str, object] = field(default_factory=dict)  # what upstream says beyond that, by its own key


@dataclass(frozen=True, slots=True)
class Weights:
    """One checkpoint file; `prefix` is the digest that its name carries: the first hex digits of the SHA-256."""

    url: str
    name: str
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """A family of models as upstream groups them; its facts hold for a model that has none of its own."""

    name: str
    at: str
    paper: Paper | None = None
    readme: str | None = None
    code: str | None = None
    license: str | None = None
    training: Training = field(default_factory=Training)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of a release; `config` is the path in the release's tree, `config_state` how it was found."""

    name: str
    ordinal: int | None  # 2, 3 ... for a second and third entry of the name; None for the first
    at: str  # metafile and line
    collection: str | None
    config: str | None
    config_state: str  # found | repaired | missing | none
    weights: tuple[Weights, ...] = ()  # its checkpoint files, in upstream's order
    aliases: tuple[str, ...] = ()  # other names that upstream itself gives it
    results: tuple[Result, ...] = ()
    training: Training = field(default_factory=Training)
    paper: Paper | None = None
    readme: str | None = None
    code: str | None = None
    license: str | None = None
    converted_from: str | None = None
    logs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseRecords:
    """Everything read from one release, sorted: collections by name, models by name and ordinal."""

    collections: tuple[Collection, ...]
    models: tuple[ModelEntry, ...]
    issues: tuple[Issue, ...]
    metafiles: int  # how many were read


def plain(value: object) -> object:
    """A record as JSON values, without the fields that say nothing (None, empty, False)."""
    if is_dataclass(value):
        named = ((each.name, plain(getattr(value, each.name))) for each in fields(value))
        return {
            name: each for name, each in named if each is not None and each is not False and each not in ("", [], {})
        }
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
