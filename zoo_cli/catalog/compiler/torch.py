"""torch.yaml and torch_hashes.yaml: releases of PyTorch by variant and platform, and digests of its wheels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.catalog.compiler.rows import (
    CODE_TARGET,
    DATE,
    DRIVER,
    NAME,
    PLATFORMS,
    PYTHON_TAG,
    SHA256,
    URL,
    Row,
    specifier,
    version,
)
from zoo_cli.catalog.compiler.tables import Collector, Origins, filled, words

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet


@dataclass(frozen=True, slots=True)
class FileRule:
    """How the files of some releases are called: one row of `files`."""

    torch: SpecifierSet
    platforms: tuple[str, ...]
    variants: tuple[str, ...]  # empty: all
    index: str
    kind: str
    file: str
    local: str
    platform_tag: str
    glibc: str | None

    def fits(self, release: str, platform: str, variant: str) -> bool:
        """Whether the rule speaks of that wheel."""
        return (
            platform in self.platforms
            and (not self.variants or variant in self.variants)
            and self.torch.contains(release, prereleases=True)
        )


def load_torch(document: Row, collector: Collector) -> None:
    """The releases of torch.yaml.

    Raises:
        BrokenRow: A row breaks the schema, or no file rule fits a wheel.
    """
    origins = Origins(document, collector)
    rules = tuple(_file_rule(row, origins) for row in document.rows("files"))
    for row in document.rows("companions"):
        row.text("project", NAME)
        version(row, row.text("version"))
        row.text("fact")
        origins.of(row)
    for row in document.rows("releases"):
        _release(row, rules, origins, collector)


def _file_rule(row: Row, origins: Origins) -> FileRule:
    from packaging.specifiers import SpecifierSet

    text = row.text("torch")
    specifier(row, text)
    origins.of(row)
    return FileRule(
        torch=SpecifierSet(text),
        platforms=row.texts("platforms"),
        variants=row.texts("variants", NAME) if row.has("variants") else (),
        index=row.text("index", URL),
        kind=row.choice("kind", ("simple", "find-links")),
        file=row.text("file", URL),
        local=row.text_or_empty("local"),
        platform_tag=row.text("platform_tag", NAME),
        glibc=row.optional("glibc", DRIVER),
    )


def _release(row: Row, rules: tuple[FileRule, ...], origins: Origins, collector: Collector) -> None:
    from packaging.version import Version

    number = version(row, row.text("version"))
    origin = origins.of(row)
    by_platform = _platform_origins(row, origins)
    pythons = _pythons(row)
    pypi = row.mapping("pypi")
    shared = (
        version(row, row.text("torchvision")),
        row.optional("torchaudio", DRIVER),
        row.text("released", DATE),
        row.optional("requires_python"),
    )
    specifier(row, shared[3] or "")
    if row.has("rocm"):
        rocm = row.row("rocm")
        rocm.texts("versions", DRIVER)
        origins.of(rocm)
        rocm.done()
    for variant in row.rows("variants"):
        name = variant.text("variant", NAME)
        variant_origin = origins.of(variant, default=origin)
        own = by_platform | _platform_origins(variant, origins)
        targets = _targets(variant, origins)
        for platform in variant.texts("platforms"):
            if platform not in pythons:
                variant.broken(f"the release names no Python tags for {platform}")
            code, code_origin = targets.get(platform, ("" if name == "cpu" else None, None))
            rule = next((each for each in rules if each.fits(number, platform, name)), None)
            if rule is None:
                variant.broken(f"no rule of `files` fits {number} on {platform}")
            fill = {"variant": name, "version": number, "platform_tag": rule.platform_tag}
            collector.add(
                "torch_build",
                variant,
                (platform, number, name),
                (
                    *(platform, number, name, words(pythons[platform]), code, code_origin, *shared),
                    *(filled(rule.index, fill), rule.kind, filled(rule.file, fill), filled(rule.local, fill)),
                    *(rule.platform_tag, int(pypi.get(platform) == name), rule.glibc),
                    own.get(platform, variant_origin),
                ),
                (platform, Version(number), name),
            )


def _platform_origins(row: Row, origins: Origins) -> dict[str, int]:
    """Where the wheels of single platforms were read, when that is another place than for the rest of the row."""
    return {name: origins.named(row, value) for name, value in row.mapping("platform_origins").items()}


def _pythons(row: Row) -> dict[str, tuple[str, ...]]:
    inner = row.row("python")
    found = {platform: inner.texts(platform, PYTHON_TAG) for platform in PLATFORMS if inner.has(platform)}
    inner.done()
    return found


def _targets(variant: Row, origins: Origins) -> dict[str, tuple[str | None, int | None]]:
    """Code targets by platform, with where they were read."""
    if not variant.has("targets"):
        return {}
    return {
        platform: (words(row.texts("code", CODE_TARGET)), origins.of(row))
        for platform, row in variant.fields("targets")
    }


def load_hashes(document: Row, collector: Collector) -> None:
    """The digests of torch_hashes.yaml: by address, and by file name for PyPI.

    Raises:
        BrokenRow: A row breaks the schema, or names a file twice.
    """
    origins = Origins(document, collector)
    for row in document.rows("files"):
        origins.of(row)
        row.optional("note")
        address = row.text("url", URL)
        collector.add("wheel_hash", row, (address,), (address, bytes.fromhex(row.text("sha256", SHA256))))
    origins.of(document, "pypi_origin")
    for _project, releases in document.fields("pypi"):
        for release in releases.names():
            version(releases, release)
            for name, digest in releases.mapping(release).items():
                if not SHA256.fullmatch(digest):
                    releases.broken(f"{name}: {digest[:80]!r} is no SHA-256")
                collector.add("wheel_hash", releases, (name,), (name, bytes.fromhex(digest)))
