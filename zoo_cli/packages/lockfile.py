"""Lock files: every wheel of an environment with address and digest, as a file that zoo, uv and pip can install.

Pure; what a lock holds is in `locked`. The format is `pylock.toml` (PEP 751,
https://packaging.python.org/en/latest/specifications/pylock-toml/); what only zoo knows stands under
`[tool.zoo]`: what was asked for, the machine it was solved for, and the least machine it runs on. A lock from elsewhere
is foreign text: it is read by the `packaging` library's rules, and each file's name must be a wheel's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.locked import Lock, LockedFile, LockedModel, LockedPackage, LockedSource
from zoo_cli.packages.wheels import BadWheelName, normalise, parse_wheel_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FILE_NAME = "pylock.zoo.toml"
MAX_BYTES = 8 << 20
_MAX_PACKAGES = 5000
_MAX_MODELS = 1000
_NAMED = re.compile(r"pylock\.(?:[^.]+\.)?toml")  # PEP 751: other names are refused by pip and uv
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NUMBER = re.compile(r"\d{300}")  # as a version it cannot be compared
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class BadLock(ZooError):
    """A lock file that cannot be used."""

    code = "bad-lock"
    exit_code = ExitCode.USAGE

    path: str
    problem: str


class ModelDiffers(ZooError):
    """The index or the release has something else under the name than when the model was locked."""

    code = "locked-model-differs"
    exit_code = ExitCode.INTEGRITY

    model: str
    problem: str


def is_lock_name(name: str) -> bool:
    """Whether pip and uv take a file of that name for a lock."""
    return _NAMED.fullmatch(name) is not None


def check_name(path: str) -> None:
    """Refuses names under which pip and uv do not take a lock.

    Raises:
        BadLock: it is neither `pylock.toml` nor `pylock.<name>.toml`.
    """
    if not is_lock_name(path.rpartition("/")[2]):
        raise BadLock(path, "a lock is named pylock.toml or pylock.NAME.toml (PEP 751)")


def to_document(lock: Lock, created_by: str) -> dict[str, Any]:
    """The lock as the tables of its TOML file, in a fixed order."""
    zoo: dict[str, Any] = {
        "requested": list(lock.requested),
        "index": lock.index_date,
        "variant": lock.variant,
        "machine": dict(sorted(lock.machine.items())),
        "minimum": dict(sorted(lock.minimum.items())),
        "targets": {name: list(values) for name, values in sorted(lock.targets.items())},
    }
    if lock.models:
        zoo["models"] = [model_document(each) for each in lock.models]
    return {
        "lock-version": "1.0",
        "environments": [lock.environment],
        "requires-python": lock.requires_python,
        "created-by": created_by,
        "packages": [_package_document(each) for each in sorted(lock.packages, key=_order)],
        "tool": {"zoo": zoo},
    }


def model_document(model: LockedModel) -> dict[str, Any]:
    """A model as a table of its lock."""
    document: dict[str, Any] = {"name": model.name}
    if model.package:
        document |= {"package": model.package, "release": model.release}
    if model.config:
        document["config"] = {"name": model.config, "sha256": model.config_sha256}
    return document | {"files": [_file_document(each) for each in model.files]}


def _package_document(package: LockedPackage) -> dict[str, Any]:
    if package.built_from:
        return _source_document(package, package.built_from)
    document: dict[str, Any] = {"name": package.project, "version": package.version}
    if package.marker:
        document["marker"] = package.marker
    if package.sdist:
        document["sdist"] = _file_document(package.sdist)
    if package.wheels:
        document["wheels"] = [_file_document(each) for each in sorted(package.wheels, key=lambda each: each[:3])]
    if package.evidence:
        document["tool"] = {"zoo": {"evidence": package.evidence, "source": package.source}}
    return document


def _source_document(package: LockedPackage, source: LockedSource) -> dict[str, Any]:
    """A package that is built: PEP 751 has no version for source trees, so what it was stands in our own table."""
    is_address = "://" in source.place
    place = {"url" if is_address else "path": source.place}
    inside = {"subdirectory": source.subdirectory} if source.subdirectory else {}
    document: dict[str, Any] = {"name": package.project}
    if source.kind == "archive" and package.version:
        document["version"] = package.version
    if package.marker:
        document["marker"] = package.marker
    if source.kind == "vcs":
        asked = {"requested-revision": source.requested} if source.requested else {}
        document["vcs"] = {"type": "git", **place, **asked, "commit-id": source.digest, **inside}
    elif source.kind == "directory":
        document["directory"] = {**place, **({"editable": True} if source.is_editable else {}), **inside}
    else:
        size = {} if source.size_bytes is None else {"size": source.size_bytes}
        document["archive"] = {**place, **size, "hashes": {"sha256": source.digest}, **inside}
    return {**document, "tool": {"zoo": {"version": package.version}}} if package.version else document


def _order(package: LockedPackage) -> tuple[str, str, str]:
    return (package.project, package.version, package.marker or "")


def _file_document(file: LockedFile) -> dict[str, Any]:
    size = {} if file.size_bytes is None else {"size": file.size_bytes}
    return {"name": file.name, "url": file.url, **size, "hashes": {"sha256": file.sha256}}


def from_document(document: Mapping[str, Any], path: str) -> Lock:
    """A lock from the tables of its file.

    Args:
        document: What a TOML reader gave.
        path: For errors.

    Raises:
        BadLock: it is none, of a newer version, or a file in it has no SHA-256 or the wrong name.
    """
    from packaging.pylock import Pylock, PylockValidationError

    try:
        Pylock.from_dict(document)
    except (PylockValidationError, ValueError) as exc:
        raise BadLock(path, str(exc)) from exc
    if len(document["packages"]) > _MAX_PACKAGES:
        raise BadLock(path, f"more than {_MAX_PACKAGES} packages")
    if any(
        _CONTROL.search(text) or _NUMBER.search(text) for text in _texts(document)
    ):  # exports write them into scripts
        raise BadLock(path, "a text in it has control characters, or a number of hundreds of digits")
    zoo = _table(document.get("tool", {}), "zoo")
    environments = document.get("environments") or [""]
    return Lock(
        requires_python=str(document.get("requires-python", "")),
        environment=str(environments[0]),
        packages=tuple(_package(each, path) for each in document["packages"]),
        requested=_requested(zoo.get("requested", []), path),
        index_date=str(zoo.get("index", "")),
        variant=str(zoo.get("variant", "")),
        machine={str(key): str(value) for key, value in _table(zoo, "machine").items()},
        minimum={str(key): str(value) for key, value in _table(zoo, "minimum").items()},
        targets={str(key): _targets(value, path) for key, value in _table(zoo, "targets").items()},
        models=_models(zoo.get("models", []), path),
    )


def _requested(words: object, path: str) -> tuple[str, ...]:
    if not isinstance(words, list):
        raise BadLock(path, "what was requested is no list")
    return tuple(map(str, words))


def _models(tables: object, path: str) -> tuple[LockedModel, ...]:
    if not isinstance(tables, list) or len(tables) > _MAX_MODELS:
        raise BadLock(path, f"its models are no list of at most {_MAX_MODELS}")
    return tuple(_model(each, path) for each in tables)


def _model(table: object, path: str) -> LockedModel:
    name, files = (table.get("name"), table.get("files", [])) if isinstance(table, dict) else (None, None)
    if not isinstance(table, dict) or not name or not isinstance(files, list):
        raise BadLock(path, "a model in it has no name, or its files are no list")
    config = _table(table, "config")
    digest = str(config.get("sha256", ""))
    if config and not (config.get("name") and _SHA256.fullmatch(digest)):
        raise BadLock(path, f"the config of {name} has no name or no SHA-256")
    found = tuple(_file(each, str(name), path) for each in files)
    if bad := next(
        (each for each in (*(file.name for file in found), config.get("name")) if not _is_plain(each)), None
    ):
        raise BadLock(path, f"{str(bad)[:80]!r} of {name} is no file name")
    return LockedModel(
        str(name), str(table.get("package", "")), str(table.get("release", "")),
        found, str(config.get("name", "")), digest,
    )  # fmt: skip


def _is_plain(name: object) -> bool:
    """Whether it is a file's name, or there is none: no path, nothing that a shell or an option parser could take."""
    return name is None or (isinstance(name, str) and re.fullmatch(r"\w[\w.+@=()\[\],-]*", name) is not None)


