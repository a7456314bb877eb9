"""NVIDIA's facts of this computer: kernel driver, user-mode CUDA, every GPU, and what stands in their way.

Edge: reads system files and starts the driver's child and nvidia-smi. Order: cheap files first, and without any trace
of NVIDIA nothing else happens; then NVML and libcuda in a child with a time-out; then nvidia-smi; then the names that
the kernel driver or the PCI bus knows. Every fact keeps where it was read, nothing raises.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_cli.machine.cuda import cuda_from_number
from zoo_cli.machine.facts import Capability, DriverProblem, Gpu
from zoo_cli.machine.files import is_there, names_in, read_text
from zoo_cli.machine.gpus import find_capability
from zoo_cli.machine.traces import DRIVER, LOOKED_AT, Traces, read_traces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zoo_cli.machine.smi import SmiReport

NVML_NAMES = ("libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1", "/usr/lib64-nvidia/libnvidia-ml.so.1")
CUDA_NAMES = (
    "libcuda.so.1",
    "/usr/lib/wsl/lib/libcuda.so.1",
    "/usr/lib64-nvidia/libcuda.so.1",
    "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1",
    "/usr/local/cuda/compat/libcuda.so.1",
)
REMEMBERED = "nvidia.json"
MAX_AGE_SECONDS = 24 * 3600.0
SMI_NAMES = ("nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi", "/opt/bin/nvidia-smi")

# Return codes of nvmlInit and cuInit that have a cause of their own; the others are driver-error.
_NVML_CODES = {
    4: "no-permission",
    9: "driver-not-loaded",
    15: "gpu-lost",
    17: "no-permission",
    18: "driver-library-mismatch",
}
_CUDA_CODES = {
    34: "stub-library",
    100: "no-device",
    800: "no-permission",
    802: "not-ready",
    803: "driver-library-mismatch",
}


class Sources(NamedTuple):
    """Where the probe looks; tests hand over a tree, libraries and programs of their own."""

    root: Path = Path("/")
    nvml: tuple[str, ...] = NVML_NAMES
    cuda: tuple[str, ...] = CUDA_NAMES
    smi: tuple[str, ...] = SMI_NAMES
    python: str = sys.executable  # runs the driver's child
    timeout_seconds: float = 10.0
    system: str = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")


@dataclass(slots=True)
class Nvidia:
    """What was found, filled step by step; the first finder of a fact stays."""

    driver: str | None = None
    cuda: str | None = None
    gpus: tuple[Gpu, ...] = ()
    amd: tuple[Gpu, ...] = ()
    has_mig: bool = False
    looked_at: list[str] = field(default_factory=list)
    problems: list[DriverProblem] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)

    def take(self, source: str, driver: str | None, cuda: str | None, gpus: Iterable[Gpu]) -> None:
        """Facts from a source, where they are not known yet."""
        if driver and not self.driver:
            self.driver, self.origin["driver"] = driver, source
        if cuda and not self.cuda:
            self.cuda, self.origin["cuda_user_mode"] = cuda, source
        found = tuple(gpus)
        if found and not self.knows_gpus:
            self.gpus, self.origin["gpus"] = found, source

    @property
    def knows_gpus(self) -> bool:
        """Whether there are GPUs and the capability of each is known."""
        return bool(self.gpus) and all(gpu.capability for gpu in self.gpus)

    def blame(self, code: str, source: str, detail: str = "") -> None:
        """A problem, once for each code."""
        if all(problem.code != code for problem in self.problems):
            self.problems.append(DriverProblem(code, source, detail))


def find_nvidia(
    environ: Mapping[str, str], names: Mapping[str, Capability], sources: Sources, cache: Path | None = None
) -> Nvidia:
    """All that can be known of NVIDIA here; `names` maps GPU names as published to capabilities.

    `cache`: where a complete answer without any problem is kept, until the machine is started anew, the driver or the
    devices change, or a day has gone: NVML wakes every GPU, which takes long on servers.
    """
    found = Nvidia()
    if sources.system == "macos":
        found.looked_at.append("the operating system: macOS has no NVIDIA driver")
        return found
    traces = _traces(environ, sources, found)
    if not traces.is_any:
        return found
    identity = _identity(traces, sources) if cache else None
    if cache and identity and _recall(cache, identity, found):
        return found
    _ask_all(environ, names, sources, traces, found)
    if cache and identity and found.knows_gpus and found.driver and found.cuda and not found.problems:
        _remember(cache, identity, found)
    return found


def _ask_all(
    environ: Mapping[str, str], names: Mapping[str, Capability], sources: Sources, traces: Traces, found: Nvidia
) -> None:
    if _ask_child(environ, sources, found) and not (found.knows_gpus and found.driver and found.cuda):
        _ask_smi(environ, sources, found)
    if not found.knows_gpus:
        _name_gpus(traces, names, found)
        if traces.driver and not found.problems:
            found.blame("no-library", "NVML", "neither libnvidia-ml nor libcuda nor nvidia-smi answered")


def _identity(traces: Traces, sources: Sources) -> list[object] | None:
    """Everything that a kept answer depends on; None where the machine's start cannot be told from another."""
    boot = read_text(sources.root / "proc/sys/kernel/random/boot_id", 100)
    if not boot:
        return None
    nodes = [name for name in names_in(sources.root / "dev", 10_000) if name.startswith("nvidia") or name == "dxg"]
    gpus = [gpu.name for gpu in traces.pci]
    return [boot.strip(), traces.driver, nodes, gpus, list(sources.nvml), list(sources.cuda)]


