"""What is not exactly the form that torch.save or safetensors writes is refused by name."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest

from tests.support.pickles import (
    Entry,
    checkpoint,
    entries,
    mapping,
    pickle,
    tensor,
    torch_legacy,
    with_data_pkl,
    zip_file,
)
from tests.trust.scanned import codes, verdict_on

MEMBERS = with_data_pkl()
GOOD = zip_file(MEMBERS)
DATA = MEMBERS[0].data


def test_the_forms_of_old_and_new_torch_pass() -> None:
    old = [each for each in MEMBERS if each.name.endswith(("data.pkl", "data/0", "version"))]
    told_first = [replace(each, flags=0x800) for each in MEMBERS]
    for members in (MEMBERS, old, told_first, [replace(each, align=False) for each in MEMBERS]):
        assert not verdict_on(zip_file(members)).findings
        assert not verdict_on(zip_file(members, zip64=False)).findings
    assert not verdict_on(zip_file(entries(DATA, {"0": b"\0" * 8}, top="epoch_12-모델"))).findings


ODD_ZIPS = {
    "prefix": (zip_file(MEMBERS, prefix=b"PK\x03\x04" + b"x" * 60), "bytes before member"),
    "suffix": (zip_file(MEMBERS, suffix=b"x"), "something follows it"),
    "comment": (zip_file(MEMBERS, comment=b"xx"), "something follows it"),
    "another archive behind": (GOOD + GOOD, "point elsewhere"),
    "another old archive behind": (zip_file(MEMBERS, zip64=False) * 2, "two directories"),
    "gap": (zip_file(MEMBERS, before_directory=b"x" * 10), "belong to no member"),
    "hidden member": (zip_file(MEMBERS, before_directory=zip_file([Entry("x/y", DATA)])[:200]), "belong to no member"),
    "deflated": (zip_file(with_data_pkl(method=8)), "compressed"),
    "encrypted": (zip_file(with_data_pkl(flags=0x0809)), "encrypted"),
    "patched": (zip_file(with_data_pkl(flags=0x0828)), "flags"),
    "checksum": (zip_file(with_data_pkl(crc=1)), "another checksum"),
    "local name": (zip_file(with_data_pkl(local_name="archive/data.pkx")), "contradict"),
    "local size": (zip_file(with_data_pkl(local_size=1, flags=0x800)), "contradict"),
    "same name": (zip_file([*MEMBERS, MEMBERS[0]]), "have one place"),
    "same name in another case": (zip_file([*MEMBERS, replace(MEMBERS[0], name="archive/DATA.pkl")]), "have one place"),
    "two tops": (zip_file([*MEMBERS, Entry("other/data/1", b"")]), "one top directory"),
    "outside": (zip_file([*MEMBERS, Entry("archive/../x", b"")]), "has the part"),
    "no data.pkl": (zip_file(MEMBERS[1:]), "no data.pkl"),
    "odd member": (zip_file([*MEMBERS, Entry("archive/readme.txt", b"")]), "does not write"),
    "second pickle": (zip_file([*MEMBERS, Entry("archive/extra.pkl", DATA)]), "does not write"),
    "large small member": (zip_file([*MEMBERS[:-1], replace(MEMBERS[-1], data=b"0" * 99)]), "larger than 64"),
    "after the pickle": (zip_file(entries(DATA + b"x", {"0": b"\0" * 8})), "after the end of the pickle"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_ZIPS)
def test_an_odd_archive_is_refused(name: str) -> None:
    data, reason = ODD_ZIPS[name]
    verdict = verdict_on(data)
    assert verdict.is_refused
    assert any(reason in finding.what for finding in verdict.findings), verdict.findings


def test_a_program_is_called_one() -> None:
    for name in ("archive/code/model.py", "archive/constants.pkl", "archive/.data/extern_modules"):
        assert "dangerous/code-archive" in codes(zip_file([*MEMBERS, Entry(name, b"")]))


def test_an_archive_that_is_cut_anywhere_is_refused() -> None:
    for size in range(0, len(GOOD), 7):
        assert verdict_on(GOOD[:size]).is_refused, size
    legacy = torch_legacy(mapping(w=tensor("7", 2, legacy=True)), {"7": (2, b"\0" * 8)})
    for size in range(len(legacy)):
        assert verdict_on(legacy[:size]).is_refused, size


@pytest.mark.parametrize("place", range(0, 22 + 20 + 56, 2))
def test_end_records_that_lie(place: int) -> None:
    data = bytearray(GOOD)
    data[len(data) - 1 - place] ^= 0x41
    verdict = verdict_on(bytes(data))
    # The versions in the zip64 record say nothing of the members.
    assert verdict.is_refused or place in range(82, 88)


OTHERS = {
    b"7z\xbc\xaf\x27\x1c" + b"\0" * 99: "7z", b"\x1f\x8b" + b"x" * 99: "gzip", b"": "empty", b"\0" * 999: "zeros",
    b"<!DOCTYPE html><html>": "web page", b"version https://git-lfs.github.com/spec/v1\noid sha256:00": "Git LFS",
    b"\x93NUMPY\x01\x00": "numpy array", b"\x89HDF\r\n\x1a\n": "HDF5", b"x" * 257 + b"ustar\x0000": "tar",
    b"\x7fELF\x02\x01": "ELF", b"hello, this is text\n" * 9: "begins like no checkpoint",
    b"PK\x05\x06" + b"\0" * 18: "empty zip",
}  # fmt: skip


@pytest.mark.parametrize(("data", "name"), OTHERS.items(), ids=OTHERS.values())
def test_other_files_are_called_by_their_name(data: bytes, name: str) -> None:
    verdict = verdict_on(data)
    assert verdict.is_refused
    assert name in verdict.findings[0].what


def test_bytes_after_a_raw_pickle() -> None:
    assert not codes(pickle(b"}"))
    assert codes(pickle(b"}") + b"x") == {"malformed/trailing-data"}
    assert codes(pickle(b"}") + pickle(b"}")) == {"malformed/trailing-data"}


def safetensors(header: object, body: bytes = b"", text: str | None = None) -> bytes:
    data = (json.dumps(header) if text is None else text).encode()
    return struct.pack("<Q", len(data)) + data + body


A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_safetensors_pass() -> None:
    both = {"a": A, "b": {"dtype": "F16", "shape": [2, 2], "data_offsets": [8, 16]}, "__metadata__": {"format": "pt"}}
    verdict = verdict_on(safetensors(both, b"\0" * 16))
    assert (verdict.container, verdict.tensors, verdict.is_refused) == ("safetensors", 2, False)
    assert "cannot hold any" in verdict.sentence
    # A header of 0x80 + 256 n bytes begins as a pickle does.
    padded = json.dumps({"a": A})
    assert not verdict_on(safetensors(None, b"\0" * 8, padded + " " * (0x280 - len(padded)))).is_refused


ODD_SAFETENSORS = {
    "trailing": safetensors({"a": A}, b"\0" * 9),
    "cut": safetensors({"a": A}, b"\0" * 7),
    "gap": safetensors({"a": A, "b": {**A, "data_offsets": [9, 17]}}, b"\0" * 17),
    "overlap": safetensors({"a": A, "b": {**A, "data_offsets": [4, 12]}}, b"\0" * 12),
    "size": safetensors({"a": {**A, "shape": [3]}}, b"\0" * 8),
    "negative": safetensors({"a": {**A, "shape": [-2]}}, b"\0" * 8),
    "float": safetensors({"a": {**A, "shape": [2.0]}}, b"\0" * 8),
    "type": safetensors({"a": {**A, "dtype": "PICKLE"}}, b"\0" * 8),
    "more": safetensors({"a": {**A, "code": "x"}}, b"\0" * 8),
    "metadata": safetensors({"a": A, "__metadata__": {"x": 1}}, b"\0" * 8),
    "twice": safetensors(None, b"\0" * 8, f'{{"a": {json.dumps(A)}, "a": {json.dumps(A)}}}'),
    "no json": safetensors(None, b"", "{nothing}"),
    "deep": safetensors(None, b"", '{"a":' * 20000 + "1" + "}" * 20000),
    "longer than the file": struct.pack("<Q", 1000) + b"{}",
}


@pytest.mark.parametrize("data", ODD_SAFETENSORS.values(), ids=ODD_SAFETENSORS.keys())
def test_odd_safetensors_are_refused(data: bytes) -> None:
    assert verdict_on(data).is_refused


LIMITS = {
    "opcodes": b"\x80\x02" + b"N0" * 1_100_000 + b"N.",
    "memo index": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "marks": b"\x80\x02" + b"(" * 2000 + b".",
    "stack": b"\x80\x02" + b"N" * 400_000 + b".",
    "lists in lists": b"\x80\x02" + b"]" * 1000 + b"a" * 999 + b".",
    "tuples in tuples": b"\x80\x02)" + b"\x85" * 1000 + b".",
    "globals": b"\x80\x02" + b"".join(b"ca%d\nb\n0" % number for number in range(10_500)) + b"N.",
    "long name": b"\x80\x02c" + b"a" * 5000 + b"\nb\n.",
    "text that is longer than the file": b"\x80\x02X\xff\xff\xff\xff" + b"x" * 20,
    "text of 2**63 bytes": b"\x80\x04\x8d" + b"\xff" * 8 + b"x" * 20,
    "negative string": b"\x80\x02T\xff\xff\xff\xffxx.",
    "digits": b"L" + b"9" * 60_000 + b"L\n" + b"." * 2,
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    assert verdict_on(LIMITS[name]).is_refused


def test_every_file_of_one_byte() -> None:
    for code in range(256):
        assert verdict_on(bytes((code,))).is_refused
        verdict_on(b"\x80\x04" + bytes((code,)) * 40)


def test_a_checkpoint_of_any_size_is_read_in_parts() -> None:
    assert verdict_on(checkpoint(b"x" * 3_000_000)).tensors == 1
