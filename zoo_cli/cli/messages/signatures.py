"""Sentences for a signed index, its roots and its keys."""

from __future__ import annotations

import shlex

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.cli.messages.transfer import same_command
from zoo_cli.trust.refusals import (
    BadKey,
    BadRepository,
    BadRoot,
    ClockBehind,
    IndexBusy,
    IndexExpired,
    IndexRefused,
    NoRoot,
    RootKnown,
    RootNameTaken,
    RootNotAgreed,
    SignaturesMissing,
)
from zoo_cli.trust.roots import UPSTREAM

_FAULTS = {
    "expired": "its signatures have expired: updates are withheld, or nobody signs any more",
    "older": "it is older than what was seen, or its parts do not belong together",
    "unsigned": "too few of the keys that count signed it",
    "other-bytes": "it does not have the length and digest that were signed",
    "endless": "it sends more than may come",
    "malformed": "it cannot be read",
    "missing": "it has nothing for this version of zoo",
    "outside": "it names a package that is not its owner's to name",
}
_STATUS = WayOut("The index in use stays as it is", "zoo index status")


@describe.register
def _(error: IndexRefused) -> Message:
    today = (f"today   {error.today} by this computer's clock",) if error.fault == "expired" else ()
    facts = (f"mirror  {error.mirror}", f"why     {_FAULTS[error.fault]}", f"detail  {error.reason}", *today)
    other = WayOut("Ask another mirror", f"zoo index update {error.root} --from URL")
    return Message("what this mirror offers as the index is refused", facts, (_STATUS, other))


@describe.register
def _(error: IndexExpired) -> Message:
    facts = (
        f"root    {error.root}",
        f"index   {error.date}, from {error.source}",
        f"over    since {error.expires}, today is {error.today}",
    )
    ways = (
        WayOut("Bring it up to date", f"zoo index update {error.root}"),
        WayOut("Use it all the same", same_command("--allow-stale-index")),
    )
    return Message("the signatures of the index have expired, so nothing new is fetched by it", facts, ways)


@describe.register
def _(error: NoRoot) -> Message:
    what = f"no root named {error.name} is trusted, so nothing can be verified"
    if error.name != UPSTREAM:
        trust = WayOut("If you know whose keys it has", f"zoo index trust add {error.name} ROOT.json --from URL")
        return Message(what, (), (WayOut("See which are", "zoo index trust list"), trust))
    fact = "no root of keys came with this zoo: its facts are those it was installed with"
    ways = (
        WayOut("Newer facts with a newer zoo", "pip install --upgrade zoo-cli"),
        WayOut("A root that you know", f"zoo index trust add {error.name} ROOT.json --from URL"),
    )
    return Message(what, (fact,), ways)


@describe.register
def _(error: BadRoot) -> Message:
    way = WayOut(
        "Its owner publishes it as metadata/1.root.json; with that", "zoo index trust add NAME 1.root.json --from URL"
    )
    return Message("this is no root to trust", (f"file    {error.path}", f"reason  {error.reason}"), (way,))


@describe.register
def _(error: RootKnown) -> Message:
    if error.is_shipped:
        return Message(f"the root {error.name} came with zoo and cannot be changed", (), (_STATUS,))
    remove = WayOut("Forget the one that is there, then add this one", f"zoo index trust remove {error.name}")
    return Message(f"another root named {error.name} is trusted already", (), (remove,))


@describe.register
def _(error: RootNameTaken) -> Message:
    own = WayOut("Take the name of the lab or company", "zoo index trust add LAB ROOT.json --from URL")
    what = f"a root cannot be called {error.name}: its entries would be mistaken for those of others"
    return Message(what, (f"reason  {error.reason}",), (own,))


@describe.register
def _(error: RootNotAgreed) -> Message:
    yes = WayOut("Compare its keys with what its owner says, then", same_command("--yes"))
    return Message(f"the root {error.name} is not trusted yet", tuple(f"key  {key}" for key in error.keys), (yes,))


@describe.register
def _(error: BadKey) -> Message:
    ways = (
        WayOut("A new key", "zoo index key NEW.pem"),
        WayOut("The passphrase in a file", same_command("--passphrase-file", "FILE")),
    )
    return Message("this key cannot be used", (f"file    {error.path}", f"reason  {error.reason}"), ways)


@describe.register
def _(error: BadRepository) -> Message:
    return Message("the signed index cannot be made", (f"at      {error.path}", f"reason  {error.reason}"))


@describe.register
def _(error: SignaturesMissing) -> Message:
    facts = (f"role    {error.role}: {error.valid} of {error.needed}", *(f"key     {key}" for key in error.keys))
    if error.path:
        sign = WayOut("Each holder signs it", shlex.join(["zoo", "index", "sign", error.path, "--key", "KEY.pem"]))
        return Message(f"signatures are missing on {error.path}; nothing was published", facts, (sign,))
    return Message(
        f"the keys at hand do not sign for the role {error.role}; nothing was published",
        facts,
        (WayOut("Give its keys, too", same_command("--key", "KEY.pem")),),
    )


@describe.register
def _(error: IndexBusy) -> Message:
    facts = (f"lock    {error.path}", f"holder  {error.holder or 'unknown'}")
    what = f"another process updates the index and did not end within {error.seconds:g} s"
    return Message(what, facts, (WayOut("Try again when it is done", same_command()),))


@describe.register
def _(error: ClockBehind) -> Message:
    facts = (f"it says {error.today}, and {error.known} is over", "what is out of date cannot be told by it")
    return Message("this computer's clock is wrong", facts, (WayOut("Set it, then", same_command()),))
