"""What is wrong with packages that have compiled code: ops, torchvision and torchaudio; installed, or still a wheel.

Pure. check-env, `zoo inspect` and the gate before an install (`arrivals`) ask the same judges. One finding a package:
the first of the causes below that its files show, since a cause makes all that follows it. A file proves that it cannot
work (another Python, processor, torch, C library, GPU); that it works is proved by running it (`smoke`), so a sound
package is said to be "as far as its files tell".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.machine.cuda import Coverage
from zoo_cli.packages.findings import FAIL, NOTE, OK, WARN, Finding
from zoo_cli.packages.grid import Drivers, is_cuda
from zoo_cli.packages.installed import find_build, providing, releases_here, torch_variant
from zoo_cli.packages.versions import minor, public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from zoo_cli.catalog.entries import Matrix, Project
    from zoo_cli.machine.facts import Distribution, Interpreter, Machine
    from zoo_cli.packages.evidence import OpsEvidence

Values = tuple[tuple[str, str], ...]
Complaint = tuple[str, str, Values]  # status, code, values
_PROCESSORS = {"amd64": "x86_64", "arm64": "aarch64"}


class Place(NamedTuple):
    """Where the packages are installed, and the matrix of its platform."""

    machine: Machine
    python: Interpreter
    matrix: Matrix

    @property
    def torch(self) -> str:
        """The installed torch as a word."""
        return self.python.torch.version if self.python.torch else "none"

    @property
    def variant(self) -> str:
        """The variant of the installed torch; "" without one."""
        torch = self.python.torch
        return torch_variant(torch.cuda, torch.hip) if torch else ""


def compiled_findings(
    place: Place, projects: Mapping[str, Project], evidence: Mapping[str, OpsEvidence]
) -> Iterator[Finding]:
    """One finding for every installed package that has compiled code, or should have."""
    needed = {name for each in releases_here(place.python, place.matrix) for name in (*each.declared, *each.asserted)}
    for here, project in providing(place.python, projects, ("ops", "lite", "companion")):
        subject = project.import_name
        values = (("project", here.name), ("version", here.version), ("package", subject))
        if project.kind == "lite":
            yield _lite(here, subject, values, is_needed=subject in needed)
            continue
        found = evidence.get(here.name)
        complaint = next(_complaints(place, here, found), None)
        if complaint is None:
            files = str(len(found.extensions)) if found else "0"
            yield Finding(OK, "Installed", subject, "ops", (*values, ("files", files)), source=here.location)
            continue
        status, code, more = complaint
        mend = (here.name, "--replace", here.name)
        yield Finding(status, "Installed", subject, code, (*values, *more), mend, here.location)


def refusals(place: Place, projects: Mapping[str, Project], evidence: Mapping[str, OpsEvidence]) -> dict[str, Finding]:
    """What forbids each installed project with compiled code to work; those of which nothing does are not there."""
    here = {each.name: each for each in place.python.distributions}
    found = ((name, refusal(place, here[name], projects[name], each)) for name, each in evidence.items())
    return {name: finding for name, finding in found if finding}


def sound_projects(
    place: Place, projects: Mapping[str, Project], evidence: Mapping[str, OpsEvidence]
) -> frozenset[str]:
    """The installed projects with compiled code of which nothing says that they cannot work."""
    return frozenset(evidence) - refusals(place, projects, evidence).keys()


def _lite(here: Distribution, subject: str, values: Values, *, is_needed: bool) -> Finding:
    if subject == "mmengine":  # it lacks dependencies, not code
        return Finding(OK, "Installed", subject, "engine", values, source=here.location)
    if is_needed:
        return Finding(FAIL, "Installed", subject, "lite", values, (subject, "--replace", here.name), here.location)
    return Finding(NOTE, "Installed", subject, "lite", values, source=here.location)


def refusal(place: Place, here: Distribution, project: Project, found: OpsEvidence) -> Finding | None:
    """What forbids a project to work in a place, by its files, installed or in a wheel; None where nothing does."""
    values = (("project", here.name), ("version", here.version), ("package", project.import_name))
    for status, code, more in _complaints(place, here, found):
        if status == FAIL:
            return Finding(FAIL, "Wheel", project.import_name, code, (*values, *more), source=here.location)
    return None


def _complaints(place: Place, here: Distribution, found: OpsEvidence | None) -> Iterator[Complaint]:
    if found is None or not found.extensions:
        yield FAIL, "op-less", (("tags", " ".join(here.wheel_tags)),)
        return
    for judge in _JUDGES:
        yield from judge(place, here, found)


def _unreadable(_place: Place, _here: Distribution, found: OpsEvidence) -> Iterator[Complaint]:
    if found.problem:
        yield FAIL, "bad-extension", (("problem", found.problem),)


def _other_python(place: Place, _here: Distribution, found: OpsEvidence) -> Iterator[Complaint]:
    if found.pythons and place.python.tag not in found.pythons:
        yield FAIL, "other-python", (("made_for", ", ".join(found.pythons)), ("tag", place.python.tag))


def _other_machine(place: Place, _here: Distribution, found: OpsEvidence) -> Iterator[Complaint]:
    have = {_PROCESSORS.get(each, each) for each in found.machines}
    arch = _PROCESSORS.get(place.machine.arch, place.machine.arch)
    if have and arch not in have:
        yield FAIL, "other-machine", (("made_for", ", ".join(found.machines)), ("arch", place.machine.arch))


def _old_libraries(place: Place, _here: Distribution, found: OpsEvidence) -> Iterator[Complaint]:
    libc = place.machine.libc
    if libc and libc.kind == "glibc" and found.glibc and _is_newer(found.glibc, libc.version):
        yield FAIL, "ops-glibc", (("needs", f"GLIBC_{found.glibc}"), ("library", f"glibc {libc.version}"))
    if found.glibcxx and found.glibcxx_here and _is_newer(found.glibcxx, found.glibcxx_here):
        needs, has = f"GLIBCXX_{found.glibcxx}", f"libstdc++ up to GLIBCXX_{found.glibcxx_here}"
        yield FAIL, "ops-glibc", (("needs", needs), ("library", has))


def _other_torch(place: Place, here: Distribution, found: OpsEvidence) -> Iterator[Complaint]:
    torch = (("torch", place.torch),)
    if found.missing_libraries:
        first = (("first", found.missing_libraries[0]),)
        yield FAIL, "missing-libraries", (("libraries", ", ".join(found.missing_libraries)), *first, *torch)
    cuda = place.python.torch.cuda if place.python.torch else None
    if cuda and found.cuda_major and found.cuda_major != int(cuda.split(".")[0]):
        yield FAIL, "other-cuda", (("cuda_major", str(found.cuda_major)), ("cuda", cuda), *torch)
    if found.unresolved:
        count = (("count", str(len(found.unresolved))), ("symbol", found.unresolved[0]))
        yield FAIL, "other-torch", (*count, *torch)
    companion = _companion_release(place, here.name)
    if companion and minor(companion) != minor(here.version):
        yield WARN, "companion", (("wanted", companion), *torch)


def _companion_release(place: Place, project: str) -> str | None:
    """The release of torchvision or torchaudio that belongs to the installed torch."""
    if project not in ("torchvision", "torchaudio") or not place.python.torch:
        return None
    build = find_build(place.matrix, place.python.torch.version, place.variant, place.machine.platform)
    return getattr(build, project) if build else None


def _overwritten(_place: Place, here: Distribution, found: OpsEvidence) -> Iterator[Complaint]:
    if found.module_version and public(found.module_version) != public(here.version):
        yield FAIL, "overwritten", (("module", found.module_version),)


def _gpus(place: Place, _here: Distribution, found: OpsEvidence) -> Iterator[Complaint]:
    """CUDA code for the GPUs that are here; nothing is said where torch itself cannot use them."""
    if place.variant.startswith("rocm") and found.is_cpu_only:
        yield FAIL, "cpu-ops-on-rocm", (("torch", place.torch),)
    drivers = Drivers(place.machine, place.matrix.toolkits)
    gpus = [gpu for gpu in place.machine.gpus if gpu.vendor == "nvidia"]
    if not (gpus and place.machine.driver and is_cuda(place.variant) and drivers.allows(place.variant)):
        return
    if found.is_cpu_only:
        yield FAIL, "cpu-ops-on-gpu", (("torch", place.torch), ("gpu", gpus[0].name))
    if found.code is None:
        return
    served = drivers.coverage(found.code.targets, place.variant)
    whole = drivers.coverage(found.code.everywhere, place.variant)
    for gpu, union, everywhere in zip(gpus, served, whole, strict=True):
        if not gpu.capability:
            continue
        values = (("gpu", gpu.name), ("target", gpu.capability.target), ("targets", ", ".join(found.code.targets)))
        if union is Coverage.NONE:
            yield FAIL, "ops-gpu-not-covered", values
        elif everywhere is Coverage.NONE:
            yield NOTE, "ops-gpu-partly-covered", values


def _is_newer(needed: str, here: str) -> bool:
    return [int(part) for part in needed.split(".")] > [int(part) for part in here.split(".")]


_JUDGES: tuple[Callable[[Place, Distribution, OpsEvidence], Iterator[Complaint]], ...] = (
    _unreadable,
    _other_python,
    _other_machine,
    _old_libraries,
    _other_torch,
    _overwritten,
    _gpus,
)
