"""Every error that zoo raises has a sentence of its own, a code and an exit code; foreign text in it stays harmless."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import zoo_cli
from zoo_cli.cli.messages import _MODULES, describe, message_for
from zoo_cli.errors import ExitCode, ZooError


def every_error() -> list[type[ZooError]]:
    for module in pkgutil.walk_packages(zoo_cli.__path__, "zoo_cli."):
        if not module.name.endswith(("__main__", "driver_child", "ops_child", "convert_child")):
            importlib.import_module(module.name)
    found: list[type[ZooError]] = []
    waiting = [ZooError]
    while waiting:
        kind = waiting.pop()
        children = kind.__subclasses__()
        waiting += children
        if kind.__module__.startswith("zoo_cli.") and kind is not ZooError:  # tests make some of their own
            found.append(kind)
    return sorted(set(found), key=lambda kind: (kind.__module__, kind.__name__))


ERRORS = every_error()


def test_there_are_many() -> None:
    assert len(ERRORS) > 40


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: f"{kind.__module__[8:]}.{kind.__name__}")
def test_an_error_has_its_own_sentence(kind: type[ZooError]) -> None:
    room = kind.__module__.split(".")[1]
    for name in _MODULES.get(room, (room,)):
        importlib.import_module(f"zoo_cli.cli.messages.{name}")
    is_base = any(other is not kind and issubclass(other, kind) for other in ERRORS)
    assert describe.dispatch(kind) is not describe.dispatch(ZooError) or is_base


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: f"{kind.__module__[8:]}.{kind.__name__}")
def test_an_error_has_a_code_and_an_exit_code(kind: type[ZooError]) -> None:
    assert kind.code == kind.code.lower().replace(" ", "-").replace("_", "-")
    if not isinstance(kind.__dict__.get("exit_code"), property):  # decided by what is inside the error
        assert kind.exit_code in set(ExitCode) - {ExitCode.FINE}


def test_codes_are_told_apart() -> None:
    """Two classes may share a code only where one is a kind of the other."""
    seen: dict[str, type[ZooError]] = {}
    for kind in ERRORS:
        other = seen.setdefault(kind.code, kind)
        assert other is kind or issubclass(kind, other) or issubclass(other, kind), (kind, other)


def test_an_error_without_facts_is_still_told() -> None:
    class Plain(ZooError):
        """Defined here, so it has no sentence."""

        code = "something-plain"

    Plain.__module__ = "zoo_cli.packages.nowhere"
    assert message_for(Plain()).what == "something plain"
