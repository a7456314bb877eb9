"""Sentences for where bytes may come from: mirrors files, the rules in them, and those on the command line."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path, PurePath

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.cli.messages.transfer import same_command
from zoo_cli.transfer.mirrors import (
    BadMirrorOption,
    NoProject,
    UnknownMirror,
    bundled_file,
    config_directory,
)
from zoo_cli.transfer.mirrorsedit import MirrorsByHand, MirrorsUnwritable
from zoo_cli.transfer.mirrorsfile import BadMirrors
from zoo_cli.transfer.projectrules import was_accepted


@describe.register
def bad_mirrors(error: BadMirrors) -> Message:
    """A mirrors file is wrong."""
    place = f"{error.file}:{error.line}" if error.line else error.file
    what = f"{error.key}: {error.why}" if error.key else error.why
    return Message(
        f"cannot use the mirrors file {place}: {what}",
        (),
        (WayOut("The form of the file", "zoo help mirrors"), *_without_mirrors_file(error.file)),
    )


def _without_mirrors_file(file: str) -> tuple[WayOut, ...]:
    """How to go on without it: by where it came from."""
    named = os.environ.get("ZOO_MIRRORS")
    if named and Path(named) == Path(file):
        return (WayOut("Without this file", "unset ZOO_MIRRORS"),)
    if Path(file) == config_directory(os.environ) / "mirrors.yaml":
        return (WayOut("Without your own file", shlex.join(["mv", file, f"{file}.off"])),)
    if Path(file) == bundled_file():
        command = f"{sys.executable} -m pip install --force-reinstall --no-deps zoo-cli"
        return (WayOut("It came with zoo: install zoo again", command),)
    if was_accepted(Path(file)):
        return (WayOut("Without the project's file", shlex.join(["zoo", "mirror", "remove", file])),)
    return (WayOut("It does not count as long as it is so. After a correction", "zoo mirror use --project"),)


@describe.register
def bad_mirror_option(error: BadMirrorOption) -> Message:
    """A --mirror is wrong."""
    return Message(
        f"cannot read --mirror {error.text}: {error.why}",
        (),
        (WayOut("For example", "--mirror https://download.openmmlab.com=http://127.0.0.1:8000/openmmlab"),),
    )


@describe.register
def unknown_mirror(error: UnknownMirror) -> Message:
    """A name nobody knows."""
    there = (f"there are: {', '.join(error.known) or 'none'}",)
    if error.file:
        edit = WayOut("Take the name out", f"${{EDITOR:-vi}} {shlex.quote(error.file)}")
        ways = (edit, *_without_mirrors_file(error.file))
        return Message(f"{error.file} uses the mirror {error.name}, which no file knows", there, ways)
    return Message(f"there is no mirror {error.name}", there, (WayOut("See them", "zoo mirror list"),))


@describe.register
def no_project(error: NoProject) -> Message:
    """No file to accept."""
    if error.named:
        why = f"ZOO_MIRRORS names {error.named}, so no project's mirrors file counts"
        return Message(why, (), (WayOut("With the project's file", f"env -u ZOO_MIRRORS {same_command()}"),))
    look = shlex.join(["ls", "-l", str(PurePath(error.directory) / "mirrors.yaml")])
    ways = (WayOut("What such a file looks like", "zoo help mirrors"), WayOut("See whether it is there", look))
    facts = ("looked for there, and above it up to the root of the project: a directory with .git or pyproject.toml",)
    return Message(f"there is no mirrors.yaml in {error.directory}", facts, ways)


@describe.register
def mirrors_by_hand(error: MirrorsByHand) -> Message:
    """A file that zoo cannot change by lines."""
    facts = ("its choices and rules should be:", *(f"  {line}" for line in error.lines))
    ways = (WayOut("Put these lines in yourself", f"${{EDITOR:-vi}} {shlex.quote(error.file)}"),)
    return Message(f"{error.file} has a form that zoo cannot change line by line", facts, ways)


@describe.register
def mirrors_unwritable(error: MirrorsUnwritable) -> Message:
    """The file cannot be written."""
    way = WayOut("See what is there", shlex.join(["ls", "-ld", str(PurePath(error.file).parent), error.file]))
    return Message(f"cannot write {error.file}: {error.reason}", (), (way,))
