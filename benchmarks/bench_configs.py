"""Every config of released model packages, flattened by mmengine 0.10.7 and by zoo in one run: equal, and how fast?

    python benchmarks/bench_configs.py                          mmdet 3.3.0
    python benchmarks/bench_configs.py mmpose-1.3.2 ...         these releases
    python benchmarks/bench_configs.py --all --reload           every release of the index, and what zoo writes loaded
    ... --json FILE                                             the figures and every file with its reason

Needs the package registry the first time: the releases, and an environment with mmengine (see
`tests/support/mmengine_env.py`). Goals: equal on 99.9 % of the files that mmengine loads, 5 times faster. CPU seconds;
mmengine's imports are not counted, and each file is flattened alone, as `zoo download` does. A base of another package
comes from the newest release in the index on both sides. The ratio of a release whose configs are built on other
packages says little: mmengine reads the whole model index of the other package for each such base.
{{ fileDirname }} is compared as a path inside the release.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.config_releases import Comparison, compare, releases

HEADING = (
    f"{'release':28}  files  mmengine ok  equal  refused  other  {'written, reloaded':>18}  ms: mmengine   zoo  ratio"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("release", nargs="*", default=["mmdet-3.3.0"])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--reload", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    known = {"-".join(each): each for each in releases()}
    strange = [name for name in options.release if name not in known]
    if strange and not options.all:
        parser.error(f"the index has no release {', '.join(strange)}; a name is such as mmdet-3.3.0")
    chosen = list(known.values()) if options.all else [known[name] for name in options.release]
    print(HEADING)
    total = Comparison()
    found: dict[str, Comparison] = {}
    with tempfile.TemporaryDirectory() as folder:
        for project, version in chosen:
            one = compare(project, version, Path(folder), reload=options.reload)
            found[f"{project} {version}"] = one
            print(row(f"{project} {version}", one), flush=True)
            add(total, one)
    print(row(f"all {len(chosen)}", total))
    loads = total.files - len(total.mmengine_errors)
    print(f"\nequal on {total.equal} of {loads} files that mmengine loads: {100 * total.equal / loads:.2f} %")
    print_remaining(found)
    if options.json:
        options.json.write_text(json.dumps({name: asdict(one) for name, one in found.items()}, indent=1))


def row(name: str, one: Comparison) -> str:
    loads = one.files - len(one.mmengine_errors)
    mmengine, zoo = (1000 * each / max(one.files, 1) for each in (one.mmengine_seconds, one.zoo_seconds))
    again = f"{one.written:8}, {one.reloaded:8}" if one.written else f"{'-':>18}"
    counts = f"{one.files:5}  {loads:11}  {one.equal:5}  {len(one.refused):7}  {len(one.different):5}"
    return f"{name:28}  {counts}  {again}  {mmengine:12.2f}  {zoo:4.2f}  {mmengine / zoo:5.1f}"


def add(total: Comparison, one: Comparison) -> None:
    """Adds figures; files of several releases are only counted in the sum."""
    for name, value in vars(one).items():
        before = getattr(total, name)
        if isinstance(before, dict):
            before.update({f"{len(before)} {path}": text for path, text in value.items()})
        else:
            setattr(total, name, before + value)


def print_remaining(found: dict[str, Comparison]) -> None:
    print("\nFiles that mmengine loads and zoo does not, or not equally:")
    for name, one in found.items():
        for path, reason in one.refused.items():
            print(f"  {name} {path}\n    {reason}")
        for path in (*one.different, *one.reload_different):
            print(f"  {name} {path}\n    DIFFERENT")
        for path, reason in one.not_written.items():
            print(f"  {name} {path}\n    not written: {reason}")
    print("\nFiles that mmengine refuses:")
    for name, one in found.items():
        for path, reason in one.mmengine_errors.items():
            also = "zoo flattens it" if path in one.more else "zoo refuses it, too"
            print(f"  {name} {path}\n    {reason.splitlines()[0][:150]}; {also}")


if __name__ == "__main__":
    main()
