"""Sentences for locks."""

from __future__ import annotations

import shlex

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.packages.lockfile import BadLock
from zoo_cli.packages.locking import CannotLock
from zoo_cli.packages.sync import LockDoesNotFit, Unfit

_UNFIT = {
    "environment": "it is for {wanted}; here is {found}",
    "requires-python": "it is for Python {wanted}; here is {found}",
    "driver": "it needs driver {wanted} or newer; here is {found}",
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
def _(error: CannotLock) -> Message:
    exact = f"{error.project}=={error.version}"
    return Message(
        f"{error.project} {error.version} is compiled here, and a lock needs the address of a wheel",
        (),
        (
            WayOut("Compile it into a directory", f"zoo build {exact} -o wheels"),
            WayOut("Then lock with that directory, or the page that serves it", "zoo lock ... --find-links wheels"),
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


def _sentence(reason: Unfit) -> str:
    return _UNFIT[reason.code].format(wanted=reason.wanted, found=reason.found)
