"""Inspection of real CUDA wheels: every release of torchvision, xformers and torch that the package index has.

    python benchmarks/bench_inspect.py torchvision xformers      # 53 and 36 wheels, 4.3 GB over the network
    python benchmarks/bench_inspect.py torch --gigabytes 10      # newest first, until that much was fetched (all: 37)
    python benchmarks/bench_inspect.py --show                    # what is kept, as tables for docs/inspect.md

One wheel a release: Linux x86_64, the newest CPython it has, as published there (one CUDA variant a release). Nothing
is kept on disk but the answer: the wheel is read at its address by ranges, its directory and the compiled files that
can hold CUDA code and no others, by the code behind `zoo inspect`. What was read is kept in `.cache/inspect`, so an
interrupted run goes on. "published" is the list of the torch build it belongs to, from index/compat/torch.yaml.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.pypi import release_files
from zoo_cli.atomic import write_whole
from zoo_cli.catalog.compat import read_matrix
from zoo_cli.catalog.database import open_catalog
from zoo_cli.packages.grid import tag_key
from zoo_cli.packages.versions import version
from zoo_cli.packages.wheels import parse_wheel_name
from zoo_cli.transfer.remote import RemoteFile
from zoo_cli.trust.wheel import look_into
from zoo_cli.trust.wheelreport import WheelReport, is_vendored

if TYPE_CHECKING:
    from zoo_cli.catalog.entries import TorchBuild

KEPT = Path(__file__).parent.parent / ".cache" / "inspect"
PROJECTS = ("torchvision", "xformers", "torch")
_TORCH_CUDA = re.compile(r"torch/lib/lib(torch|c10|caffe2)\w*\.so\Z")


def wheels_of(project: str) -> list[tuple[str, str, int]]:
    """One wheel a release, newest release first: (file name, address, bytes)."""
    best: dict[str, tuple[tuple[object, ...], str, str, int]] = {}
    for row in release_files(project):
        name = row["filename"]
        if not name.endswith("x86_64.whl") or "linux" not in name:
            continue
        wheel = parse_wheel_name(name)
        if version(wheel.version).is_prerelease:
            continue
        rank = (tag_key(re.sub("[a-z]", "", wheel.python.split(".")[0]))[:2], wheel.build)
        if wheel.version not in best or best[wheel.version][0] < rank:
            best[wheel.version] = (rank, name, row["url"], row.get("size") or 0)
    return [best[each][1:] for each in sorted(best, key=version, reverse=True)]


def is_read(project: str, path: str) -> bool:
    """Whether a compiled file of a project can hold CUDA code of its own."""
    return bool(_TORCH_CUDA.match(path)) if project == "torch" else not is_vendored(path)


def inspect(project: str, name: str, url: str) -> dict[str, Any]:
    """What a wheel at an address is, and what it cost to know."""
    start, cpu = time.perf_counter(), time.process_time()
    with RemoteFile(url, max_bytes=0) as remote:
        report = look_into(name, io.BufferedReader(remote), lambda path: is_read(project, path))
        return {
            "file": name,
            "size_bytes": remote.size_bytes,
            "fetched_bytes": remote.fetched_bytes,
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu,
            "problems": sorted({problem.code for problem in report.problems}),
            **facts_of(report),
        }


def facts_of(report: WheelReport) -> dict[str, Any]:
    """The CUDA code of a report."""
    codes = [each.binary.code for each in report.extensions if each.binary.code]
    bad = [f"{each.path}: {each.binary.problem}" for each in report.extensions if each.binary.problem]
    return {
        "version": report.version,
        "targets": list(report.targets),
        "cuda_major": report.cuda_major,
        "parts": sum(code.parts for code in codes),
        "compression": sorted({word for code in codes for word in code.compression}),
        "libraries": len(report.extensions),
        "unreadable": bad,
    }


def kept_or_inspected(project: str, name: str, url: str) -> dict[str, Any]:
    """The answer of an earlier run, else a new one."""
    place = KEPT / f"{name}.json"
    if not place.is_file():
        KEPT.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(inspect(project, name, url), indent=1).encode())
    found: dict[str, Any] = json.loads(place.read_text())
    return found


def published(project: str, release: str, builds: tuple[TorchBuild, ...]) -> str:
    """The code targets that the index has for the torch build which the package index serves."""
    own = [
        each
        for each in builds
        if each.on_pypi and release == (each.version if project == "torch" else each.torchvision)
    ]
    lists = {" ".join(each.targets) for each in own if each.targets and project != "xformers"}
    return " or ".join(sorted(lists)) or "-"


def show(project: str, rows: list[dict[str, Any]]) -> None:
    """The table of a project, releases with the same answer in one line, and its figures."""
    builds = read_matrix(open_catalog(), "linux_x86_64").torch
    print(f"\n| {project} | CUDA | published for its torch | read from the file |\n|---|---|---|---|")
    groups: list[tuple[tuple[str, str, str], list[str]]] = []
    for row in sorted(rows, key=lambda row: version(row["version"])):
        read, told = " ".join(row["targets"]), published(project, row["version"], builds)
        about = (str(row["cuda_major"] or "-"), told, "the same" if read == told else read or "no CUDA code")
        if not groups or groups[-1][0] != about:
            groups.append((about, []))
        groups[-1][1].append(row["version"])
    for about, releases in groups:
        span = releases[0] if len(releases) == 1 else f"{releases[0]} to {releases[-1]} ({len(releases)})"
        print(f"| {span} | {' | '.join(about)} |")
    seconds = [row["seconds"] for row in rows]
    cpu = [row["cpu_seconds"] for row in rows]
    size, fetched = sum(row["size_bytes"] for row in rows), sum(row["fetched_bytes"] for row in rows)
    print(
        f"\n{project}: {len(rows)} wheels, {sum(row['parts'] for row in rows)} parts; "
        f"{fetched / 1e9:.2f} of {size / 1e9:.2f} GB fetched; seconds a wheel: "
        f"median {statistics.median(seconds):.1f}, most {max(seconds):.1f} "
        f"(CPU {statistics.median(cpu):.1f}, {max(cpu):.1f}); "
        f"unreadable: {sum(bool(row['unreadable']) for row in rows)}"
    )


def main() -> None:
    """Inspects what was asked for, and shows all that is kept of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", nargs="*", default=list(PROJECTS), help="By default all three.")
    parser.add_argument("--gigabytes", type=float, default=8.0, help="The most that is fetched in this run.")
    parser.add_argument("--show", action="store_true", help="Fetch nothing.")
    given = parser.parse_args()
    left = given.gigabytes * 1e9
    for project in given.projects:
        rows = []
        for name, url, size in wheels_of(project):
            is_kept = (KEPT / f"{name}.json").is_file()
            if not is_kept and (given.show or size > left):
                continue
            row = kept_or_inspected(project, name, url)
            left -= 0 if is_kept else row["fetched_bytes"]
            if not is_kept:
                print(f"{name}: {' '.join(row['targets'])} in {row['seconds']:.1f} s", file=sys.stderr, flush=True)
            rows.append(row)
        if rows:
            show(project, rows)


if __name__ == "__main__":
    main()
