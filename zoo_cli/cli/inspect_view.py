"""What `zoo inspect` found, as documents and as lines. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_cli.cli.findings_view import sentence
from zoo_cli.cli.source_view import source_document, source_words
from zoo_cli.cli.text import columns, human_bytes
from zoo_cli.machine.facts import DirectUrl
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.machine.facts import Interpreter
    from zoo_cli.packages.evidence import OpsEvidence
    from zoo_cli.packages.findings import Finding
    from zoo_cli.trust.binary import Binary
    from zoo_cli.trust.fatbin import DeviceCode
    from zoo_cli.trust.wheelreport import WheelReport

_SHOWN = 12  # compiled files of a wheel that are shown without -v


def wheel_document(report: WheelReport, refused: Finding | None = None, target: str | None = None) -> dict[str, object]:
    """A wheel: what it says, what it holds, what is wrong; and why it cannot work in a target, where one was named."""
    return {
        "ok": not report.fatal and refused is None,
        "kind": "wheel",
        "path": str(report.path),
        "name": report.name,
        "version": report.version,
        "size_bytes": report.size_bytes,
        "sha256": report.sha256,
        "tags": list(report.tags),
        "requires": list(report.requires),
        "requires_python": report.requires_python,
        "targets": list(report.targets),
        "cuda_major": report.cuda_major,
        "libraries": [
            {"path": each.path, "is_vendored": each.is_vendored, **_binary(each.binary)} for each in report.extensions
        ],
        "problems": [{"code": each.code, "detail": each.detail, "is_fatal": each.is_fatal} for each in report.problems],
        "target": target,
        "refused": _refused(refused),
    }


def file_document(path: str, binary: Binary) -> dict[str, object]:
    """One compiled file."""
    return {"ok": not binary.problem, "kind": "file", "path": path, **_binary(binary)}


def _refused(finding: Finding | None) -> dict[str, str] | None:
    return {"code": finding.code, "text": sentence(finding)} if finding else None


def environment_document(
    python: Interpreter,
    torch_code: DeviceCode | None,
    evidence: Mapping[str, OpsEvidence],
    refused: Mapping[str, Finding],
) -> dict[str, object]:
    """The compiled packages of an environment, with what speaks against each."""
    torch = python.torch
    return {
        "ok": not refused,
        "kind": "environment",
        "path": python.executable,
        "python": python.version,
        "torch": {"version": torch.version, "cuda": torch.cuda, **_code(torch_code)} if torch else None,
        "packages": [_evidence(python, each, refused.get(each.project)) for each in evidence.values()],
        "sources": [
            {"name": each.name, "version": each.version, "direct_url": source_document(each.direct_url)}
            for each in python.distributions
            if each.built_from
        ],
    }


def _binary(binary: Binary) -> dict[str, object]:
    elf = binary.elf
    return {
        "format": binary.kind,
        "machines": list(binary.machines),
        "needed": list(binary.needed),
        "glibc": elf.glibc if elf else None,
        "glibcxx": elf.glibcxx if elf else None,
        "cuda_major": elf.cuda_major if elf else None,
        "torch_symbols": len(elf.torch_symbols) if elf else None,
        "cxx11_abi": elf.cxx11_abi if elf else None,
        **_code(binary.code),
        "problem": binary.problem or None,
    }


def _code(code: DeviceCode | None) -> dict[str, object]:
    if code is None:
        return {"targets": [], "cuda_code": None}
    counts = {"parts": code.parts, "sass": dict(code.sass), "ptx": dict(code.ptx)}
    packed = {"compression": list(code.compression), "is_relocatable": code.is_relocatable}
    return {"targets": list(code.targets), "cuda_code": {**counts, **packed}}


def _evidence(python: Interpreter, found: OpsEvidence, refused: Finding | None) -> dict[str, object]:
    here = python.distribution(found.project)
    return {
        "name": found.project,
        "version": here.version if here else None,
        "files": list(found.extensions),
        "machines": list(found.machines),
        "pythons": list(found.pythons),
        "glibc": found.glibc,
        "glibcxx": found.glibcxx,
        "cuda_major": found.cuda_major,
        **_code(found.code),
        "missing_libraries": list(found.missing_libraries),
        "unresolved": list(found.unresolved),
        "problem": found.problem or None,
        "refused": _refused(refused),
    }


def lines(document: Mapping[str, Any], *, verbose: bool) -> list[str]:
    """A document for a terminal."""
    shown = {"wheel": _wheel_lines, "file": _file_lines, "environment": _environment_lines}[document["kind"]]
    return [printable(line) for line in shown(document, verbose=verbose)]


def _wheel_lines(document: Mapping[str, Any], *, verbose: bool) -> list[str]:
    found = [f"{document['name']} {document['version']}, {human_bytes(document['size_bytes'])}"]
    found.append(f"  sha256   {document['sha256']}")
    found.append(f"  tags     {' '.join(document['tags'][:4])}")
    libraries = document["libraries"]
    own = [each for each in libraries if verbose or not each["is_vendored"]]
    rows = [(f"  {each['path'].rpartition('/')[2]}", _summary(each)) for each in own[: None if verbose else _SHOWN]]
    found += columns(rows)
    if len(rows) < len(libraries):
        found.append(f"  and {len(libraries) - len(rows)} more libraries (-v)")
    if not libraries:
        found.append("  no compiled library")
    for problem in document["problems"]:
        found.append(f"  {'FAIL' if problem['is_fatal'] else 'note'}  {problem['code']}: {problem['detail']}")
    if document["target"]:
        verdict = f"FAIL: {document['refused']['text']}" if document["refused"] else "nothing in it speaks against it"
        found.append(f"  in {document['target']}: {verdict}")
    return found


def _file_lines(document: Mapping[str, Any], *, verbose: bool) -> list[str]:
    needs = [f"  needs    {' '.join(document['needed'])}"] if verbose and document["needed"] else []
    return [str(document["path"]), f"  {_summary(document)}", *needs]


def _environment_lines(document: Mapping[str, Any], *, verbose: bool) -> list[str]:  # noqa: ARG001
    torch = document["torch"]
    rows = [("python", document["python"], document["path"])]
    if torch:
        code = f"CUDA {torch['cuda']}: {_targets(torch)}" if torch["cuda"] else "no CUDA code"
        rows.append(("torch", torch["version"], code))
    for each in document["packages"]:
        rows.append((each["name"], each["version"], _package(each)))
    for each in document["sources"]:
        rows.append((each["name"], each["version"], source_words(DirectUrl(**each["direct_url"]))))
    return columns(rows)


def _package(found: Mapping[str, Any]) -> str:
    doubt = found["refused"]["text"] if found["refused"] else ""
    if not found["files"]:
        return f"FAIL: {doubt}"
    pythons = f"for {' '.join(found['pythons'])}, " if found["pythons"] else ""
    return (f"FAIL: {doubt}; " if doubt else "") + pythons + _summary(found)


def _summary(found: Mapping[str, Any]) -> str:
    """Processor, C library, CUDA and code targets of a compiled file or package."""
    if found.get("problem") and not found["machines"]:
        return f"cannot be read: {found['problem']}"
    parts = [" ".join(found["machines"])]
    if found["glibc"]:
        parts.append(f"glibc {found['glibc']}")
    if found["targets"]:
        cuda = f"CUDA {found['cuda_major']}" if found["cuda_major"] else "CUDA"
        parts.append(f"{cuda}: {_targets(found)}")
    elif found["cuda_major"]:
        parts.append(f"CUDA {found['cuda_major']}, no code of its own")
    else:
        parts.append("no CUDA code")
    return ", ".join(parts)


def _targets(found: Mapping[str, Any]) -> str:
    return " ".join(found["targets"])
