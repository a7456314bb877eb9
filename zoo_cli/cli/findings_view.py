"""The findings of check-env as sentences, and as one JSON document."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from zoo_cli.catalog.entries import OpsWheels
from zoo_cli.cli.text import human_bytes, printable

if TYPE_CHECKING:
    from zoo_cli.packages.check import Fit
    from zoo_cli.packages.findings import Finding
    from zoo_cli.packages.solve import Stack

# code -> sentence with the finding's values
_SENTENCES = {
    "system": "{os} {arch}{libc}{marks}",
    "unknown-platform": "{os} {arch}{libc}: no torch wheels are known for it",
    "python": "{version} {kind}{path}",
    "externally-managed": "{version} {kind}{path}: belongs to the operating system (PEP 668)",
    "not-writable": "{version} {kind}{path}: {site} cannot be written",
    "32-bit": "{version}{path}: {bits}-bit; torch wheels are 64-bit only",
    "no-gpu": "none found (asked {asked})",
    "gpu": "{name}{memory}{capability}",
    "gpu-without-driver": "{name}{capability}: on the bus, but no driver is loaded",
    "driver": "{driver} {native}",
    "disk": "{bytes} free for the cache",
    "not-installed": "not installed",
    "installed": "{version}{cuda}",
    "driver-too-old": "{version} is built for CUDA {cuda}; driver {driver} is older than {floor}",
    "gpu-not-covered": "{version} has code for {targets}, none for {gpu} ({target})",
    "cpu-build-on-gpu": "{version} is a CPU build, and there is a GPU",
    "ops": "{project} {version}, {files} compiled extension(s), made for this torch as far as symbols tell",
    "two-owners": "{owners} both own the import package {package} and overwrite each other",
    "op-less": "{project} {version} has no compiled ops (wheel tag {tags})",
    "lite": "{project} {version} has no compiled ops by design",
    "missing-libraries": "{project} {version} needs {libraries}, which torch {torch} does not have",
    "other-torch": "{project} {version} was built for another torch: {count} symbol(s) that torch {torch} lacks",
    "overwritten": "{project} {version} is installed, but its files say {module}",
    "framework": "{version}",
    "engine": "{version}",
    "unknown-release": "{version}: a release the index does not know",
    "missing-requirement": "{version} needs {needs}{range}, which is not installed",
    "asserted": "{version} refuses {needs} {found} when it is imported: it wants {range}",
    "declared": "{version} declares {needs}{range}; {found} is installed",
    "wall": "{found}: {project} needs {needs}{range} ({fact})",
    "some-files": "{project} and {needs} {found}: {fact}",
}
_SEEN_AS = {
    "driver-too-old": "torch.cuda.is_available() is False",
    "gpu-not-covered": "no kernel image is available for execution on the device",
    "op-less": "ModuleNotFoundError: No module named 'mmcv._ext'",
    "lite": "ModuleNotFoundError: No module named 'mmcv._ext'",
    "two-owners": "wrong versions, missing modules, AssertionError on import",
    "overwritten": "AssertionError on import, missing modules",
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
    if finding.code == "driver":
        values["native"] = _driver(values)
    if finding.code == "disk":
        values["bytes"] = human_bytes(int(values["bytes"]))
    if finding.code == "installed":
        values["cuda"] = f", built for CUDA {values['cuda']}" if values["cuda"] else ", CPU build"
    return printable(_SENTENCES[finding.code].format(**values).replace("  ", " ").replace(" ,", ",").rstrip())


def _driver(values: dict[str, str]) -> str:
    if not values["native"]:
        return "is older than every CUDA that torch wheels use"
    text = f"runs CUDA up to {values['native']}"
    return text + (f", and {values['reach']} by minor-version compatibility" if values["reach"] else "")


def fix(finding: Finding, target: str | None) -> str | None:
    """The command that mends a finding."""
    if not finding.install:
        return None
    words = ["zoo", "install", *finding.install]
    if target:
        words += ["--python", target]
    return shlex.join(words)


def seen_as(finding: Finding) -> str | None:
    """How users meet the fault."""
    return _SEEN_AS.get(finding.code) if finding.status == "FAIL" else None


def stack_text(stack: Stack) -> str:
    """A stack in one line."""
    torch = stack.cell.torch
    parts = [f"torch {torch.version}+{torch.variant}"]
    for ops in stack.ops:
        how = "" if isinstance(ops, OpsWheels) else ", compiled from source"
        parts.append(f"{ops.project} {ops.version} ({torch.variant}{how})")
    return ", ".join(parts)


def fit_text(fit: Fit) -> tuple[str, str]:
    """What fits for a project: its name with the release, and the stack or the short reason."""
    if fit.stack is None:
        return fit.project, f"nothing fits; why and what to do: zoo install {fit.project} --dry-run"
    release = fit.stack.frameworks.get(fit.project)
    return f"{fit.project} {release.version}" if release else fit.project, stack_text(fit.stack)


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
    return {"project": fit.project, "fits": fit.stack is not None, "release": name, "stack": text}
