"""Transfers against peers: whole processes from start to exit with the digest checked, paired in one run.

    python benchmarks/bench_transfer.py                    # zoo and the peers that goals name; about five minutes
    python benchmarks/bench_transfer.py limited long       # some of: small tls large limited long many tiny kills
    python benchmarks/bench_transfer.py --all              # every peer, and 200 MiB over http

zoo runs as users have it: a wheel of this checkout, installed with byte code, as the peers are; each time with an empty
home. Every row of a table is run in turn, the order rotated. A ratio is the median over the turns of zoo's seconds by
the peer's in the same turn, and that is what a goal is held against; `best` compares the fastest turns of both, which
other work on the machine disturbs least. At the end all goals with what was measured, met or missed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.transfer import kills
from benchmarks.transfer.long_way import can_carry, long_way
from benchmarks.transfer.peers import (
    LIBRARIES,
    WITH_GOALS,
    Programs,
    environment,
    installed_zoo,
    many_files,
    one_file,
)
from benchmarks.transfer.sites import (
    certificate,
    free_port,
    make_file,
    nginx,
    paced,
    require_tools,
)

MIB = 1 << 20
ZOO = ("zoo fetch", "zoo fetch --from")
MEMORY_MIB = 60
WORK = Path(__file__).parent / "work"


class Goal(NamedTuple):
    """One goal, and what came out."""

    what: str
    measured: float
    most: float
    best: float | None = None  # the fastest turns of both, compared

    def line(self) -> str:
        """What came out, in one line."""
        best = "" if self.best is None else f"{self.best:8.2f}"
        return f"  {self.what:58} {self.measured:9.2f} {best:8}  {'met' if self.measured <= self.most else 'MISSED'}"


def measure(argv: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall seconds, and the memory of the largest process in MiB."""
    started = time.perf_counter()
    child = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    with child.stderr:
        talk = child.stderr.read().decode(errors="replace")
    _pid, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = status
    if status:
        raise SystemExit(f"{argv} failed: {talk[-2000:]}")
    return seconds, usage.ru_maxrss / 1024


