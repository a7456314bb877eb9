"""`zoo scan` against other scanners on large checkpoints: seconds a GB and memory, whole processes, paired in one run.

    python benchmarks/bench_scan.py             # 1 GB each of zip, legacy, raw pickle and safetensors
    python benchmarks/bench_scan.py --mb 200

Files are made by torch in the tests' environment and read from the page cache. Every row is run in turn, several times;
a row's figure is its median. Beside the scanners stands `openssl dgst -sha256`: the digest that is taken anyway. The
first rows are zoo's engine inside one process, without the start of the interpreter. Goals (issue 8): more than 5 GB/s,
less than 100 MB.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.bench_transfer import measure
from tests.support.scan_peers import peers_python
from tests.support.torch_env import torch_python

MAKE = """
import collections, json, pickle, struct, sys, torch
folder, count = sys.argv[1], int(sys.argv[2])
state = collections.OrderedDict((f"backbone.layer{n}.weight", torch.rand(1_000_000 // 4)) for n in range(count))
torch.save({"meta": {}, "state_dict": state}, folder + "/zip.pth")
torch.save({"meta": {}, "state_dict": state}, folder + "/legacy.pth", _use_new_zipfile_serialization=False)
arrays = {name: value.numpy() for name, value in state.items()}
with open(folder + "/raw.pkl", "wb") as file:
    pickle.dump({"model": arrays, "__author__": "x"}, file, 4)
size = 1_000_000
places = {name: [number * size, (number + 1) * size] for number, name in enumerate(state)}
header = {name: {"dtype": "F32", "shape": [size // 4], "data_offsets": place} for name, place in places.items()}
text = json.dumps(header).encode()
with open(folder + "/model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    for value in state.values():
        file.write(value.numpy().tobytes())
"""
ENGINE = """
import sys, time
from pathlib import Path
from zoo_cli.trust.scanning import scan_file
begin = time.perf_counter()
verdict = scan_file(Path(sys.argv[1]))
sys.stderr.write(f"{time.perf_counter() - begin:.4f}")
assert not verdict.is_refused
"""
PICKLESCAN = (
    "import sys; from picklescan.scanner import scan_file_path; assert not scan_file_path(sys.argv[1]).issues_count"
)
MODELSCAN = "import sys; from modelscan.modelscan import ModelScan; ModelScan().scan(sys.argv[1])"
FICKLING = """
import io, sys, zipfile
from fickling.analysis import check_safety
from fickling.fickle import StackedPickle
file = open(sys.argv[1], "rb")
if file.read(4) == b"PK\\x03\\x04":
    archive = zipfile.ZipFile(sys.argv[1])
    file = io.BytesIO(archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl"))))
file.seek(0)
for each in StackedPickle.load(file):
    check_safety(each)
"""


def commands(path: Path) -> dict[str, list[str]]:
    """The rows; each is given the file by its path."""
    peers = peers_python()
    rows = {
        "zoo scan": [sys.executable, "-m", "zoo_cli", "scan", str(path), "-q"],
        "openssl dgst -sha256": ["openssl", "dgst", "-sha256", str(path)],
    }
    if path.suffix != ".safetensors":
        rows["picklescan"] = [peers, "-c", PICKLESCAN, str(path)]
        rows["modelscan"] = [peers, "-c", MODELSCAN, str(path)]
        rows["fickling"] = [peers, "-c", FICKLING, str(path)]
    return rows


def engine_seconds(path: Path) -> float:
    """The scan alone, without the start of the process."""
    done = subprocess.run([sys.executable, "-c", ENGINE, str(path)], capture_output=True, text=True, check=True)
    return float(done.stderr)


def run_file(path: Path, turns: int) -> None:
    """One table."""
    size = path.stat().st_size / 1e9
    found: dict[str, list[tuple[float, float]]] = {}
    engine = []
    for turn in range(turns):
        engine.append(engine_seconds(path))
        items = list(commands(path).items())
        for name, argv in items[turn % len(items) :] + items[: turn % len(items)]:
            try:
                found.setdefault(name, []).append(measure(argv, {"PATH": "/usr/bin:/bin", "HOME": str(path.parent)}))
            except SystemExit:
                found.setdefault(name, []).append((float("nan"), float("nan")))
    print(f"\n{path.name}, {size:.2f} GB")
    inside = statistics.median(engine)
    print(f"  {'zoo, scan alone':22} {inside / size:8.3f} s/GB  {size / inside:8.1f} GB/s")
    for name, runs in found.items():
        seconds, memory = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"  {name:22} {seconds / size:8.3f} s/GB  {size / seconds:8.1f} GB/s  {memory:8.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([torch_python(), "-I", "-c", MAKE, folder, str(asked.mb)], check=True)
        for path in sorted(Path(folder).iterdir()):
            run_file(path, asked.turns)


if __name__ == "__main__":
    main()
