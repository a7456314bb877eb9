"""Locks: written and read back, what is refused, what syncing means, and their words for other tools."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.pylock import Pylock
from packaging.requirements import Requirement

from zoo_cli.machine.facts import Capability, Distribution, Gpu, Interpreter, Libc, Machine
from zoo_cli.packages.export import WITH_MODELS, WITHOUT_MODELS, requirements, script
from zoo_cli.packages.locked import Lock, LockedFile, LockedPackage
from zoo_cli.packages.lockfile import (
    BadLock,
    environment_marker,
    from_document,
    least_glibc,
    to_document,
    without_credentials,
)
from zoo_cli.packages.locking import read_lock, write_lock
from zoo_cli.packages.sync import LockDoesNotFit, NoLockFits, SeveralLocksFit, choose_lock, decide_sync

SITE = "/env/lib/python3.11/site-packages"
PYTHON = Interpreter("/env/bin/python", "3.11.7", prefix="/env", is_virtual=True, site_packages=SITE, platlib=SITE)
MACHINE = Machine("linux", "x86_64", "linux_x86_64", Libc("glibc", "2.36"), "535.183.01", python=PYTHON)
SHA = "ab" * 32


def package(project: str, version: str, *tags: str, evidence: str = "") -> LockedPackage:
    names = [f"{project.replace('-', '_')}-{version}-{tag}.whl" for tag in tags or ("py3-none-any",)]
    wheels = tuple(LockedFile(name, f"https://host/{name}", SHA[:-1] + str(n), 7) for n, name in enumerate(names))
    return LockedPackage(project, version, wheels, None, None, evidence, "a page" if evidence else "")


LOCK = Lock(
    "==3.11.*",
    environment_marker("linux", "x86_64", "3.11.7"),
    (package("mmcv", "2.1.0", "cp311-cp311-manylinux1_x86_64", evidence="seen"), package("tiny", "1.0")),
    ("mmdet",),
    "2026-11-23",
    "cu121",
    {"os": "linux", "python": "3.11"},
    {"python": "3.11", "driver": "525.60.13", "glibc": "2.28"},
    {"torch": ("7.0", "8.0"), "mmcv": ("7.0", "8.0+PTX")},
)


def with_gpus(*capabilities: str) -> Machine:
    pairs = [tuple(map(int, each.split("."))) for each in capabilities]
    return MACHINE._replace(gpus=tuple(Gpu("a GPU", Capability(major, minor)) for major, minor in pairs))


def installed(**versions: str) -> Machine:
    found = tuple(Distribution(name, version, SITE) for name, version in versions.items())
    return MACHINE._replace(python=PYTHON._replace(distributions=found))


NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(lambda name: "--" not in name)
PACKAGES = st.builds(package, NAMES, st.from_regex(r"[1-9][0-9]?(\.[0-9]{1,3}){0,2}", fullmatch=True))


@settings(deadline=None)
@given(packages=st.lists(PACKAGES, max_size=5, unique_by=lambda each: each.project))
def test_what_was_written_is_read(packages: list[LockedPackage]) -> None:
    lock = replace(LOCK, packages=tuple(sorted(packages)))
    document = to_document(lock, "zoo")
    Pylock.from_dict(document).validate()
    assert from_document(document, "pylock.toml") == lock


def test_a_file_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    backwards = replace(LOCK, packages=LOCK.packages[::-1])
    write_lock(LOCK, tmp_path / "pylock.a.toml", "zoo")
    write_lock(backwards, tmp_path / "pylock.b.toml", "zoo")
    assert (tmp_path / "pylock.a.toml").read_bytes() == (tmp_path / "pylock.b.toml").read_bytes()
    assert read_lock(tmp_path / "pylock.a.toml") == LOCK


def broken(**changes: Any) -> dict[str, Any]:
    """The lock's document with the first package changed; None takes a key away."""
    document = to_document(LOCK, "zoo")
    table = {**document["packages"][0], **changes}
    return {**document, "packages": [{key: value for key, value in table.items() if value is not None}]}


