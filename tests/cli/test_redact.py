"""A bug report tells nothing of who and where: one function, tried with what such reports hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.cli.redact import redacted

WHO = {"HOME": "/home/ada", "USER": "ada", "LOGNAME": "ada"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ada/env/bin/python", "~/env/bin/python"),
        ("/home/grace/.cache/x", "~/.cache/x"),
        ("/Users/grace/Library", "~/Library"),
        ("C:\\Users\\grace\\x", "~\\x"),
        ("/root/.pyenv", "~/.pyenv"),
        ("/data/ada/models", "/data/USER/models"),
        ("adapter and Canada", "adapter and Canada"),
        ("https://ada:hunter2@pypi.corp.example/simple", "https://HOST/simple"),
        ("https://user:pw@pypi.org/simple", "https://pypi.org/simple"),
        ("https://download.openmmlab.com/mmcv", "https://download.openmmlab.com/mmcv"),
        ("file:///home/ada/wheels/", "file://~/wheels/"),
        ("token=ghp_0123456789abcdefghijABCDEFGHIJ012345", "token=SECRET"),
        ("hf_abcdefghijklmnopqrstuvwxyz", "TOKEN"),
        ("PIP_PASSWORD: secret123", "PIP_PASSWORD: SECRET"),
        ("ssh build7 and build7.local", "ssh HOST and HOST.local"),
        ("proxy 10.1.2.3:3128, 192.168.0.7", "proxy ADDRESS:3128, ADDRESS"),
        ("opencv-python 4.11.0.86, driver 535.183.01", "opencv-python 4.11.0.86, driver 535.183.01"),
        ("mail ada@corp.example", "mail ADDRESS"),
        ("/srv/envs/a/bin/python", "ENV/bin/python"),
        ("torch 2.1.2+cu121 _ZN2at4_ops10zeros_like4call", "torch 2.1.2+cu121 _ZN2at4_ops10zeros_like4call"),
    ],
)
def test_what_stays_and_what_goes(text: str, shown: str) -> None:
    assert redacted(text, WHO, "build7", "/srv/envs/a") == shown


@given(st.text(max_size=200), st.text(max_size=60))
def test_the_home_and_the_user_never_stay(before: str, after: str) -> None:
    told = redacted(f"{before} /home/ada/{after}", WHO, "build7")
    assert "/home/ada/" not in told


@given(st.text(max_size=300))
def test_twice_is_once(text: str) -> None:
    once = redacted(text, WHO, "build7")
    assert redacted(once, WHO, "build7") == once
