"""The smaller files: projects and providers, walls, CUDA toolkits, GPU names, reports and CPU ops."""

from __future__ import annotations

import re

from zoo_cli.catalog.compiler.rows import (
    CODE_TARGET,
    DRIVER,
    NAME,
    PLATFORMS,
    PYTHON_TAG,
    URL,
    Row,
    specifier,
    version,
)
from zoo_cli.catalog.compiler.tables import Collector, Origins, document, words

KINDS = ("torch", "companion", "ops", "engine", "framework", "lite", "tool", "library")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_SECONDS = re.compile(r"[1-9][0-9]{0,4}")
_FOLDER = re.compile(r"[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+-]+)*")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9./_-]*:[A-Za-z0-9_.{}-]+(@sha256:[0-9a-f]{64})?")
CPU_RELEASES = ("mmdet 3.3.0", "mmdet 2.28.2")  # columns of ops_cpu.yaml; `same` means as in the one before


def load_projects(source: Row, collector: Collector) -> dict[str, tuple[str, str]]:
    """Providers and projects; gives import package and provider by project.

    Raises:
        BrokenRow: A row breaks the schema, or a project names an unknown provider.
    """
    origins = Origins(source, collector)
    urls: dict[str, tuple[str, ...]] = {}
    for row in source.rows("providers"):
        name = row.text("id", NAME)
        kind, title = row.choice("kind", ("official", "fork", "community")), row.text("title")
        urls[name] = row.texts("urls", URL)
        values = (name, kind, title, words(urls[name]), row.optional("note"), origins.of(row))
        collector.add("provider", row, (name,), values)
    rows = [(row, _project(row, origins)) for row in source.rows("projects")]
    owners: dict[str, list[str]] = {}
    for _, (name, import_name, *_rest) in rows:
        owners.setdefault(import_name, []).append(name)
    for row, (name, import_name, provider, kind, own, sdist, sdists, aliases, origin) in rows:
        if provider not in urls:
            row.broken(f"no provider is named {provider}")
        conflicts = sorted(set(owners[import_name]) - {name})
        whole = (name, import_name, provider, kind, own or words(urls[provider]), sdist, sdists, words(aliases))
        collector.add("project", row, (name,), (*whole, words(conflicts), origin))
        for alias in aliases:
            collector.add("project_alias", row, (alias,), (alias, name))
    return {name: (import_name, provider) for _, (name, import_name, provider, *_rest) in rows}


def _project(row: Row, origins: Origins) -> tuple[str, str, str, str, str, str | None, str, tuple[str, ...], int]:
    return (
        row.text("name", NAME),
        row.text("import_name", NAME),
        row.text("provider", NAME),
        row.choice("kind", KINDS),
        words(row.texts("urls", URL)) if row.has("urls") else "",
        row.optional("sdist", URL),
        words(version(row, each) for each in row.texts("sdists")) if row.has("sdists") else "",
        row.texts("aliases", NAME) if row.has("aliases") else (),
        origins.of(row),
    )


def load_recipes(source: Row, collector: Collector) -> None:
    """How projects are built whose own files do not say enough."""
    origins = Origins(source, collector)
    for row in source.rows("recipes"):
        name = row.text("project", NAME)
        variables = row.mapping("variables")
        for variable in variables:
            if not _VARIABLE.fullmatch(variable):
                row.broken(f"variables: {variable[:80]!r} is no name of a variable")
        seconds = (row.optional("seconds", _SECONDS), row.optional("stock_seconds", _SECONDS))
        values = (
            name, words(_requirement(row, each) for each in row.texts("requires")), int(row.flag("needs_torch")),
            *(words(row.texts(key, _FOLDER)) if row.has(key) else "" for key in ("folders", "cuda_folders")),
            document(variables), row.optional("cuda_switch", _VARIABLE),
            *(int(each) if each else None for each in seconds), origins.of(row),
        )  # fmt: skip
        collector.add("recipe", row, (name,), values)


