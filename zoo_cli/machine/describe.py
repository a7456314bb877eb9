"""A machine described in words: `gpu="RTX 3090",driver=535.183.01,python=3.10,os=linux`.

Pure. The grammar is `key=value` pairs joined by commas; a value may stand in quotes and then holds commas. Values of
`gpu` and `sm` may be several, joined by semicolons, or the key repeated; `2xA100` is two GPUs. What is not given takes
its default in `docs/machine.md`, or a base machine's; `Machine.origin` says "described" or "assumed" for each fact.
A driver that is not given stays unknown and limits nothing; a Python that is not given is left to zoo to choose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_cli.machine.cuda import variant_to_cuda
from zoo_cli.machine.facts import Capability, Distribution, Gpu, Interpreter, Libc, Machine, TorchFacts
from zoo_cli.machine.gpus import find_capability, name_to_capability, near_names
from zoo_cli.machine.values import (
    ARCHES,
    MAX_GPUS,
    NOTHING,
    BadMachine,
    BadValue,
    platform_name,
    read_capabilities,
    read_cuda,
    read_driver,
    read_glibc,
    read_musl,
    read_python,
    read_torch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["DEFAULT_GLIBC", "BadMachine", "name_to_capability", "parse_machine", "platform_name"]

MAX_LETTERS = 4000
DEFAULT_GLIBC = "2.35"  # Ubuntu 22.04's
_KEYS = ("os", "arch", "glibc", "musl", "gpu", "sm", "driver", "cuda", "python", "torch")
_REPEATABLE = ("gpu", "sm")
_SYSTEMS = {"linux": "linux", "windows": "windows", "win": "windows", "macos": "macos", "darwin": "macos"}
# No two neighbouring parts can match the same letters: time stays linear on any text.
_PAIR = re.compile(r"""(?P<key>[^=,"']*)=(?:\s*(?P<quoted>"[^"]*"|'[^']*')\s*|(?P<bare>[^,"']*))(?:,|$)""")


@dataclass(frozen=True, slots=True)
class _Pair:
    """One `key=value` with the 1-based columns of both."""

    key: str
    value: str
    key_column: int
    column: int


def parse_machine(
    text: str, gpus: Mapping[str, Capability], base: Machine | None = None, where: str = "--machine"
) -> Machine:
    """The machine that a text describes.

    `gpus` maps GPU names as published to capabilities; `base` is what the description changes, else the defaults.

    Raises:
        BadMachine: with the key, its column and an example, when the text cannot be read.
    """
    pairs = _pairs(text, where)
    return _Reader(text, where, gpus, pairs).machine(base)


def _pairs(text: str, where: str) -> dict[str, list[_Pair]]:
    if len(text) > MAX_LETTERS:
        raise BadMachine(where, "too-long", text=text[:80], expected=f"at most {MAX_LETTERS} letters")
    pairs: dict[str, list[_Pair]] = {}
    for pair in _split(text, where):
        if pair.key not in _KEYS:
            known = ", ".join(_KEYS)
            raise BadMachine(where, "unknown-key", pair.key, pair.value, text, pair.key_column, known, _near(pair.key))
        if pair.key in pairs and pair.key not in _REPEATABLE:
            raise BadMachine(where, "repeated-key", pair.key, pair.value, text, pair.key_column)
        if not pair.value:
            raise BadMachine(where, "empty-value", pair.key, "", text, pair.column)
        pairs.setdefault(pair.key, []).append(pair)
    return pairs


def _split(text: str, where: str) -> Iterator[_Pair]:
    position = 0
    if not text.strip():
        raise BadMachine(where, "not-key-value", text=text, column=1, expected='gpu="RTX 3090",driver=535.183.01')
    while position < len(text):
        match = _PAIR.match(text, position)
        if not match:
            rest = text[position:]
            quote = re.search("[\"']", rest) if rest.count('"') % 2 or rest.count("'") % 2 else None
            column = position + 1 + (quote.start() if quote else 0)
            reason = "open-quote" if quote else "not-key-value"
            raise BadMachine(where, reason, text=text, column=column, expected='gpu="RTX 3090",driver=535.183.01')
        value = match["quoted"][1:-1] if match["quoted"] else match["bare"]
        columns = (match.start("key") + 1, match.start("quoted" if match["quoted"] else "bare") + 1)
        yield _Pair(match["key"].strip().lower(), value.strip(), *columns)
        position = match.end()


def _near(key: str) -> tuple[str, ...]:
    from difflib import get_close_matches

    return tuple(get_close_matches(key, _KEYS, n=2))


@dataclass(frozen=True)
class _Reader:
    """The facts of one description."""

    text: str
    where: str
    gpus: Mapping[str, Capability]
    pairs: dict[str, list[_Pair]]

    def machine(self, base: Machine | None) -> Machine:
        origin = dict(base.origin) if base else {}
        told = {"driver": "driver", "cuda": "cuda_user_mode", "python": "python", "torch": "torch", "os": "os"}
        told |= {"arch": "arch", "glibc": "libc", "musl": "libc", "gpu": "gpus", "sm": "gpus"}
        if not base:
            origin = dict.fromkeys(told.values(), "assumed")
        origin |= {told[key]: "described" for key in self.pairs}
        system = self._word("os", _SYSTEMS) or (base.os if base else "linux")
        arch = self._arch(system, base)
        if "os" in self.pairs and base and base.os != system:
            base = None  # libc, driver and interpreter of another system mean nothing here
        gpus = self._gpus(base)
        driver, cuda = self._read("driver", read_driver), self._read("cuda", read_cuda)
        return Machine(
            os=system,
            arch=arch,
            platform=platform_name(system, arch),
            libc=self._libc(system, base),
            driver=driver if "driver" in self.pairs else base.driver if base else None,
            cuda_user_mode=cuda if "cuda" in self.pairs else base.cuda_user_mode if base else None,
            gpus=gpus,
            python=self._python(base),
            marks=tuple(sorted({*(base.marks if base else ()), *self._marks(gpus)})),
            is_described=True,
            origin=origin,
        )

    def _fail(self, pair: _Pair, reason: str, expected: str = "", near: tuple[str, ...] = ()) -> BadMachine:
        return BadMachine(self.where, reason, pair.key, pair.value, self.text, pair.column, expected, near)

    def _read(self, key: str, read: Callable[[str], str | None]) -> str | None:
        if key not in self.pairs:
            return None
        (pair,) = self.pairs[key]
        try:
            return read(pair.value)
        except BadValue as exc:
            raise self._fail(pair, exc.reason, exc.expected) from exc

    def _word(self, key: str, words: Mapping[str, str]) -> str | None:
        if key not in self.pairs:
            return None
        (pair,) = self.pairs[key]
        word = words.get(pair.value.lower())
        if word is None:
            raise self._fail(pair, "bad-value", ", ".join(sorted(set(words.values()))))
        return word

    def _arch(self, system: str, base: Machine | None) -> str:
        arch = self._word("arch", ARCHES)
        if arch is None:
            if base and base.os == system:
                return base.arch
            arch = "aarch64" if system == "macos" else "x86_64"
        return platform_name(system, arch).split("_", 1)[1]

    def _libc(self, system: str, base: Machine | None) -> Libc | None:
        given = [self.pairs[key][0] for key in ("glibc", "musl") if key in self.pairs]
        if len(given) > 1 or (given and system != "linux"):
            raise self._fail(given[-1], "contradiction", "one C library, and only with os=linux")
        if not given:
            return base.libc if base else Libc("glibc", DEFAULT_GLIBC) if system == "linux" else None
        try:
            return (read_glibc if given[0].key == "glibc" else read_musl)(given[0].value)
        except BadValue as exc:
            raise self._fail(given[0], exc.reason, exc.expected) from exc

    def _gpus(self, base: Machine | None) -> tuple[Gpu, ...]:
        capabilities = self._capabilities()
        if "gpu" not in self.pairs:
            if capabilities is not None:
                return tuple(Gpu(f"GPU {each.target}", each, source="described") for each in capabilities)
            return base.gpus if base else ()
        named = [(pair, name) for pair in self.pairs["gpu"] for name in self._names(pair)]
        if len(named) > MAX_GPUS:
            raise self._fail(named[-1][0], "too-many", f"at most {MAX_GPUS} GPUs")
        if capabilities is None:
            return tuple(Gpu(name, self._capability(pair, name), source="index: GPU names") for pair, name in named)
        if len(capabilities) == 1:
            capabilities *= len(named)
        if len(capabilities) != len(named):
            raise self._fail(
                self.pairs["sm"][-1], "contradiction", f"one capability, or {len(named)}: one for each gpu"
            )
        return tuple(Gpu(name, each, source="described") for (_, name), each in zip(named, capabilities, strict=True))

    def _capabilities(self) -> tuple[Capability, ...] | None:
        """What `sm=` says; None when it is not given."""
        if "sm" not in self.pairs:
            return None
        found: list[Capability] = []
        for pair in self.pairs["sm"]:
            try:
                found += read_capabilities(pair.value)
            except BadValue as exc:
                raise self._fail(pair, exc.reason, exc.expected) from exc
        return tuple(found)

    def _names(self, pair: _Pair) -> Iterator[str]:
        if pair.value.lower() in NOTHING:
            return
        for part in pair.value.split(";"):
            match = re.fullmatch(r"(?:(\d{1,3})\s*[xX*]\s*)?(\S.*)", part.strip())
            if not match:
                raise self._fail(pair, "empty-value")
            count = int(match[1] or 1)
            if not 0 < count <= MAX_GPUS:
                raise self._fail(pair, "too-many", f"1 to {MAX_GPUS} GPUs")
            yield from [match[2].strip()] * count

    def _capability(self, pair: _Pair, name: str) -> Capability:
        capability = find_capability(name, self.gpus)
        if capability is None:
            raise self._fail(replace(pair, value=name), "unknown-gpu", "sm=8.6", near_names(name, self.gpus))
        return capability

    def _python(self, base: Machine | None) -> Interpreter | None:
        python = base.python if base else None
        if "python" in self.pairs:
            (pair,) = self.pairs["python"]
            try:
                python = read_python(pair.value)
            except BadValue as exc:
                raise self._fail(pair, exc.reason, exc.expected) from exc
            python = python._replace(origin="described")
        torch = self._read("torch", read_torch)
        if torch is None:
            return python
        if python is None:
            raise self._fail(self.pairs["torch"][0], "needs-python", "python=3.10,torch=2.1.2+cu121")
        variant = torch.partition("+")[2]
        cuda, hip = variant_to_cuda(variant), variant.removeprefix("rocm") if variant.startswith("rocm") else None
        others = tuple(each for each in python.distributions if each.name != "torch")
        distributions = (*others, Distribution("torch", torch, ""))
        return python._replace(torch=TorchFacts(torch, cuda, hip, self.where), distributions=distributions)

    def _marks(self, gpus: tuple[Gpu, ...]) -> Iterator[str]:
        if any(gpu.name.lower().startswith("jetson") for gpu in gpus):
            yield "jetson"
