"""Checkpoints with code in them, each of which makes a file `fired...` in the directory where it is loaded.

`payloads()` gives name -> bytes. That each is live is proven in a child (`tests/trust/test_scan_corpus.py`): the
harmless `touch fired` runs when `torch.load(..., weights_only=False)` reads it. Nothing here is copied from the
collections of other scanners.
"""

from __future__ import annotations

import io
import struct
import tarfile
from dataclasses import replace

from tests.support.pickles import (
    LEGACY_SYSTEM,
    Entry,
    call,
    entries,
    lookup,
    mapping,
    number,
    pickle,
    short,
    tensor,
    text,
    torch_legacy,
    torch_zip,
    with_data_pkl,
    zip_file,
)

COMMAND = "touch fired"
PYTHON = "open('fired','w')"
SYSTEM = call(lookup("os", "system"), text(COMMAND))
_ARGV = b"](" + text("touch") + text("fired") + b"e"


def _stack(module: bytes, name: bytes) -> bytes:
    return module + name + b"\x93"


def _nested() -> bytes:
    inner = pickle(SYSTEM)
    return b"B" + struct.pack("<I", len(inner)) + inner


def _opcodes() -> dict[str, bytes]:
    """Every way in which a pickle names a function and calls it."""
    run = b"\x85R"
    arg = text(COMMAND)
    memo = short("os") + b"\x94" + short("system") + b"\x94" + b"00"
    lazy = lookup("builtins", "map") + b"(" + lookup("os", "system") + b"](" + text(COMMAND) + b"et\x81"
    framed = _stack(short("os"), short("system")) + arg + run + b"."
    namespace = lookup("argparse", "Namespace") + b")\x81"
    return {
        "protocol-0": b"cos\nsystem\n(S'touch fired'\ntR.",
        "protocol-0-posix": b"cposix\nsystem\n(Vtouch fired\ntR.",
        "protocol-0-inst": b"(S'touch fired'\nios\nsystem\n.",
        "protocol-1-obj": b"(cos\nsystem\nU\x0btouch firedo.",
        "protocol-2": pickle(SYSTEM),
        "protocol-3": pickle(SYSTEM, 3),
        "protocol-4-stack-global": pickle(_stack(short("os"), short("system")) + arg + run, 4),
        "protocol-5-frame": b"\x80\x05\x95" + struct.pack("<Q", len(framed)) + framed,
        "names-from-memo": pickle(memo + b"h\x00h\x01\x93" + arg + run, 4),
        "names-from-far-memo": pickle(
            short("os") + b"r\xe8\x03\x00\x00" + short("system") + b"r\xe9\x03\x00\x000"
            b"0j\xe8\x03\x00\x00j\xe9\x03\x00\x00\x93" + arg + run,
            4,
        ),
        "names-from-text-memo": b"Vos\np5\n0Vsystem\np6\n0g5\ng6\n\x93(Vtouch fired\ntR.",
        "names-with-unicode-escapes": b"V\\u006fs\nV\\u0073ystem\n\x93(Vtouch fired\ntR.",
        "names-with-string-escapes": b"S'\\x6f\\163'\nS'syst\\x65m'\n\x93(Vtouch fired\ntR.",
        "names-as-old-strings": b"U\x02osT\x06\x00\x00\x00system\x93(Vtouch fired\ntR.",
        "names-as-long-text": pickle(b"\x8d" + struct.pack("<Q", 2) + b"os" + short("system") + b"\x93" + arg + run, 4),
        "names-doubled": pickle(short("os") + b"2" + b"0" + short("system") + b"\x93" + arg + run, 4),
        "name-with-dots": pickle(_stack(short("shutil"), short("os.system")) + arg + run, 4),
        "module-of-python-2": b'c__builtin__\neval\n(S"' + PYTHON.encode() + b'"\ntR.',
        "module-renamed-by-python-3": b"ccommands\ngetoutput\n(S'touch fired'\ntR.",
        "function-from-memo": pickle(lookup("os", "system") + b"q\x070" + b"h\x07" + arg + run),
        "result-popped": pickle(SYSTEM + b"0}"),
        "result-popped-to-a-mark": pickle(b"(" + SYSTEM + b"1}"),
        "result-as-a-key": pickle(b"}" + SYSTEM + b"Ns"),
        "result-deep-inside": pickle(b"](" * 50 + SYSTEM + b"e" * 50),
        "no-end": pickle(SYSTEM)[:-1],
        "broken-afterwards": pickle(SYSTEM)[:-1] + b"\xff\xff",
        "underflow-afterwards": pickle(SYSTEM)[:-1] + b"000000.",
        "new-object-lazily": pickle(lookup("builtins", "tuple") + b"(" + lazy + b"t\x81"),
        "new-object-with-names": pickle(lookup("builtins", "tuple") + b"(" + lazy + b"t}\x92", 4),
        "state-setter-on-an-instance": pickle(
            namespace + b"}" + text("__setstate__") + lookup("os", "system") + b"sb" + arg + b"b"
        ),
        "extension-code": pickle(
            call(lookup("copyreg", "add_extension"), text("os"), text("system"), number(200)) + b"0\x82\xc8" + arg + run
        ),
        "extension-code-2": pickle(
            call(lookup("copyreg", "add_extension"), text("os"), text("system"), number(30000))
            + b"0\x83\x30\x75"
            + arg
            + run
        ),
        "append-to-a-deque": pickle(call(lookup("collections", "deque"), lazy)),
        "second-pickle-inside": pickle(call(lookup("pickle", "loads"), _nested()), 3),
        "second-pickle-by-c": pickle(call(lookup("_pickle", "loads"), _nested()), 3),
        "storage-of-bytes": pickle(call(lookup("torch.storage", "_load_from_bytes"), _nested()), 3),
    }


