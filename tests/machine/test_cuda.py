"""The arithmetic of drivers and code targets: known answers, and the rule stated a second time as laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.machine.cuda import (
    BadVersion,
    Coverage,
    DriverReach,
    Target,
    compare_versions,
    covers,
    cuda_from_number,
    cuda_to_variant,
    driver_reach,
    driver_runs,
    newest_native_cuda,
    parse_target,
    served_by,
    variant_to_cuda,
    version_key,
)
from zoo_cli.machine.facts import Capability

TORCH_2_1_CU121 = ("5.0", "6.0", "7.0", "7.5", "8.0", "8.6", "9.0")
capabilities = st.builds(Capability, st.integers(1, 99), st.integers(0, 9))
targets = st.one_of(
    st.builds(Target, capabilities, st.just(True), st.booleans(), st.sampled_from(["", "a", "f"])),
    st.builds(Target, capabilities, st.just(False), st.just(True), st.sampled_from(["", "a", "f"])),
)
versions = st.lists(st.integers(0, 999), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@pytest.mark.parametrize(
    ("text", "major", "minor", "sass", "ptx", "suffix"),
    [
        ("8.6", 8, 6, True, False, ""),
        ("9.0+PTX", 9, 0, True, True, ""),
        ("9.0a", 9, 0, True, False, "a"),
        ("10.0f", 10, 0, True, False, "f"),
        ("sm_86", 8, 6, True, False, ""),
        ("sm_120", 12, 0, True, False, ""),
        ("sm_90a", 9, 0, True, False, "a"),
        ("compute_90", 9, 0, False, True, ""),
        ("120_real", 12, 0, True, False, ""),
        ("120_virtual", 12, 0, False, True, ""),
        ("80-real", 8, 0, True, False, ""),
    ],
)
def test_target_spellings(text: str, major: int, minor: int, sass: bool, ptx: bool, suffix: str) -> None:
    assert parse_target(text) == Target(Capability(major, minor), sass, ptx, suffix)


NOT_TARGETS = [
    "",
    "8",
    "sm_",
    "sm_8",
    "8.6+ptxx",
    "ptx",
    "8.66",
    "9.0b",
    "sm_86 sm_90",
    "8,6",
    "\N{FULLWIDTH DIGIT SIX}.0",
]


@pytest.mark.parametrize("text", NOT_TARGETS)
def test_not_a_target(text: str) -> None:
    with pytest.raises(BadVersion) as caught:
        parse_target(text)
    assert caught.value.text == text


@given(targets)
def test_target_round_trip(target: Target) -> None:
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    ("gpu", "built_for", "is_native", "expected"),
    [
        ("8.6", TORCH_2_1_CU121, False, Coverage.SASS),  # RTX 3090
        ("8.9", TORCH_2_1_CU121, False, Coverage.SASS),  # RTX 4090 runs sm_86 code
        ("6.1", TORCH_2_1_CU121, False, Coverage.SASS),  # GTX 1080 Ti runs sm_60 code
        ("12.0", TORCH_2_1_CU121, True, Coverage.NONE),  # RTX 5090
        ("3.7", TORCH_2_1_CU121, True, Coverage.NONE),  # K80
        ("9.0", ("8.0", "8.6"), True, Coverage.NONE),  # another major
        ("12.0", ("8.0", "9.0+PTX"), True, Coverage.PTX),
        ("12.0", ("8.0", "9.0+PTX"), False, Coverage.NONE),  # the driver cannot compile it
        ("3.5", ("3.7+PTX",), True, Coverage.NONE),  # PTX for a newer GPU
        ("9.0", ("9.0a",), False, Coverage.SASS),
        ("9.1", ("9.0a",), True, Coverage.NONE),
        ("8.6", None, True, Coverage.UNKNOWN),
        ("8.6", (), True, Coverage.NONE),
    ],
)
def test_known_coverage(gpu: str, built_for: tuple[str, ...] | None, is_native: bool, expected: Coverage) -> None:
    major, minor = map(int, gpu.split("."))
    assert covers(built_for, Capability(major, minor), is_native) is expected


def test_what_a_newer_driver_would_change_is_said() -> None:
    served = served_by(("8.0", "9.0+PTX"), Capability(12, 0), driver_is_native=False)
    assert (served.how, str(served.target), served.needs_newer_driver) == (Coverage.NONE, "9.0+PTX", True)
    assert not served_by(("8.0",), Capability(12, 0), driver_is_native=False).needs_newer_driver
    assert not served.how.is_proven


def by_the_book(target: Target, gpu: Capability, is_native: bool) -> bool:
    """NVIDIA's rule for one target, written without the code under test."""
    same = (target.capability.major, target.capability.minor) == (gpu.major, gpu.minor)
    older = (target.capability.major, target.capability.minor) <= (gpu.major, gpu.minor)
    if target.suffix:
        return same and (target.has_sass or is_native)
    binary = target.has_sass and target.capability.major == gpu.major and older
    return binary or (target.has_ptx and older and is_native)


