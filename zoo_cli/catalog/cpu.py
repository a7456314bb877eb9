"""Whether a model runs on the CPU: what the ops of its configs say, as far as somebody has read them.

The reader gets an open connection. A verdict is `yes`, `no` or `unknown`, with its reasons: which op of the config's
folder has no version for the CPU, and how many of the folder's configs use it. Where only some of a folder's configs
use such an op, nobody recorded which, so the verdict is unknown. Where a release's code uses no such op at all, all its
configs run but for those of folders that are not sure. A release of which neither was read is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


class OpUse(NamedTuple):
    """One op used by the configs of one folder: `configs` of `of_configs` have it.

    `effect` is blocks (there is no version for the CPU), kernel, fallback, or sync-bn (it depends on torch).
    """

    op: str
    folder: str
    effect: str
    configs: int
    of_configs: int
    note: str | None = None
    source: str = ""
    date: str = ""


class Verdict(NamedTuple):
    """The answer with its reasons and, where there is one, the source of the facts."""

    answer: str  # yes | no | unknown
    reasons: tuple[str, ...]
    source: str | None = None
    date: str | None = None
    evidence: str | None = None


def folder_of(config: str | None) -> str | None:
    """The folder that a config path stands in: `configs/dcn/x.py` -> `dcn`; None without one."""
    parts = (config or "").split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "configs" else None


def answer_of(uses: Iterable[tuple[str, int, int]]) -> str:
    """Yes, no or unknown for a folder of a release that was read, by (effect, configs, of_configs) of its ops."""
    blocking = [(configs, of_configs) for effect, configs, of_configs in uses if effect == "blocks"]
    if not blocking:
        return "yes"
    return "no" if any(configs == of_configs for configs, of_configs in blocking) else "unknown"


def is_surely_free(config: str | None, but: str) -> bool:
    """Whether a config belongs to a release whose code needs no op without a CPU version, and to no folder of `but`."""
    path = (config or "").partition("configs/")[2]
    return bool(path) and not any(path.startswith(f"{folder}/") for folder in but.split())


def cpu_verdict(connection: sqlite3.Connection, project: str, version: str, config: str | None) -> Verdict:
    """The verdict on one model, by its package, release and config path."""
    folder = folder_of(config)
    if folder is None:
        return Verdict("unknown", ("its config is not known",))
    read = _uses(connection, project, version)
    if not read and (whole := _release(connection, project, version)):
        return _of_release(f"{project} {version}", config, *whole)
    if not read:
        return Verdict("unknown", (f"nobody recorded which ops the configs of {project} {version} use",))
    uses = [each for each in read if each.folder == folder]
    answer = answer_of((each.effect, each.configs, each.of_configs) for each in uses)
    reasons = tuple(_reason(each) for each in uses if answer == "yes" or each.effect == "blocks")
    if not uses:
        reasons = (f"no config of {folder} uses an op that could be missing on the CPU",)
    first = (uses or read)[0]
    return Verdict(answer, reasons, first.source, first.date, "inferred")


def _of_release(release: str, config: str | None, uses: str, but: str, sync_bn: int, source: str, date: str) -> Verdict:
    if not is_surely_free(config, but):
        return Verdict(
            "unknown", (f"the code of {release} that this config names was not read",), source, date, "inferred"
        )
    ops = ", ".join(uses.split())
    what = (
        f"of mmcv's compiled ops only {ops}, each with a version for the CPU" if ops else "none of mmcv's compiled ops"
    )
    reasons = [f"the code of {release} uses {what}"]
    reasons += [f"where its config has SyncBN, that {_SYNC_BN}"] * sync_bn
    return Verdict("yes", tuple(reasons), source, date, "inferred")


_SYNC_BN = "works in one process since torch 2.0 and raises before"


def _reason(use: OpUse) -> str:
    amount = f"{use.configs} of {use.of_configs} configs of {use.folder} use {use.op}"
    what = {
        "blocks": "which has no version for the CPU",
        "kernel": "which has a compiled CPU kernel",
        "fallback": "which falls back to plain Python or torch",
        "sync-bn": f"which {_SYNC_BN}",
    }[use.effect]
    return f"{amount}, {what}" + (f"; {use.note}" if use.note else "")


def _uses(connection: sqlite3.Connection, project: str, version: str) -> list[OpUse]:
    """Every use recorded for a release."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'cpu_use'").fetchone():
        return []  # a database of models alone
    query = (
        "SELECT u.op, u.folder, u.effect, u.configs, u.of_configs, u.note, o.source, o.date FROM cpu_use u "
        "JOIN origin o ON o.id = u.origin WHERE u.project = ? AND u.version = ? ORDER BY u.folder, u.op"
    )
    return [OpUse(*row) for row in connection.execute(query, (project, version))]


def _release(connection: sqlite3.Connection, project: str, version: str) -> tuple[str, str, int, str, str] | None:
    """What the code of a release uses, where it was read."""
    query = (
        "SELECT c.uses, c.but, c.sync_bn, o.source, o.date FROM cpu_release c JOIN origin o ON o.id = c.origin "
        "WHERE c.project = ? AND c.version = ?"
    )
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'cpu_release'").fetchone():
        return None  # a database of models alone
    found: tuple[str, str, int, str, str] | None = connection.execute(query, (project, version)).fetchone()
    return found
