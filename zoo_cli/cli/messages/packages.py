"""Sentences for choosing, building and installing packages."""

from __future__ import annotations

import shlex
from pathlib import PurePath

from zoo_cli.cli.findings_view import sentence
from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.packages.builder import BuiltWrong, CannotBuild
from zoo_cli.packages.executor import DirectoryInUse, NoInstaller, StepFailed
from zoo_cli.packages.findlinks import NotAListing
from zoo_cli.packages.pages import NoSuchPlace
from zoo_cli.packages.sources import BadSource
from zoo_cli.packages.toolchain import MissingTool, TargetUnreadable
from zoo_cli.packages.wheelhouse import NoEnvironment
from zoo_cli.packages.wheels import BadWheelName

# What installs a missing tool: (what it is, command), cheapest first.
_TOOL_WAYS = {
    "c++": (
        WayOut("Debian, Ubuntu", "sudo apt-get install g++"),
        WayOut("Fedora, RHEL", "sudo dnf install gcc-c++"),
        WayOut("In a conda environment", "conda install -c conda-forge cxx-compiler"),
    ),
    "c++-standard": (
        WayOut("Debian, Ubuntu", "sudo apt-get install g++-12 && export CXX=g++-12"),
        WayOut("In a conda environment", "conda install -c conda-forge cxx-compiler"),
    ),
    "nvcc": (
        WayOut("Name the toolkit", "export CUDA_HOME=/usr/local/cuda-X.Y"),
        WayOut("In a conda environment", "conda install -c nvidia cuda-nvcc cuda-cudart-dev cuda-libraries-dev"),
        WayOut("Compile the CPU ops only", "zoo build PROJECT==VERSION --cpu-only"),
    ),
    "host-compiler": (
        WayOut("Use an older one", "sudo apt-get install g++-12 && export CXX=g++-12 CC=gcc-12"),
        WayOut("Compile the CPU ops only", "zoo build PROJECT==VERSION --cpu-only"),
    ),
    "architecture": (
        WayOut("Name the compute capability of the GPU", "export TORCH_CUDA_ARCH_LIST=8.6"),
        WayOut("Compile the CPU ops only", "zoo build PROJECT==VERSION --cpu-only"),
    ),
    "Python.h": (
        WayOut("Debian, Ubuntu", "sudo apt-get install python3-dev"),
        WayOut("Fedora, RHEL", "sudo dnf install python3-devel"),
    ),
    "disk": (WayOut("Keep the cache on another disk", "export ZOO_CACHE=/path/with/room"),),
    "memory": (WayOut("Close other programs, or build on a machine with 3 GB of free memory"),),
}


@describe.register
def _(error: StepFailed) -> Message:
    ways = [WayOut("See all of its output", f"cat {shlex.quote(error.log)}")] if error.log else []
    what = f"could not {error.reason}" if error.reason else "a command failed"
    return Message(what, (f"{_ending(error)}: {error.command}", *error.lines), tuple(ways))


def _ending(error: StepFailed) -> str:
    if error.returncode == 127:
        return "could not start"
    return f"ended by signal {-error.returncode}" if error.returncode < 0 else f"exit code {error.returncode}"


@describe.register
def _(error: NoInstaller) -> Message:
    return Message(
        f"nothing here can install into {error.python}",
        (error.reason,),
        (
            WayOut("Give zoo uv", "python -m pip install uv"),
            WayOut("Work in an environment that zoo makes", "zoo install PACKAGE --env env"),
        ),
    )


@describe.register
def _(error: DirectoryInUse) -> Message:
    return Message(
        f"cannot make an environment in {error.directory}",
        (error.reason,),
        (
            WayOut(
                "Name another directory",
                f"zoo install PACKAGE --env {shlex.quote(error.directory.rstrip('/') + '-zoo')}",
            ),
        ),
    )


@describe.register
def _(error: NotAListing) -> Message:
    return Message(
        f"{error.url} is not a list of wheels",
        (f"it looks like {error.looks_like}",),
        (WayOut("Open the address in a browser: the page must link to .whl files"),),
    )


@describe.register
def _(error: NoSuchPlace) -> Message:
    return Message(
        f"cannot read {error.place}",
        (error.reason,),
        (
            WayOut("See what is there", shlex.join(["ls", "-l", str(PurePath(error.place).parent)])),
            WayOut("What will do: a wheel, a directory of wheels, or the address of a page that links to them"),
        ),
    )


@describe.register
def _(error: BadWheelName) -> Message:
    return Message(f"{error.filename} is not the name of a wheel", (error.problem,))


@describe.register
def _(error: MissingTool) -> Message:
    if error.tool == "torch":
        pip = f"{shlex.quote(error.needed_for)} -m pip install torch==VERSION"
        facts = (f"{error.needed_for} has none; ops are compiled against the torch they will run with",)
        return Message("the target has no torch to build for", facts, (WayOut("Install it there first", pip),))
    return Message(
        f"building for {error.needed_for} needs {_TOOL_NAMES.get(error.tool, error.tool)}",
        (f"found: {error.found}",),
        _TOOL_WAYS.get(error.tool, ()),
    )


_TOOL_NAMES = {
    "c++": "a C++ compiler",
    "c++-standard": "a newer C++ compiler",
    "nvcc": "nvcc of torch's CUDA major",
    "host-compiler": "a C++ compiler that nvcc takes",
    "architecture": "to know the GPUs to compile for",
    "Python.h": "Python's headers (Python.h)",
    "memory": "1.4 GB of free memory",
    "disk": "1 GB of free disk",
}


@describe.register
def _(error: TargetUnreadable) -> Message:
    return Message(
        f"{error.python} does not answer",
        (error.reason,),
        (WayOut("Name the interpreter of the environment", "zoo build PROJECT==VERSION --python env/bin/python"),),
    )


@describe.register
def _(error: CannotBuild) -> Message:
    return Message(f"cannot build {error.project} {error.version}", (error.reason,))


@describe.register
def _(error: BadSource) -> Message:
    ways = (WayOut("A folder, an sdist or a commit", "zoo install ./folder x-1.0.tar.gz git+https://HOST/PROJECT@REF"),)
    if error.example:
        ways = (WayOut("Name beside it what it needs", error.example),)
    return Message(f"cannot build from {error.place}", (error.reason,), ways)


@describe.register
def _(error: BuiltWrong) -> Message:
    return Message(
        f"the build of {error.project} {error.version} ended well, but its wheel is no good",
        (sentence(error.finding) if error.finding else error.reason, "it was thrown away"),
        (WayOut("Try it once more, from the beginning", f"zoo build {error.project}=={error.version} --again -v"),),
    )


@describe.register
def _(error: NoEnvironment) -> Message:
    models = shlex.join(["zoo", "download", "--from-bundle", error.bundle, "--dest", "."])
    ways = (
        WayOut("Its models", models),
        WayOut("Make one with an environment, where there is a network", "zoo bundle MODEL --with-env -o FILE"),
    )
    return Message("the bundle was made without an environment", (f"bundle  {error.bundle}",), ways)
