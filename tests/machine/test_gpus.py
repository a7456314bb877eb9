"""GPU names: what drivers report and people type finds the published row, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.names import GPUS, ROWS
from zoo_cli.machine.facts import Capability
from zoo_cli.machine.gpus import find_capability, name_key, near_names


@pytest.mark.parametrize(("name", "capability"), ROWS)
def test_a_published_name_finds_itself(name: str, capability: str) -> None:
    assert str(find_capability(name, GPUS)) == capability


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("NVIDIA GeForce RTX 3080 Ti Laptop GPU", "8.6"),
        ("NVIDIA A100-SXM4-80GB", "8.0"),
        ("NVIDIA A100 80GB PCIe", "8.0"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "8.0"),
        ("Tesla V100-SXM2-16GB", "7.0"),
        ("NVIDIA H100 80GB HBM3", "9.0"),
        ("NVIDIA GH200 144G HBM3e", "9.0"),
        ("NVIDIA RTX 6000 Ada Generation", "8.9"),
        ("Quadro RTX 6000", "7.5"),
        ("GRID T4-16Q", "7.5"),
        ("NVIDIA A40-48Q", "8.6"),
        ("NVIDIA A10G", "8.6"),
        ("T4G", "7.5"),
        ("TITAN X (Pascal)", "6.1"),
        ("GeForce GTX TITAN X", "5.2"),
        ("NVIDIA GeForce GTX 1060 6GB", "6.1"),
        ("NVIDIA GeForce GTX 1650 with Max-Q Design", "7.5"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "12.0"),
        ("RTX 3090", "8.6"),
        ("rtx3090", "8.6"),
        ("3090", "8.6"),
        ("1080ti", "6.1"),
        ("k80", "3.7"),
        ("Orin (nvgpu)", "8.7"),
    ],
)
def test_reported_and_typed_names(name: str, capability: str) -> None:
    assert str(find_capability(name, GPUS)) == capability


NO_NAMES = ["", "NVIDIA", "GPU", "80GB", "RTX", "banana", "RTX 9999", "RTX 309", "A1000", "3090 3090", "\0"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_no_name_is_guessed(name: str) -> None:
    assert find_capability(name, GPUS) is None


def test_a_shortened_name_with_two_meanings_is_none() -> None:
    names = {"Quadro X1": Capability(7, 5), "Tesla X1": Capability(6, 0)}
    assert find_capability("X1", names) is None
    assert find_capability("Quadro X1", names) == Capability(7, 5)


def test_near_names_are_the_close_ones() -> None:
    assert near_names("RTX 3091", GPUS)[0] == "GeForce RTX 3090"
    assert near_names("", GPUS) == ()
    assert len(near_names("RTX 0000", GPUS)) <= 3


@given(st.text(max_size=400))
def test_any_text_has_a_key(name: str) -> None:
    key = name_key(name)
    assert name_key(key.upper()) == name_key(key)
    assert key == "" or key.isalnum()


def test_a_product_line_before_a_known_name_is_no_hindrance() -> None:
    """nvidia-smi says "Tesla T4", NVIDIA's table of capabilities says "T4"."""
    gpus = {"T4": Capability(7, 5), "Quadro T1000": Capability(7, 5), "T1000": Capability(7, 0)}
    assert find_capability("Tesla T4", gpus) == Capability(7, 5)
    assert find_capability("Quadro T1000", gpus) == Capability(7, 5)
