"""Wheel names, what a binary was built for, tags of described targets, and fitting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import sys_tags

from zoo_cli.machine.facts import Libc
from zoo_cli.packages.findlinks import Link
from zoo_cli.packages.wheels import (
    BadWheelName,
    Build,
    Fits,
    Rejected,
    WheelTarget,
    built_for,
    built_for_address,
    fits,
    parse_wheel_name,
    platform_tags,
    same_variant,
    tags_for,
)

GLIBC_235 = Libc("glibc", "2.35")


def target(**changes: object) -> WheelTarget:
    facts: dict[str, object] = {
        "project": "mmcv",
        "python": "3.10.14",
        "tags": tags_for("cp310", "linux_x86_64", GLIBC_235),
        "version": "2.1.0",
        "torch": "2.1.2+cu121",
        "variant": "cu121",
        "needs_ops": True,
        **changes,
    }
    return WheelTarget(**facts)  # type: ignore[arg-type]


PAGE = "https://download.openmmlab.com/mmcv/dist/cu121/torch2.1.0/index.html"
RIGHT = "mmcv-2.1.0-cp310-cp310-manylinux1_x86_64.whl"


def link(filename: str, **changes: object) -> Link:
    facts: dict[str, object] = {"url": PAGE.replace("index.html", filename), "page": PAGE, **changes}
    return Link(filename, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("filename", "project", "version", "local"),
    [
        ("mmcv-2.1.0-cp310-cp310-manylinux1_x86_64.whl", "mmcv", "2.1.0", ""),
        ("torch-2.1.2+cu121-cp310-cp310-linux_x86_64.whl", "torch", "2.1.2", "cu121"),
        ("torch-2.1.2%2Bcu121-cp310-cp310-linux_x86_64.whl", "torch", "2.1.2", "cu121"),
        ("mmcv_full-1.0.0+torch1.3.0+cu101-cp37-cp37m-manylinux1_x86_64.whl", "mmcv-full", "1.0.0", "torch1.3.0+cu101"),
        ("torch_scatter-2.1.2+pt213cpu-cp311-cp311-linux_x86_64.whl", "torch-scatter", "2.1.2", "pt213cpu"),
        ("mmcv-2.0.0rc4-2-cp310-cp310-win_amd64.whl", "mmcv", "2.0.0rc4", ""),
    ],
)
def test_names_of_the_wild_are_read(filename: str, project: str, version: str, local: str) -> None:
    wheel = parse_wheel_name(filename)
    assert (wheel.project, wheel.version, wheel.local) == (project, version, local)


@pytest.mark.parametrize(
    "filename",
    [
        "mmcv-2.1.0.tar.gz",
        "mmcv-2.1.0-cp310-linux_x86_64.whl",
        "mmcv--cp310-cp310-linux_x86_64.whl",
        "mmcv-two-cp310-cp310-linux_x86_64.whl",
        "../mmcv-2.1.0-cp310-cp310-linux_x86_64.whl",
        "mmcv-2.1.0-cp310-cp310-linux x86.whl",
        "x" * 400 + ".whl",
        "mmcv-2.1.0-" + ".".join(f"cp{n}" for n in range(30)) + "-" + ".".join(f"a{n}" for n in range(30)) + "-any.whl",
        "",
    ],
)
def test_other_names_are_refused(filename: str) -> None:
    with pytest.raises(BadWheelName):
        parse_wheel_name(filename)


def test_compressed_tags_are_expanded() -> None:
    wheel = parse_wheel_name("six-1.16.0-py2.py3-none-any.whl")
    assert wheel.tags == ("py2-none-any", "py3-none-any")
    assert wheel.is_pure


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("cu121", Build(None, "cu121")),
        ("cpu", Build(None, "cpu")),
        ("rocm5.6", Build(None, "rocm5.6")),
        ("torch1.3.0+cu101", Build("1.3.0", "cu101")),
        ("torch1.6.0+cu92", Build("1.6.0", "cu92")),
        ("pt213cpu", Build("2.13", "cpu")),
        ("pt21cu118", Build("2.1", "cu118")),
        ("pt113cu117", Build("1.13", "cu117")),
        ("pt2.8.0cu128", Build("2.8.0", "cu128")),
        ("a8073c7pt2.12.0cu126", Build("2.12.0", "cu126")),
        ("torch240cu121", Build("2.4.0", "cu121")),
        ("torch2100cu128", Build("2.10.0", "cu128")),
        ("cu128torch2.11", Build("2.11", "cu128")),
        ("cu.12.8.torch.2.10", Build("2.10", "cu128")),
        ("cu12.8torch2.10.0cxx11abiTRUE", Build("2.10.0", "cu128", True)),
        ("cu12torch2.2cxx11abiFALSE", Build("2.2", "cu12", False)),
        ("git.7a13f99+torch2.0.0+cu118", Build("2.0.0", "cu118")),
        ("fd27788", Build()),
        ("", Build()),
    ],
)
def test_local_versions_tell_what_a_wheel_was_built_for(local: str, expected: Build) -> None:
    assert built_for(local) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (PAGE, Build("2.1.0", "cu121")),
        ("https://data.pyg.org/whl/torch-2.13.0+cpu.html", Build("2.13.0", "cpu")),
        ("https://data.pyg.org/whl/torch-2.13.0%2Bcpu.html", Build("2.13.0", "cpu")),
        ("https://mmwheels.onedl.ai/cpu-torch2130/simple/onedl-mmcv/index.html", Build("2.13.0", "cpu")),
        ("https://dl.fbaipublicfiles.com/pytorch3d/wheels/py38_cu113_pyt1100/download.html", Build("1.10.0", "cu113")),
        ("https://comfy-forge.github.io/cuda-wheels/cu128/torch2.8/", Build("2.8", "cu128")),
        ("https://download.pytorch.org/whl/cu121", Build(None, "cu121")),
        ("https://host/wheels/cu118-torch2.0-x.whl", Build()),  # the file's own name is not an address
        ("https://pypi.org/simple/mmcv/", Build()),
    ],
)
def test_addresses_tell_what_a_page_is_for(address: str, expected: Build) -> None:
    assert built_for_address(address) == expected


@given(
    torch=st.tuples(st.integers(1, 3), st.integers(0, 30), st.integers(0, 9)),
    cuda=st.sampled_from(["cpu", "cu92", "cu101", "cu118", "cu121", "cu130"]),
    shape=st.sampled_from(
        ["torch{0}.{1}.{2}+{c}", "pt{0}{1}{c}", "{c}torch{0}.{1}", "torch{0}{1}{2}{c}", "{c}.torch.{0}.{1}"]
    ),
)
def test_every_spelling_gives_the_same_torch(torch: tuple[int, int, int], cuda: str, shape: str) -> None:
    told = built_for(shape.format(*torch, c=cuda))
    assert (told.torch_minor, told.variant) == (f"{torch[0]}.{torch[1]}", cuda)


@given(st.text(max_size=400))
def test_any_text_is_survived(text: str) -> None:
    built_for(text)
    assert isinstance(fits(Link(text), target()), Rejected)


def test_tags_of_this_machine_are_what_packaging_says_of_it() -> None:
    """The pure computation agrees with packaging's look at this machine, but for the rank of the bare linux tag."""
    import platform
    import sys

    kind, version = platform.libc_ver()
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    ours = tags_for(tag, f"linux_{platform.machine()}", Libc(kind, version))
    theirs = [str(each) for each in sys_tags()]
    bare = f"-linux_{platform.machine()}"
    assert set(ours) == set(theirs)
    assert [each for each in ours if bare not in each] == [each for each in theirs if bare not in each]