def _targets(value: object, path: str) -> tuple[str, ...]:
    from zoo_cli.machine.cuda import BadVersion, parse_target

    try:
        return tuple(str(parse_target(str(each))) for each in value) if isinstance(value, list) else ()
    except BadVersion as exc:
        raise BadLock(path, f"{str(exc)[:80]} is no code target") from exc


def _texts(value: object) -> Iterator[str]:
    """Every text of a document, however deep."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each


def _table(above: object, name: str) -> Mapping[str, Any]:
    found = above.get(name) if isinstance(above, dict) else None
    return found if isinstance(found, dict) else {}


def _package(table: Mapping[str, Any], path: str) -> LockedPackage:
    project = normalise(table["name"])
    zoo = _table(table.get("tool", {}), "zoo")
    marker = table.get("marker")
    if source := _built_from(table, project, path):
        number = str(table.get("version", zoo.get("version", "")))
        return LockedPackage(project, number, (), None, str(marker) if marker else None, built_from=source)
    if "version" not in table:
        raise BadLock(path, f"{project} has no version")
    archive = [table["archive"]] if "archive" in table else []
    wheels = tuple(_file(each, project, path) for each in (*table.get("wheels", ()), *archive))
    for wheel in wheels:
        _check_wheel(wheel, project, str(table["version"]), path)
    sdist = _file(table["sdist"], project, path) if "sdist" in table else None
    return LockedPackage(
        project, str(table["version"]), wheels, sdist, str(marker) if marker else None,
        str(zoo.get("evidence", "")), str(zoo.get("source", "")),
    )  # fmt: skip


def _built_from(table: Mapping[str, Any], project: str, path: str) -> LockedSource | None:
    """The source of a package that is built; None of one that comes as a wheel or from a package index.

    Raises:
        BadLock: a repository that is not git's, or an archive of another form or without SHA-256.
    """
    vcs, directory, archive = (_table(table, kind) for kind in ("vcs", "directory", "archive"))
    if vcs:
        if vcs.get("type") != "git":
            raise BadLock(path, f"{project} comes from {vcs.get('type')}; zoo builds from git")
        place, digest = str(vcs.get("url") or vcs.get("path")), str(vcs.get("commit-id", "")).lower()
        if not _COMMIT.fullmatch(digest):
            raise BadLock(path, f"{project} is locked to no commit of git")
        asked = str(vcs.get("requested-revision", ""))
        return LockedSource("vcs", place, digest, asked, str(vcs.get("subdirectory", "")))
    if directory:
        is_editable = directory.get("editable") is True
        inside = str(directory.get("subdirectory", ""))
        return LockedSource("directory", str(directory.get("path")), "", "", inside, is_editable)
    place = str(archive.get("url") or archive.get("path") or "")
    name = re.split(r"[?#]", place)[0]
    if not archive or name.endswith(".whl"):
        return None
    digest = str(_table(archive, "hashes").get("sha256", "")).lower()
    if not _SHA256.fullmatch(digest) or not name.endswith(".tar.gz"):
        raise BadLock(path, f"the archive of {project} is no .tar.gz with a SHA-256")
    size = archive.get("size")
    inside = str(archive.get("subdirectory", ""))
    return LockedSource("archive", place, digest, "", inside, size_bytes=size if isinstance(size, int) else None)


def _file(table: object, project: str, path: str) -> LockedFile:
    if not isinstance(table, dict):
        raise BadLock(path, f"a file of {project} is no table")
    url = str(table.get("url", ""))
    sha256 = str(_table(table, "hashes").get("sha256", "")).lower()
    if not url or re.search(r"\s", url):
        raise BadLock(path, f"a file of {project} has no address")
    if not _SHA256.fullmatch(sha256):
        raise BadLock(path, f"a file of {project} has no SHA-256")
    try:
        name = str(table.get("name") or unquote(urlsplit(url).path.rpartition("/")[2]))
    except ValueError as exc:
        raise BadLock(path, f"a file of {project} has an address that is none") from exc
    size = table.get("size")
    return LockedFile(name, url, sha256, size if isinstance(size, int) else None)


def _check_wheel(wheel: LockedFile, project: str, version: str, path: str) -> None:
    from packaging.version import InvalidVersion

    from zoo_cli.packages.versions import version as parsed

    try:
        named = parse_wheel_name(wheel.name)
        is_right = named.project == project and parsed(named.full_version) == parsed(version)
    except (BadWheelName, InvalidVersion) as exc:
        raise BadLock(path, f"{wheel.name} is not the name of a wheel") from exc
    if not is_right:
        raise BadLock(path, f"{wheel.name} is not a wheel of {project} {version}")


def without_credentials(url: str) -> str:
    """An address without user name and password: a lock is shared."""
    return re.sub(r"(?<=//)[^/?#@\s]*@", "", url)


def environment_marker(os: str, arch: str, python: str) -> str:
    """The marker of the environments like this one: system, processor and Python's minor version."""
    system = {"linux": "linux", "windows": "win32", "macos": "darwin"}.get(os, os)
    machine = {"win32": "AMD64"}.get(system, arch)
    minor = ".".join(python.split(".")[:2])
    return f"sys_platform == '{system}' and platform_machine == '{machine}' and python_version == '{minor}'"


def least_glibc(wheels: Iterable[str]) -> str | None:
    """The newest glibc that wheels ask for, each by the oldest of its manylinux tags; None when none asks.

    Follows PEP 600 and the older names of PEP 513, 571 and 599.
    """
    legacy = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}
    needs = []
    for name in wheels:
        tags = name.rpartition("-")[2]
        found = [each.replace("_", ".") for each in re.findall(r"manylinux_(\d+_\d+)", tags)]
        found += [version for tag, version in legacy.items() if re.search(rf"{tag}(?![0-9])", tags)]
        if found:
            needs.append(min(found, key=_numbers))
    return max(needs, key=_numbers, default=None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