def _recall(cache: Path, identity: list[object], found: Nvidia) -> bool:
    """Whether a kept answer was taken."""
    from zoo_cli.machine.remembered import recall

    kept = recall(cache / REMEMBERED, identity, MAX_AGE_SECONDS)
    if not kept or not isinstance(kept.get("gpus"), list) or not isinstance(kept.get("origin"), dict):
        return False
    gpus = [_reported_gpu(gpu, str(gpu.get("source", ""))) for gpu in kept["gpus"] if isinstance(gpu, dict)]
    driver, cuda = kept.get("driver"), kept.get("cuda")
    if not all(isinstance(each, str) for each in (driver, cuda)) or not gpus or not all(gpu.capability for gpu in gpus):
        return False
    found.driver, found.cuda, found.gpus = driver, cuda, tuple(gpus)
    found.has_mig = kept.get("mig") is True
    found.origin = {str(name): f"{source} (kept)" for name, source in kept["origin"].items()}
    found.looked_at.append("what the driver said since the machine was started")
    return True


def _remember(cache: Path, identity: list[object], found: Nvidia) -> None:
    from zoo_cli.machine.remembered import remember

    gpus = [
        {
            "name": gpu.name,
            "capability": [gpu.capability.major, gpu.capability.minor],
            "memory": gpu.memory_bytes,
            "source": gpu.source,
        }
        for gpu in found.gpus
        if gpu.capability
    ]
    facts = {"driver": found.driver, "cuda": found.cuda, "mig": found.has_mig, "origin": found.origin, "gpus": gpus}
    remember(cache / REMEMBERED, identity, facts)


def _traces(environ: Mapping[str, str], sources: Sources, found: Nvidia) -> Traces:
    if sources.system == "windows":
        found.looked_at.append("System32")
        system = Path(environ.get("SYSTEMROOT", "C:\\Windows"), "System32")
        has_files = any(is_there(system / name) for name in ("nvml.dll", "nvcuda.dll"))
        return Traces(has_files=has_files, has_nodes=has_files)
    traces = read_traces(sources.root)
    found.looked_at += LOOKED_AT
    found.amd = traces.amd
    found.take(traces.driver_source, traces.driver, None, ())
    if traces.problem:
        found.problems.append(traces.problem)
    return traces


def _name_gpus(traces: Traces, names: Mapping[str, Capability], found: Nvidia) -> None:
    """Capabilities that no library told, by name; GPUs that no library showed, by kernel driver or bus."""
    if found.gpus:  # an nvidia-smi older than driver 510 gives the names only
        found.gpus = tuple(
            gpu if gpu.capability else gpu._replace(capability=find_capability(gpu.name, names)) for gpu in found.gpus
        )
    elif traces.models:
        known = [Gpu(name, find_capability(name, names), source="/proc/driver/nvidia/gpus") for name in traces.models]
        found.take("/proc/driver/nvidia/gpus", None, None, known)
    else:
        found.take("PCI bus", None, None, traces.pci)


# NVML and libcuda: a child ------------------------------------------------------------------------------------------