@pytest.mark.parametrize(
    ("platform", "libc", "has", "lacks"),
    [
        ("linux_x86_64", Libc("glibc", "2.17"), "manylinux1_x86_64", "manylinux_2_18_x86_64"),
        ("linux_x86_64", Libc("glibc", "2.35"), "manylinux_2_35_x86_64", "manylinux_2_36_x86_64"),
        ("linux_aarch64", Libc("glibc", "2.28"), "manylinux2014_aarch64", "manylinux1_aarch64"),
        ("linux_x86_64", Libc("musl", "1.2"), "musllinux_1_1_x86_64", "manylinux2014_x86_64"),
        ("win_amd64", None, "win_amd64", "linux_x86_64"),
        ("macos_arm64", None, "macosx_11_0_arm64", "macosx_10_9_x86_64"),
        ("linux_x86_64", None, "manylinux_2_28_x86_64", "manylinux_2_29_x86_64"),
    ],
)
def test_platform_tags_follow_the_libc(platform: str, libc: Libc | None, has: str, lacks: str) -> None:
    tags = platform_tags(platform, libc)
    assert has in tags
    assert lacks not in tags


def test_odd_targets_have_no_tags_of_their_own() -> None:
    assert tags_for("pypy310", "linux_x86_64") == ()
    assert "cp37-cp37m-manylinux1_x86_64" in tags_for("cp37", "linux_x86_64", GLIBC_235)
    assert "cp313-cp313t-win_amd64" in tags_for("cp313t", "win_amd64")
    assert tags_for("cp310", "linux_x86_64", Libc("glibc", "strange"))[0] == "cp310-cp310-linux_x86_64"


