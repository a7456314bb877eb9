"""Wheels of named pages as facts: what is taken, what is not, and why."""

from __future__ import annotations

from tests.support.solving import CATALOG_PROJECTS, OFFICIAL_PROVIDERS, described, matrix_of
from zoo_cli.machine.facts import Distribution, Machine, TorchFacts
from zoo_cli.packages.decide import decide, make_problem
from zoo_cli.packages.findlinks import Link
from zoo_cli.packages.offers import Offers, installed_rows, read_offers
from zoo_cli.packages.plan import Pin, Plan
from zoo_cli.packages.problem import INSTALLED, USER_PAGE
from zoo_cli.packages.request import Request, parse_wants

SITE = "https://wheels.example/mmcv/dist/cpu/torch2.13.0/"
MACHINE = described("gpu=none,python=3.11,glibc=2.36")


def link(
    name: str,
    page: str = SITE + "index.html",
    sha256: str | None = None,
    yanked: str | None = None,
    requires_python: str | None = None,
) -> Link:
    return Link(name, page.rsplit("/", 1)[0] + "/" + name, sha256, yanked, requires_python, page=page)


def offers(*links: Link, machine: Machine = MACHINE, keep: tuple[str, str] | None = None) -> Offers:
    return read_offers(links, machine, CATALOG_PROJECTS, keep, "2026-11-23")


def plan(asked: str, found: Offers, machine: Machine = MACHINE, **more: frozenset[str]) -> Plan:
    request = Request(parse_wants([asked], CATALOG_PROJECTS), **more)  # type: ignore[arg-type]
    problem = make_problem(request, machine, matrix_of(machine), CATALOG_PROJECTS, found, OFFICIAL_PROVIDERS)
    return decide(problem, lambda _url: None, found)


def pin(found: Plan, project: str) -> Pin:
    return next(each for each in found.pins if each.project == project)


RIGHT = link("mmcv-2.1.0-cp311-cp311-linux_x86_64.whl", sha256="a" * 64)


def test_the_page_tells_torch_and_variant() -> None:
    (row,) = offers(RIGHT).rows
    assert (row.project, row.provider, row.torch, row.variant) == ("mmcv", USER_PAGE, "2.13", "cpu")
    assert row.python_tags == {"cp311": "seen"}
    assert row.origin.source == SITE + "index.html"
    assert row.sha256 == "a" * 64


def test_a_wheel_of_the_page_is_planned_with_its_digest_and_source() -> None:
    mmcv = pin(plan("mmdet", offers(RIGHT)), "mmcv")
    assert mmcv.urls == (RIGHT.url,)
    assert (mmcv.sha256, mmcv.evidence, mmcv.source) == ("a" * 64, "seen", SITE + "index.html")
    assert pin(plan("mmdet", offers(RIGHT)), "torch").version == "2.13.0+cpu"


def test_decoys_are_refused_with_their_reasons() -> None:
    found = offers(
        RIGHT,
        link("mmcv-2.1.0-cp310-cp310-linux_x86_64.whl"),
        link("mmcv-2.1.0-cp311-cp311-win_amd64.whl"),
        link("mmcv-2.1.0-py2.py3-none-any.whl"),
        link("mmcv-2.1.1-cp311-cp311-linux_x86_64.whl", yanked="broken"),
        link("mmcv-2.1.2-cp311-cp311-linux_x86_64.whl", requires_python=">=3.12"),
        link("mmcv-2.1.0.tar.gz"),
        link("somethingelse-1.0-cp311-cp311-linux_x86_64.whl"),
    )
    assert [row.version for row in found.rows] == ["2.1.0"]
    assert sorted(each.code for each in found.rejected) == [
        "no-ops",
        "not-a-wheel",
        "other-platform",
        "other-python",
        "requires-python",
        "yanked",
    ]


def test_a_wheel_that_nobody_says_the_torch_of_is_refused_without_an_installed_torch() -> None:
    nameless = link("mmcv-2.1.0-cp311-cp311-linux_x86_64.whl", page="file:///home/user/wheels/")
    (refused,) = offers(nameless).rejected
    assert refused.code == "torch-not-told"
    (row,) = offers(nameless, keep=("2.13.0", "cpu")).rows
    assert (row.torch, row.variant) == ("2.13.0", "cpu")


