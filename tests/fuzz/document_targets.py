"""What must hold for any bytes given as a document that zoo itself, or another tool, once wrote: a function for each.

Locks, bundles, receipts, mirrors files, requirements files, manifests of mirrors, trusted roots, signed metadata,
journals, machines, sources and compiled libraries. Each ends in a value or in one typed error of a known kind, whose
sentence is lines that a terminal can show and whose exit code is one of the known ones; nothing is run, nothing is
written outside. Each function returns whether the input was understood.
"""

from __future__ import annotations

import atexit
import functools
import gzip
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from tests.fuzz.filter_target import console
from tests.fuzz.watch import Broken, watched
from zoo_cli.catalog import compat
from zoo_cli.catalog.database import open_catalog
from zoo_cli.catalog.entries import Project
from zoo_cli.cli.app import error_lines
from zoo_cli.cli.messages import message_for
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.document import machine_to_json
from zoo_cli.machine.metadata import parse_direct_url, parse_headers, parse_record, parse_torch_version
from zoo_cli.machine.profile import load_machine
from zoo_cli.machine.values import BadMachine
from zoo_cli.mirror.manifest import BadMirror, read_manifest
from zoo_cli.models.bundling import Unpacking, models_of, unpack
from zoo_cli.models.receipts import BadReceipt, read_receipt, receipt_text
from zoo_cli.packages.given import read_given
from zoo_cli.packages.journal import Journal
from zoo_cli.packages.lockfile import BadLock, to_document
from zoo_cli.packages.locking import read_lock
from zoo_cli.packages.request import BadRequirement
from zoo_cli.packages.requirements import UnreadableRequirements, read_requirements
from zoo_cli.packages.sources import BadSource, Source
from zoo_cli.packages.wheelhouse import SECTION, lock_of
from zoo_cli.transfer.mirrors import read_mirrors
from zoo_cli.transfer.mirrorsfile import BadMirrors
from zoo_cli.transfer.settings import Settings
from zoo_cli.trust.binary import read_binary
from zoo_cli.trust.bundle import Bundle
from zoo_cli.trust.refusals import BadRoot
from zoo_cli.trust.tufclient import root_facts, signed_file
from zoo_cli.updates.updating import TARGET

Answer = TypeVar("Answer")
MOST_SENTENCE = 20_000  # letters of one error


@functools.cache
def work() -> Path:
    """A directory of this process, as much in memory as the system has it."""
    fast = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="zoo-fuzz-", dir=fast if fast.is_dir() else None))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def _file(name: str, data: bytes) -> Path:
    path = work() / name
    path.write_bytes(data)
    return path


def answered(read: Callable[[], Answer], *errors: type[ZooError]) -> Answer | None:
    """What was read, or None when the reader said why not, as it may."""
    try:
        with watched(work(), writes=True):
            return read()
    except errors as error:
        check_error(error)
        return None


def check_error(error: ZooError) -> None:
    """It can be told: a few lines that a terminal shows, a code, an exit code that is known."""
    lines = error_lines(console(), error.code, message_for(error))
    if not all(line == line.encode("utf-8").decode() and line.isprintable() for line in lines):
        raise Broken(f"a sentence that cannot be shown: {lines!r}")
    if sum(map(len, lines)) > MOST_SENTENCE:
        raise Broken(f"a sentence of {sum(map(len, lines))} letters: {lines[0][:200]!r}")
    if error.exit_code not in set(ExitCode):
        raise Broken(f"{error.code} exits with {error.exit_code}")


def check_lock(data: bytes) -> bool:
    """A pylock.toml."""
    path = _file("pylock.toml", data)
    lock = answered(lambda: read_lock(path), BadLock)
    if lock is None:
        return False
    for file in (each for package in lock.packages for each in package.wheels):
        if "/" in file.name or "\\" in file.name or not file.name.endswith(".whl"):
            raise Broken(f"a wheel called {file.name!r}")
    to_document(lock, "fuzz")
    return True


def check_bundle(data: bytes) -> bool:
    """A bundle; what is understood is unpacked, too, and only where it was sent."""
    path = _file("b.tar", data)
    place = work() / "destination"
    place.mkdir(exist_ok=True)
    understood = False
    try:
        with watched(path.parent, writes=True), Bundle(path) as bundle:
            models = models_of(bundle)
            understood = True
            if SECTION in bundle.manifest:
                lock_of(bundle)
            with watched(path, place, writes=True):
                unpack(bundle, models, Unpacking(place, "2026-11-23T00:00:00Z", replace_others=True))
    except ZooError as error:
        check_error(error)
    shutil.rmtree(place)
    return understood


def check_receipt(data: bytes) -> bool:
    """A receipt; what is read writes the same again."""
    receipt = answered(lambda: read_receipt(data, "x.zoo.json"), BadReceipt)
    if receipt is None:
        return False
    if read_receipt(receipt_text(receipt).encode("utf-8", "surrogatepass"), "again") != receipt:
        raise Broken("a receipt that reads back as another one")
    return True


def check_mirrors(data: bytes) -> bool:
    """A mirrors.yaml; the second time it is read from the form that is kept, and says the same."""
    path = _file("mirrors.yaml", data)
    before = os.environ.get("ZOO_STATE")
    os.environ["ZOO_STATE"] = str(work() / "state")
    try:
        (work() / "state").mkdir(exist_ok=True)
        first, again = (answered(lambda: read_mirrors(path), BadMirrors) for _ in range(2))
    finally:
        os.environ.pop("ZOO_STATE")
        os.environ |= {"ZOO_STATE": before} if before is not None else {}
    if first != again:
        raise Broken(f"kept as something else: {first} {again}")
    return first is not None


