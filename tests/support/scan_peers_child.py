"""Runs in the environment with other scanners: what one of them says of each file of a folder, as one JSON line.

    python scan_peers_child.py picklescan|fickling|modelscan FOLDER

Each is asked the way its own command line does. stopped: it would warn somebody off; not-scanned: it ended with an
error or passed the file over; passed: it found nothing, or nothing it calls dangerous.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def picklescan(path: Path) -> str:
    scanner: Any = importlib.import_module("picklescan.scanner")
    result = scanner.scan_file_path(str(path))
    if result.issues_count:
        return "stopped"
    return "not-scanned" if result.scan_err or not result.scanned_files else "passed"


def fickling(path: Path) -> str:
    """The severity from which its documentation calls a file malicious."""
    fickle: Any = importlib.import_module("fickling.fickle")
    analysis: Any = importlib.import_module("fickling.analysis")
    torch_files: Any = importlib.import_module("zipfile")
    data = path.read_bytes()
    if data[:4] == b"PK\x03\x04":
        archive = torch_files.ZipFile(io.BytesIO(data))
        data = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    pickles = fickle.StackedPickle.load(io.BytesIO(data))
    worst = max((analysis.check_safety(each).severity for each in pickles), default=None)
    if worst is None:
        return "not-scanned"
    return "stopped" if worst >= analysis.Severity.LIKELY_OVERTLY_MALICIOUS else "passed"


def modelscan(path: Path) -> str:
    module: Any = importlib.import_module("modelscan.modelscan")
    scanner = module.ModelScan()
    result = scanner.scan(str(path))
    if result["issues"]:
        return "stopped"
    return "passed" if result["summary"]["scanned"]["total_scanned"] else "not-scanned"


def judge(scan: Any, path: Path) -> str:
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return str(scan(path))
    except BaseException:  # a scanner that ends so has said nothing
        return "not-scanned"


def main() -> None:
    import logging

    logging.disable(logging.CRITICAL)
    scan = {"picklescan": picklescan, "fickling": fickling, "modelscan": modelscan}[sys.argv[1]]
    found = {path.name: judge(scan, path) for path in sorted(Path(sys.argv[2]).iterdir())}
    sys.stdout.write(json.dumps(found) + "\n")


main()
