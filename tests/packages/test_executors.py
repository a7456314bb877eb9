"""Which executor, which Python, which setuptools: the same right wheel from a site of decoys, and why not the others.

The complete matrix, and what pip, uv and openmim make of the same site, is `python -m tests.support.executors`; here
are a small cut of it every day and all of it among the ordeals.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.decoys import DECOYS
from tests.support.places import Place, decoy_place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with decoy_place(tmp_path_factory.mktemp("executors"), DECOYS) as made:
        yield made


@pytest.mark.parametrize("kind", ["uv", pytest.param("pip", marks=pytest.mark.slow)])
def test_the_right_wheel_and_why_not_the_others(place: Place, kind: str) -> None:
    python = place.environment(f"env-{kind}")
    if kind == "pip":
        subprocess.run([python, "-I", "-m", "ensurepip"], check=True, capture_output=True)
    ran = place.install(python, "mmdet", "-v", ZOO_INSTALLER=kind)
    assert ran.code == 0, ran.err
    assert "nms, roi_align, deform_conv2d, mmdet" in ran.err
    assert place.versions(python)["mmcv"] == "2.1.0"
    assert f"install the plan ({kind})" in ran.err
    for decoy, (_make, reason) in DECOYS.items():
        assert reason in ran.err, decoy


def test_what_is_refused_is_told_where_nothing_else_is_left(place: Place) -> None:
    python = place.environment("env-pinned")
    before = place.versions(python)
    ran = place.install(python, "mmcv==2.1.4")
    assert (ran.code, "error[unsound-wheel]" in ran.err, "record-mismatch" in ran.err) == (6, True, True), ran.err
    assert place.versions(python) == before


@pytest.mark.slow
@pytest.mark.network
def test_python_314_takes_the_right_wheel_too() -> None:
    """Debian's CPython 3.14, unpacked where the machine has none: by uv, by pip; every decoy refused in its words."""
    from tests.support import executors
    from tests.support.python314 import NotToBeHad, python314

    try:
        python = python314()
    except NotToBeHad as why:
        pytest.skip(f"no Python 3.14: {why}")
    with executors.matrix({"3.14": python}) as made:
        cells = [made.cell("3.14", executor, "81") for executor in ("uv", "pip 26")]
    assert [cell.result for cell in cells] == ["ok", "ok"]


@pytest.mark.ordeal
@pytest.mark.network
def test_every_executor_on_every_python_with_every_setuptools(capsys: pytest.CaptureFixture[str]) -> None:
    """The complete matrix: about four minutes of two processors; prints its tables."""
    from tests.support import executors

    with executors.matrix() as made:
        cells = list(made.all())
    with capsys.disabled():
        sys.stdout.write("\n" + executors.cells_table(cells) + "\n")
    assert [cell for cell in cells if not cell.is_good] == []
    assert {cell.executor for cell in cells if cell.result == "ok"} == set(executors.EXECUTORS)
    assert {cell.setuptools for cell in cells if cell.result == "ok"} == set(executors.SETUPTOOLS)
