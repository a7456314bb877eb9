from __future__ import annotations

import pytest

from zoo_cli.cli.messages import message_for
from zoo_cli.errors import ZooError
from zoo_cli.models.config_errors import (
    BaseCycle,
    BaseMissing,
    BaseOutside,
    BrokenConfig,
    CannotEvaluate,
    ConfigError,
    ConfigTooLarge,
    OtherPackage,
)
from zoo_cli.models.modelfile import CheckpointChanged, SourcesDisagree
from zoo_cli.models.outlook import VeryLarge
from zoo_cli.models.release import BadWheel
from zoo_cli.models.selection import NothingMatches, NothingToFetch, NotInRelease, NotNarrowed, SameDestination
from zoo_cli.models.writer import CannotWrite

ERRORS: list[ZooError] = [
    CannotEvaluate("configs/a.py", 3, "lambda"),
    BrokenConfig("configs/a.py", 3, "NameError: name 'x' is not defined"),
    ConfigTooLarge("configs/a.py", 3, "steps", 2_000_000),
    ConfigTooLarge("configs/a.py", 0, "depth of nested expressions", 0),
    BaseMissing("configs/a.py", 0, "configs/b.py"),
    BaseOutside("configs/a.py", 1, "../../../x.py"),
    BaseCycle("configs/a.py", 0, ("configs/a.py", "configs/b.py", "configs/a.py")),
    OtherPackage("configs/a.py", 0, "mmpretrain", "configs/b.py"),
    CannotWrite("a b", "a top-level key must be a Python name"),
    BadWheel("mmdet.whl", "configs/a.py", "Bad CRC-32"),
    BadWheel("mmdet.whl", "", "not a zip"),
    NothingToFetch("net", "mmdet", "checkpoint"),
    NotInRelease("net", "1.0", "mmdet", ("2.0", "1.5")),
    SameDestination("net.py", ("net", "other/net"), is_flat=True),
    NothingToFetch("open-mmlab://resnet50", "open-mmlab", "checkpoint"),
    NothingMatches("mmdet", "net*", "box_AP>99"),
    NothingMatches(None, "open-mmlab://x*", None),
    NotNarrowed("net_r50"),
    VeryLarge(3, 10**12, 10**9),
    SourcesDisagree("a.pth", "https://a.example/a.pth", "0" * 64, "https://b.example/a.pth", "1" * 64, "/q/a.refused"),
    CheckpointChanged("a.pth", "https://x.example/a.pth", "0" * 64, "1" * 64, "/state/my digests.txt"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_each_error_has_a_sentence_its_facts_and_a_way_out(error: ZooError) -> None:
    message = message_for(error)
    said = "\n".join((message.what, *message.facts, *(way.command or "" for way in message.ways_out)))
    assert not message.what.startswith(error.code.replace("-", " "))  # a sentence of its own
    assert message.ways_out
    for value in error.fields().values():
        if isinstance(value, str) and value:
            assert value in said.replace("'", "") or value in said


def test_a_place_is_told_with_its_line_where_there_is_one() -> None:
    assert "place  configs/a.py, line 3" in message_for(CannotEvaluate("configs/a.py", 3, "def")).facts
    assert "place  configs/a.py" in message_for(BaseOutside("configs/a.py", 0, "/x.py")).facts


def test_every_config_error_is_here() -> None:
    assert {type(error) for error in ERRORS} >= set(ConfigError.__subclasses__())