@functools.cache
def projects() -> dict[str, Project]:
    """Those of the index."""
    with closing(open_catalog()) as catalog:
        return compat.projects(catalog)


def check_requirements(data: bytes) -> bool:
    """A requirements file; the files that it names are the user's as well, and nothing is done with them here."""
    path, known = _file("r.txt", data), projects()
    try:
        with watched(Path("/")):
            found = read_requirements((str(path),), known)
    except (UnreadableRequirements, BadRequirement) as error:
        check_error(error)
        return False
    return bool(found.words or found.others)


def check_manifest(data: bytes) -> bool:
    """The manifest of a mirror; every path stays below the root."""
    manifest = answered(lambda: read_manifest(data, "https://mirror.example/"), BadMirror)
    for path in manifest.files if manifest else ():
        if path.startswith(("/", ".")) or "/." in path or "\\" in path or not path.isprintable():
            raise Broken(f"a place {path!r}")
    return bool(manifest and manifest.files)


def check_root(data: bytes) -> bool:
    """Root metadata that somebody asks to be trusted."""
    return answered(lambda: root_facts(data, "root.json"), BadRoot) is not None


@functools.cache
def repository() -> tuple[Path, bytes, str]:
    """A signed repository: where it is, its root, and the digest that is signed."""
    from tests.support.signed import Publisher

    publisher = Publisher(work().parent / f"{work().name}-signed")
    atexit.register(shutil.rmtree, publisher.directory, ignore_errors=True)
    publisher.index("2026-11-01")
    (target,) = (publisher.repository / "targets").glob("*.*")
    return publisher.repository, publisher.trusted.root, target.name.partition(".")[0]


def check_metadata(data: bytes) -> bool:
    """One piece of signed metadata, as a mirror could send it: nothing is believed but what was signed."""
    place, root, digest = repository()
    role = re.search(rb'"_type": ?"(root|timestamp|snapshot|targets)"', data)
    name = {b"root": "2.root.json", b"snapshot": "1.snapshot.json", b"targets": "1.targets.json"}.get(
        role[1] if role else b"", "timestamp.json"
    )
    ordinary = (place / "metadata" / name).read_bytes() if (place / "metadata" / name).exists() else None
    (place / "metadata" / name).write_bytes(data)
    kept = work() / "metadata"
    try:
        found = signed_file(kept, "zoo", root, place.as_uri(), TARGET, Settings(retries=0))
        if found.sha256 != digest:
            raise Broken(f"{found} is not what was signed")
    except ZooError as error:
        check_error(error)
        return False
    finally:
        if ordinary is None:
            (place / "metadata" / name).unlink()
        else:
            (place / "metadata" / name).write_bytes(ordinary)
        shutil.rmtree(kept, ignore_errors=True)
    return True


def check_journal(data: bytes) -> bool:
    """Every record of a journal, all at once the same bytes; `zoo undo` of what they say stays inside."""
    prefix = work() / "env"
    data = data.replace(b"PREFIX", str(prefix).encode())
    home = prefix / ".zoo"
    for place in (home / "changes", home / "before" / "1", prefix / "lib"):
        place.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress(data, 1, mtime=0)
    for name, body in {
        "open.json": data, "changes/1.json": data, "after.json.gz": packed, "before/1/manifest.json.gz": packed,
        "before/1/0": b"kept", "../lib/ours.py": b"ours",
    }.items():  # fmt: skip
        (home / name).write_bytes(body)
    journal = Journal(str(prefix / "bin" / "python"), prefix, (prefix / "lib",), home)
    understood = False
    undo = lambda: journal.undo(1, (), lambda: "now")  # noqa: E731
    for act in (journal.changes, lambda: any(journal.since()), journal.unfinished, journal.to_undo, undo):
        try:
            with watched(prefix, writes=True):
                understood |= bool(act())
        except ZooError as error:
            check_error(error)
    shutil.rmtree(prefix)
    return understood


def check_machine(data: bytes) -> bool:
    """A machine in a file."""
    path = _file("m.json", data)
    machine = answered(lambda: load_machine(str(path), {}), BadMachine)
    if machine is not None:
        json.dumps(machine_to_json(machine))
    return machine is not None


def check_source(data: bytes) -> bool:
    """The files of a project that say its name, all with these bytes; and what an installed one says of itself."""
    folder = work() / "source"
    (folder / "x").mkdir(parents=True, exist_ok=True)
    for name in ("PKG-INFO", "pyproject.toml", "setup.cfg", "setup.py", "x/__init__.py"):
        (folder / name).write_bytes(data)
    source = Source("folder", str(folder), "")
    given = answered(lambda: read_given(source, folder), BadSource)
    text = data.decode("utf-8", "replace")
    with watched():
        for parse in (parse_headers, parse_record, parse_direct_url, parse_torch_version):
            parse(text)
    return given is not None


def check_library(data: bytes) -> bool:
    """A compiled library: ELF, PE or Mach-O, with or without CUDA code."""
    with watched():
        found = read_binary(io.BytesIO(data))
    if found.kind not in ("elf", "pe", "mach-o", "unknown"):
        raise Broken(found.kind)
    return not found.problem


TARGETS = {
    "lock": check_lock, "bundle": check_bundle, "receipt": check_receipt, "mirrors": check_mirrors,
    "requirements": check_requirements, "manifest": check_manifest, "root": check_root, "metadata": check_metadata,
    "journal": check_journal, "machine": check_machine, "source": check_source, "library": check_library,
}  # fmt: skip
