"""Faults put to zoo and its peers, scored: the right file or one clean error, in bounded time, nothing wrong left.

    python -m benchmarks.transfer.faults                 # every client; some minutes, most of them waiting
    python -m benchmarks.transfer.faults zoo curl        # some of them
    python -m benchmarks.transfer.faults --cases 'stall|^tls'   # cases whose name this expression finds

Each case is one misbehaving server and one process of one client, in a directory of its own. What came of it is one
of: right (the file, exit 0), error (exit not 0 and nothing wrong under the final name), or bad: wrong (other or partial
bytes under the final name), silent (exit 0 and not the right file; or an error where there is no fault), again (right,
and what was here was sent once more), hang (no end in 180 s). Curl, wget and aria2c run with the options that make them
robust. The peers' digest checks are theirs or openssl's, as in bench_transfer.py. Faults on the first of two addresses
are put to those that take two. TLS, proxies, names, addresses, disks and clocks are in hardships.py; they need Linux,
and root for the name server and for mounts where a user may make none.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.transfer.hardships import HARDSHIPS, ONLY
from benchmarks.transfer.peers import environment, shell
from benchmarks.transfer.sites import require_tools
from benchmarks.transfer.trials import (
    BODY,
    DIGEST,
    GOOD,
    HANG_SECONDS,
    SLACK_BYTES,
    SOME,
    Case,
    Command,
    End,
    Trial,
    always,
    must,
)
from tests.support.server import (
    Behaviour,
    Chunked,
    Cut,
    Endless,
    Exchange,
    HtmlPage,
    OtherFile,
    Raw,
    Redirect,
    Server,
    Slow,
    Stall,
    Status,
    Trickle,
    TrickleHead,
    Uplink,
    WrongBytes,
    WrongContentRange,
    honest,
    ignores_range,
)
from tests.support.torch_env import torch_python

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def traversal(exchange: Exchange) -> None:
    """Says that the file is called something else, elsewhere."""
    exchange.honest(extra={"Content-Disposition": 'attachment; filename="../stolen.pth"'})


def without_length(exchange: Exchange) -> None:
    """The right body, ended by the connection's end."""
    exchange.head(200, {"Connection": "close"})
    exchange.close()
    exchange.send(exchange.body)


def bomb(exchange: Exchange) -> None:
    """A small body that becomes a large one, encoded though none asked."""
    import gzip

    packed = gzip.compress(bytes(200 << 20), 1)
    exchange.head(200, {"Content-Encoding": "gzip", "Content-Length": len(packed)})
    exchange.send(packed)


def really_encoded(exchange: Exchange) -> None:
    """The right file, encoded though none asked: who writes what comes has other bytes."""
    import gzip

    packed = gzip.compress(exchange.body, 1)
    exchange.head(200, {"Content-Encoding": "gzip", "Content-Length": len(packed), "ETag": exchange.etag})
    exchange.send(packed)


def shifted(exchange: Exchange) -> None:
    """The range that was asked, by its head; the bytes are those of another one."""
    asked = exchange.asked() or (0, len(exchange.body) - 1)
    first, last = asked
    exchange.head(206, {
        "ETag": exchange.etag, "Content-Range": f"bytes {first}-{last}/{len(exchange.body)}",
        "Content-Length": last + 1 - first,
    })  # fmt: skip
    exchange.send(exchange.body[first - 1000 : last + 1 - 1000] if first >= 1000 else exchange.body[first : last + 1])


def another_etag(exchange: Exchange) -> None:
    """The same bytes under a validator of another server of the farm, which knows nothing of the first one's."""
    headers: dict[str, str | int] = {"ETag": '"another"', "Content-Length": len(exchange.body)}
    if exchange.request.headers.get("if-range") in (None, '"another"') and exchange.request.range:
        exchange.honest(extra={"ETag": '"another"'})
        return
    exchange.head(200, headers)
    exchange.send(exchange.body)


