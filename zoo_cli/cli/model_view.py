"""One model, or several side by side, as sections of rows: for a terminal, a pipe, a program.

Pure but for the console it writes to. A row is a field, its value and where the value comes from.
"""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.cli.text import columns, human_bytes
from zoo_cli.models.levels import level_of
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo_cli.catalog.current import Signed
    from zoo_cli.catalog.details import Details, Plain, Time
    from zoo_cli.catalog.models import Metric, Model, ModelFile
    from zoo_cli.cli.console import Console

_DIGESTS = {
    "signed": "the whole sha256 is in a signed index",
    "locked": "the whole sha256 is known",
    "prefix": "its first digits are known: finds damage, proves no origin",
    "none": "none is known: zoo download asks for --cross-check or --allow-unverified",
}
_COUNTS = ("params", "flops")


class Line(NamedTuple):
    """One row of a section."""

    field: str
    value: str
    origin: str = ""


def sections(details: Details, others: Sequence[Model], signed: Signed | None = None) -> dict[str, list[Line]]:
    """Everything known of a model, in the order shown.

    `others` are the same model in older releases, `signed` tells under whose signatures all of that is.
    """
    release, model = details.model.release, details.model
    where = f"{release.wheel_name}, {release.source}, {details.evidence}"
    found = {
        "Model": [
            Line("name", model.name, model.at),
            Line("release", f"{release.project} {release.version}, {release.date}", where),
            *(
                [Line("signed", f"{signed.root}, until {signed.expires[:10]}", f"verified {signed.updated[:10]}")]
                if signed
                else []
            ),
            *(Line(fact.field, value_text(fact.field, fact.value), fact.origin) for fact in details.facts),
        ],
        "Results": [Line(_metric_label(each), metric_text(each), model.at) for each in model.metrics],
        "Speed": [Line("inference_ms", time_text(each), f"{model.at} or its collection") for each in details.times],
        "Files": [line for file in model.files for line in _file_lines(file, is_signed=bool(signed))],
        "CPU": [
            Line("cpu_ok", details.cpu.answer, _source(details)),
            *(Line("because", reason) for reason in details.cpu.reasons),
        ],
        "Problems of upstream's data": [Line(each.kind, each.detail, each.at) for each in details.problems],
        "Other names": [Line("alias", name, f"known by {via}") for name, via in details.aliases],
        "Other releases": [Line(f"{each.project} {each.release.version}", each.name, each.at) for each in others],
        "Logs": [Line("log", url, source) for url, source in details.logs],
        "Unknown": [Line("fields", ", ".join(details.unknown))] if details.unknown else [],
        "Get it": [Line("", command) for command in commands(details)],
    }
    return {title: lines for title, lines in found.items() if lines}


def signed_document(signed: Signed) -> dict[str, object]:
    """Whose signatures facts rest on, for programs; `namespace` None: zoo's own facts."""
    return {
        "root": signed.root, "namespace": signed.namespace or None, "index": signed.date, "verified": signed.updated,
        "expires": signed.expires, "versions": signed.versions,
    }  # fmt: skip


def commands(details: Details) -> Iterator[str]:
    """The commands that fetch the model, as far as there is something to fetch."""
    base = f"zoo download {shlex.quote(details.handle)}"
    if details.model.files and details.model.config_path:
        yield f"{base} --dest ."
    if details.model.files:
        yield f"{base} --weights-only --dest ."
    if details.model.config_path:
        yield f"{base} --config-only --dest ."


def value_text(field: str, value: Plain) -> str:
    """A value as people read it: 44.2M parameters, GB, lists with commas."""
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, str):
        return value
    if field in _COUNTS:
        for letter, power in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
            if value >= power:
                return f"{value / power:.4g}{letter}"
    return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


def metric_text(metric: Metric) -> str:
    """The value as published; a fraction with its percent."""
    if metric.value is None:
        return str(metric.text)
    percent = f" ({metric.value * 100:g} %)" if metric.unit == "fraction" else ""
    return f"{metric.value!r}{percent}"


def time_text(time: Time) -> str:
    """A time with what it was taken on."""
    parts = [time.hardware, time.backend, time.mode, time.resolution]
    batch = [f"batch {time.batch_size}"] if time.batch_size else []
    return f"{time.value_ms:g} on " + ", ".join([part for part in parts if part] + batch or ["unknown hardware"])


def _metric_label(metric: Metric) -> str:
    return f"{metric.label} ({', '.join(filter(None, (metric.dataset, metric.task))) or 'dataset unknown'})"


def _file_lines(file: ModelFile, *, is_signed: bool) -> Iterator[Line]:
    size = f", {human_bytes(file.size_bytes)}" if file.size_bytes else ""
    yield Line(file.role, f"{file.name}{size}", "")
    level = level_of(file, is_signed=is_signed)
    digits = file.sha256 or file.prefix
    digest = f"{file.prefix_algorithm or 'sha256'} {digits}: " if digits else ""
    yield Line("digest", f"{digest}{_DIGESTS[level]}", level)
    if file.stale:
        yield Line("name", "its digits are not the file's any more", file.stale)
    for url in file.urls:
        yield Line("address", url, "")


