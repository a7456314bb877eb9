"""Several models, globs, filters, backbones, logs, layouts, and what happens when some of them fail."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.models.site import BODIES, LOGS, NAME, R50, Site
from tests.support.server import Slow, Stall, Status, WrongBytes
from tests.support.torch_env import torch_python
from zoo_cli.catalog.database import open_catalog
from zoo_cli.cli import fetching
from zoo_cli.cli.app import run
from zoo_cli.models.caches import hub_checkpoints
from zoo_cli.models.configs import ConfigTree
from zoo_cli.models.selection import Wish, select

BACKBONE = next(name for name in BODIES if name.startswith("resnet50"))
ALIAS = "open-mmlab://detectron2/resnet50_caffe"


def download(*words: str) -> int:
    return run(["download", *words])


def files_below(folder: Path) -> list[str]:
    """Everything but part files and receipts."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(".zoo.json")
    )


# -- which models ----------------------------------------------------------------------------------------------------


def test_a_glob_brings_every_model_like_it(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_*", "--dest", "out") == 0
    assert capsys.readouterr().out.splitlines() == [
        "out/net_r50.py", f"out/{NAME['net_r50']}", "out/net_r101.py", f"out/{NAME['net_r101']}",
    ]  # fmt: skip
    for name in ("net_r50", "net_r101"):
        assert (site.folder / "out" / NAME[name]).read_bytes() == BODIES[NAME[name]]
    wheel = site.server.requests_for(f"/wheels/{site.wheel.name}")
    assert len(wheel) < 8, "one release is opened once, however many models are of it"


def test_a_filter_brings_what_passes_it(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("mmnet", "--filter", "box_AP>=40 and collection=Net", "--config-only") == 0
    assert capsys.readouterr().out == "./net_r50.py\n"
    settings = ConfigTree({"config.py": Path("net_r50.py").read_bytes()}.get).flatten("config.py").settings
    assert settings == R50


def test_a_filter_with_a_glob_narrows_both_ways(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("mmnet/net*", "--filter", "collection=Net", "--config-only", "--list", "-q") == 0
    assert capsys.readouterr().out == "net_r50\nnet_r101\n"


def test_what_has_nothing_of_what_was_asked_is_passed_over_and_told(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download("*", "--weights-only", "--dest", "out", "--allow-unverified") == 0
    output = capsys.readouterr()
    assert "upstream publishes no checkpoint of nothing, untrained" in output.err
    assert sorted(output.out.splitlines()) == [f"out/{name}" for name in files_below(site.folder / "out")]
    assert len(output.out.splitlines()) == 6, "shared files once"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["zzz*"], "no model matches"),
        (["mmnet", "--filter", "box_AP>99"], "zoo list mmnet --filter 'box_AP>99'"),
        (["net_r50", "--filter", "box_AP>1"], "neither a package nor a glob"),
        (["mmnet", "--filter", "box_AP>>1"], "cannot read the filter"),
        (["--filter", "box_AP>1", "--config", "x"], "say one of them"),
        (["net_r50", "--list", "--dry-run"], "say one of them"),
        (["mmnot/net*"], "mmnot"),
        (["open-mmlab://zzz*"], "zoo list --backbones"),
        (["open-mmlab://detectron2/resnet51_caffe"], ALIAS),
    ],
)
def test_what_means_nothing_is_one_clear_error(
    site: Site, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download(*words) == 2
    output = capsys.readouterr()
    assert said in output.err
    assert output.out == ""
    assert site.server.requests == []


def test_entries_of_one_name_are_told_apart() -> None:
    """mmpose 1.3.2 has two models of this name; a glob takes both, each under a name that `find_models` knows."""
    catalog = open_catalog()
    found = select(catalog, Wish(("mmpose/rtmpose-t_8xb256-420e_coco-256x192*",)))
    names = [pick.asked_as for pick in found.picks]
    assert len(set(names)) == len(names) == 2
    again = [select(catalog, Wish((f"mmpose/{name}",))).picks[0].model for name in names]
    assert again == [pick.model for pick in found.picks]


def test_a_fork_that_carries_the_same_models_on_is_not_fetched_beside_them() -> None:
    found = select(open_catalog(), Wish((), "collection=RTMDet and task='Object Detection'"))
    packages = {pick.model.project for pick in found.picks if pick.model}
    assert packages == {"mmdet", "mmyolo"}
    assert len(found.picks) == 23


# -- which files -----------------------------------------------------------------------------------------------------


def test_every_file_of_a_tracker_comes(site: Site) -> None:
    assert download("tracker", "--dest", "out", "--layout", "by-model") == 0
    found = files_below(site.folder / "out")
    assert [name for name in found if name.endswith(".pth")] == sorted(
        f"tracker/{name}" for name in BODIES if name.startswith(("detector", "reid"))
    )
    for name in found:
        if name.endswith(".pth"):
            assert (site.folder / "out" / name).read_bytes() == BODIES[name.rpartition("/")[2]]


def test_a_backbone_comes_by_its_alias(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download(ALIAS, "--dest", "out") == 0
    assert capsys.readouterr().out == f"out/{BACKBONE}\n"
    assert (site.folder / "out" / BACKBONE).read_bytes() == BODIES[BACKBONE]


def test_a_backbone_without_an_address_is_told(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("torchvision://resnet50") == 1
    assert "zoo list --backbones" in capsys.readouterr().err
    assert download("torchvision://resnet50", ALIAS.replace("open-mmlab", "openmmlab")) == 1


def test_logs_come_beside_and_are_not_checked_against_the_checkpoints_digits(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download("net_*", "--logs", "--json", "--dest", "out") == 0
    models = {each["name"]: each for each in json.loads(capsys.readouterr().out)["models"]}
    short, long = LOGS
    assert models["net_r50"]["logs"][0]["path"] == f"out/net_r50_{short}", "a name that is a time alone says nothing"
    assert (site.folder / "out" / long).read_bytes() == LOGS[long]
    assert models["net_r101"]["logs"][0]["evidence"] == "none"


def test_a_shared_file_is_fetched_once_and_stands_in_each_folder(site: Site) -> None:
    assert download("tracker", "weights", "--weights-only", "--layout", "by-model") == 0
    reid = next(name for name in BODIES if name.startswith("reid"))
    for folder in ("tracker", "weights"):
        assert (site.folder / folder / reid).read_bytes() == BODIES[reid]
    transfers = [each for each in site.server.requests_for(site.path_of(reid)) if each.range != "bytes=0-0"]
    assert len(transfers) == 1


# -- before ----------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_before_anything_is_fetched(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    huge = f"bytes 0-0/{10**17}"
    for name in ("net_r50", "net_r101"):
        site.server.always(site.path_of(NAME[name]), Status(206, {"Content-Range": huge}, b"x"))
    assert download("net_*", "--dest", "out", "--dry-run") == 1
    assert download("net_*", "--dest", "out", "--dry-run", "--json") == 1
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (document["ok"], document["total_bytes"]) == (False, 2 * 10**17)
    assert download("net_*", "--dest", "out") == 1
    assert "no-space" in capsys.readouterr().err
    assert not (site.folder / "out").exists()


def test_very_much_needs_consent(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fetching, "LARGE_BYTES", 1_000_000)
    assert download("net_*", "--dest", "out") == 2
    output = capsys.readouterr()
    assert "error[very-large]" in output.err
    assert "--yes" in output.err
    assert not (site.folder / "out").exists()
    assert download("net_*", "--dest", "out", "--yes") == 0
    assert download("net_*", "--dest", "out") == 0, "what is here already is not counted"


# -- while -----------------------------------------------------------------------------------------------------------


def test_files_come_in_parallel(site: Site) -> None:
    """Two bodies that each wait for the other's request."""
    first, second = (site.path_of(NAME[name]) for name in ("net_r50", "net_r101"))
    started = time.monotonic()
    site.server.always(first, Slow(bytes_per_second=200_000))  # half a second
    site.server.always(second, Slow(bytes_per_second=8_000_000))  # half a second
    assert download("net_*", "--weights-only", "-q") == 0
    assert time.monotonic() - started < 30
    both = [each.path for each in site.server.requests if each.range != "bytes=0-0"]
    assert sorted(both) == sorted([first, second])


def test_one_failure_stops_no_other_and_the_summary_says_what_failed(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.server.always(site.path_of(NAME["net_r50"]), Status(404))
    assert download("net_r50", "net_r101", "program", "--dest", "out") == 1
    output = capsys.readouterr()
    assert output.out.splitlines() == ["out/net_r101.py", f"out/{NAME['net_r101']}"]
    assert "FAIL  net_r50: " in output.err
    assert "FAIL  program: the config cannot be flattened without running code [config-not-evaluated]" in output.err
    assert "1 of 3 models came, 2 did not." in output.err
    assert files_below(site.folder / "out") == sorted(["net_r101.py", NAME["net_r101"]])


@pytest.mark.parametrize(
    ("behaviours", "code"),
    [((Status(404), Status(404)), 5), ((WrongBytes(), Status(404)), 6), ((WrongBytes(), WrongBytes()), 6)],
)
def test_exit_code_of_several_failures(site: Site, behaviours: tuple[object, object], code: int) -> None:
    for name, behaviour in zip(("net_r50", "net_r101"), behaviours, strict=True):
        site.server.always(site.path_of(NAME[name]), behaviour)  # type: ignore[arg-type]
    assert download("net_*", "--weights-only") == code


def test_failures_are_in_the_document(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.server.always(site.path_of(NAME["net_r50"]), Status(404))
    assert download("net_*", "--json") == 5
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert [each["name"] for each in document["models"]] == ["net_r101"]
    (failure,) = document["failures"]
    assert (failure["name"], failure["code"]) == ("net_r50", "http-status")


def test_a_second_run_brings_only_what_is_missing(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_*", "--dest", "out") == 0
    (site.folder / "out" / NAME["net_r50"]).unlink()
    assert run(["cache", "prune", "--all"]) == 0
    before = len(site.server.requests_for(site.path_of(NAME["net_r101"])))
    assert download("net_*", "--dest", "out") == 0
    assert "already here" in capsys.readouterr().err
    again = site.server.requests_for(site.path_of(NAME["net_r101"]))[before:]
    assert [each.range for each in again] == ["bytes=0-0"], "its size was asked, not the file"
    assert (site.folder / "out" / NAME["net_r50"]).is_file()


def test_what_is_in_the_cache_costs_no_connection(site: Site) -> None:
    assert download("net_*", "--dest", "one") == 0
    asked = len(site.server.requests)
    assert download("net_*", "--dest", "two") == 0
    assert download("net_*", "--dest", "three", "--offline") == 0
    assert len(site.server.requests) == asked
    assert files_below(site.folder / "three") == files_below(site.folder / "one")


def test_progress_in_a_pipe_counts_files_and_stays_short(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("*", "--weights-only", "--dest", "out", "--no-progress", "--allow-unverified") == 0
    capsys.readouterr()
    assert download("*", "--weights-only", "--dest", "other") == 0
    lines = capsys.readouterr().err.splitlines()
    assert any("7 models, 6 files: 4.5 MB;" in line for line in lines)
    assert any("[6/6]" in line for line in lines)
    assert len(lines) < 12


def test_interrupt_ends_all_transfers_and_the_same_command_goes_on(site: Site) -> None:
    path = site.path_of(NAME["net_r101"])
    site.server.misbehave(path, Status(500), Slow(bytes_per_second=1_000_000))  # the size is asked first
    site.server.always(site.path_of(NAME["net_r50"]), Stall(after=10, seconds=3))
    argv = [sys.executable, "-m", "zoo_cli", "download", "net_*", "--dest", "out", "--weights-only"]
    child = subprocess.Popen(argv, cwd=site.folder, env=site.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    part = site.folder / "out" / f".{NAME['net_r101']}.zoo-part"
    try:
        site.server.wait_for_request(path, 2, seconds=30)
        while child.poll() is None and not (part.exists() and part.stat().st_size > 100_000):
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _out, talk = child.communicate(timeout=30)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 130, talk
    assert b"Stopped" in talk
    assert b"Traceback" not in talk
    assert files_below(site.folder / "out") == []


# -- caches of others ------------------------------------------------------------------------------------------------


def test_torch_hub_finds_a_linked_checkpoint(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(site.folder / "torch home"))
    assert download(ALIAS, "net_r50", "--link-caches", "--dest", "out", "--json") == 0
    models = json.loads(capsys.readouterr().out)["models"]
    cached = site.folder / "torch home" / "hub" / "checkpoints" / BACKBONE
    assert models[0]["checkpoints"][0]["links"] == [str(cached)]
    assert cached.samefile(site.folder / "out" / BACKBONE)
    assert sorted(path.name for path in cached.parent.iterdir()) == sorted([BACKBONE, NAME["net_r50"]])
    assert download(ALIAS, "--link-caches", "--dest", "out") == 0, "again is no fault"


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.network
def test_torch_hub_itself_loads_it_without_a_network(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(site.folder / "torch home")
    monkeypatch.setenv("TORCH_HOME", home)
    assert download("net_r50", "--link-caches", "--dest", "out") == 0
    code = (
        "import torch\n"
        f"torch.hub.load_state_dict_from_url('https://nowhere.invalid/{NAME['net_r50']}', weights_only=True)\n"
    )
    environ = {**os.environ, "TORCH_HOME": home, "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run([torch_python(), "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_another_file_in_the_cache_stays(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.folder / "xdg"))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    cached = hub_checkpoints(os.environ) / BACKBONE
    cached.parent.mkdir(parents=True)
    cached.write_text("mine")
    assert download(ALIAS, "--link-caches", "--dest", "out") == 0
    assert "was left as it is" in capsys.readouterr().err
    assert cached.read_text() == "mine"
    assert hashlib.sha256((site.folder / "out" / BACKBONE).read_bytes()).hexdigest().startswith(BACKBONE[-12:-4])


def test_where_torch_hub_looks() -> None:
    assert hub_checkpoints({"HOME": "/h"}) == Path("/h/.cache/torch/hub/checkpoints")
    assert hub_checkpoints({"HOME": "/h", "XDG_CACHE_HOME": "/x"}) == Path("/x/torch/hub/checkpoints")
    assert hub_checkpoints({"XDG_CACHE_HOME": "/x", "TORCH_HOME": "/t"}) == Path("/t/hub/checkpoints")
