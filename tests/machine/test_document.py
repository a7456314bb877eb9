"""Machines as JSON: what is written is read back equal, what is not a machine is one error with a path."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.machine.names import GPUS, machines
from zoo_cli.machine.describe import parse_machine
from zoo_cli.machine.document import machine_from_json, machine_to_json
from zoo_cli.machine.facts import Machine
from zoo_cli.machine.profile import CannotSaveMachine, load_machine, save_machine
from zoo_cli.machine.values import BadMachine

DESCRIBED = parse_machine("gpu=A100;RTX 3090,driver=535.183.01,python=3.10,torch=2.1.2+cu121", GPUS)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(machines)
def test_round_trip(machine: Machine) -> None:
    text = json.dumps(machine_to_json(machine))
    assert machine_from_json(json.loads(text)) == machine


def test_the_document_reads_well() -> None:
    document: dict[str, Any] = machine_to_json(DESCRIBED)
    assert document["gpus"][1]["capability"] == "8.6"
    assert document["libc"] == {"kind": "glibc", "version": "2.35"}
    assert document["python"]["torch"]["cuda"] == "12.1"


@given(documents)
def test_any_document_is_refused_with_one_error(document: object) -> None:
    with pytest.raises(BadMachine):
        machine_from_json(document)


def set_at(document: Any, path: list[str | int], value: object) -> None:
    for step in path[:-1]:
        document = document[step]
    document[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (["schema"], "zoo-machine-99", "schema"),
        (["os"], 7, "os"),
        (["gpus"], {}, "gpus"),
        (["gpus", 0, "capability"], "sm_86", "gpus[0].capability"),
        (["gpus", 0, "capability"], "8.-6", "gpus[0].capability"),
        (["gpus", 1, "memory_bytes"], -1, "gpus[1].memory_bytes"),
        (["gpus", 1, "memory_bytes"], True, "gpus[1].memory_bytes"),
        (["gpus", 1, "memory_bytes"], 10**30, "gpus[1].memory_bytes"),
        (["python", "is_virtual"], "yes", "python.is_virtual"),
        (["python", "distributions", 0, "requires"], "numpy", "python.distributions[0].requires"),
        (["origin"], {"os": 1}, "origin.os"),
        (["dirver"], "535", "dirver"),
        (["driver"], "5" * 30_000, "driver"),
    ],
)
def test_a_wrong_field_is_named(path: list[str | int], value: object, where: str) -> None:
    document = machine_to_json(DESCRIBED)
    set_at(document, path, value)
    with pytest.raises(BadMachine) as caught:
        machine_from_json(document, "profile.json")
    assert (caught.value.reason, caught.value.key, caught.value.where) == ("bad-document", where, "profile.json")


def test_a_missing_field_is_named() -> None:
    document: Any = machine_to_json(DESCRIBED)
    del document["gpus"][0]["name"]
    with pytest.raises(BadMachine) as caught:
        machine_from_json(document)
    assert caught.value.key == "gpus[0].name"
    del document["os"]
    with pytest.raises(BadMachine) as caught:
        machine_from_json(document)
    assert caught.value.key == "os"


@given(documents, st.data())
def test_a_damaged_document_is_a_machine_or_one_error(junk: object, data: st.DataObject) -> None:
    document = machine_to_json(DESCRIBED)
    key = data.draw(st.sampled_from(sorted(document)))
    document[key] = junk
    try:
        machine_from_json(document)
    except BadMachine as error:
        assert error.key


def test_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "build host.json"
    save_machine(DESCRIBED, str(path))
    first = path.read_bytes()
    assert load_machine(str(path), GPUS) == DESCRIBED
    save_machine(DESCRIBED, str(path))
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_ISREG(path.stat().st_mode)


def test_a_description_is_loaded_where_there_is_no_file() -> None:
    assert load_machine("gpu=A100", GPUS) == parse_machine("gpu=A100", GPUS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"\xff\xfe\x00", "not-json"),
        (b"[" * 100_000, "not-json"),
        (b"9" * 10_000, "not-json"),
        (b"[]", "bad-document"),
        (b'{"schema": "zoo-machine-1"}', "bad-document"),
    ],
)
def test_a_file_that_is_no_machine(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(content)
    with pytest.raises(BadMachine) as caught:
        load_machine(str(path), GPUS)
    assert (caught.value.reason, caught.value.where) == (reason, str(path))


def test_neither_file_nor_description(tmp_path: Path) -> None:
    for name, reason in ((str(tmp_path / "gone.json"), "not-here"), (str(tmp_path), "unreadable")):
        with pytest.raises(BadMachine) as caught:
            load_machine(name, GPUS)
        assert caught.value.reason == reason


def test_a_pipe_does_not_make_zoo_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadMachine) as caught:
        load_machine(str(tmp_path / "pipe"), GPUS)
    assert caught.value.reason == "unreadable"


def test_nothing_is_left_where_saving_fails(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").touch()
    with pytest.raises(CannotSaveMachine):
        save_machine(DESCRIBED, str(tmp_path / "taken"))
    with pytest.raises(CannotSaveMachine):
        save_machine(DESCRIBED, str(tmp_path / "no such directory" / "m.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_plain_name_is_kept_in_the_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "state"
    assert save_machine(DESCRIBED, "cluster-a100", state) == state / "machines/cluster-a100.json"
    (tmp_path / "cluster-a100").write_text("a file of the working directory adds nothing")
    assert load_machine("cluster-a100", GPUS, state) == DESCRIBED
    with pytest.raises(BadMachine):
        load_machine("cluster-b200", GPUS, state)