WHEEL = {"name": "mmcv-2.1.0-py3-none-any.whl", "url": "https://host/mmcv-2.1.0-py3-none-any.whl"}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"lock-version": "9.0", "created-by": "x", "packages": []}, "9.0"),
        (broken(wheels=[{**WHEEL, "hashes": {"md5": "00"}}]), "no SHA-256"),
        (broken(wheels=[{**WHEEL, "hashes": {"sha256": "short"}}]), "no SHA-256"),
        (
            broken(wheels=[{**WHEEL, "name": "other-2.1.0-py3-none-any.whl", "hashes": {"sha256": SHA}}]),
            "not consistent with package name",
        ),
        (broken(wheels=[{**WHEEL, "name": "../../x.whl", "hashes": {"sha256": SHA}}]), "../../x.whl"),
        (broken(wheels=None, vcs={"type": "git", "url": "u", "commit-id": "c"}), "no commit of git"),
        (broken(wheels=None, vcs={"type": "git", "url": "u", "commit-id": "-" + "c" * 39}), "no commit of git"),
        (broken(wheels=None, vcs={"type": "hg", "url": "u", "commit-id": "c" * 40}), "comes from hg"),
        (broken(wheels=None, archive={"url": "https://h/x.zip", "hashes": {"sha256": SHA}}), "no .tar.gz"),
        (broken(wheels=None, archive={"path": "x.tar.gz", "hashes": {"md5": "0" * 32}}), "no .tar.gz with a SHA-256"),
        (broken(version=None), "has no version"),
        ({**broken(), "tool": {"zoo": {"targets": {"torch": ["new"]}}}}, "no code target"),
    ],
)
def test_what_is_no_lock_for_us_is_refused(document: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadLock) as caught:
        from_document(document, "pylock.toml")
    assert problem in caught.value.problem


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a = ", b"[" * 100_000, b"lock-version = 1"])
def test_any_bytes_are_one_clear_error(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "pylock.toml").write_bytes(body)
    with pytest.raises(BadLock):
        read_lock(tmp_path / "pylock.toml")


def test_names_that_pip_refuses_are_refused(tmp_path: Path) -> None:
    for name in ("lock.toml", "pylock.a.b.toml", "requirements.txt"):
        with pytest.raises(BadLock):
            read_lock(tmp_path / name)


def test_syncing_brings_replaces_removes_and_leaves_pip() -> None:
    decided = decide_sync(LOCK, installed(tiny="0.9", old="3.0", pip="24.0"), "pylock.toml")
    assert [(each.package.project, each.was) for each in decided.arrivals] == [("mmcv", None), ("tiny", "0.9")]
    assert decided.leaving == (("old", "3.0"),)
    assert decided.staying == (("pip", "24.0"),)
    assert decided.harms == (("tiny", "0.9", "1.0"), ("old", "3.0", ""))


def test_what_is_there_stays() -> None:
    decided = decide_sync(LOCK, installed(tiny="1.0", mmcv="2.1.0"), "pylock.toml")
    assert decided == ((), (), (("mmcv", "2.1.0"), ("tiny", "1.0")))


def test_the_best_wheel_is_taken() -> None:
    tags = ("py3-none-any", "cp311-cp311-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_17_x86_64")
    lock = replace(LOCK, packages=(package("tiny", "1.0", *tags),))
    wheel = decide_sync(lock, MACHINE, "pylock.toml").arrivals[0].wheel
    assert wheel and "cp311" in wheel.name


@pytest.mark.parametrize(
    ("machine", "codes"),
    [
        (MACHINE._replace(driver=None), ["driver"]),
        (MACHINE._replace(driver="470.1"), ["driver"]),
        (MACHINE._replace(libc=Libc("glibc", "2.17")), ["glibc"]),
        (with_gpus("9.0"), ["gpu"]),  # mmcv's PTX would do, torch needs machine code
        (with_gpus("6.1"), ["gpu", "gpu"]),
        (with_gpus("8.6", "9.0"), ["gpu"]),
        (MACHINE._replace(libc=Libc("musl", "1.2")), ["glibc", "no-wheel"]),
        (MACHINE._replace(python=PYTHON._replace(version="3.12.1")), ["environment", "requires-python", "no-wheel"]),
    ],
)
def test_a_lock_for_other_machines_says_every_reason(machine: Machine, codes: list[str]) -> None:
    with pytest.raises(LockDoesNotFit) as caught:
        decide_sync(LOCK, machine, "pylock.toml")
    assert [reason.code for reason in caught.value.reasons] == codes


@pytest.mark.parametrize("capability", ["7.0", "7.5", "8.0", "8.9"])
def test_a_gpu_of_the_range_is_served(capability: str) -> None:
    assert decide_sync(LOCK, with_gpus(capability), "pylock.toml").arrivals


CPU = replace(LOCK, variant="cpu", minimum={"python": "3.11"}, targets={})
OLDER = replace(LOCK, variant="cu118", minimum={**LOCK.minimum, "driver": "450.80.02"})
OTHER = replace(LOCK, environment="python_version == '3.12'")


@pytest.mark.parametrize(
    ("locks", "machine", "chosen"),
    [
        ({"a": CPU, "b": LOCK, "c": OLDER}, MACHINE, "b"),
        ({"a": CPU, "b": LOCK, "c": OLDER}, MACHINE._replace(driver="470.1"), "c"),
        ({"a": CPU, "b": LOCK, "c": OTHER}, MACHINE._replace(driver=None), "a"),
        ({"b": OTHER}, MACHINE, "b"),  # one lock is the one that was meant
    ],
)
def test_of_several_locks_the_machines_own_is_taken(locks: dict[str, Lock], machine: Machine, chosen: str) -> None:
    assert choose_lock(locks, machine) == chosen


def test_no_lock_and_two_locks_for_a_machine_are_errors() -> None:
    with pytest.raises(NoLockFits) as none:
        choose_lock({"a": OTHER, "b": LOCK}, MACHINE._replace(driver=None))
    assert [(each.path, each.reasons[0].code) for each in none.value.locks] == [("a", "environment"), ("b", "driver")]
    with pytest.raises(SeveralLocksFit) as several:
        choose_lock({"a": LOCK, "b": LOCK, "c": CPU}, MACHINE)
    assert several.value.paths == ("a", "b")


def test_the_least_glibc_is_the_newest_of_each_wheels_oldest() -> None:
    names = ["a-1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", "b-1-py3-none-manylinux2014_x86_64.whl"]
    assert least_glibc(names) == "2.27"
    assert least_glibc(["a-1-py3-none-any.whl", "a-1-cp311-cp311-linux_x86_64.whl"]) is None


def test_no_password_reaches_a_lock() -> None:
    assert without_credentials("https://user:word@host/x@1.whl") == "https://host/x@1.whl"


def test_requirements_are_pips_own_and_name_the_binary_stack_by_address() -> None:
    lines = [line for line in requirements(LOCK).splitlines() if not line.startswith("#")]
    parsed = [Requirement(line.partition(" --hash=")[0]) for line in lines]
    assert [(each.name, bool(each.url)) for each in parsed] == [("mmcv", True), ("tiny", False)]
    assert all(" --hash=sha256:" in line for line in lines)


def test_every_form_holds_every_package() -> None:
    texts = [form(LOCK) for form in WITHOUT_MODELS.values()] + [form(LOCK, {}) for form in WITH_MODELS.values()]
    assert len(texts) == 4
    for text in texts:
        assert all(each.project in text for each in LOCK.packages)
        assert text.count(" --hash=sha256:") == 2


def test_the_script_is_a_shell_script(tmp_path: Path) -> None:
    (tmp_path / "install.sh").write_text(script(LOCK, {}))
    done = subprocess.run(["sh", "-n", shlex.quote(str(tmp_path / "install.sh"))], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
