"""Real wheels for tests: valid METADATA, WHEEL and RECORD, any content, and decoys made from another wheel.

    wheel = write_wheel(tmp_path, "tiny", "1.0", files={"tiny.py": "value = 1"})
    decoy = retag(wheel, tmp_path, tags="cp310-cp310-win_amd64")

What a test wants wrong it says itself: `record` replaces the RECORD file, `metadata` and `wheel` whole files.
Standard library only, and nothing of zoo.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

Content = str | bytes


def write_wheel(
    directory: Path,
    name: str = "tiny",
    version: str = "1.0",
    tag: str = "py3-none-any",
    *,
    files: Mapping[str, Content] | None = None,
    requires: Iterable[str] = (),
    requires_python: str | None = None,
    metadata: Content | None = None,
    wheel: Content | None = None,
    record: Content | None = None,
    unlisted: Mapping[str, Content] | None = None,
    filename: str | None = None,
) -> Path:
    """Writes a wheel and returns its path; the same arguments give the same bytes.

    `files` go in and are listed in RECORD, `unlisted` go in only. Without files the wheel has one module.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {each}" for each in requires]
    lines += [f"Requires-Python: {requires_python}"] if requires_python else []
    is_pure = tag.endswith("-none-any")
    members: dict[str, Content] = dict(files if files is not None else {f"{name.replace('-', '_')}.py": "value = 1\n"})
    members[f"{info}/METADATA"] = "\n".join(lines) + "\n" if metadata is None else metadata
    members[f"{info}/WHEEL"] = _wheel_text(tag, is_pure) if wheel is None else wheel
    members[f"{info}/RECORD"] = record_text(members, f"{info}/RECORD") if record is None else record
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / (filename or f"{stem}-{tag}.whl")
    write_zip(path, {**members, **(unlisted or {})})
    return path


def _wheel_text(tag: str, is_pure: bool) -> str:
    head = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {str(is_pure).lower()}\n"
    pythons, abis, platforms = (part.split(".") for part in tag.split("-"))
    return head + "".join(f"Tag: {p}-{a}-{f}\n" for p in pythons for a in abis for f in platforms)


def record_text(members: Mapping[str, Content], own: str) -> str:
    """RECORD for these members: path, sha256, size; RECORD itself without a digest."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for name, content in members.items():
        data = _bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow((name, f"sha256={digest}", len(data)))
    writer.writerow((own, "", ""))
    return stream.getvalue()


def write_zip(path: Path, members: Mapping[str, Content] | Iterable[tuple[str | zipfile.ZipInfo, Content]]) -> None:
    """A zip file with a fixed time stamp; pairs may repeat a name or bring a ZipInfo of their own."""
    pairs = members.items() if isinstance(members, Mapping) else members
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pairs:
            entry = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)) if isinstance(name, str) else name
            entry.compress_type = zipfile.ZIP_DEFLATED
            if not entry.external_attr:
                entry.external_attr = 0o100644 << 16
            archive.writestr(entry, _bytes(content))


def retag(
    source: Path, directory: Path, *, tags: str | None = None, version: str | None = None, keep_extensions: bool = True
) -> Path:
    """A decoy: the same content under another tag or version, valid in every other way.

    Without its extensions it is an op-less wheel.
    """
    name, old_version, *old_tag = source.name[: -len(".whl")].split("-")
    new_tag, new_version = tags or "-".join(old_tag[-3:]), version or old_version
    old_info = f"{name}-{old_version}.dist-info/"
    files: dict[str, Content] = {}
    with zipfile.ZipFile(source) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist() if not entry.endswith("/")}
    dropped = () if keep_extensions else (".so", ".pyd", ".dylib")
    for entry, content in members.items():
        if not entry.startswith(old_info) and not entry.endswith(dropped):
            files[entry] = content
    metadata = members[f"{old_info}METADATA"].decode().replace(f"Version: {old_version}", f"Version: {new_version}", 1)
    return write_wheel(directory, name, new_version, new_tag, files=files, metadata=metadata)


def _bytes(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content