def test_the_right_wheel_fits() -> None:
    found = fits(link(RIGHT), target())
    assert isinstance(found, Fits)
    assert found.build == Build("2.1.0", "cu121")


@pytest.mark.parametrize(
    ("offered", "code"),
    [
        (link("mmcv-2.1.0-cp311-cp311-manylinux1_x86_64.whl"), "other-python"),
        (link("mmcv-2.1.0-cp310-cp310-win_amd64.whl"), "other-platform"),
        (link("mmcv-2.1.0-cp310-cp310-manylinux_2_17_aarch64.whl"), "other-platform"),
        (link("mmcv-2.1.0-cp310-cp310-manylinux_2_39_x86_64.whl"), "newer-glibc"),
        (link("mmcv-2.1.0-py2.py3-none-any.whl"), "no-ops"),
        (link(RIGHT, yanked="broken"), "yanked"),
        (link(RIGHT, yanked=""), "yanked"),
        (link(RIGHT, requires_python=">=3.11"), "requires-python"),
        (link(RIGHT, page=PAGE.replace("torch2.1.0", "torch2.2.0"), url="https://elsewhere/x.whl"), "other-torch"),
        (link(RIGHT, page=PAGE.replace("cu121", "cu118"), url="https://elsewhere/x.whl"), "other-variant"),
        (link("mmcv-2.1.0+pt2.4.0cu121-cp310-cp310-manylinux1_x86_64.whl"), "other-torch"),
        (link("mmcv-2.2.0-cp310-cp310-manylinux1_x86_64.whl"), "other-version"),
        (link("mmdet-2.1.0-cp310-cp310-manylinux1_x86_64.whl"), "other-project"),
        (link("mmcv-2.1.0.tar.gz"), "not-a-wheel"),
        (link("mmcv.whl"), "bad-name"),
    ],
)
def test_a_wheel_that_does_not_fit_says_why(offered: Link, code: str) -> None:
    found = fits(offered, target())
    assert isinstance(found, Rejected)
    assert found.code == code
    assert found.found
    assert found.wanted


def test_the_name_of_a_file_counts_more_than_its_address() -> None:
    """A wheel for torch 2.1 moved onto the page of torch 2.2 is still one for torch 2.1."""
    moved = link(
        "mmcv-2.1.0+pt2.1.0cu121-cp310-cp310-manylinux1_x86_64.whl", page="https://h/cu118/torch2.2.0/index.html"
    )
    assert isinstance(fits(moved, target()), Fits)


def test_a_bad_specifier_of_a_page_asks_nothing() -> None:
    assert isinstance(fits(link(RIGHT, requires_python="three or more"), target()), Fits)


@pytest.mark.parametrize(
    ("told", "wanted", "same"),
    [
        ("cu121", "cu121", True),
        ("cu12", "cu128", True),
        ("cu12", "cu118", False),
        ("cu118", "cu11", False),
        ("cpu", "cu121", False),
    ],
)
def test_a_major_agrees_with_its_minors(told: str, wanted: str, same: bool) -> None:
    assert same_variant(told, wanted) is same


def test_the_more_specific_tag_ranks_first() -> None:
    ranks = []
    for tag in ("cp310-cp310-manylinux_2_28_x86_64", "cp310-cp310-manylinux1_x86_64", "cp39-abi3-manylinux1_x86_64"):
        found = fits(link(f"mmcv-2.1.0-{tag}.whl"), target())
        assert isinstance(found, Fits)
        ranks.append(found.rank)
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 3
