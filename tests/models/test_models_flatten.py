"""The config of every model of whole releases, through the path that `zoo download` and `zoo config` take."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.modelsdb import INDEX, models_db
from zoo_cli.catalog.compiler.releases import read_project
from zoo_cli.catalog.models import releases
from zoo_cli.models.config_errors import ConfigError
from zoo_cli.models.flatten import Releases
from zoo_cli.models.writer import write_flat
from zoo_cli.transfer.settings import Settings
from zoo_cli.transfer.sources import Mirrors

pytestmark = [pytest.mark.slow, pytest.mark.network]

# Project, release, its models, and those whose config cannot be had, with the reason: upstream's own files are wrong.
EXPECTED: list[tuple[str, str, int, dict[str, str]]] = [
    (
        "mmdet", "3.3.0", 583,
        {"bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot17halftrain_test-mot17test": "config-missing"},
    ),
    ("mmrazor", "1.0.0", 52, {}),  # most are built on configs of other packages
    (
        "onedl-mmpretrain", "1.3.6", 548,  # an sdist
        {
            "replknet-31B_3rdparty_in1k": "bad-config",
            "replknet-31B_3rdparty_in1k-384px": "bad-config",
            "replknet-31B_in21k-pre_3rdparty_in1k": "bad-config",
            "replknet-31B_in21k-pre_3rdparty_in1k-384px": "bad-config",
            "swinv2-base-w12_3rdparty_in21k-192px": "bad-config",
            "swinv2-large-w12_3rdparty_in21k-192px": "bad-config",
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("project", "version", "models", "refused"), EXPECTED, ids=[each[0] for each in EXPECTED])
def test_every_model_of_a_release(
    project: str, version: str, models: int, refused: dict[str, str], tmp_path: Path
) -> None:
    document = read_project(INDEX / "models" / project)[version]
    connection = models_db()
    index = releases(connection)
    connection.close()
    release = next(each for each in index if (each.project, each.version) == (project, version))
    errors: dict[str, str] = {}
    with Releases(Mirrors(()), Settings(), tmp_path, index) as trees:
        for row in document["models"]:
            try:
                made = trees.flatten(row["config"], release)
                assert write_flat(made.flat, made.header(row["name"])).startswith("# ")
            except ConfigError as error:
                errors[row["name"]] = error.code
    assert len(document["models"]) == models
    assert errors == refused
