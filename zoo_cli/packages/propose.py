"""What was read in a wheel as a fact for the index.

Pure. A fact has an address, so a wheel on this computer has none until its own is said. What a name tells (torch, CUDA)
and what the file shows (CUDA major, code targets) must agree; otherwise the wheel is `NotProposed`, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.catalog.compiler.proposals import Proposal
from zoo_cli.machine.cuda import variant_to_cuda
from zoo_cli.packages.arrivals import evidence_in
from zoo_cli.packages.grid import tag_key
from zoo_cli.packages.versions import public
from zoo_cli.packages.wheels import build_of, parse_wheel_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zoo_cli.catalog.entries import Project, Provider
    from zoo_cli.packages.findlinks import Link
    from zoo_cli.packages.wheels import WheelName
    from zoo_cli.trust.wheelreport import WheelReport


@dataclass(frozen=True, slots=True)
class NotProposed:
    """Why a wheel gives no fact.

    `code` is one of: unknown-project, no-ops, no-address, no-provider, torch-not-told, cuda-differs, no-code,
    other-platform, other-python, unsound.
    """

    file: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Told:
    """What the user says where neither name nor page does."""

    torch: str | None = None  # minor
    variant: str | None = None
    provider: str | None = None


def propose(
    link: Link,
    report: WheelReport,
    projects: Mapping[str, Project],
    providers: Iterable[Provider],
    told: Told,
    day: str,
) -> Proposal | NotProposed:
    """The fact that a wheel gives.

    Args:
        link: the wheel's address and page.
        report: what was read in it.
        projects: those of the index.
        providers: those of the index; the one whose addresses begin the wheel's publishes it.
        told: what the user says.
        day: when it was read (ISO).
    """
    wheel = parse_wheel_name(link.filename)
    project = projects.get(wheel.project)
    built = build_of(wheel, link.url, link.page)
    torch, variant = told.torch or built.torch_minor, told.variant or built.variant
    provider = told.provider or _provider_of(link, providers)
    platform = _platform_of(wheel)
    if project is None or project.kind != "ops":
        return NotProposed(link.filename, "unknown-project", f"{wheel.project} is no project with compiled ops")
    if report.fatal:
        return NotProposed(link.filename, "unsound", report.fatal[0].detail)
    if not report.has_ops:
        return NotProposed(link.filename, "no-ops", "it has no compiled library")
    if not link.url.startswith("http"):
        return NotProposed(link.filename, "no-address", "a fact needs the address of the file: name it with --at")
    if provider is None:
        return NotProposed(link.filename, "no-provider", f"nobody known publishes at {link.url}: say --provider")
    if torch is None or variant is None:
        return NotProposed(link.filename, "torch-not-told", "neither name nor page tells: say --torch and --cuda")
    if platform is None:
        return NotProposed(link.filename, "other-platform", wheel.platform)
    tags = tuple(sorted((each for each in wheel.python.split(".") if each.startswith("cp")), key=tag_key))
    if not tags:
        return NotProposed(link.filename, "other-python", f"{wheel.python} names no interpreter of the index")
    if contradiction := _contradiction(link.filename, report, variant):
        return contradiction
    evidence = evidence_in(report, wheel.project, None)
    return Proposal(
        project=wheel.project,
        provider=provider,
        platform=platform,
        torch=torch,
        variant=variant,
        version=public(wheel.version),
        python_tags=tags,
        targets=report.targets,
        glibc=evidence.glibc if platform.startswith("linux") else None,
        file=link.url.replace("+", "%2B"),  # as the index writes addresses
        page=link.page or link.url,
        sha256=report.sha256 or link.sha256,
        source=f"{link.url}, the file itself: {', '.join(_seen(report))}",
        date=day,
    )


def _contradiction(name: str, report: WheelReport, variant: str) -> NotProposed | None:
    """Name and content must tell one story."""
    cuda = variant_to_cuda(variant)
    if cuda and report.cuda_major and report.cuda_major != int(cuda.split(".")[0]):
        linked = f"the file is linked with CUDA {report.cuda_major}"
        return NotProposed(name, "cuda-differs", f"the name says {variant}, {linked}")
    if cuda and not report.targets:
        return NotProposed(name, "no-code", f"the name says {variant}, and the file has no CUDA code")
    if variant == "cpu" and report.targets:
        code = " ".join(report.targets)
        return NotProposed(name, "cuda-differs", f"the name says cpu, and the file has code for {code}")
    return None


def _seen(report: WheelReport) -> list[str]:
    """What was seen, for the reader of a row."""
    abis = {each.elf.cxx11_abi for each in report.extensions if each.elf and each.elf.cxx11_abi is not None}
    said = [f"{len(report.extensions)} compiled file{'' if len(report.extensions) == 1 else 's'}"]
    said += [f"CUDA {report.cuda_major}"] if report.cuda_major else []
    said += [f"{'new' if True in abis else 'old'} C++ ABI of torch"] if len(abis) == 1 else []
    return said


def _provider_of(link: Link, providers: Iterable[Provider]) -> str | None:
    """The provider whose addresses begin the wheel's, or its page's; the longest address decides."""
    found = [
        (len(prefix), each.id)
        for each in providers
        for prefix in each.urls
        if link.url.startswith(prefix) or link.page.startswith(prefix)
    ]
    return max(found)[1] if found else None


def _platform_of(wheel: WheelName) -> str | None:
    for tag in wheel.platform.split("."):
        if tag.startswith(("linux", "manylinux")):
            return f"linux_{'aarch64' if tag.endswith('aarch64') else 'x86_64'}"
        if tag == "win_amd64":
            return tag
        if tag.startswith("macosx"):
            return f"macos_{'arm64' if tag.endswith('arm64') else 'x86_64'}"
    return None