# Once, then the server is honest.
ONCE: dict[str, tuple[Behaviour, ...]] = {
    "cut": (Cut(SOME),),
    "cut at once": (Cut(0),),
    "cut three times": (Cut(SOME), Cut(SOME // 2), Cut(SOME // 4)),
    "reset": (Cut(SOME, reset=True),),
    "stall": (Stall(SOME, 600),),
    "trickle": (Trickle(after=SOME, every=0.5),),
    "trickling head": (TrickleHead(0.5),),
    "closed without an answer": (Raw(b""),),
    "no HTTP": (Raw(b"SSH-2.0-OpenSSH\r\n"),),
    "endless head": (Raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000),),
    "chunks cut": (Chunked(10_000, cut_after=50),),
    "broken chunks": (Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc"),),
    "close-delimited and cut": (Raw(b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:SOME]),),
    "length too short": (Raw(_HEAD % (len(BODY) - 5) + BODY),),
    "length negative": (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + BODY),),
    "two lengths": (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" + BODY),),
    "encoded though not asked": (Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),),
    "103 before the answer": (Raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + _HEAD % len(BODY) + BODY),),
    "one byte flipped": (WrongBytes(5),),
    "503 with a wait": (Status(503, {"Retry-After": "1"}),),
    "503, 500, 429": (Status(503), Status(500), Status(429)),
    "206 though the whole was asked": (WrongContentRange(),),
    "html page": (HtmlPage(),),
    "redirect": (Redirect("/a.pth", 307),),
    "cut, then range ignored": (Cut(SOME), ignores_range),
    "cut, then wrong range": (Cut(SOME), WrongContentRange()),
    "cut, then a range of nothing": (Cut(SOME), WrongContentRange("bytes */*")),
    "cut, then no range possible": (Cut(SOME), Status(416)),
    "cut, then another file": (Cut(SOME), OtherFile(BODY[::-1])),
    "cut, then a flipped byte": (Cut(SOME), WrongBytes(SOME + 1000)),
    "cut, then 503": (Cut(SOME), Status(503)),
    "cut, then stall": (Cut(SOME), Stall(1000, 600)),
    "cut, then bytes of another range": (Cut(SOME), shifted),
    "cut, then another validator": (Cut(SOME), another_etag),
    "really encoded": (really_encoded,),
}

# For ever.
ALWAYS: dict[str, Behaviour] = {
    "404": Status(404),
    "403": Status(403),
    "500": Status(500),
    "503 for an hour": Status(503, {"Retry-After": "3600"}),
    "html page": HtmlPage(),
    "html page under another type": HtmlPage("application/octet-stream"),
    "nothing with status 200": HtmlPage("application/octet-stream", b""),
    "stall": Stall(SOME, 600),
    "trickle": Trickle(every=0.5),
    "trickling head": TrickleHead(0.5),
    "closed without an answer": Raw(b""),
    "garbage": Raw(b"\x00\xff" * 50),
    "cut at once": Cut(0),
    "one byte flipped": WrongBytes(1000),
    "another file": OtherFile(BODY[::-1]),
    "length too long": Raw(_HEAD % (len(BODY) + 1) + BODY),
    "length too short": Raw(_HEAD % 10 + BODY[:10]),
    "redirect loop": Redirect("/a.pth"),
    "redirect to a file": Redirect("file:///etc/hostname"),
    "redirect to metadata": Redirect("http://169.254.169.254/latest"),
    "redirect to nowhere": Redirect("http://:0/"),
    "endless": Endless(None, 1 << 24),
    "really encoded": really_encoded,
    "chunks cut": Chunked(10_000, cut_after=50),
    "206 for another range": WrongContentRange(),
    "encoded": Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nabc"),
    "decompression bomb": bomb,
}
FINE: dict[str, Behaviour] = {
    "no length": without_length,
    "chunks": Chunked(50_000),
    "Content-Disposition elsewhere": traversal,
    "range ignored": ignores_range,
}
RESUMES = ("cut", "cut three times", "cut, then 503")  # not reset: it throws away what was not read yet


def once(name: str) -> Case:
    """The fault passes."""

    def case(trial: Trial) -> End:
        trial.server.misbehave("/a.pth", *(trial.counted(each) for each in ONCE[name]))
        trial.server.always("/a.pth", trial.counted(honest))
        end = trial.run()
        return "again" if end == "right" and name in RESUMES and trial.sent > len(BODY) + SLACK_BYTES else end

    return case


def fine(behaviour: Behaviour) -> Case:
    """Odd and allowed: an error is none."""

    def case(trial: Trial) -> End:
        end = always(behaviour)(trial)
        stolen = list(trial.folder.rglob("stolen.pth"))
        return "silent" if end == "error" or stolen else end

    return case


