"""A machine as a JSON document: what `zoo check-env --json` shows and `--save FILE` writes, read back strictly.

Pure. Law: `machine_from_json(machine_to_json(machine)) == machine`. A document from outside is checked field by field
before it becomes a value; unknown fields are refused, because a misspelt one would otherwise be a silent default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zoo_cli.machine.facts import (
    BrokenMetadata,
    Capability,
    DirectUrl,
    Distribution,
    DriverProblem,
    Gpu,
    Interpreter,
    Libc,
    Machine,
    TorchFacts,
)
from zoo_cli.machine.values import BadMachine

SCHEMA = "zoo-machine-1"
MAX_ITEMS = 200_000
MAX_LETTERS = 20_000

Decoder = Callable[[object, str], Any]


def machine_to_json(machine: Machine) -> dict[str, object]:
    """The document of a machine: plain dictionaries, lists and scalars; capabilities as "8.6"."""
    document: dict[str, object] = {"schema": SCHEMA, **_plain(machine._asdict())}
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, Capability):
        return str(value)
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (tuple, list)) else value


def machine_from_json(document: object, where: str = "--machine") -> Machine:
    """The machine of a document.

    Raises:
        BadMachine: the document is not one, with the path of the first wrong field.
    """
    try:
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise _Wrong("schema", f'a document with "schema": "{SCHEMA}"')
        machine: Machine = _MACHINE({key: value for key, value in document.items() if key != "schema"}, "")
    except _Wrong as wrong:
        raise BadMachine(where, "bad-document", key=wrong.path, expected=wrong.expected) from wrong
    return machine


class _Wrong(ValueError):
    """A field that is not of its type."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(path)
        self.path = path[:200] or "(document)"
        self.expected = expected


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_LETTERS:
        raise _Wrong(path, "a text")
    return value


def _flag(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(path, "true or false")
    return value


def _count(value: object, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise _Wrong(path, "a whole number, not negative")
    return value


def _capability(value: object, path: str) -> Capability:
    major, _, minor = _text(value, path).partition(".")
    if not (major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit() and len(major + minor) <= 4):
        raise _Wrong(path, 'a compute capability such as "8.6"')
    return Capability(int(major), int(minor))


def _optional(decode: Decoder) -> Decoder:
    return lambda value, path: None if value is None else decode(value, path)


def _many(decode: Decoder) -> Decoder:
    def decoder(value: object, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise _Wrong(path, "a list")
        return tuple(decode(each, f"{path}[{index}]") for index, each in enumerate(value))

    return decoder


def _texts_by_name(value: object, path: str) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        raise _Wrong(path, "an object of texts")
    return {_text(key, path): _text(each, f"{path}.{key}") for key, each in value.items()}


def _object(kind: type[Any], **decoders: Decoder) -> Decoder:
    """A decoder for one named tuple: every field has one, text where none is named."""
    known = {name: decoders.get(name, _text) for name in kind._fields}
    needed = known.keys() - kind._field_defaults.keys()

    def decoder(value: object, path: str) -> Any:
        if not isinstance(value, dict):
            raise _Wrong(path, "an object")
        for name in sorted(needed - value.keys(), key=str):
            raise _Wrong(_under(path, name), "a value: it is missing")
        for name in sorted(value.keys() - known.keys(), key=str):
            raise _Wrong(_under(path, name), f"one of {', '.join(known)}")
        return kind(**{name: known[name](each, _under(path, name)) for name, each in value.items()})

    return decoder


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_GPU = _object(Gpu, capability=_optional(_capability), memory_bytes=_optional(_count))
_DISTRIBUTION = _object(
    Distribution,
    direct_url=_optional(_object(DirectUrl, editable=_flag)),
    requires=_many(_text),
    files=_many(_text),
    wheel_tags=_many(_text),
)
_INTERPRETER = _object(
    Interpreter,
    bits=_count,
    is_virtual=_flag,
    is_conda=_flag,
    externally_managed=_optional(_text),
    is_writable=_flag,
    distributions=_many(_DISTRIBUTION),
    torch=_optional(_object(TorchFacts, cuda=_optional(_text), hip=_optional(_text))),
    site_directories=_many(_text),
    problems=_many(_object(BrokenMetadata)),
)
_MACHINE = _object(
    Machine,
    libc=_optional(_object(Libc)),
    driver=_optional(_text),
    cuda_user_mode=_optional(_text),
    gpus=_many(_GPU),
    python=_optional(_INTERPRETER),
    marks=_many(_text),
    is_described=_flag,
    looked_at=_many(_text),
    origin=_texts_by_name,
    disk_free_bytes=_optional(_count),
    problems=_many(_object(DriverProblem)),
    other_gpus=_many(_GPU),
)