def test_the_name_of_a_wheel_tells_more_than_its_page() -> None:
    (row,) = offers(
        link(
            "torch_scatter-2.1.2+pt213cpu-cp311-cp311-linux_x86_64.whl",
            page="https://x.example/whl/torch-2.1.0+cu121.html",
        )
    ).rows
    assert (row.project, row.torch, row.variant) == ("torch-scatter", "2.13", "cpu")


def test_a_torch_wheel_on_the_page_gives_torch_another_address() -> None:
    torch = link("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", sha256="b" * 64)
    found = pin(plan("torch==2.13.0", offers(torch)), "torch")
    assert found.urls == (torch.url,)
    assert (found.sha256, found.evidence) == ("b" * 64, "seen")


def with_torch(**installed: str) -> Machine:
    python = MACHINE.python
    assert python
    here = tuple(Distribution(name, version, "/home/user/env/site") for name, version in installed.items())
    torch = TorchFacts("2.13.0+cpu", None, None, "/home/user/env/site/torch/version.py")
    return MACHINE._replace(python=python._replace(distributions=here, torch=torch))


def test_installed_ops_are_facts_when_they_are_sound() -> None:
    machine = with_torch(mmcv="2.1.0")
    assert installed_rows(machine, CATALOG_PROJECTS, ("2.13.0", "cpu"), frozenset()) == ()
    (row,) = installed_rows(machine, CATALOG_PROJECTS, ("2.13.0", "cpu"), frozenset({"mmcv"}))
    assert (row.provider, row.version, row.torch) == (INSTALLED, "2.1.0", "2.13.0")


def sound_plan(asked: str, machine: Machine, **more: frozenset[str]) -> Plan:
    request = Request(parse_wants([asked], CATALOG_PROJECTS), **more)  # type: ignore[arg-type]
    problem = make_problem(
        request, machine, matrix_of(machine), CATALOG_PROJECTS, Offers(), OFFICIAL_PROVIDERS, frozenset({"mmcv"})
    )
    return decide(problem, lambda _url: None, Offers())


def test_what_is_installed_and_fits_is_kept() -> None:
    machine = with_torch(mmcv="2.1.0", mmengine="0.10.5", mmdet="3.2.0", setuptools="80.9.0")
    found = sound_plan("mmdet", machine)
    assert {each.project: (each.version, each.action) for each in found.pins} == {
        "torch": ("2.13.0+cpu", "keep"),
        "mmcv": ("2.1.0", "keep"),
        "mmengine": ("0.10.5", "keep"),
        "mmdet": ("3.2.0", "keep"),
    }
    assert found.is_done


def test_replace_takes_the_newest_instead() -> None:
    machine = with_torch(mmcv="2.1.0", mmengine="0.10.5", mmdet="3.2.0", setuptools="80.9.0")
    found = sound_plan("mmdet", machine, replace=frozenset({"mmdet"}))
    mmdet = pin(found, "mmdet")
    assert (mmdet.version, mmdet.action, mmdet.was) == ("3.3.0", "replace", "3.2.0")
    assert found.harms == (("mmdet", "3.2.0", "3.3.0"),)


def test_another_owner_of_the_import_package_has_to_go() -> None:
    machine = with_torch(**{"mmcv": "2.1.0", "mmcv-lite": "2.2.0", "setuptools": "80.9.0"})
    found = plan("mmcv==2.1.0", offers(RIGHT, machine=machine), machine, replace=frozenset({"mmcv", "mmcv-lite"}))
    assert [each.name for each in found.removals] == ["mmcv-lite"]
    assert pin(found, "mmcv").action == "replace"


def test_build_tools_are_no_harm_and_numpy_is() -> None:
    machine = described("gpu=none,python=3.10")
    python = machine.python
    assert python
    here = (Distribution("numpy", "2.1.3", "/site"), Distribution("setuptools", "84.2.1", "/site"))
    machine = machine._replace(python=python._replace(distributions=here))
    found = plan("mmdet", Offers(), machine)
    assert {bound.project: bound.was for bound in found.bounds} == {"numpy": "2.1.3", "setuptools": "84.2.1"}
    assert [project for project, _old, _new in found.harms] == ["numpy"]


def test_the_plan_is_a_list_of_words_for_an_installer() -> None:
    words = plan("mmdet", offers(RIGHT)).requirements()
    assert f"mmcv @ {RIGHT.url}#sha256={'a' * 64}" in words
    assert "mmdet==3.3.0" in words
    assert any(word.startswith("setuptools<82") for word in words)
