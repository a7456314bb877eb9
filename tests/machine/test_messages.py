"""Every error and every problem of this room has a sentence, and ways out that can be pasted."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.machine.names import GPUS
from zoo_cli.cli.messages import Message, message_for
from zoo_cli.cli.messages import machine as sentences
from zoo_cli.machine import facts, interpreter, values
from zoo_cli.machine.cuda import BadVersion
from zoo_cli.machine.describe import parse_machine
from zoo_cli.machine.facts import DriverProblem
from zoo_cli.machine.interpreter import NoInterpreter
from zoo_cli.machine.overrides import read_overrides
from zoo_cli.machine.profile import CannotSaveMachine
from zoo_cli.machine.values import BadMachine


def listed(docstring: str | None) -> list[str]:
    """The words after `is one of:` in a docstring, without their explanations in brackets."""
    text = re.sub(r"\([^)]*\)", "", docstring or "").partition("is one of:")[2]
    return [word.strip() for word in text.partition(".")[0].replace("\n", " ").split(",")]


def check(message: Message) -> None:
    assert message.what
    assert "{" not in message.what
    for way in message.ways_out:
        assert way.text
        assert way.command is None or shlex.split(way.command)


@pytest.mark.parametrize("reason", listed(values.BadMachine.__doc__))
def test_every_reason_of_a_bad_machine(reason: str) -> None:
    error = BadMachine("--machine", reason, "gpu", "x", "gpu=x", 5, "something", ("near",))
    message = message_for(error)
    check(message)
    assert message.ways_out
    assert not message.what.startswith("bad machine")


@pytest.mark.parametrize("reason", listed(interpreter.NoInterpreter.__doc__))
def test_every_reason_of_no_interpreter(reason: str) -> None:
    for origin in ("--python", "VIRTUAL_ENV", "ZOO_PYTHON"):
        message = message_for(NoInterpreter("some where/python", reason, "detail", origin))
        check(message)
        assert "some where/python" in message.what
        assert any(origin in fact for fact in message.facts)


@pytest.mark.parametrize("code", listed(facts.DriverProblem.__doc__))
def test_every_problem_of_the_driver(code: str) -> None:
    message = sentences.describe_problem(DriverProblem(code, "NVML", "return code 9"))
    check(message)
    assert message.what != code.replace("-", " ")
    assert message.facts == ("NVML: return code 9",)


def test_the_lists_are_the_whole() -> None:
    """Codes in the source and in the docstrings are the same."""
    room = Path(values.__file__).parent
    source = "\n".join(path.read_text(encoding="utf-8") for path in room.glob("*.py"))
    blamed = set(re.findall(r'(?:blame|DriverProblem)\(\s*"([a-z-]+)"', source))
    assert blamed <= set(listed(facts.DriverProblem.__doc__))
    assert set(sentences._PROBLEMS) == set(listed(facts.DriverProblem.__doc__))
    assert set(sentences._BAD_MACHINE) == set(listed(values.BadMachine.__doc__))
    assert set(sentences._NO_INTERPRETER) == set(listed(interpreter.NoInterpreter.__doc__))


def message_of(text: str) -> Message:
    with pytest.raises(BadMachine) as caught:
        parse_machine(text, GPUS)
    return message_for(caught.value)


def test_the_column_is_pointed_at() -> None:
    message = message_of("os=linux,driver=five")
    assert message.facts[0] == "os=linux,driver=five"
    assert message.facts[1].index("^") == message.facts[0].index("five")


def test_ways_out_of_a_mistyped_gpu_work() -> None:
    message = message_of('gpu="RTX 3091",driver=535.1')
    for way in message.ways_out:
        assert way.command
        parse_machine(shlex.split(way.command)[-1], GPUS)
    assert shlex.split(message.ways_out[0].command or "")[-1] == 'gpu="GeForce RTX 3090",driver=535.1'


def test_ways_out_of_other_mistakes_work() -> None:
    for text in ("drvier=535", "torch=2.1.2+cu121", "os=", "'"):
        for way in message_of(text).ways_out:
            assert way.command
            parse_machine(shlex.split(way.command)[-1], GPUS)


def test_a_bad_variable_names_itself() -> None:
    with pytest.raises(BadMachine) as caught:
        read_overrides({"ZOO_SM": "ampere"})
    message = message_for(caught.value)
    assert "ZOO_SM" in message.what
    assert message.ways_out[0].command == "unset ZOO_SM"


def test_the_rest() -> None:
    check(message_for(BadVersion("x", "12.1")))
    check(message_for(CannotSaveMachine("/somewhere", "Permission denied")))
