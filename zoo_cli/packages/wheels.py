"""Wheel file names: what they claim, what they were built for, and whether they fit a target.

Pure. Names follow the binary distribution format (PEP 427, PEP 425, PEP 600, PEP 656); names seen in the wild that
break PEP 440 (`mmcv_full-1.0.0+torch1.3.0+cu101-...`) are read all the same. Tags are computed for a described target,
never for the machine that runs zoo. A wheel that is not taken is a value, `Rejected`, with its reason.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.versions import minor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.machine.facts import Libc
    from zoo_cli.packages.findlinks import Link

MAX_NAME = 300  # characters of a file name; longer ones are not wheels
MAX_TAGS = 200  # tags one compressed tag set may expand to
_WORD = re.compile(r"[A-Za-z0-9_.+!%]+\Z")
_LOWEST_GLIBC = {"x86_64": 5, "i686": 5}  # minor of glibc 2; other architectures begin at 2.17 (manylinux2014)
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_MACOS = (15, 0)  # assumed when a described Mac does not tell its version


class BadWheelName(ZooError):
    """A file name is not that of a wheel."""

    code = "bad-wheel-name"
    exit_code = ExitCode.USAGE

    filename: str
    problem: str


class WheelName(NamedTuple):
    """A wheel file name taken apart; `local` is what follows the first `+`, as written."""

    filename: str
    project: str  # normalised (PEP 503)
    version: str  # public version
    local: str
    build: str  # build tag, "" when there is none
    python: str  # compressed tag sets, as written: "py2.py3"
    abi: str
    platform: str

    @property
    def tags(self) -> tuple[str, ...]:
        """The simple tags, sorted: `cp310-cp310-linux_x86_64`."""
        return tuple(
            sorted(
                f"{python}-{abi}-{platform}"
                for python in self.python.split(".")
                for abi in self.abi.split(".")
                for platform in self.platform.split(".")
            )
        )

    @property
    def is_pure(self) -> bool:
        """Whether the name promises no compiled code: `none-any`."""
        return self.abi == "none" and self.platform == "any"

    @property
    def full_version(self) -> str:
        """Version with its local part: `2.1.2+cu121`."""
        return f"{self.version}+{self.local}" if self.local else self.version


class Build(NamedTuple):
    """What a binary was built for, as far as a name or an address tells; None is "not told"."""

    torch: str | None = None  # "2.1.0" or "2.1", as precise as it was told
    variant: str | None = None  # cpu | cu121 | rocm5.6; "cu12" when only the major was told
    cxx11_abi: bool | None = None

    @property
    def torch_minor(self) -> str | None:
        """The torch release without patch level, "2.1"."""
        return minor(self.torch) if self.torch else None

    def or_else(self, other: Build) -> Build:
        """This, filled up from another where nothing was told."""
        return Build(
            self.torch or other.torch,
            self.variant or other.variant,
            self.cxx11_abi if self.cxx11_abi is not None else other.cxx11_abi,
        )


class WheelTarget(NamedTuple):
    """What a wheel has to fit; None asks nothing."""

    project: str  # normalised
    python: str  # "3.10.14"
    tags: tuple[str, ...]  # ranked, see `tags_for`
    version: str | None = None  # public or full version
    torch: str | None = None  # "2.1.2+cu121", "2.1.2" or "2.1"
    variant: str | None = None
    needs_ops: bool = False  # a project with compiled ops: none-any has none


class Fits(NamedTuple):
    """The wheel runs on the target; a lower rank is the more specific tag."""

    wheel: WheelName
    rank: int
    build: Build


class Rejected(NamedTuple):
    """Why a file is not taken.

    `code` is one of: not-a-wheel, bad-name, other-project, other-version, other-python, other-platform,
    newer-glibc, no-ops, yanked, requires-python, other-torch, other-variant.
    """

    filename: str
    code: str
    found: str
    wanted: str


def normalise(name: str) -> str:
    """A project name as PEP 503 compares it: lower case, runs of `-_.` are one dash."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_wheel_name(filename: str) -> WheelName:
    """Takes a wheel file name apart.

    Raises:
        BadWheelName: it does not have the five or six parts of a wheel name.
    """
    if len(filename) > MAX_NAME or not filename.endswith(".whl"):
        raise BadWheelName(filename[:MAX_NAME], "does not end in .whl")
    parts = filename[:-4].split("-")
    if len(parts) not in (5, 6) or not all(map(_WORD.match, parts)):
        raise BadWheelName(filename, "has not the parts name-version-python-abi-platform")
    build = parts.pop(2) if len(parts) == 6 and parts[2][0].isdigit() else ""
    if len(parts) == 6:
        raise BadWheelName(filename, "has a build tag that does not begin with a digit, or a variant label (PEP 825)")
    name, full, python, abi, platform = parts
    version, _, local = unquote(full).partition("+")
    if not re.match(r"(\d+!)?\d+(\.\d+)*[A-Za-z0-9._]*\Z", version):
        raise BadWheelName(filename, f"version {version!r} does not begin with a number")
    if len(python.split(".")) * len(abi.split(".")) * len(platform.split(".")) > MAX_TAGS:
        raise BadWheelName(filename, "expands to too many tags")
    return WheelName(filename, normalise(name), version, local, build, python, abi, platform)


