"""Sentences for locks."""

from __future__ import annotations

import shlex

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.packages.dockerfile import NoImage, OnlyHere
from zoo_cli.packages.export import LockHasSources
from zoo_cli.packages.lockfile import BadLock, ModelDiffers
from zoo_cli.packages.locking import CannotLock
from zoo_cli.packages.sync import LockDoesNotFit, LockedSourceDiffers, NoLockFits, SeveralLocksFit, Unfit

_UNFIT = {
    "environment": "it is for {wanted}; here is {found}",
    "requires-python": "it is for Python {wanted}; here is {found}",
    "driver": "it needs driver {wanted} or newer; here is {found}",
    "gpu": "it has no code for {found} ({wanted})",
    "glibc": "it needs glibc {wanted} or newer; here is {found}",
    "no-wheel": "it has {found} of {wanted} that fits here",
}


@describe.register
def _(error: BadLock) -> Message:
    return Message(
        f"cannot use {error.path} as a lock",
        (error.problem,),
        (WayOut("Make one", "zoo lock PACKAGE -o pylock.zoo.toml"),),
    )


@describe.register
def _(error: ModelDiffers) -> Message:
    return Message(
        f"{error.model} is not what was locked",
        (error.problem,),
        (
            WayOut("See where the model and its files come from", f"zoo show {error.model}"),
            WayOut("Take what is there now", f"zoo lock PACKAGE --model {error.model}"),
        ),
    )


@describe.register
def _(error: LockHasSources) -> Message:
    return Message(
        f"{error.path} has what is built where it is installed, and a {error.form} names wheels by SHA-256",
        error.projects,
        (
            WayOut("Build them there, from the lock", shlex.join(("zoo", "sync", error.path, "--allow-code"))),
            WayOut("Or lock wheels of them, from a page or directory", "zoo lock PACKAGE --find-links PLACE"),
        ),
    )


@describe.register
def _(error: LockedSourceDiffers) -> Message:
    facts = (f"locked: {error.locked}", f"there:  {error.found}, {error.source}")
    way = WayOut("Lock what is there now", "zoo lock PACKAGE")
    return Message(f"the source of {error.project} is not what was locked", facts, (way,))


@describe.register
def _(error: CannotLock) -> Message:
    exact = f"{error.project}=={error.version}"
    if error.reason == "machine":
        return Message(
            f"what {error.project} {error.version} needs is known once it is built, and that takes an interpreter here",
            ("its files do not say its requirements plainly", "--machine describes a computer that is not this one"),
            (
                WayOut("Lock for an environment of this computer", "zoo lock ... --python env/bin/python"),
                WayOut("Or build it there", f"zoo build {exact} -o wheels"),
                WayOut("and lock with that directory", "zoo lock ... --find-links wheels"),
            ),
        )
    return Message(
        f"{error.project} {error.version} is compiled here, and a lock needs the address of a wheel",
        (),
        (
            WayOut("Compile it into a directory", f"zoo build {exact} -o wheels"),
            WayOut("Then lock with that directory, or the page that serves it", "zoo lock ... --find-links wheels"),
        ),
    )


@describe.register
def _(error: NoImage) -> Message:
    needs = f"Python {error.python}, {error.arch}" + (f", glibc {error.glibc} or newer" if error.glibc else "")
    own = ("zoo", "export", error.path, "--format", "dockerfile", "--base", f"python:{error.python}-slim")
    return Message(
        f"the index knows no container image for {error.path}",
        (f"it needs {needs}",),
        (WayOut(f"Name an image that has python{error.python}", shlex.join(own)),),
    )


@describe.register
def _(error: OnlyHere) -> Message:
    return Message(
        f"{error.path} names files of this computer, and a Dockerfile is built anywhere",
        error.addresses[:8],
        (
            WayOut("Serve their directory, and lock from its page", "zoo lock PACKAGE --find-links https://HOST/PAGE"),
            WayOut("Or install from the lock inside the image", f"zoo sync {error.path}"),
        ),
    )


@describe.register
def _(error: LockDoesNotFit) -> Message:
    again = shlex.join(("zoo", "lock", *(error.requested or ("PACKAGE",)), "--python", error.python))
    return Message(
        f"{error.path} does not fit {error.python}",
        tuple(_sentence(reason) for reason in error.reasons[:8]),
        (WayOut("Make a lock for this machine", again),),
    )


@describe.register
def _(error: NoLockFits) -> Message:
    first = error.locks[0]
    again = shlex.join(("zoo", "lock", *(first.requested or ("PACKAGE",)), "--python", error.python))
    return Message(
        f"none of {len(error.locks)} locks fits {error.python}",
        tuple(f"{each.path}: {_sentence(each.reasons[0])}" for each in error.locks[:8]),
        (WayOut("Make a lock for this machine", again), WayOut("All reasons of one", f"zoo sync {first.path}")),
    )


@describe.register
def _(error: SeveralLocksFit) -> Message:
    return Message(
        f"{len(error.paths)} locks fit this machine equally",
        error.paths,
        tuple(WayOut("Name one", shlex.join(("zoo", "sync", path))) for path in error.paths[:3]),
    )


def _sentence(reason: Unfit) -> str:
    return _UNFIT[reason.code].format(wanted=reason.wanted, found=reason.found)