def occupy_memory(folder: Path, size_bytes: int) -> None:
    """Writes a file as large as a turn needs it and removes it: the turn gets the same pages of memory.

    A virtual machine gives free memory back to its host (free page reporting), and whoever uses it next waits for the
    host: a file of 1 GiB is then written at 0.4 GB/s instead of 1.7, in whose turn that happens to be.
    """
    block = bytes(MIB)
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(size_bytes // MIB):
            file.write(block)


class Bench:
    """Work directories, and tables of rows run in turn."""

    def __init__(self, folder: Path, programs: Programs, turns: int | None, only: str | None) -> None:
        self.folder, self.programs, self.turns, self.only = folder, programs, turns, only
        self.out = folder / "out"
        self.goals: list[Goal] = []
        self.memory: list[float] = []
        self.env = {**os.environ, "HOME": str(folder / "home"), "NO_PROXY": "*"}
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "ZOO_CACHE", "ZOO_OFFLINE", "ZOO_DEBUG", "PYTHONPATH"):
            self.env.pop(name, None)

    def table(
        self,
        title: str,
        rows: dict[str, list[str]],
        goals: dict[str, float],
        turns: int,
        size_bytes: int,
        before: list[str] | None = None,
        beside: tuple[str, ...] = (),
    ) -> None:
        """Runs every row in turn, each of which writes so many bytes, and prints what came out.

        Those `beside` have no goal and are shown all the same.
        """
        if not self.programs.all_peers:
            rows = {name: argv for name, argv in rows.items() if name in (*ZOO, *goals, *beside)}
        if self.only:
            rows = {name: argv for name, argv in rows.items() if name in ZOO or self.only in name}
        items, figures = list(rows.items()), dict[str, list[tuple[float, float]]]()
        for turn in range(-1, self.turns or turns):  # the first one is not counted: files are read from the disk
            for name, argv in items[turn % len(items) :] + items[: turn % len(items)]:
                self.put_aside(size_bytes)
                os.sync()  # or the next one waits for what the last one left to be written
                occupy_memory(self.folder, 3 * size_bytes // 2)
                figure = measure([*(before or []), *argv], self.env)
                if turn >= 0:
                    figures.setdefault(name, []).append(figure)
        self.show(title, figures, goals)

    def put_aside(self, size_bytes: int) -> None:
        """An empty output and home: a cache would make the second turn free.

        What a turn left is removed if it is much. Else it is kept to the end: for minutes ext4 looks at each inode
        that was removed whenever it makes one nearby, so thousands of removed files cost 0.3 ms for each new one.
        """
        for place in (self.out, self.folder / "home"):
            if size_bytes > MIB:
                shutil.rmtree(place, ignore_errors=True)
            elif place.exists():
                place.rename(Path(tempfile.mkdtemp(dir=self.folder)) / place.name)
        self.out.mkdir()

    def show(self, title: str, figures: dict[str, list[tuple[float, float]]], goals: dict[str, float]) -> None:
        """Prints one table; ratios are zoo's time by the row's."""
        ours = next(figures[name] for name in ZOO if name in figures)
        zoo = [seconds for seconds, _memory in ours]
        self.memory.append(max(memory for _seconds, memory in ours))
        print(f"\n{title}   (load {os.getloadavg()[0]:.1f})")
        print(f"  {'':26} {'median s':>9} {'best s':>8} {'peak MiB':>9} {'zoo/this':>9} {'best':>6}  goal")
        for name, rows in figures.items():
            seconds = [each[0] for each in rows]
            ratio = statistics.median(mine / theirs for mine, theirs in zip(zoo, seconds, strict=True))
            best, most = min(zoo) / min(seconds), goals.get(name)
            if most is not None:
                self.goals.append(Goal(f"{title}: <= {most:.2f} x {name}", ratio, most, best))
            memory = max(each[1] for each in rows)
            times = f"{statistics.median(seconds):9.3f} {min(seconds):8.3f} {memory:9.0f} {ratio:9.2f} {best:6.2f}"
            print(f"  {name:26} {times}  {'' if most is None else f'<= {most:.2f}'}", flush=True)


def plain(bench: Bench, size: int, goals: dict[str, float], turns: int, *, tls: bool = False) -> None:
    """One file from nginx."""
    site = bench.folder / "site"
    site.mkdir(exist_ok=True)
    digest, port = make_file(site / "f.bin", size), free_port()
    ca = certificate(bench.folder) if tls else None
    if ca:
        bench.env |= {"ZOO_CA_BUNDLE": str(ca), "REQUESTS_CA_BUNDLE": str(ca), "SSL_CERT_FILE": str(ca)}
    url = f"http{'s' if tls else ''}://127.0.0.1:{port}/f.bin"
    with nginx(site, bench.folder, f"127.0.0.1:{port}", tls=bench.folder if tls else None):
        rows = one_file(url, bench.out / "f.bin", digest, bench.programs, ca)
        bench.table(f"{size // MIB} MiB over http{'s' if tls else ''}", rows, goals, turns, size)


def small(bench: Bench) -> None:
    """10 MiB: start-up decides."""
    plain(bench, 10 * MIB, {"requests": 1 / 1.5}, 25)


def tls(bench: Bench) -> None:
    """200 MiB over https."""
    plain(bench, 200 * MIB, {"curl + openssl": 0.95}, 11, tls=True)


def middle(bench: Bench) -> None:
    """200 MiB."""
    plain(bench, 200 * MIB, {}, 5)


def large(bench: Bench) -> None:
    """1 GiB."""
    plain(bench, 1024 * MIB, {"curl + openssl": 0.65, "aria2c -x16": 0.35}, 5)


def limited(bench: Bench) -> None:
    """200 MiB from a server that gives each connection 20 MB/s."""
    path = bench.folder / "f.bin"
    digest = make_file(path, 200 * MIB)
    with paced(path, 20_000_000) as url:
        rows = one_file(url, bench.out / "f.bin", digest, bench.programs)
        wanted = ("curl + openssl", "zoo fetch", "aria2c -x16", "aria2c -x16 -k1M")
        goals = {"aria2c -x16 -k1M": 0.75}
        bench.table("200 MiB, 20 MB/s a connection", {name: rows[name] for name in wanted}, goals, 7, 200 * MIB)


def long(bench: Bench) -> None:
    """200 MiB over 50 ms and 1 Gbit/s."""
    if not can_carry():
        print("\n200 MiB, 50 ms, 1 Gbit/s: not measured, it needs root and TUN devices")
        return
    site = bench.folder / "site"
    site.mkdir(exist_ok=True)
    digest, port = make_file(site / "f.bin", 200 * MIB), free_port()
    with long_way(0.025, 125_000_000) as (address, before), nginx(site, bench.folder, f"{address}:{port}"):
        rows = one_file(f"http://{address}:{port}/f.bin", bench.out / "f.bin", digest, bench.programs)
        wanted = ("curl + openssl", "zoo fetch", "aria2c -x16", "aria2c -x16 -k1M")
        goals = {"aria2c -x16": 0.9}
        bench.table("200 MiB, 50 ms, 1 Gbit/s", {name: rows[name] for name in wanted}, goals, 7, 200 * MIB, before)


def many(bench: Bench) -> None:
    """300 files of 1 MiB."""
    site = bench.folder / "many"
    site.mkdir(exist_ok=True)
    names = [f"f{number:03}.bin" for number in range(300)]
    digests, port = [make_file(site / name, MIB) for name in names], free_port()
    with nginx(site, bench.folder, f"127.0.0.1:{port}"):
        rows = many_files(f"http://127.0.0.1:{port}", names, digests, bench.out, bench.programs)
        goals = {"aiohttp, 16 connections": 0.9, "aria2c -j16": 0.3}
        bench.table("300 files of 1 MiB", rows, goals, 7, 300 * MIB)


def tiny(bench: Bench) -> None:
    """3,000 files of 300 bytes: what each costs besides its bytes."""
    site, count = bench.folder / "tiny", 3000
    site.mkdir()
    bodies = {f"f{number:04}.json": os.urandom(300) for number in range(count)}
    for name, body in bodies.items():
        (site / name).write_bytes(body)
    digests, port = [hashlib.sha256(body).hexdigest() for body in bodies.values()], free_port()
    with nginx(site, bench.folder, f"127.0.0.1:{port}"):
        rows = many_files(f"http://127.0.0.1:{port}", list(bodies), digests, bench.out, bench.programs)
        beside = ("aiohttp, 16 connections",)
        bench.table(f"{count} files of 300 bytes", rows, {"aria2c -j16": 1.0}, 7, count * 300, beside=beside)


def ordeal(bench: Bench) -> None:
    """Kills of processes that compete for 1 GiB; see benchmarks/transfer/kills.py."""
    size = 1024 * MIB
    folder = bench.folder / "kills"
    folder.mkdir()
    result = kills.run(folder, size, 200, 4, 4_000_000, 0)
    shutil.rmtree(folder)
    wrong = "; ".join(result.wrong) or "every file is right, nothing is left behind"
    print(f"\n1 GiB, 4 processes, {result.kills} kills in {result.seconds:.1f} s: {wrong}")
    again = 100 * (result.left_bytes / size - 1)
    what = f"1 GiB, 4 processes, {result.kills} kills: % fetched again, < 2"
    bench.goals.append(Goal(what, again if not result.wrong else float("inf"), 1.995))


TABLES = {"small": small, "plain": middle, "tls": tls, "large": large, "limited": limited, "long": long, "many": many,
          "tiny": tiny, "kills": ordeal}  # fmt: skip


def main() -> None:
    """Runs the tables asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], help="all when none is named")
    parser.add_argument("--all", action="store_true", help="every peer, not only those that goals name")
    parser.add_argument("--turns", type=int, help="how often each row is run; else as the table needs")
    parser.add_argument("--only", metavar="TEXT", help="zoo, and peers with this in their name")
    asked = parser.parse_args()
    require_tools()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    python = environment(WORK, LIBRARIES if asked.all else WITH_GOALS)
    programs = Programs(installed_zoo(WORK), python, asked.all)
    goals, memory = list[Goal](), list[float]()
    for name in asked.tables or [each for each in TABLES if asked.all or each != "plain"]:
        folder = Path(tempfile.mkdtemp(prefix="zoo-bench-"))
        bench = Bench(folder, programs, asked.turns, asked.only)
        try:
            TABLES[name](bench)
        finally:
            shutil.rmtree(folder)
        goals += bench.goals
        memory += bench.memory
    if memory:
        goals.append(Goal(f"peak memory of zoo in MiB, < {MEMORY_MIB}", max(memory), MEMORY_MIB - 0.5))
    print(f"\n  {'goals (load ' + format(os.getloadavg()[0], '.1f') + ')':58} {'measured':>9} {'best':>8}")
    print("\n".join(each.line() for each in goals))


if __name__ == "__main__":
    main()