# -- what a binary was built for ---------------------------------------------------------------------------------

_DOTTED_TORCH = re.compile(r"(?:torch|pyt|pt)[.-]?(\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)(?!\d)")
_PLAIN_TORCH = re.compile(r"(torch|pyt|pt)(\d{2,4})(?!\d)")
_DOTTED_CUDA = re.compile(r"(?<![a-z])cu\.?(\d{1,2})\.(\d)(?!\d)")
_PLAIN_CUDA = re.compile(r"(?<![a-z])cu(\d{2,3})(?!\d)")
_OTHER_VARIANT = re.compile(r"(?<![a-z])(?:(cpu|xpu)(?=torch|pt|[^a-z]|\Z)|(rocm)\.?(\d+(?:\.\d+)*))")
_ABI = re.compile(r"cxx11abi(true|false|[01])")


def built_for(text: str) -> Build:
    """What a local version or one path segment tells: `pt213cpu`, `cu.12.8.torch.2.10`, `torch2.1.0`, `cu121`."""
    text = re.sub(r"[+_]", ".", unquote(text).lower())[:MAX_NAME]
    abi = _ABI.search(text)
    return Build(_torch(text), _variant(text), abi[1] in ("true", "1") if abi else None)


def _torch(text: str) -> str | None:
    if dotted := _DOTTED_TORCH.search(text):
        return dotted[1]
    if not (plain := _PLAIN_TORCH.search(text)):
        return None
    word, digits = plain[1], plain[2]
    # PyG writes pt213 = 2.13; natten, pytorch3d and onedl write the patch level too: torch2130 = 2.13.0.
    if word == "pt" or len(digits) == 2:
        return f"{digits[0]}.{digits[1:]}"
    return f"{digits[0]}.{digits[1:-1]}.{digits[-1]}"


def _variant(text: str) -> str | None:
    if dotted := _DOTTED_CUDA.search(text):
        return f"cu{dotted[1]}{dotted[2]}"
    if plain := _PLAIN_CUDA.search(text):
        return f"cu{plain[1]}"
    if other := _OTHER_VARIANT.search(text):
        return other[1] or f"{other[2]}{other[3]}"
    return None


def built_for_address(address: str) -> Build:
    """What the directories and the page of an address tell; the file name of a wheel at its end is not looked at."""
    segments = urlsplit(address).path.split("/")
    if segments and segments[-1].endswith(".whl"):
        segments.pop()
    told = Build()
    for segment in reversed(segments):  # the innermost directory knows best
        told = told.or_else(built_for(segment))
    return told


def build_of(wheel: WheelName, *addresses: str) -> Build:
    """What a wheel was built for: its own name first, then the addresses in the order given (file, page)."""
    told = built_for(wheel.local)
    for address in addresses:
        told = told.or_else(built_for_address(address))
    return told


# -- tags of a described target ----------------------------------------------------------------------------------


def platform_tags(platform: str, libc: Libc | None = None) -> tuple[str, ...]:
    """Platform tags that run there, best first: for `linux_x86_64` with glibc 2.35, manylinux_2_35 down to manylinux1.

    Without a libc, Linux takes the widely safe glibc 2.28. See PEP 600 (glibc), PEP 656 (musl).
    """
    system, _, arch = platform.partition("_")
    if system == "linux":
        kind, version = (libc.kind, libc.version) if libc else ("glibc", "2.28")
        return (*_linux_tags(kind, version, arch), f"linux_{arch}")
    if system in ("macos", "macosx"):
        from packaging.tags import mac_platforms

        return tuple(mac_platforms(_MACOS, arch))
    return (platform,)


