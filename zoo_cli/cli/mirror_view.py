"""`zoo mirror list` and `zoo mirror test`: rules, who vouches for them, and what is known of their hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.cli.text import human_bytes
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.transfer.health import Health, Seen
    from zoo_cli.transfer.probe import Probe
    from zoo_cli.transfer.sources import Mirrors, Rule

NAMES = ("state", "name", "region", "from", "to", "kinds", "order", "rate", "fault", "date", "source")


class Row(NamedTuple):
    """One address that may be asked, and what is known of its host."""

    state: str  # asked, or known
    name: str
    region: str
    rule: Rule
    to: str
    seen: Seen
    now: float

    def cells(self) -> tuple[str, ...]:
        """As a person reads it."""
        rule = self.rule
        kinds = ",".join(rule.kinds) or "all"
        where = (self.state, self.name, self.region, rule.start, self.to, kinds, rule.order)
        return tuple(printable(each) for each in (*where, *memory(self.seen, self.now), rule.date, rule.source))

    def document(self) -> dict[str, object]:
        """As a program reads it; ages in seconds."""
        rule, seen = self.rule, self.seen
        return {
            "state": self.state, "name": self.name, "region": self.region, "from": rule.start, "to": self.to,
            "kinds": ",".join(rule.kinds) or "all", "order": rule.order, "source": rule.source, "date": rule.date,
            "bytes_per_second": int(seen.rate) if seen.rate else None,
            "measured_seconds_ago": round(self.now - seen.measured) if seen.rate else None,
            "fault": seen.why, "fault_seconds_ago": round(self.now - seen.failed) if seen.failed else None,
            "is_put_off": seen.is_put_off(self.now),
        }  # fmt: skip


def memory(seen: Seen, now: float) -> tuple[str, str]:
    """The rate and the last fault of a host, each with its age; empty where there is none."""
    rate = f"{human_bytes(int(seen.rate))}/s, {_ago(now - seen.measured)}" if seen.rate else ""
    return rate, f"{seen.why}, {_ago(now - seen.failed)}" if seen.failed else ""


class Asked(NamedTuple):
    """What one mirror answered, what was known of its host before, and the rule that leads there."""

    probe: Probe
    before: Seen
    rule: Rule | None  # None for the original host
    now: float

    def cells(self) -> tuple[str, ...]:
        """As a person reads it."""
        probe = self.probe
        rate = f"{human_bytes(probe.bytes_per_second)}/s" if probe.bytes_per_second else ""
        size = "" if probe.size_bytes is None else human_bytes(probe.size_bytes)
        found = ("ok" if probe.is_ok else "FAIL", f"{probe.seconds * 1000:.0f} ms", rate, size, probe.url, probe.said)
        source = (self.rule.date, self.rule.source) if self.rule else ("", "")
        return tuple(printable(each) for each in (*found, *memory(self.before, self.now), *source))

    def document(self) -> dict[str, object]:
        """As a program reads it; ages in seconds."""
        before = self.before
        return {
            **self.probe._asdict(),
            "before": {
                "bytes_per_second": int(before.rate) if before.rate else None,
                "measured_seconds_ago": round(self.now - before.measured) if before.rate else None,
                "fault": before.why,
                "fault_seconds_ago": round(self.now - before.failed) if before.failed else None,
            },
            "source": self.rule.source if self.rule else "",
            "date": self.rule.date if self.rule else "",
        }


ASKED_NAMES = ("state", "answer", "rate", "size", "address", "said", "rate before", "fault before", "date", "source")


def rule_to(mirrors: Mirrors, address: str) -> Rule | None:
    """The first rule that leads to an address."""
    return next((rule for rule in mirrors.rules for to in rule.to if address.startswith(to)), None)


def rows_of(mirrors: Mirrors, health: Health) -> list[Row]:
    """Rules that hold, in the order they are asked, then the known mirrors that may be chosen."""
    now = health.now()
    asked = [("asked", *_name_of(mirrors, rule), rule) for rule in mirrors.rules]
    free = [("known", each.name, each.region, each.rule) for each in mirrors.known if each.name not in mirrors.used]
    return [Row(*row, to, health.of(to), now) for row in (*asked, *free) for to in row[3].to]


def _name_of(mirrors: Mirrors, rule: Rule) -> tuple[str, str]:
    """Name and region of a rule that stands under a name."""
    found = [each for each in mirrors.known if each.name in mirrors.used and each.is_for(rule)]
    return (found[0].name, found[0].region) if found else ("", "")


def _ago(seconds: float) -> str:
    """How long ago, in the largest unit that fits."""
    if seconds < 0:
        return "by a clock that was ahead"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{int(seconds)} s ago"