def stopped(how: signal.Signals) -> Case:
    """Stopped in the middle and begun anew."""

    def case(trial: Trial) -> End:
        trial.server.always("/a.pth", trial.counted(Slow(2_000_000)))
        process, until = trial.start(), time.monotonic() + HANG_SECONDS
        while trial.sent < SOME and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        os.killpg(process.pid, how)
        process.wait()
        if trial.out.exists():
            return "wrong"  # a part of the file under its final name
        trial.server.always("/a.pth", trial.counted(honest))
        end = trial.run()
        return "again" if end == "right" and trial.sent > len(BODY) + SLACK_BYTES else end

    return case


def old_file(trial: Trial) -> End:
    """An old good file stays when the new one cannot be had."""
    trial.out.parent.mkdir()
    trial.out.write_bytes(b"old and good")
    trial.server.always("/a.pth", Cut(SOME))
    return trial.verdict(trial.ended(trial.start()), b"old and good")


def a_directory(trial: Trial) -> End:
    """A directory stands where the file should: it stays, with nothing in it or the file under the address's name."""
    trial.out.mkdir(parents=True)
    trial.found = trial.out / "a.pth"
    end = trial.run()
    return "wrong" if set(trial.out.iterdir()) - {trial.found} else end


def a_link(trial: Trial) -> End:
    """A link that leads to somebody's file."""
    trial.out.parent.mkdir()
    victim = trial.folder / "victim"
    victim.write_bytes(b"somebody's")
    trial.out.symlink_to(victim)
    trial.server.always("/a.pth", WrongBytes(5))
    code = trial.ended(trial.start())
    return "hang" if code is None else "wrong" if victim.read_bytes() != b"somebody's" else "error"


def two_at_once(trial: Trial) -> End:
    """Two processes, one destination."""
    trial.server.always("/a.pth", trial.counted(Slow(4_000_000)))
    codes = [trial.ended(each) for each in [trial.start(), trial.start()]]
    end = trial.verdict(None if None in codes else max(abs(code or 0) for code in codes))
    return "again" if end == "right" and trial.sent > len(BODY) + SLACK_BYTES else end


LOCAL: dict[str, Case] = {
    "killed": stopped(signal.SIGKILL),
    "interrupted": stopped(signal.SIGINT),
    "terminated": stopped(signal.SIGTERM),
    "an old file": old_file,
    "a directory": a_directory,
    "a link": a_link,
    "two processes": two_at_once,
}


def cases() -> dict[str, Case]:
    """Every case of one address by its name."""
    return {
        **{f"once: {name}": once(name) for name in ONCE},
        **{f"always: {name}": always(behaviour) for name, behaviour in ALWAYS.items()},
        **{f"fine: {name}": fine(behaviour) for name, behaviour in FINE.items()},
        **{f"here: {name}": case for name, case in LOCAL.items()},
        **HARDSHIPS,
    }


def second_addresses() -> dict[str, Case]:
    """Each lasting fault on the first of two addresses; then only the right file is right."""
    found = {f"two addresses: {name}": must(always(behaviour)) for name, behaviour in ALWAYS.items()}
    return {**found, "two addresses: alive and very slow": slow_first}