def _linux_tags(kind: str, version: str, arch: str) -> Iterator[str]:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    major, newest = (int(numbers[1]), min(int(numbers[2]), 99)) if numbers else (0, 0)
    if kind == "musl":
        yield from (f"musllinux_{major}_{step}_{arch}" for step in range(newest, -1, -1))
    elif major == 2:
        for step in range(newest, _LOWEST_GLIBC.get(arch, 17) - 1, -1):
            yield f"manylinux_2_{step}_{arch}"
            if step in _LEGACY:
                yield f"{_LEGACY[step]}_{arch}"


def tags_for(interpreter_tag: str, platform: str, libc: Libc | None = None) -> tuple[str, ...]:
    """Every tag that a CPython takes on a described platform, best first (PEP 425).

    Args:
        interpreter_tag: `cp310`, or `cp313t` for the free-threaded build.
        platform: linux_x86_64 | linux_aarch64 | win_amd64 | macos_arm64 ... as in `Machine.platform`.
        libc: of a Linux target.
    """
    from packaging.tags import compatible_tags, cpython_tags

    found = re.match(r"cp(\d)(\d+)(t?)\Z", interpreter_tag)
    if not found:
        return ()
    python = (int(found[1]), int(found[2]))
    abi = f"cp{found[1]}{found[2]}" + ("m" if python < (3, 8) else "") + found[3]
    platforms = platform_tags(platform, libc)
    ranked = [*cpython_tags(python, [abi], platforms)]
    ranked += compatible_tags(python, f"cp{found[1]}{found[2]}", platforms)
    return tuple(dict.fromkeys(map(str, ranked)))


# -- does it fit -------------------------------------------------------------------------------------------------


def fits(link: Link, target: WheelTarget) -> Fits | Rejected:
    """Whether the file behind a link can be installed on the target, or the first reason why not."""
    try:
        wheel = parse_wheel_name(link.filename)
    except BadWheelName as error:
        code = "bad-name" if link.filename.endswith(".whl") else "not-a-wheel"
        return Rejected(link.filename, code, error.problem, "a wheel")
    told = build_of(wheel, link.url, link.page)
    for code, found, wanted in _objections(link, wheel, told, target):
        return Rejected(link.filename, code, found, wanted)
    ranks = {tag: rank for rank, tag in enumerate(target.tags)}
    return Fits(wheel, min(ranks[tag] for tag in wheel.tags if tag in ranks), told)


def _objections(link: Link, wheel: WheelName, told: Build, target: WheelTarget) -> Iterator[tuple[str, str, str]]:
    if wheel.project != target.project:
        yield "other-project", wheel.project, target.project
    if target.version and target.version not in (wheel.version, wheel.full_version):
        yield "other-version", wheel.full_version, target.version
    if target.needs_ops and wheel.is_pure:
        yield "no-ops", f"{wheel.abi}-{wheel.platform}", "compiled ops"
    yield from _tag_objection(wheel, target)
    if link.yanked is not None:
        yield "yanked", link.yanked or "withdrawn by its publisher", "a release that stands"
    if link.requires_python and not _allows(link.requires_python, target.python):
        yield "requires-python", link.requires_python, target.python
    if told.torch and target.torch and minor(told.torch) != minor(target.torch):
        yield "other-torch", told.torch, target.torch
    if told.variant and target.variant and not same_variant(told.variant, target.variant):
        yield "other-variant", told.variant, target.variant


def same_variant(told: str, wanted: str) -> bool:
    """Whether a wheel's variant is the wanted one; "cu12", told by its major only, agrees with every cu12x."""
    if told == wanted:
        return True
    return re.fullmatch(r"cu1\d", told) is not None and wanted.startswith(told)


def _tag_objection(wheel: WheelName, target: WheelTarget) -> Iterator[tuple[str, str, str]]:
    if not set(wheel.tags).isdisjoint(target.tags):
        return
    best = target.tags[0] if target.tags else "nothing"
    python, platform = best.split("-")[0], best.rpartition("-")[2]
    if set(wheel.platform.split(".")) & {tag.rpartition("-")[2] for tag in target.tags}:
        yield "other-python", f"{wheel.python}-{wheel.abi}", python
        return
    newer = re.match(r"manylinux_2_\d+_(\w+)", wheel.platform)
    is_newer = newer and platform.startswith("manylinux") and platform.endswith(f"_{newer[1]}")
    yield "newer-glibc" if is_newer else "other-platform", wheel.platform, platform


def _allows(specifier: str, python: str) -> bool:
    from packaging.specifiers import SpecifierSet

    try:
        return SpecifierSet(specifier).contains(python, prereleases=True)
    except ValueError:  # no specifier is "not told" for pip, too; or a number of too many digits
        return True