def _gates() -> dict[str, bytes]:
    """Functions of the standard library, numpy and torch that run what they are given."""
    python = text(PYTHON)
    os_module = call(lookup("importlib", "import_module"), text("os"))
    attribute = call(lookup("operator", "attrgetter"), text("system"))
    lazily = call(lookup("builtins", "map"), lookup("os", "system"), b"](" + text(COMMAND) + b"e")
    calls: dict[str, bytes] = {
        "os.popen": call(lookup("os", "popen"), text(COMMAND)) + b"0N",
        "os.spawnlp": call(lookup("os", "spawnlp"), number(0), text("touch"), text("touch"), text("fired")),
        "os.execlp": call(lookup("os", "execlp"), text("touch"), text("touch"), text("fired")),
        "os.open": call(lookup("os", "open"), text("fired"), number(0o102), number(0o600)),
        "os.mkdir": call(lookup("os", "mkdir"), text("fired")),
        "subprocess.Popen": call(lookup("subprocess", "Popen"), _ARGV),
        "subprocess.check_output": call(lookup("subprocess", "check_output"), _ARGV),
        "subprocess.getoutput": call(lookup("subprocess", "getoutput"), text(COMMAND)),
        "pty.spawn": call(lookup("pty", "spawn"), _ARGV),
        "builtins.eval": call(lookup("builtins", "eval"), python),
        "builtins.exec": call(lookup("builtins", "exec"), python),
        "builtins.open": call(lookup("builtins", "open"), text("fired"), text("w")),
        "io.open": call(lookup("io", "open"), text("fired"), text("w")),
        "builtins.getattr": call(call(lookup("builtins", "getattr"), os_module, text("system")), text(COMMAND)),
        "operator.attrgetter": call(call(attribute, os_module), text(COMMAND)),
        "operator.methodcaller": call(
            call(lookup("operator", "methodcaller"), text("system"), text(COMMAND)), os_module
        ),
        "functools.partial": call(call(lookup("functools", "partial"), lookup("os", "system"), text(COMMAND))),
        "builtins.list-of-map": call(lookup("builtins", "list"), lazily),
        "builtins.bytes-of-map": call(lookup("builtins", "bytes"), lazily),
        "timeit.timeit": call(lookup("timeit", "timeit"), python, text("pass"), lookup("time", "time"), number(1)),
        "cProfile.run": call(lookup("cProfile", "run"), python),
        "profile.run": call(lookup("profile", "run"), python),
        "code.InteractiveInterpreter": call(
            _stack(short("code"), short("InteractiveInterpreter.runsource")),
            call(lookup("code", "InteractiveInterpreter")),
            python,
        ),
        "bdb.Bdb": call(_stack(short("bdb"), short("Bdb.runeval")), call(lookup("bdb", "Bdb")), python),
        "pkgutil.resolve_name": call(call(lookup("pkgutil", "resolve_name"), text("os:system")), text(COMMAND)),
        "pathlib.Path.touch": call(
            _stack(short("pathlib"), short("Path.touch")), call(lookup("pathlib", "Path"), text("fired"))
        ),
        "shutil.copyfile": call(lookup("shutil", "copyfile"), text("/etc/hostname"), text("fired")),
        "logging.FileHandler": call(lookup("logging", "FileHandler"), text("fired")),
        "distutils.spawn": call(lookup("distutils.spawn", "spawn"), _ARGV),
        "ctypes.CDLL": call(
            call(lookup("builtins", "getattr"), call(lookup("ctypes", "CDLL"), b"N"), text("system")),
            b"C\x0btouch fired",
        ),
        "numpy.runstring": call(lookup("numpy.testing._private.utils", "runstring"), python, b"}"),
        "numpy.memmap": call(lookup("numpy", "memmap"), text("fired"), text("uint8"), text("w+"), number(0), number(8)),
        "numpy.save": call(lookup("numpy", "save"), text("fired"), number(1)),
        "numpy.f2py": call(lookup("numpy.f2py.crackfortran", "myeval"), python),
        "torch.collect_env": call(lookup("torch.utils.collect_env", "run"), text(COMMAND)),
        "torch.save": call(lookup("torch", "save"), number(1), text("fired")),
        "torch.from_file": call(
            _stack(short("torch"), short("FloatStorage.from_file")), text("fired"), b"\x88", number(8)
        ),
        "torch.execWrapper": call(lookup("torch.jit.unsupported_tensor_ops", "execWrapper"), python, b"}", b"}"),
        "torch.basichandlers": call(
            lookup("torch.utils.data.datapipes.utils.decoder", "basichandlers"), text("pickle"), _nested()
        ),
    }
    return {name: pickle(value, 4) for name, value in calls.items()}


