"""Every error of packages and trust that is raised here has a sentence, its facts, and where possible a command."""

from __future__ import annotations

import pytest

from zoo_cli.cli.messages import message_for
from zoo_cli.errors import ZooError
from zoo_cli.packages.binding import NotAtSource, UnplannedProject
from zoo_cli.packages.builder import BuiltWrong, CannotBuild
from zoo_cli.packages.executor import DirectoryInUse, NoInstaller, StepFailed
from zoo_cli.packages.findlinks import NotAListing
from zoo_cli.packages.pages import NoSuchPlace
from zoo_cli.packages.toolchain import MissingTool, TargetUnreadable
from zoo_cli.packages.wheels import BadWheelName
from zoo_cli.trust.archive import UnsafeArchive
from zoo_cli.trust.bounded import BadBinary
from zoo_cli.trust.wheel import UnreadableWheel
from zoo_cli.trust.wheelreport import Problem, UnsoundWheel

PROBLEMS = tuple(Problem("record-mismatch", f"file{number} is not what RECORD promises") for number in range(9))


@pytest.mark.parametrize(
    ("error", "words", "command"),
    [
        (StepFailed("install mmcv", "uv pip", 2, ("error: No solution",), "/l o/g"), "No solution", "cat '/l o/g'"),
        (StepFailed("make it", "nope", 127, ("No such file",), None), "could not start: nope", None),
        (NoInstaller("env/bin/python", "no uv"), "no uv", "python -m pip install uv"),
        (DirectoryInUse("/me/thesis", "it is not empty"), "not empty", "zoo install PACKAGE --env /me/thesis-zoo"),
        (NotAtSource("mmdet", "3.3.0", "https://h/simple/mmdet/"), "no other index", "pip index versions mmdet"),
        (UnplannedProject("mmcv", ("x needs it",), ("zoo", "install", "y")), "x needs it", "zoo install y mmcv"),
        (NotAListing("https://h/x", "a login page"), "a login page", None),
        (NoSuchPlace("/nowhere/x.whl", "there is no such file"), "/nowhere/x.whl", "ls -l /nowhere"),
        (BadWheelName("x.whl", "has not the parts"), "has not the parts", None),
        (MissingTool("torch", "none", "my env/python"), "has none", "'my env/python' -m pip install torch==VERSION"),
        (MissingTool("c++", "none on PATH", "mmcv 2.1.0"), "none on PATH", "sudo apt-get install g++"),
        (MissingTool("Python.h", "not in /usr", "Python 3.11"), "headers", "sudo apt-get install python3-dev"),
        (MissingTool("memory", "900 MB free", "mmcv 2.1.0"), "900 MB", None),
        (MissingTool("disk", "9 MB free at /c", "mmcv 2.1.0"), "9 MB", "export ZOO_CACHE=/path/with/room"),
        (TargetUnreadable("env", "it is not there"), "not there", "zoo build PROJECT==VERSION --python env/bin/python"),
        (MissingTool("nvcc", "none", "mmcv 2.1.0"), "nvcc", "zoo build PROJECT==VERSION --cpu-only"),
        (
            MissingTool("host-compiler", "g++ 15", "mmcv 2.1.0"),
            "g++ 15",
            "sudo apt-get install g++-12 && export CXX=g++-12 CC=gcc-12",
        ),
        (MissingTool("architecture", "no GPU", "mmcv 2.1.0"), "no GPU", "export TORCH_CUDA_ARCH_LIST=8.6"),
        (
            MissingTool("c++-standard", "g++ 7", "mmcv 2.1.0"),
            "g++ 7",
            "sudo apt-get install g++-12 && export CXX=g++-12",
        ),
        (CannotBuild("mmcv", "9", "the page lists no .tar.gz"), "no .tar.gz", None),
        (BuiltWrong("mmcv", "2.1.0", "needs _ZN2at"), "_ZN2at", "zoo build mmcv==2.1.0 --again -v"),
        (UnreadableWheel("/w/mmcv.whl", "File is not a zip file"), "not a zip", None),
        (UnsoundWheel("/w/mmcv.whl", (Problem("op-less", "no library"),)), "no compiled ops", None),
        (UnsoundWheel("/w/mmcv.whl", PROBLEMS), "and 3 more", None),
        (UnsafeArchive("x.tar.gz", "../x", "has the part '..'"), "'../x'", None),
        (BadBinary("no ELF file"), "no ELF file", None),
    ],
)
def test_an_error_is_told_with_its_facts(error: ZooError, words: str, command: str | None) -> None:
    message = message_for(error)
    assert words in " ".join((message.what, *message.facts))
    assert not message.what.endswith(".")
    commands = [way.command for way in message.ways_out if way.command]
    assert (command in commands) if command else not commands or error.code == "step-failed"
