"""What check-env finds: each fault at its cause, once, with words that mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.solving import CATALOG_PROJECTS, OFFICIAL_PROVIDERS, described, matrix_of
from zoo_cli.catalog.entries import Matrix
from zoo_cli.cli.findings_view import finding_document, fix, sentence
from zoo_cli.machine.facts import DirectUrl, Distribution, Interpreter, Machine, TorchFacts
from zoo_cli.packages.check import Fit, Index, check_environment
from zoo_cli.packages.diagnose import diagnose
from zoo_cli.packages.evidence import OpsEvidence
from zoo_cli.packages.findings import FAIL, NOTE, OK, WARN, Finding
from zoo_cli.packages.request import parse_want
from zoo_cli.trust.fatbin import DeviceCode

SITE = "/home/user/env/lib/python3.10/site-packages"
CODE = DeviceCode(5, (("7.0", 5), ("8.6", 5)), (), (), is_relocatable=False)
OPS = {"mmcv": OpsEvidence("mmcv", ("_ext.cpython-310-x86_64-linux-gnu.so",), (), (), "2.1.0", code=CODE)}


def machine(text: str, torch: str | None = None, cuda: str | None = None, **installed: str) -> Machine:
    """A machine that is here, with these distributions in its Python."""
    facts = described(text + ",python=3.10")
    here = tuple(
        Distribution(name.replace("_", "-"), version, SITE, wheel_tags=("cp310-cp310-linux_x86_64",))
        for name, version in installed.items()
    )
    assert facts.python is not None
    python = facts.python._replace(
        executable="/home/user/env/bin/python",
        is_virtual=True,
        site_packages=SITE,
        distributions=here,
        torch=TorchFacts(torch, cuda, None, f"{SITE}/torch/version.py") if torch else None,
    )
    return facts._replace(python=python, is_described=False)


def findings(there: Machine, evidence: dict[str, OpsEvidence] | None = None) -> list[Finding]:
    return list(diagnose(there, matrix_of(there), CATALOG_PROJECTS, OPS if evidence is None else evidence))


def one(found: list[Finding], code: str) -> Finding:
    matching = [finding for finding in found if finding.code == code]
    assert len(matching) == 1, [(each.subject, each.code) for each in found]
    return matching[0]


def installs(finding: Finding) -> list[str]:
    """The projects of the mending command; each must be one that zoo knows."""
    command = fix(finding, "/home/user/env/bin/python")
    assert command is not None
    words = command.split()
    assert words[:2] == ["zoo", "install"]
    return [parse_want(word.strip("'"), CATALOG_PROJECTS).project for word in words[2:3]]


GOOD = {"mmdet": "3.3.0", "mmengine": "0.10.7", "mmcv": "2.1.0", "numpy": "1.26.4", "setuptools": "80.9.0"}


BARE = {"mmdet": "3.3.0", "mmengine": "0.10.7", "setuptools": "80.9.0"}


def test_a_sound_environment_has_no_fault() -> None:
    found = findings(machine("gpu=RTX 3090,driver=535.183.01", "2.1.2+cu121", "12.1", **GOOD))
    assert not [finding for finding in found if finding.status in (WARN, FAIL)]
    assert {f.subject for f in found if f.status == OK} >= {"torch", "mmcv", "mmdet", "mmengine", "driver", "gpu 0"}


def test_two_owners_of_one_package_are_told_once() -> None:
    there = machine("gpu=none", "2.1.2+cpu", None, **GOOD, mmcv_lite="2.2.0")
    finding = one(findings(there), "two-owners")
    assert finding.status == FAIL
    assert finding.subject == "mmcv"
    assert "mmcv 2.1.0 and mmcv-lite 2.2.0" in sentence(finding)
    assert "--replace mmcv,mmcv-lite" in str(fix(finding, None))
    assert [f.code for f in findings(there) if f.status == FAIL] == ["two-owners"]
    assert installs(finding) == ["mmcv"]


def test_the_fix_names_the_page_that_the_wheel_came_from() -> None:
    there = machine("gpu=none", "2.1.2+cpu", None, **GOOD, mmcv_lite="2.2.0")
    assert there.python
    from_cache = tuple(
        each._replace(
            direct_url=DirectUrl("file:///home/user/.cache/zoo/wheels/host/cpu/torch2.1.0/mmcv-2.1.0-cp310.whl")
        )
        if each.name == "mmcv"
        else each
        for each in there.python.distributions
    )
    finding = one(findings(there._replace(python=there.python._replace(distributions=from_cache))), "two-owners")
    assert "--find-links file:///home/user/.cache/zoo/wheels/host/cpu/torch2.1.0/" in str(fix(finding, None))


@pytest.mark.parametrize(
    ("evidence", "code", "told"),
    [
        (OpsEvidence("mmcv", ()), "op-less", "no compiled ops"),
        (OpsEvidence("mmcv", ("_ext.so",), ("libtorch_cuda.so",)), "missing-libraries", "libtorch_cuda.so"),
        (OpsEvidence("mmcv", ("_ext.so",), (), ("_ZN3c105ErrorC2E",)), "other-torch", "1 symbol"),
        (OpsEvidence("mmcv", ("_ext.so",), (), (), "2.2.0"), "overwritten", "2.2.0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_ops(evidence: OpsEvidence, code: str, told: str) -> None:
    found = findings(machine("gpu=none", "2.1.2+cpu", None, **GOOD), {"mmcv": evidence})
    finding = one(found, code)
    assert finding.status == FAIL
    assert told in sentence(finding)
    assert installs(finding) == ["mmcv"]
    assert [f.code for f in found if f.status == FAIL] == [code], "effects are not told again"


def test_lite_without_a_framework_is_a_note_and_with_one_a_fault() -> None:
    alone = one(findings(machine("gpu=none", "2.1.2+cpu", None, mmcv_lite="2.1.0"), {}), "lite")
    there = machine("gpu=none", "2.1.2+cpu", None, **BARE, mmcv_lite="2.1.0")
    used = one(findings(there, {}), "lite")
    assert (alone.status, used.status) == (NOTE, FAIL)
    assert installs(used) == ["mmcv"]


def test_an_assertion_is_a_fault_and_a_declaration_a_warning() -> None:
    newer = {**GOOD, "mmcv": "2.2.0"}
    evidence = {"mmcv": OPS["mmcv"]._replace(module_version="2.2.0")}
    found = findings(machine("gpu=none", "2.4.1+cpu", None, **newer), evidence)
    finding = one(found, "asserted")
    assert (finding.status, finding.subject) == (FAIL, "mmdet")
    assert "wants >=2.0.0rc4,<2.2.0" in sentence(finding)
    pose = findings(machine("gpu=none", "2.1.2+cpu", None, **GOOD, mmpose="1.3.2"))
    declared = one(pose, "declared")  # mmpose 1.3.2 declares mmdet <3.3.0 and does not assert it
    assert (declared.status, declared.subject) == (WARN, "mmpose")


def test_a_requirement_that_is_not_there() -> None:
    finding = one(findings(machine("gpu=none", "2.1.2+cpu", None, **BARE), {}), "missing-requirement")
    assert finding.status == FAIL
    assert "mmcv" in sentence(finding)


def test_a_wall_that_no_metadata_states() -> None:
    newest = {**GOOD, "setuptools": "84.2.1"}
    finding = one(findings(machine("gpu=none", "2.1.2+cpu", None, **newest)), "wall")
    assert (finding.status, finding.subject) == (FAIL, "setuptools")
    assert "pkg_resources" in sentence(finding)


def test_a_library_that_an_import_needs_and_no_metadata_asks_for() -> None:
    there = {**GOOD, "mmsegmentation": "1.2.2", "regex": "2026.9.1"}
    finding = one(findings(machine("gpu=none", "2.1.2+cpu", None, **there)), "wall")
    assert (finding.status, finding.subject) == (FAIL, "ftfy")
    assert fix(finding, None) == "uv pip install --python python ftfy"


def test_numpy_2_with_an_old_torch() -> None:
    found = findings(machine("gpu=none", "2.1.2+cpu", None, **{**GOOD, "numpy": "2.1.3"}))
    assert one([f for f in found if f.subject == "numpy"], "wall").status == FAIL


@pytest.mark.parametrize(
    ("facts", "torch", "cuda", "code", "told"),
    [
        ("gpu=GTX 1080 Ti,driver=470.182.03", "2.1.2+cu121", "12.1", "driver-too-old", "525.60.13"),
        ("gpu=RTX 5090,driver=570.124.06", "2.1.2+cu121", "12.1", "gpu-not-covered", "sm_120"),
        ("gpu=RTX 3090,driver=535.183.01", "2.1.2+cpu", None, "cpu-build-on-gpu", "CPU build"),
    ],
    ids=["old driver", "no code for the GPU", "CPU build"],
)
def test_a_torch_that_does_not_fit_the_machine(facts: str, torch: str, cuda: str | None, code: str, told: str) -> None:
    finding = one(findings(machine(facts, torch, cuda)), code)
    assert told in sentence(finding)
    assert installs(finding) == ["torch"]


def test_a_gpu_without_a_driver_is_seen() -> None:
    there = machine("gpu=RTX 4090,driver=535.183.01")
    finding = one(findings(there._replace(driver=None)), "gpu-without-driver")
    assert finding.status == WARN


def test_an_interpreter_of_the_operating_system_is_a_warning() -> None:
    there = machine("gpu=none")
    assert there.python
    managed = there.python._replace(externally_managed="/usr/lib/python3.10/EXTERNALLY-MANAGED")
    assert one(findings(there._replace(python=managed)), "externally-managed").status == WARN


@pytest.mark.parametrize(
    "text",
    ["gpu=RTX 3090,driver=535.183.01,python=3.10", "gpu=none,python=3.11", "gpu=H100,driver=450.80.02,python=3.6"],
)
def test_every_finding_can_be_said(tmp_path: Path, text: str) -> None:
    facts = described(text)
    index = Index(CATALOG_PROJECTS, OFFICIAL_PROVIDERS, lambda _with_ops: matrix_of(facts), "facts", tmp_path)
    checkup = check_environment(facts, index, ("mmdet", "mmpose"), {})
    for finding in checkup.findings:
        document = finding_document(finding, None)
        assert document["text"]
        assert "{" not in str(document["text"])
    assert [fit.project for fit in checkup.fits] == ["mmdet", "mmpose"]


def test_what_fits_is_solved_once_for_the_same_facts(tmp_path: Path) -> None:
    facts = described("gpu=RTX 3090,driver=535.183.01,python=3.10")
    asked: list[bool] = []

    def matrix(with_ops: bool) -> Matrix:
        asked.append(with_ops)
        return matrix_of(facts)

    def fits(mark: str, driver: str | None = "535.183.01") -> tuple[Fit, ...]:
        asked.clear()
        index = Index(CATALOG_PROJECTS, OFFICIAL_PROVIDERS, matrix, mark, tmp_path)
        return check_environment(facts._replace(driver=driver), index, ("mmdet",), {}).fits

    first = fits("one")
    assert (first[0].torch, first[0].variant, first[0].ops) == ("2.1.2", "cu121", (("mmcv", "2.1.0", False),))
    assert asked == [False, True]
    assert fits("one") == first
    assert asked == [False], "the wheels of ops are not even read"
    assert fits("two") == first
    assert asked == [False, True], "other facts: solved again"
    assert fits("one", "450.80.02")[0].variant != "cu121"
    for kept in (tmp_path / "fits").iterdir():
        kept.write_text(kept.read_text().replace('"mmdet", "3', '"mmdet", {"3'))
    assert fits("one") == first


def test_a_described_machine_has_nothing_installed() -> None:
    facts = described("gpu=none,python=3.10,torch=2.1.2+cpu")
    assert isinstance(facts.python, Interpreter)
    assert all(finding.group == "Machine" for finding in findings(facts))
