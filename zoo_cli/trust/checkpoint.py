"""Is there code in a checkpoint? The scanner: what a file is by its bytes, and a verdict on all of it.

Pure: gets an open, seekable binary file, a local one or `transfer.remote.RemoteFile`. A name or suffix proves nothing,
so none is asked. Known are the four containers that published checkpoints use; everything else is refused and, where
its first bytes tell, called by its name. Memory and time are bounded whatever the file says of itself.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import IO, Any

from zoo_cli.trust import torchzip
from zoo_cli.trust.archive import is_tar
from zoo_cli.trust.opcodes import Scan
from zoo_cli.trust.pickles import Machine
from zoo_cli.trust.safetensors import check_safetensors, looks_like
from zoo_cli.trust.values import Malformed, Value
from zoo_cli.trust.verdict import Policy, Verdict
from zoo_cli.trust.window import Ended, Window

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
_HEAD_BYTES = 512
_SMALL = 64  # bytes of version, byteorder and the like
_SMALL_MEMBERS = ("byteorder", "version", ".format_version", ".storage_alignment", ".data/serialization_id")
_CODE_MEMBERS = ("code/", "constants.pkl", "extra/", ".data/version", ".data/extern_modules", "bytecode.pkl")
_OTHERS = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"), (b"Rar!", "a RAR archive"), (b"\x89HDF\r\n", "HDF5 (Keras)"),
    (b"\x93NUMPY", "a numpy array (.npy)"), (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"GGUF", "GGUF"), (b"\x7fELF", "a program (ELF)"), (b"MZ", "a program (Windows)"), (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"), (b"%PDF", "PDF"), (b"\xca\xfe\xba\xbe", "a program (Java or macOS)"),
    (b"#!", "a script"), (b"PK\x05\x06", "an empty zip archive"),
)  # fmt: skip
_SUFFIXES = (".pth", ".pt", ".pkl", ".bin", ".ckpt", ".safetensors", ".pickle", ".pth.tar", ".tar")


def is_named_like_one(name: str) -> bool:
    """Whether a file is called as checkpoints are; only used to choose in a directory."""
    return name.lower().endswith(_SUFFIXES)


def looks_like_one(beginning: bytes) -> bool:
    """Whether the first bytes may begin a checkpoint of a known container."""
    return beginning[:4] == torchzip.LOCAL or _is_new_pickle(beginning) or looks_like(beginning)


def scan_checkpoint(
    file: IO[bytes], size_bytes: int, policy: Policy | None = None, *, every_header: bool = True
) -> Verdict:
    """The verdict on a complete file.

    Args:
        file: Seekable; only read.
        size_bytes: Its size.
        policy: What is trusted.
        every_header: Whether every member's own header is compared, too. Without it a file behind an address needs a
            few ranges only, and the verdict is not on the whole file.
    """
    scan = Scan(policy or Policy())
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    container, is_whole = "unknown", every_header
    try:
        container = _container_of(head)
        if container == "torch zip":
            _scan_zip(file, size_bytes, scan, every_header)
        elif container == "safetensors":
            scan.tensors = check_safetensors(file, size_bytes)
            _check_not_both(head, file, size_bytes, scan)
        else:
            container = _scan_pickles(file, size_bytes, scan, every_header)
    except (Malformed, Ended) as problem:
        container = _note_end(problem, container, head, scan)
    return _verdict(container, size_bytes, scan, is_whole)


def scan_beginning(data: bytes, policy: Policy | None = None) -> Verdict | None:
    """What the first bytes of a file already give away; None when they ask for nothing that is not allowed.

    Only globals count here: everything else may be damage, which a digest tells better when the file is complete.
    """
    if len(data) < _HEAD_BYTES:
        return None
    scan, file = Scan(policy or Policy()), io.BytesIO(data)
    container = "unknown"
    with suppress(Malformed, Ended):
        container = _container_of(data[:_HEAD_BYTES])
        if container == "torch zip":
            first = torchzip.first_member(data)
            if first and first[0].endswith("data.pkl"):
                Machine(Window(file, first[1], len(data)), scan, first[0], "zip").run()
        elif container == "pickle":
            container = _scan_pickles(file, len(data), scan, every_header=False)
    scan.findings = [finding for finding in scan.findings if finding.level in ("unknown", "dangerous")]
    return _verdict(container, None, scan, is_whole=False) if scan.findings else None


def _note_end(problem: Malformed | Ended, container: str, head: bytes, scan: Scan) -> str:
    """Notes why reading stopped, and returns what the file is then called."""
    if container == "pickle" and not _is_new_pickle(head) and not scan.globals:
        scan.find("malformed", "unknown-container", "it begins like no checkpoint that is known", "file")
        return "unknown"
    if isinstance(problem, Ended):
        scan.find("malformed", "cut-off", "it ends in the middle of a value", container)
    else:
        scan.find("malformed", "malformed", str(problem), container)
    return container


def _verdict(container: str, size_bytes: int | None, scan: Scan, is_whole: bool) -> Verdict:
    names, trusted = tuple(sorted(scan.globals)), tuple(sorted(scan.trusted))
    return Verdict(container, size_bytes, tuple(scan.findings), names, trusted, scan.tensors, is_whole)


def _is_new_pickle(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0x80 and head[1] <= 5


def _container_of(head: bytes) -> str:
    """What a file is.

    Raises:
        Malformed: Nothing that may be read as a checkpoint.
    """
    if head[:4] == torchzip.LOCAL:
        return "torch zip"
    if is_tar(head):  # torch.load tries this before any pickle, and a header may stand in the texts of one
        raise Malformed("it is a tar archive (torch before 0.1.10, whose reader runs what is in it)")
    if looks_like(head):
        return "safetensors"
    if _is_new_pickle(head):
        return "pickle"
    if not head:
        raise Malformed("it is empty")
    if not head.strip(b"\0"):
        raise Malformed("it begins with zeros: it never came, or was not written")
    for magic, name in _OTHERS:
        if head.startswith(magic):
            raise Malformed(f"it is no checkpoint, but {name}")
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<error")):
        raise Malformed("it is no checkpoint, but a web page or an error message of a server")
    return "pickle"  # protocol 0 and 1 begin with any opcode; if it is none, the machine says so


# -- zip -------------------------------------------------------------------------------------------------------------


def _scan_zip(file: IO[bytes], size_bytes: int, scan: Scan, every_header: bool) -> None:
    """All of a torch zip archive; what its pickle asks for is found even when the archive itself is broken."""
    try:
        directory = torchzip.read_directory(file, size_bytes)
        members = _members(directory, scan)
        pickle = members["data.pkl"]
        begins = torchzip.data_of(file, pickle)
    except Malformed:
        _look_at_first(file, size_bytes, scan)
        raise
    if pickle.size_bytes > torchzip.MAX_PICKLE:
        raise Malformed(f"its data.pkl is larger than {torchzip.MAX_PICKLE} bytes")
    _run_to_end(Window(file, begins, begins + pickle.size_bytes), scan, "data.pkl", "zip")
    torchzip.check_sum(file, pickle, begins)
    if every_header:
        torchzip.check_layout(file, directory)
    _check_storages(members, scan)


def _look_at_first(file: IO[bytes], size_bytes: int, scan: Scan) -> None:
    file.seek(0)
    first = torchzip.first_member(file.read(1 << 16))
    if first and first[0].endswith("data.pkl"):
        with suppress(Malformed, Ended):
            Machine(Window(file, first[1], size_bytes), scan, "data.pkl", "zip").run()


def _members(directory: torchzip.Directory, scan: Scan) -> dict[str, torchzip.Member]:
    """The members by their name below the one top directory.

    Raises:
        Malformed: Another archive than torch.save writes.
    """
    tops = {member.name.partition("/")[0] for member in directory.members}
    members = {member.name.partition("/")[2]: member for member in directory.members}
    if len(tops) != 1 or "data.pkl" not in members:
        raise Malformed("a zip archive that is no checkpoint: no data.pkl in one top directory")
    for name, member in members.items():
        if name.startswith(_CODE_MEMBERS):
            scan.find("dangerous", "code-archive", f"a program (TorchScript or torch.package): {name}", member.name)
        elif name in _SMALL_MEMBERS:
            if member.size_bytes > _SMALL:
                raise Malformed(f"member {name} is larger than {_SMALL} bytes")
        elif name != "data.pkl" and not (name.startswith("data/") and name[5:].isdecimal() and name.isascii()):
            scan.find("malformed", "odd-member", f"a member that torch.save does not write: {name}", member.name)
    return members


def _check_storages(members: dict[str, torchzip.Member], scan: Scan) -> None:
    for storage in scan.storages.by_key.values():
        member = members.get(f"data/{storage.key}")
        if member is None:
            scan.find("malformed", "wrong-size", f"storage {storage.key} is not in the file", "data.pkl")
        elif member.size_bytes != storage.count * storage.item_bytes:
            what = f"storage {storage.key} has {member.size_bytes} bytes, and the pickle says {storage.count} x "
            scan.find("malformed", "wrong-size", f"{what}{storage.item_bytes}", member.name)


def _run_to_end(window: Window, scan: Scan, where: str, persistent: str | None) -> None:
    Machine(window, scan, where, persistent).run()
    if window.left:
        scan.find("malformed", "trailing-data", f"{window.left} bytes after the end of the pickle", where, window.at)


# -- pickles one after the other -------------------------------------------------------------------------------------


def _scan_pickles(file: IO[bytes], size_bytes: int, scan: Scan, every_header: bool) -> str:
    """A raw pickle, or a legacy file of torch: five pickles and the storages. Returns which."""
    window = Window(file, 0, size_bytes)
    first = Machine(window, scan, "pickle").run()
    if first != LEGACY_MAGIC:
        if window.left:
            scan.find("malformed", "trailing-data", f"{window.left} bytes after the pickle's end", "pickle", window.at)
        return "pickle"
    if Machine(window, scan, "protocol").run() != LEGACY_PROTOCOL:
        raise Malformed("a legacy file of torch of another protocol than 1001")
    Machine(window, scan, "system").run()
    Machine(window, scan, "objects", "legacy").run()
    keys = Machine(window, scan, "storages", keep_lists=True).run()
    _check_legacy_storages(file, window.at, size_bytes, scan, _keys(keys), every_header)
    return "torch legacy"


def _keys(value: Any) -> list[str]:
    items = value.items if type(value) is Value and value.kind == "list" else None
    if items is None or not all(type(item) is str for item in items) or len(set(items)) != len(items):
        raise Malformed("a legacy file of torch whose list of storages is none")
    return list(items)


def _check_legacy_storages(
    file: IO[bytes], at: int, size_bytes: int, scan: Scan, keys: list[str], every_header: bool
) -> None:
    """Each storage: eight bytes that repeat its count, then its elements; together exactly the rest of the file."""
    declared = scan.storages.by_key
    if set(keys) != set(declared):
        scan.find("malformed", "wrong-size", "storages in the list and in the objects are not the same", "storages")
        return
    for key in keys:
        storage = declared[key]
        if every_header:
            file.seek(at)
            if int.from_bytes(file.read(8), "little", signed=True) != storage.count:
                scan.find("malformed", "wrong-size", f"storage {key} has another size than the objects say", "storages")
                return
        at += 8 + storage.count * storage.item_bytes
    if at != size_bytes:
        scan.find("malformed", "wrong-size", f"the storages end at byte {at} of {size_bytes}", "storages")


def _check_not_both(head: bytes, file: IO[bytes], size_bytes: int, scan: Scan) -> None:
    """A header length may look like the first byte of a pickle; then no pickle may be readable."""
    if _is_new_pickle(head):
        with suppress(Malformed, Ended):
            Machine(Window(file, 0, size_bytes), scan, "safetensors read as a pickle").run()
            scan.find("malformed", "two-formats", "it can be read as safetensors and as a pickle", "safetensors")
