"""The findings of check-env as sentences, and as one JSON document."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from zoo_cli.cli.source_view import source_words
from zoo_cli.cli.text import human_bytes
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.cli.messages import Message
    from zoo_cli.machine.facts import DirectUrl
    from zoo_cli.packages.check import Fit
    from zoo_cli.packages.findings import Finding

# code -> sentence with the finding's values
_SENTENCES = {
    "system": "{os} {arch}{libc}{marks}",
    "unknown-platform": "{os} {arch}{libc}: no torch wheels are known for it",
    "python": "{version} {kind}{path}",
    "externally-managed": "{version} {kind}{path}: belongs to the operating system (PEP 668)",
    "not-writable": "{version} {kind}{path}: {site} cannot be written",
    "32-bit": "{version}{path}: {bits}-bit; torch wheels are 64-bit only",
    "musl": "{libc}: torch wheels are made for glibc",
    "glibc-too-old": "{libc}: every torch wheel needs glibc {needs} or newer",
    "no-gpu": "none found (asked {asked})",
    "gpu": "{name}{memory}{capability}",
    "gpu-without-driver": "{name}{capability}: on the bus, but no driver is loaded",
    "amd-gpu": "{name}: torch has ROCm builds, but no wheels of compiled ops exist for ROCm",
    "jetson": "a Jetson: torch and the ops come from NVIDIA's builds for its JetPack, not from the usual wheels",
    "driver": "{driver} {native}",
    "driver-problem": "{problem}",
    "disk": "{bytes} free for the cache",
    "not-installed": "not installed",
    "cut-off": "a change was cut off, so what is installed may be half of it: {command}, begun {started}",
    "installed": "{version}{cuda}",
    "driver-too-old": "{version} is built for CUDA {cuda}; driver {driver} is older than {floor}",
    "gpu-not-covered": "{version} has code for {targets}, none for {gpu} ({target})",
    "cpu-build-on-gpu": "{version} is a CPU build, and there is a GPU",
    "ops": "{project} {version}, {files} compiled extension(s), made for this torch as far as symbols tell",
    "two-owners": "{owners} both own the import package {package} and overwrite each other",
    "op-less": "{project} {version} has no compiled ops (wheel tag {tags})",
    "lite": "{project} {version} has no compiled ops by design",
    "bad-extension": "{project} {version} has a damaged file: {problem}",
    "other-python": "{project} {version} was built for {made_for}; this Python is {tag}",
    "other-machine": "{project} {version} was built for {made_for}; this machine is {arch}",
    "ops-glibc": "{project} {version} needs {needs}; here is {library}",
    "missing-libraries": "{project} {version} needs {libraries}, which torch {torch} does not have",
    "other-cuda": "{project} {version} was built with CUDA {cuda_major}; torch {torch} has CUDA {cuda}",
    "other-torch": "{project} {version} was built for another torch: {count} symbol(s) that torch {torch} lacks",
    "companion": "{project} {version} does not belong to torch {torch}: {wanted} does",
    "overwritten": "{project} {version} is installed, but its files say {module}",
    "cpu-ops-on-gpu": "{project} {version} has no code for any GPU; torch {torch} and {gpu} do have CUDA",
    "cpu-ops-on-rocm": "{project} {version} was built for the CPU; torch {torch} is for ROCm: no wheels exist",
    "ops-gpu-not-covered": "{project} {version} has code for {targets}, none for {gpu} ({target})",
    "ops-gpu-partly-covered": "{project} {version}: some of its functions have no code for {gpu} ({target})",
    "framework": "{version}",
    "engine": "{version}",
    "from-source": "{version}",
    "unknown-release": "{version}: a release the index does not know",
    "missing-requirement": "{version} needs {needs}{range}, which is not installed",
    "asserted": "{version} refuses {needs} {found} when it is imported: it wants {range}",
    "declared": "{version} declares {needs}{range}; {found} is installed",
    "wall": "{found}: {project} needs {needs}{range} ({fact})",
    "some-files": "{project} and {needs} {found}: {fact}",
    "numpy-abi": "{project} {version} was compiled for numpy 1; numpy {numpy} is installed ({file})",
    "unsound": "{why}",
    "cached-op-less": "{tool}'s cache has {wheel} without compiled ops; {tool} would install it again",
}
_NO_OPS = "ModuleNotFoundError: No module named '{package}._ext'"
_NO_GPU_OPS = "RuntimeError: nms is not compiled with GPU support"
_UNDEFINED = "ImportError: undefined symbol: {symbol}"
# How users meet the fault: the text they see and search for.
_SEEN_AS = {
    "driver-too-old": "RuntimeError: The NVIDIA driver on your system is too old; torch.cuda.is_available() is False",
    "gpu-not-covered": "CUDA error: no kernel image is available for execution on the device",
    "cpu-build-on-gpu": "AssertionError: Torch not compiled with CUDA enabled",
    "externally-managed": "error: externally-managed-environment",
    "not-writable": "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied",
    "32-bit": "ERROR: No matching distribution found for torch",
    "musl": "ERROR: No matching distribution found for torch",
    "glibc-too-old": "ERROR: No matching distribution found for torch",
    "op-less": _NO_OPS,
    "lite": _NO_OPS,
    "cached-op-less": _NO_OPS,
    "other-python": _NO_OPS,
    "bad-extension": "ImportError: file too short; invalid ELF header; Bus error (core dumped)",
    "other-machine": "ImportError: mach-o file, but is an incompatible architecture; wrong ELF class",
    "ops-glibc": "ImportError: version `{needs}' not found",
    "missing-libraries": "ImportError: {first}: cannot open shared object file: No such file or directory",
    "other-cuda": "ImportError: libcudart.so.{cuda_major}: cannot open shared object file: No such file or directory",
    "other-torch": _UNDEFINED,
    "companion": "RuntimeError: operator torchvision::nms does not exist",
    "two-owners": "wrong versions, missing modules, AssertionError on import",
    "overwritten": "AssertionError on import, missing modules",
    "cpu-ops-on-gpu": _NO_GPU_OPS,
    "cpu-ops-on-rocm": _NO_GPU_OPS,
    "ops-gpu-not-covered": "CUDA error: no kernel image is available for execution on the device",
    "missing-requirement": "ModuleNotFoundError: No module named '{needs}'",
    "asserted": "AssertionError: {needs}=={found} is used but incompatible. Please install {needs}{range}.",
    "declared": "{project} requires {needs}{range}, but you have {needs} {found} which is incompatible.",
    "numpy-abi": "A module that was compiled using NumPy 1.x cannot be run in NumPy {numpy} as it may crash. Or: "
    "numpy.dtype size changed, may indicate binary incompatibility.",
}
# Walls by a part of their id in index/compat/walls.yaml.
_WALLS_SEEN_AS = {
    "pkg-resources": "ModuleNotFoundError: No module named 'pkg_resources'",
    "weights-only": "_pickle.UnpicklingError: Weights only load failed. ... Unsupported global: GLOBAL "
    "mmengine.logging.history_buffer.HistoryBuffer",
    "torch-numpy-2": "A module that was compiled using NumPy 1.x cannot be run in NumPy 2; Numpy is not available",
    "numpy-1.24": "AttributeError: module 'numpy' has no attribute 'int'",
    "distutils": "ModuleNotFoundError: No module named 'distutils'",
    "impimporter": "AttributeError: module 'pkgutil' has no attribute 'ImpImporter'",
    "torch-setuptools": "torch requires setuptools{range}, but you have setuptools {found} which is incompatible.",
}


def sentence(finding: Finding) -> str:
    """What a finding says."""
    values = dict(finding.values)
    if "libc" in values:
        values["libc"] = f", {values['libc']}" if values["libc"] else ""
        values["marks"] = f" ({values['marks']})" if values.get("marks") else ""
    if "kind" in values:
        values["kind"] = {"virtual": "in a virtual environment", "conda": "in a conda environment"}.get(
            values["kind"], ""
        )
        values["path"] = f", {values['path']}" if values["path"] else ""
    if "memory" in values:
        values["memory"] = f", {human_bytes(int(values['memory']))}" if values["memory"] else ""
    if "capability" in values:
        capability = values["capability"]
        values["capability"] = f", compute capability {capability} ({values['target']})" if capability else ""
    if finding.code == "driver-problem":
        values["problem"] = _driver_problem(finding).what
    if finding.code == "driver":
        values["native"] = _driver(values)
    if finding.code == "disk":
        values["bytes"] = human_bytes(int(values["bytes"]))
    if finding.code == "installed":
        values["cuda"] = f", built for CUDA {values['cuda']}" if values["cuda"] else ", CPU build"
    text = _SENTENCES[finding.code].format(**values).replace("  ", " ").replace(" ,", ",").rstrip()
    return printable(f"{text}; {source_words(_source(values))}" if "editable" in values else text)


def _source(values: Mapping[str, str]) -> DirectUrl:
    """The source among the values of a finding."""
    from zoo_cli.machine.facts import DirectUrl

    names = ("vcs", "commit_id", "requested_revision", "subdirectory", "sha256")
    texts: dict[str, Any] = {name: values[name] for name in names if name in values}
    return DirectUrl(values["url"], **texts, editable=values["editable"] == "true")


def _driver(values: dict[str, str]) -> str:
    if not values["native"]:
        return "is older than every CUDA that torch wheels use"
    text = f"runs CUDA up to {values['native']}"
    return text + (f", and {values['reach']} by minor-version compatibility" if values["reach"] else "")


def fix(finding: Finding, target: str | None) -> str | None:
    """The command that mends a finding."""
    words = command_of(finding, target)
    return shlex.join(words) if words else None


def command_of(finding: Finding, target: str | None) -> tuple[str, ...]:
    """The words of that command, () where there is none."""
    if finding.code == "driver-problem":
        ways = _driver_problem(finding).ways_out
        return tuple(shlex.split(ways[0].command)) if ways and ways[0].command else ()
    if finding.command:
        return tuple((target or "python") if word == "PYTHON" else word for word in finding.command)
    if not finding.install:
        return ()
    return ("zoo", "install", *finding.install, *(("--python", target) if target else ()))


def _driver_problem(finding: Finding) -> Message:
    from zoo_cli.cli.messages.machine import describe_problem
    from zoo_cli.machine.facts import DriverProblem

    return describe_problem(DriverProblem(finding.get("problem"), finding.source, finding.get("said")))


def seen_as(finding: Finding) -> str | None:
    """How users meet the fault: the text that they see."""
    values = dict(finding.values)
    if finding.code in ("wall", "some-files"):
        text = next((text for part, text in _WALLS_SEEN_AS.items() if part in values["wall"]), None)
    elif finding.code == "driver-problem":
        text = values["said"] or None
    else:
        text = _SEEN_AS.get(finding.code) if finding.status in ("FAIL", "warn") else None
    return printable(text.format(**values)) if text else None


def fit_text(fit: Fit) -> tuple[str, str]:
    """What fits for a project: its name with the release, and the stack or the short reason."""
    if not fit.is_any:
        return fit.project, f"nothing fits; why and what to do: zoo install {fit.project} --dry-run"
    parts = [f"torch {fit.torch}+{fit.variant}"]
    for project, version, is_built in fit.ops:
        parts.append(f"{project} {version} ({fit.variant}{', compiled from source' if is_built else ''})")
    return f"{fit.project} {fit.release}".rstrip(), ", ".join(parts)


def finding_document(finding: Finding, target: str | None) -> dict[str, object]:
    """One finding for --json."""
    return {
        "status": finding.status,
        "group": finding.group,
        "subject": finding.subject,
        "code": finding.code,
        "text": sentence(finding),
        "seen_as": seen_as(finding),
        "fix": fix(finding, target),
        "values": dict(finding.values),
        "source": finding.source,
    }


def fit_document(fit: Fit) -> dict[str, object]:
    """One fit for --json."""
    name, text = fit_text(fit)
    return {"project": fit.project, "fits": fit.is_any, "release": name, "stack": text}