def _containers() -> dict[str, bytes]:
    """The same call in every container, with the tricks that made other scanners look away."""
    bad = pickle(mapping(a=SYSTEM))
    good = pickle(mapping(weight=tensor("0", 2)))
    plain = entries(bad)
    files: dict[str, bytes] = {
        "zip": zip_file(plain),
        "zip-without-zip64": zip_file(plain, zip64=False),
        "zip-deflated": zip_file([replace(plain[0], method=8), *plain[1:]]),
        "zip-wrong-checksum": zip_file([replace(plain[0], crc=1), *plain[1:]]),
        "zip-local-name-differs": zip_file([replace(plain[0], local_name="archive/harmless"), *plain[1:]]),
        "zip-local-size-differs": zip_file([replace(plain[0], local_size=3, flags=0), *plain[1:]]),
        "zip-second-data-pkl": zip_file([Entry("archive/data.pkl", good), Entry("archive/data/0", b"\0" * 8), *plain]),
        "zip-data-pkl-not-first": zip_file([*plain[1:], plain[0]]),
        "zip-with-comment": zip_file(plain, comment=b"x" * 9),
        "zip-state-dict": torch_zip(mapping(state_dict=mapping(weight=tensor("0", 2)), evil=SYSTEM), {"0": b"\0" * 8}),
        "legacy-main": torch_legacy(mapping(a=SYSTEM)),
        "legacy-magic": torch_legacy(b"}", first=pickle(SYSTEM + b"0\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19")),
        "legacy-system": torch_legacy(b"}", system=LEGACY_SYSTEM[:-1] + SYSTEM + b"0."),
        "legacy-keys": torch_legacy(b"}", keys=pickle(SYSTEM + b"0]")),
        "tar": _tar(),
        "tar-in-a-pickle": _tar_in_a_pickle(),
        "tar-in-safetensors": _tar_in_safetensors(),
    }
    return files


def _tar() -> bytes:
    """As torch wrote them before 0.1.10."""
    out = io.BytesIO()
    parts = {"storages": pickle(number(0)) + pickle(b"]"), "tensors": pickle(number(0)), "pickle": pickle(SYSTEM)}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _with_checksum(block: bytes) -> bytes:
    """A tar header with its checksum; torch.load looks for one before it looks for a pickle."""
    block = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _tar_in_a_pickle() -> bytes:
    """A harmless pickle of one long text, in which an old tar archive stands."""
    archive = _tar()
    fields = b"0000644\0" + b"0000000\0" * 2 + b"00000000000\0" + b"00000000000\0"
    text_bytes = 512 - 7 + len(archive)
    name = (b"\x80\x02T" + struct.pack("<I", text_bytes) + b"x").ljust(100, b"\0")
    return _with_checksum((name + fields).ljust(512, b"\0")) + archive + b"0}."


def _tar_in_safetensors() -> bytes:
    """The same in the metadata and the tensor of a safetensors file."""
    archive = _tar()
    entry = '"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}' % (len(archive), len(archive))  # noqa: UP031
    length = 512 - 8
    fields = "0000644 0000000 0000000 00000000000 00000000000 "
    begin = '{"__metadata__":{"a":"'
    header = (begin + "x" * (92 - len(begin)) + fields + " " * 8 + '0"},' + entry + "}").ljust(length)
    return _with_checksum(struct.pack("<Q", length) + header.encode()) + archive


def payloads() -> dict[str, bytes]:
    """Every live payload by its name."""
    return {
        **{f"opcode-{name}": data for name, data in _opcodes().items()},
        **{f"gate-{name}": data for name, data in _gates().items()},
        **{f"container-{name}": data for name, data in _containers().items()},
    }


def harmless() -> bytes:
    """The file that the containers disguise."""
    return zip_file(with_data_pkl())