def slow_first(trial: Trial) -> End:
    """The first address has all of it and would take two minutes; the second is as fast as this machine."""
    trial.server.always("/a.pth", Uplink(len(BODY) // 120))
    began = time.monotonic()
    end = must(Trial.run)(trial)
    return "hang" if time.monotonic() - began > 30 else end


def clients(python: str | None) -> dict[str, Command]:
    """How each client is called; libraries only where there is a Python that has them."""

    def curl(url: str, out: Path, _other: str | None) -> list[str]:
        words = "-sSfL --max-redirs 5 --retry 3 --retry-all-errors -C - --connect-timeout 10 -y 20 -Y 1000"
        return shell(f"curl {words} -o '{out}' {url}", out, DIGEST)

    def wget(url: str, out: Path, _other: str | None) -> list[str]:
        return shell(f"wget -q -c -t 4 -T 20 --retry-on-http-error=429,500,503 -O '{out}' {url}", out, DIGEST)

    def aria(url: str, out: Path, other: str | None) -> list[str]:
        words = ["aria2c", "-q", "-c", "-x4", "-k1M", "--no-conf", "--lowest-speed-limit=1K", "--timeout=20"]
        words += ["--max-tries=4", "--retry-wait=1", "--file-allocation=none", f"--checksum=sha-256={DIGEST}"]
        return [*words, "-d", str(out.parent), "-o", out.name, url, *([other] if other else [])]

    def zoo(url: str, out: Path, other: str | None) -> list[str]:
        words = [sys.executable, "-m", "zoo_cli", "fetch", url, "-o", str(out), "--sha256", DIGEST, "-q"]
        return [*words, *(["--mirror", other] if other else [])]

    found: dict[str, Command] = {"zoo": zoo, "curl": curl, "wget": wget, "aria2c": aria}
    script = str(Path(__file__).with_name("peers.py"))

    def library(interpreter: str, way: str) -> Command:
        return lambda url, out, _other: [interpreter, script, "--", way, url, str(out), DIGEST]

    if python is not None:
        found |= {way: library(python, way) for way in ("requests", "hf", "mim")}
        found["torch.hub"] = library(torch_python(), "hub")
    return found


TWO_ADDRESSES = ("zoo", "aria2c")


def score(argv: Command, client: str, case: Case, *, two: bool) -> tuple[End, float]:
    """One trial, and its seconds."""
    folder = Path(tempfile.mkdtemp(prefix="zoo-fault-"))
    files = {"/a.pth": BODY, "/b.pth": BODY}
    try:
        with Server(files) as server, Server(files) as second:
            began = time.monotonic()
            trial = Trial(client, argv, folder, server, second.url("/b.pth") if two else None)
            return case(trial), time.monotonic() - began
    finally:
        shutil.rmtree(folder)


def run(names: list[str], text: str = "", at_once: int = 24) -> dict[str, dict[str, tuple[End, float]]]:
    """Case by case, what came of each client and in how many seconds."""
    libraries = {"requests", "hf", "mim", "torch.hub"} & set(names)
    known = clients(environment(Path(__file__).parents[1] / "work") if libraries else None)
    wanted = [(name, client, case, False) for name, case in cases().items() for client in names
              if client in ONLY.get(name, (client,))]  # fmt: skip
    wanted += [(name, client, case, True) for name, case in second_addresses().items()
               for client in names if client in TWO_ADDRESSES]  # fmt: skip
    table: dict[str, dict[str, tuple[End, float]]] = {}
    with ThreadPoolExecutor(at_once) as pool:
        ends = {
            (name, client): pool.submit(score, known[client], client, case, two=two)
            for name, client, case, two in wanted
            if re.search(text, name)
        }
        for (name, client), end in ends.items():
            table.setdefault(name, {})[client] = end.result()
    return table


def show(table: dict[str, dict[str, tuple[End, float]]], names: list[str]) -> None:
    """The table, and how often each ended how."""
    print("  " + " ".join(f"{name:>10}" for name in names))
    for name, row in table.items():
        print("  " + " ".join(f"{row[each][0] if each in row else '-':>10}" for each in names), "", name)
    for name in names:
        ends = Counter(row[name][0] for row in table.values() if name in row)
        good = sum(ends[each] for each in GOOD)
        longest = max((row[name][1] for row in table.values() if name in row), default=0.0)
        told = ", ".join(f"{end} {count}" for end, count in sorted(ends.items()))
        print(f"{name:>10}: {good} of {ends.total()} good ({told}); the longest took {longest:.0f} s")


def main() -> None:
    """Runs the matrix; exit 1 when zoo is bad anywhere."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    every = ["zoo", "curl", "wget", "aria2c", "requests", "hf", "torch.hub", "mim"]
    parser.add_argument("clients", nargs="*", choices=[*every, []])
    parser.add_argument("--cases", default="", metavar="EXPRESSION")
    asked = parser.parse_args()
    # A background job of a shell ignores it, and so would its clients.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    require_tools()
    names = asked.clients or every
    table = run(names, asked.cases)
    show(table, names)
    raise SystemExit(any(row["zoo"][0] not in GOOD for row in table.values() if "zoo" in row))


if __name__ == "__main__":
    main()
