"""A release of one's own as a document of an index: a wheel with metafiles at hand, and the files that they name.

Edge: reads the wheel and the checkpoints. What stands in the document is what `zoo index build` would write of the same
wheel, with the size and SHA-256 of every checkpoint that was read: with these, what a lab signs says what each file is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.models.build import Built, build
from zoo_cli.models.indexfiles import current
from zoo_cli.models.upstream import ReleaseFile, Tree
from zoo_cli.transfer.store import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.catalog.compiler.deltas import Document


class OtherCheckpoint(ZooError):
    """A file called like a checkpoint of a metafile is not the one whose first digits its name carries."""

    code = "other-checkpoint"
    exit_code = ExitCode.INTEGRITY

    path: str
    prefix: str
    sha256: str


class UnreadableFile(ZooError):
    """A wheel or checkpoint of one's own cannot be read, or is not what it was given as."""

    code = "unreadable-file"
    exit_code = ExitCode.INTEGRITY

    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class OwnRelease:
    """A release that was read, and which of its checkpoints were and were not among the files given."""

    built: Built
    digested: tuple[str, ...]
    missing: tuple[str, ...]


def read_own(wheel: Path, url: str, date: str, files: Path | None, index: Path) -> OwnRelease:
    """The document of a wheel.

    Args:
        wheel: The file.
        url: Where users will find it.
        date: The day of the release, ISO 8601.
        files: A directory that holds its checkpoints, at any depth, by the names that the metafiles give them.
        index: The index directory, to compare with what stands there.

    Raises:
        BadRelease: It is no wheel that can be read.
        NoModelIndex: There is no model index in it.
        OtherCheckpoint: A file does not have the digest that its name carries.
    """
    release = _release(wheel, url, date)
    with Tree(wheel, release) as tree:
        built = build(tree.release, tree, current(index, release.project, release.version))
    known = {path.name: path for path in sorted(files.rglob("*"), reverse=True) if path.is_file()} if files else {}
    document, digested, missing = _with_digests(built.document, known)
    return OwnRelease(replace(built, document=document), tuple(digested), tuple(missing))


def _release(wheel: Path, url: str, date: str) -> ReleaseFile:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        project, version, _build, _tags = parse_wheel_filename(wheel.name)
        size, digest = digest_of(wheel)
    except InvalidWheelFilename as exc:
        raise UnreadableFile(str(wheel), "it is not called like a wheel") from exc
    except OSError as exc:
        raise UnreadableFile(str(wheel), exc.strerror or str(exc)) from exc
    return ReleaseFile(str(project), str(version), wheel.name, url, digest, size, date, url)


def _with_digests(document: Document, files: dict[str, Path]) -> tuple[Document, list[str], list[str]]:
    known: dict[str, dict[str, Any]] = {}
    missing: dict[str, None] = {}
    models: list[dict[str, Any]] = []
    for model in document["models"]:
        weights: list[dict[str, Any]] = []
        for each in model.get("weights", []):
            name = each["name"]
            if name in files and name not in known:
                known[name] = _digest(files[name], each.get("prefix", ""))
            elif name not in files:
                missing[name] = None
            weights.append({**each, **known.get(name, {})})
        models.append({**model, "weights": weights} if weights else model)
    return {**document, "models": models}, list(known), list(missing)


def _digest(path: Path, prefix: str) -> dict[str, Any]:
    try:
        size, digest = digest_of(path)
    except OSError as exc:
        raise UnreadableFile(str(path), exc.strerror or str(exc)) from exc
    if not digest.startswith(prefix):
        raise OtherCheckpoint(str(path), prefix, digest)
    return {"sha256": digest, "size_bytes": size}