def _ask_child(environ: Mapping[str, str], sources: Sources, found: Nvidia) -> bool:
    """Asks the driver's libraries; False when the driver hangs, so that nobody asks it again."""
    import json

    from zoo_cli.machine.child import CannotStart, ask

    found.looked_at += ["NVML", "libcuda"]
    script = str(Path(__file__).with_name("driver_child.py"))
    on_windows = sources.system == "windows"
    libraries = {"nvml": ["nvml.dll"], "cuda": ["nvcuda.dll"]} if on_windows else {}
    places = json.dumps(libraries or {"nvml": sources.nvml, "cuda": sources.cuda})
    clean = {name: value for name, value in environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    argv = (sources.python, "-I", "-S", script, places)
    answer = ask(argv, clean, timeout_seconds=sources.timeout_seconds)
    if isinstance(answer, CannotStart):
        found.blame("driver-error", "child", answer.detail)
        return True
    for line in answer.stdout.decode("utf-8", "replace").splitlines():
        try:
            report = json.loads(line)
        except ValueError:
            continue  # a library that prints
        if isinstance(report, dict):
            _take_report(report, found)
    if answer.code is None:
        found.blame("driver-hangs", "NVML", f"no answer in {sources.timeout_seconds:g} s")
    elif answer.code < 0:
        found.blame("driver-crashed", "NVML", f"signal {-answer.code}")
    return answer.code is not None


def _take_report(report: dict[str, Any], found: Nvidia) -> None:
    for kind, source, codes in (("nvml", "NVML", _NVML_CODES), ("cuda", "libcuda", _CUDA_CODES)):
        facts = report.get(kind)
        if not isinstance(facts, dict):
            continue
        code = facts.get("init")
        if code and isinstance(code, int):
            found.blame(codes.get(code, "driver-error"), source, f"return code {code}")
        driver, number, listed = facts.get("driver"), facts.get("cuda"), facts.get("gpus")
        gpus = [gpu for gpu in listed if isinstance(gpu, dict)] if isinstance(listed, list) else []
        plausible = isinstance(driver, str) and DRIVER.fullmatch(driver)
        cuda = cuda_from_number(number) if isinstance(number, int) else None
        found.has_mig = found.has_mig or any(gpu.get("mig") is True for gpu in gpus)
        named = [_reported_gpu(gpu, source) for gpu in gpus if "error" not in gpu]
        if any("error" in gpu for gpu in gpus):
            found.blame("gpu-lost", source, f"{len(gpus) - len(named)} of {len(gpus)} GPUs do not answer")
        found.take(source, driver if plausible else None, cuda, named)


def _reported_gpu(facts: dict[str, Any], source: str) -> Gpu:
    pair, memory = facts.get("capability"), facts.get("memory")
    plausible = isinstance(pair, list) and len(pair) == 2 and 0 < pair[0] < 100 and 0 <= pair[1] < 10
    return Gpu(
        name=str(facts.get("name") or "NVIDIA GPU")[:200],
        capability=Capability(*pair) if plausible and pair else None,
        memory_bytes=memory if isinstance(memory, int) and 0 < memory < 2**60 else None,
        source=source,
    )


# nvidia-smi ---------------------------------------------------------------------------------------------------------


def _ask_smi(environ: Mapping[str, str], sources: Sources, found: Nvidia) -> None:
    from zoo_cli.machine.smi import OLD_QUERY, QUERY, parse_banner

    found.looked_at.append("nvidia-smi")
    programs = sources.smi
    if sources.system == "windows":  # a bare name would also be looked for in the working directory
        programs = (str(Path(environ.get("SYSTEMROOT", "C:\\Windows"), "System32", "nvidia-smi.exe")),)
    for program in programs:
        report = _smi_query(program, environ, sources, QUERY)
        if report is None:
            continue
        if report.is_old:
            report = _smi_query(program, environ, sources, OLD_QUERY) or report
        cuda = None
        if not found.cuda:
            text = _smi(program, (), environ, sources)
            cuda = parse_banner(text).cuda if text else None
        found.has_mig = found.has_mig or report.has_mig
        found.take("nvidia-smi", report.driver, cuda, report.gpus)
        for problem in report.problems:
            found.blame(problem.code, problem.source, problem.detail)
        return


def _smi_query(program: str, environ: Mapping[str, str], sources: Sources, query: tuple[str, ...]) -> SmiReport | None:
    from zoo_cli.machine.smi import parse_query

    arguments = (f"--query-gpu={','.join(query)}", "--format=csv,noheader,nounits")
    text = _smi(program, arguments, environ, sources)
    return None if text is None else parse_query(text, query)


def _smi(program: str, arguments: tuple[str, ...], environ: Mapping[str, str], sources: Sources) -> str | None:
    """Everything it said, whatever its exit status; None when it cannot be started."""
    from zoo_cli.machine.child import CannotStart, ask

    answer = ask((program, *arguments), environ, timeout_seconds=sources.timeout_seconds)
    if isinstance(answer, CannotStart):
        return None
    return (answer.stdout + b"\n" + answer.stderr).decode("utf-8", "replace")