def _source(details: Details) -> str:
    cpu = details.cpu
    return f"{cpu.source}, {cpu.date}, {cpu.evidence}" if cpu.source else ""


def show_sections(console: Console, found: dict[str, list[Line]]) -> None:
    """Titles and aligned rows on a terminal; one tab-separated row a fact in a pipe."""
    if not console.is_terminal:
        rows: list[tuple[str, ...]] = [(title, *line) for title, lines in found.items() for line in lines]
        console.table(("section", "field", "value", "from"), rows)
        return
    for at, (title, lines) in enumerate(found.items()):
        if at:
            console.data()
        console.data(console.paint(title, "bold", talk=False))
        plain = [(line.value,) if not line.field else (line.field, line.value, line.origin) for line in lines]
        for text in columns(plain):
            console.data(f"  {text}")


def model_document(details: Details, others: Sequence[Model], signed: Signed | None = None) -> dict[str, object]:
    """Everything for programs."""
    model, release = details.model, details.model.release
    return {
        "ok": True, "command": "show", "name": model.name, "id": model.identity, "ordinal": model.ordinal,
        "signed": signed_document(signed) if signed else None,
        "release": {
            "package": release.project, "version": release.version, "date": release.date, "file": release.wheel_name,
            "url": release.wheel_url, "sha256": release.wheel_sha256, "source": release.source,
            "evidence": details.evidence,
        },
        "at": model.at, "config": model.config_path, "config_state": model.config_state,
        "facts": [{"field": fact.field, "value": fact.value, "from": fact.origin} for fact in details.facts],
        "unknown": list(details.unknown),
        "metrics": [
            {"task": each.task, "dataset": each.dataset, "name": each.name, "label": each.label, "value": each.value,
             "unit": each.unit, "text": each.text, "from": model.at}
            for each in model.metrics
        ],
        "inference": [each._asdict() for each in details.times],
        "digest": details.digest,
        "files": [
            {"role": each.role, "name": each.name, "urls": list(each.urls), "size_bytes": each.size_bytes,
             "sha256": each.sha256, "prefix": each.prefix, "prefix_algorithm": each.prefix_algorithm,
             "evidence": level_of(each, is_signed=bool(signed))}
            for each in model.files
        ],
        "cpu": details.cpu._asdict(),
        "problems": [each._asdict() for each in details.problems],
        "aliases": [{"name": name, "via": via} for name, via in details.aliases],
        "releases": [each.identity for each in others],
        "logs": [{"url": url, "from": source} for url, source in details.logs],
        "commands": list(commands(details)),
    }  # fmt: skip


class Compared(NamedTuple):
    """One row of a comparison: the value of each model, "" where it is unknown."""

    field: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the models differ in it."""
        return len(set(self.values)) > 1


def compared(models: Sequence[Details]) -> tuple[Compared, ...]:
    """The models field by field, in the order of the first that has a field."""
    several = {name for each in models for name, count in Counter(map(_short, each.model.metrics)).items() if count > 1}
    found = [dict(_compared_fields(each, several)) for each in models]
    names = dict.fromkeys(name for fields in found for name in fields)
    return tuple(Compared(name, tuple(fields.get(name, "") for fields in found)) for name in names)


def _short(metric: Metric) -> str:
    """A metric by its dataset alone, which tells it apart where it was measured in one task."""
    return f"{metric.label} ({metric.dataset or 'dataset unknown'})"


def _compared_fields(details: Details, several: set[str]) -> Iterator[tuple[str, str]]:
    model = details.model
    yield "release", f"{model.project} {model.release.version}"
    yield "collection", model.collection or ""
    for metric in model.metrics:
        short = _short(metric)
        yield _metric_label(metric) if short in several else short, metric_text(metric)
    for time in details.times:
        yield f"inference_ms on {time.hardware or 'unknown hardware'}", f"{time.value_ms:g}"
        yield "measured with", time_text(time).partition(" on ")[2]
    left_out = {"collection", "paper_url", "code", "readme", "config"}
    for fact in details.facts:
        if fact.field not in left_out:
            name = "checkpoint year" if fact.field == "year" and "stamp" in fact.origin else fact.field
            yield name, value_text(fact.field, fact.value)
    sizes = [file.size_bytes for file in model.files]
    known = [size for size in sizes if size is not None]
    yield "checkpoint", human_bytes(sum(known)) if known and len(known) == len(sizes) else "yes" if sizes else "no"
    yield "digest", details.digest
    yield "cpu_ok", details.cpu.answer
    yield "problems", str(len(details.problems))


def comparison_lines(names: Sequence[str], rows: Sequence[Compared], cells: int | None) -> list[str]:
    """The comparison for a terminal; rows that differ begin with a star. Long names stand above, under letters."""
    wide = columns([("", "", *names), *(("* "[not row.differs], row.field, *row.values) for row in rows)], gap="  ")
    letters = [chr(ord("A") + at) for at in range(len(names))]
    if cells is None or max(len(printable(line)) for line in wide) <= cells:
        return wide
    narrow = [("* "[not row.differs], row.field, *(value or "-" for value in row.values)) for row in rows]
    legend = [f"{letter}  {printable(name)}" for letter, name in zip(letters, names, strict=True)]
    return [*legend, "", *columns([("", "", *letters), *narrow])]