def _requirement(row: Row, text: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(text)
    except InvalidRequirement:
        row.broken(f"requires: {text[:80]!r} is no requirement")
    if " " in text:
        row.broken(f"requires: {text[:80]!r} must have no blanks")
    return text


def load_walls(source: Row, collector: Collector) -> None:
    """Version boundaries that no metadata states."""
    origins = Origins(source, collector)
    for row in source.rows("walls"):
        name = row.text("id", NAME)
        affects, needs = row.mapping("affects", specifier), row.mapping("needs", specifier)
        if not affects or not needs:
            row.broken("affects and needs must name a project each")
        platforms = row.texts("platforms") if row.has("platforms") else ()
        if not set(platforms) <= set(PLATFORMS):
            row.broken(f"platforms: only {', '.join(PLATFORMS)}")
        python = row.optional("python") or ""
        specifier(row, python)
        severity, fact = row.choice("severity", ("breaks", "some")), row.text("fact")
        values = (name, document(affects), document(needs), severity, fact, words(platforms), python, origins.of(row))
        collector.add("wall", row, (name,), values)


def load_cuda(source: Row, collector: Collector) -> None:
    """Toolkits; the other sections of cuda.yaml are checked, and kept in the source for later readers."""
    from packaging.version import Version

    origins = Origins(source, collector)
    for row in source.rows("toolkits"):
        name, origin = row.text("cuda", DRIVER), origins.of(row)
        floor = row.row("floor")
        floors = (floor.optional("linux", DRIVER), floor.optional("windows", DRIVER))
        floor.done()
        native: list[tuple[str | None, str | None, int]] = []
        for release in row.rows("releases"):
            release.text("release", DRIVER)
            drivers = (release.optional("linux", DRIVER), release.optional("windows", DRIVER))
            native.append((*drivers, origins.of(release, default=origin)))
        if not native:
            row.broken("releases is empty")
        first = native[0]
        collector.add("toolkit", row, (name,), (name, *first[:2], *floors, first[2]), (Version(name),))
    _check(source, "architectures", origins, text=("architecture", "first"), lists={"capabilities": CODE_TARGET})
    _check(source, "driver_branches", origins, text=("branch", "end_of_life"))
    _check(source, "host_compilers", origins, text=("enforced_by", "cuda"), lists={"gcc": DRIVER, "clang": DRIVER})
    _check(source, "build_rules", origins, text=("fact",))
    _check(source, "rocm_targets", origins, text=("rocm",), lists={"targets": NAME})


def _check(
    source: Row, section: str, origins: Origins, text: tuple[str, ...], lists: dict[str, re.Pattern[str]] | None = None
) -> None:
    """Check rows that no table holds yet, so that they stay true to their schema."""
    for row in source.rows(section):
        origins.of(row)
        for key in text:
            row.text(key)
        for key in ("last", "last_driver_branch"):
            row.optional(key, DRIVER)
        row.optional("note")
        row.flag("jetson")
        for key, pattern in (lists or {}).items():
            if row.has(key):
                row.texts(key, pattern)


def load_images(source: Row, collector: Collector) -> None:
    """Container images to begin with, and the packages that Debian brings beside wheels."""
    origins = Origins(source, collector)
    for row in source.rows("images"):
        template = row.text("image", _IMAGE)
        releases = row.texts("releases", DRIVER) if row.has("releases") else (None,)
        if ("{release}" in template) != row.has("releases"):
            row.broken("{release} in the name and releases belong together")
        apt = words(row.texts("apt", NAME)) if row.has("apt") else ""
        arches, origin = words(row.texts("arches", NAME)), origins.of(row)
        facts = (row.text("python", DRIVER), row.text("glibc", DRIVER), apt, arches, origin)
        for release in releases:
            name = template.replace("{release}", release or "")
            collector.add("image", row, (name,), (name, release, *facts))
    for row in source.rows("system_packages"):
        project = row.text("project", NAME)
        collector.add("system_package", row, (project,), (project, words(row.texts("apt", NAME)), origins.of(row)))


def load_gpus(source: Row, collector: Collector) -> None:
    """GPU names with their compute capability."""
    origins = Origins(source, collector)
    for row in source.rows("gpus"):
        capability, architecture = row.text("capability", CODE_TARGET), row.text("architecture", NAME)
        is_jetson, origin = int(row.flag("jetson")), origins.of(row)
        for name in row.texts("names"):
            collector.add("gpu_model", row, (name,), (name, capability, architecture, is_jetson, origin))


def load_gpu_reports(source: Row, collector: Collector, projects: dict[str, tuple[str, str]]) -> None:
    """What people reported about compiled ops on a GPU."""
    origins = Origins(source, collector)
    for row in source.rows("reports"):
        project, versions = row.text("project", NAME), row.text("versions")
        specifier(row, versions)
        if project not in projects:
            row.broken(f"projects.yaml knows no {project}")
        where = (
            row.choice("platform", PLATFORMS) if row.has("platform") else None,
            row.optional("torch", DRIVER),
            row.optional("variant", NAME),
            row.optional("python", PYTHON_TAG),
        )
        key = (project, versions, row.text("capability", CODE_TARGET), row.text("gpu"), *where)
        row.text("works")
        values = (*key, int(row.flag("works")), row.optional("cure"), origins.of(row))
        collector.add("gpu_report", row, key, values)


def load_ops_cpu(source: Row, collector: Collector) -> None:
    """Which ops the configs of a folder or the code of a release use, into tables; the rest is checked and stays."""
    origins = Origins(source, collector)
    ways: dict[str, str] = {}  # an op, or a class of mmcv for it -> how it runs on the CPU
    for row in source.rows("ops"):
        op, by = row.text("op", NAME), row.choice("by", ("kernel", "fallback", "none"))
        ways |= dict.fromkeys((op, *(row.texts("names", NAME) if row.has("names") else ())), by)
        for key in ("since", "since_2x"):
            version(row, row.optional(key) or "0")
        for key in ("detail", "note"):
            row.optional(key)
        row.flag("documented_as_missing")
        origins.of(row)
    for section, keys in {
        "minimum_for_training": ("framework", "releases", "needs"),
        "errors": ("project", "text", "cause"),
        "sync_batch_norm": ("torch", "fact"),
    }.items():
        for row in source.rows(section):
            origins.of(row)
            if row.has("versions"):
                specifier(row, row.text_or_empty("versions"))
            for key in keys:
                row.optional(key)
    for row in source.rows("uses"):
        _load_cpu_use(row, collector, origins.of(row))
    for row in source.rows("releases"):
        _load_cpu_release(row, collector, ways, origins.of(row))


def _load_cpu_release(row: Row, collector: Collector, ways: dict[str, str], origin: int) -> None:
    """One release whose code needs no op without a CPU version; `but` names folders of which that is not sure."""
    key = (row.text("project", NAME), row.text("version"))
    version(row, key[1])
    uses = row.texts("uses", NAME)
    for op in uses:
        if ways.get(op, "none") == "none":
            row.broken(f"{op} has no version for the CPU")
    but = row.texts("but", _FOLDER) if row.has("but") else ()
    collector.add("cpu_release", row, key, (*key, words(uses), words(but), int(row.flag("sync_bn")), origin))


def _load_cpu_use(row: Row, collector: Collector, origin: int) -> None:
    """One op of one folder: "16/17" configs of a release have it; `same` is what the release before it says."""
    op, folder = row.text("op"), row.text("folder")
    effect = row.choice("effect", ("blocks", "kernel", "fallback", "sync-bn"))
    note, said = row.optional("note"), ""
    for release in CPU_RELEASES:
        amount = row.optional(release)
        said = amount if amount and amount != "same" else said
        if amount is None:
            continue
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", said)
        if found is None:
            row.broken(f"{release} must be like 16/17, or same")
        project, version_ = release.split()
        key = (project, version_, folder, op)
        collector.add("cpu_use", row, key, (*key, effect, int(found[1]), int(found[2]), note, origin))
