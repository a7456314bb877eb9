"""What is wanted, and where its bytes may come from.

Pure. A mirror rule rewrites the beginning of an address; every rewritten address is tried in order, so a mirror that
fails costs time and nothing else. Rules come from three places (`zoo_cli.transfer.mirrors` reads them): `--mirror`,
the user's file, the bundled file, asked in this order.
"""

from __future__ import annotations

from math import floor, log2
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from zoo_cli.transfer.addresses import place_of

if TYPE_CHECKING:
    from zoo_cli.transfer.hashes import Evidence, Sha256
    from zoo_cli.transfer.headers import Header
    from zoo_cli.transfer.inspection import Inspector

Kind = Literal["wheels", "checkpoints", "configs", "package-index"]
KINDS: tuple[str, ...] = get_args(Kind)
Order = Literal["before", "after", "instead", "fastest"]
ORDERS: tuple[str, ...] = get_args(Order)

DEFAULT_MAX_BYTES = 64 * 1000**3
UNMEASURED = 4e6
"""Bytes a second that a host counts as while nothing is known: who is slower yields to it, who is faster does not."""


class Wanted(NamedTuple):
    """One file to fetch: its addresses in order, and what is known of it.

    Attributes:
        name: As shown to the user; decides also whether an HTML page can be meant.
        urls: http, https or file addresses, or plain paths; tried in order.
        size_bytes: The exact size, when known; an answer that declares another is not taken.
        sha256: The full digest, when known.
        prefix: The first hex digits of the SHA-256 (see `hashes.prefix_in_name`), when no full digest is known.
        basis: What `sha256` rests on; becomes the evidence of the received file.
        max_bytes: The most that is accepted when the size is not known.
        inspector: Looks into the file while it comes and before it gets its final name.
    """

    name: str
    urls: tuple[str, ...]
    size_bytes: int | None = None
    sha256: Sha256 | None = None
    prefix: str | None = None
    basis: Evidence = "locked"
    max_bytes: int = DEFAULT_MAX_BYTES
    inspector: Inspector | None = None

    @property
    def limit(self) -> int:
        """The most bytes that may arrive."""
        return self.max_bytes if self.size_bytes is None else self.size_bytes

    @property
    def digest(self) -> str | None:
        """The full digest, else the prefix, else None."""
        return self.sha256 or self.prefix


class Rule(NamedTuple):
    """One rewrite: addresses that begin with `start` may also begin with each of `to`.

    `order` says when: before the original, after it, instead of it (then later rules are not asked either), or fastest:
    before or after it, as was measured. No `kinds` means every kind.
    """

    start: str
    to: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    order: Order = "before"
    source: str = ""  # where the rule's facts come from, or who gave it
    date: str = ""  # when that was: 2026-11-23

    def rest_of(self, url: str, kind: str) -> str | None:
        """What follows `start` in the address, when the rule applies to it.

        A prefix ends at a boundary: `https://host` fits `https://host/x` and never `https://host.example`.
        """
        if (self.kinds and kind not in self.kinds) or not url.startswith(self.start):
            return None
        rest = url[len(self.start) :]
        return rest if not rest or self.start.endswith("/") or rest[0] in "/?#" else None

    def addresses(self, rest: str) -> tuple[str, ...]:
        """The rewritten addresses; exactly one slash stands at the seam."""
        if self.start.endswith("/"):
            return tuple(to if to.endswith("/") and not rest else f"{to.rstrip('/')}/{rest}" for to in self.to)
        return tuple(to.rstrip("/") + rest for to in self.to)


class Host(NamedTuple):
    """One upstream host that the index names: the beginning of its addresses, what it serves, who says so."""

    url: str
    kinds: tuple[str, ...]
    source: str
    date: str = ""  # when that was read


class Known(NamedTuple):
    """A mirror that exists and is asked only when somebody chose it by its name; several rules may have one name."""

    name: str
    region: str  # where it is near: a country code such as cn, or world
    rule: Rule

    def is_for(self, rule: Rule) -> bool:
        """Whether a rule that holds is this one, in whatever order it is asked."""
        return rule._replace(order=self.rule.order) == self.rule


class Mirrors(NamedTuple):
    """All rules, in the order they are asked; the upstream hosts they start from; mirrors that may be chosen."""

    rules: tuple[Rule, ...] = ()
    hosts: tuple[Host, ...] = ()
    known: tuple[Known, ...] = ()
    used: tuple[str, ...] = ()  # names of those that were chosen
    headers: tuple[Header, ...] = ()  # of the user's own file
    use_order: Order = "before"  # of the rules of those that were chosen
    rates: tuple[tuple[str, float], ...] = ()  # bytes a second of hosts, by `place_of`, as far as one was measured
    unaccepted: str = ""  # the mirrors file of the project, when it does not count
    pages: tuple[str, ...] = ()  # addresses and directories that list wheels, looked at beside what the index knows

    def addresses(self, url: str, kind: Kind) -> tuple[str, ...]:
        """Every address for the file that upstream has at `url`, in the order to try; never empty, no repeats."""
        before: list[str] = []
        after: list[str] = []
        raced: list[str] = []
        original: tuple[str, ...] = (url,)
        for rule in self.rules:
            rest = rule.rest_of(url, kind)
            if rest is None:
                continue
            places = {"after": after, "fastest": raced}
            places.get(rule.order, before).extend(rule.addresses(rest))
            if rule.order == "instead":
                original = ()
                break
        middle = self._fastest_first((*raced, *original)) if raced else original
        return tuple(dict.fromkeys((*before, *middle, *after)))

    def _fastest_first(self, urls: tuple[str, ...]) -> list[str]:
        """Addresses by what was measured, a factor of two being no difference; else in their order."""
        rates = dict(self.rates)
        return sorted(urls, key=lambda url: -floor(log2(max(1.0, rates.get(place_of(url), UNMEASURED)))))

    def all_addresses(self, urls: tuple[str, ...], kind: Kind) -> tuple[str, ...]:
        """`addresses` of several equal files: the mirrors of all come before repeats."""
        return tuple(dict.fromkeys(address for url in urls for address in self.addresses(url, kind)))


_KINDS_BY_END: tuple[tuple[tuple[str, ...], Kind], ...] = (
    ((".whl", ".tar.gz"), "wheels"),
    ((".py", ".yaml", ".yml"), "configs"),
)


def kind_of(file_name: str) -> Kind:
    """What a file most likely is, by the end of its name; decides which mirror rules apply to a typed address."""
    return next((kind for ends, kind in _KINDS_BY_END if file_name.endswith(ends)), "checkpoints")