@given(st.lists(targets, max_size=8), capabilities, st.booleans())
def test_coverage_is_the_rule(built_for: list[Target], gpu: Capability, is_native: bool) -> None:
    assert covers(built_for, gpu, is_native).is_proven == any(by_the_book(each, gpu, is_native) for each in built_for)


@given(st.lists(targets, max_size=8), targets, capabilities, st.booleans())
def test_more_code_or_a_newer_driver_never_takes_a_gpu_away(
    built_for: list[Target], another: Target, gpu: Capability, is_native: bool
) -> None:
    if covers(built_for, gpu, is_native).is_proven:
        assert covers([*built_for, another], gpu, is_native).is_proven
        assert covers(built_for, gpu, True).is_proven


@given(st.lists(targets, max_size=8), capabilities, st.booleans())
def test_the_named_target_is_one_of_them(built_for: list[Target], gpu: Capability, is_native: bool) -> None:
    served = served_by(built_for, gpu, is_native)
    assert served.target is None or served.target in built_for
    assert (served.target is not None) == (served.how.is_proven or served.needs_newer_driver)


def test_versions_are_numbers() -> None:
    assert compare_versions("535.183.01", "535.183.1") == 0
    assert compare_versions("580", "580.65.06") < 0 < compare_versions("580.65.06", "580")
    assert compare_versions("9.2", "12.1") < 0
    assert compare_versions("12", "12.0.0") == 0
    assert version_key("615 branch") == (615,)
    for text in ("", "v12", "abc", "-1", "9" * 5000 + "x"):
        if text[:1].isdigit():
            assert version_key(text)[0] == 999_999_999  # nine digits are read, the rest is not
        else:
            with pytest.raises(BadVersion):
                version_key(text)


@given(versions, versions, versions)
def test_comparison_is_an_order(one: str, two: str, three: str) -> None:
    assert compare_versions(one, one) == 0
    assert compare_versions(one, two) == -compare_versions(two, one)
    if compare_versions(one, two) <= 0 and compare_versions(two, three) <= 0:
        assert compare_versions(one, three) <= 0
    assert compare_versions(one + ".0", one) == 0
    assert driver_runs(one, two) == (compare_versions(one, two) >= 0)


@pytest.mark.parametrize(
    ("variant", "cuda"), [("cu121", "12.1"), ("cu118", "11.8"), ("cu92", "9.2"), ("cu130", "13.0"), ("cu102", "10.2")]
)
def test_variants(variant: str, cuda: str) -> None:
    assert variant_to_cuda(variant) == cuda
    assert cuda_to_variant(cuda) == variant
    assert cuda_to_variant(f"{cuda}.105") == variant


def test_what_is_no_variant() -> None:
    assert [variant_to_cuda(text) for text in ("cpu", "rocm6.0", "cu", "cu1", "cuda121", "", "cu12345")] == [None] * 7
    for text in ("12", "cu121", "", "12.x"):
        with pytest.raises(BadVersion):
            cuda_to_variant(text)


TOOLKITS = (  # NVIDIA's release notes: CUDA, native driver, floor on Linux
    ("11.8", "520.61.05", "450.80.02"),
    ("12.1", "530.30.02", "525.60.13"),
    ("12.2", "535.54.03", "525.60.13"),
    ("12.8", "570.26", "525.60.13"),
    ("13.0", "580.65.06", "580"),
)


@pytest.mark.parametrize(
    ("driver", "native", "floor"),
    [
        ("470.182.03", None, "11.8"),
        ("525.60.13", "11.8", "12.8"),
        ("535.183.01", "12.2", "12.8"),
        ("570.124.06", "12.8", "12.8"),
        ("580", "12.8", "13.0"),
        ("595.45.04", "13.0", "13.0"),
        ("340.108", None, None),
    ],
)
def test_what_a_driver_reaches(driver: str, native: str | None, floor: str | None) -> None:
    assert driver_reach(driver, TOOLKITS) == DriverReach(native, floor)
    assert driver_reach(driver, reversed(TOOLKITS)) == DriverReach(native, floor)
    assert newest_native_cuda(driver, ((cuda, shipped) for cuda, shipped, _ in TOOLKITS)) == native


def test_numbers_of_the_driver_api() -> None:
    assert [cuda_from_number(number) for number in (12020, 11080, 13000, 9020)] == ["12.2", "11.8", "13.0", "9.2"]
    assert [cuda_from_number(number) for number in (0, -1, 999, 2**31 - 1)] == [None] * 4
