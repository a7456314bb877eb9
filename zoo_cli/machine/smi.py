"""What `nvidia-smi` prints, read line by line.

Pure. Every line counts: GPUs may differ, and a driver in trouble prints its complaint on stdout, between or instead of
the rows, with an exit status that says little.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo_cli.machine.facts import Capability, DriverProblem, Gpu

QUERY = (
    "driver_version",
    "compute_cap",
    "memory.total",
    "mig.mode.current",
    "name",
)  # the name last: it may hold commas
OLD_QUERY = ("driver_version", "memory.total", "name")  # compute_cap came with driver 510
MAX_LINES = 1000

_DRIVER = re.compile(r"\d{2,4}(?:\.\d{1,5}){1,3}", re.ASCII)
_BANNER_DRIVER = re.compile(r"(?:Driver|KMD) Version:\s*(\d{2,4}(?:\.\d{1,5}){1,3})", re.ASCII)
_BANNER_CUDA = re.compile(r"CUDA (?:UMD )?Version:\s*(\d{1,2}\.\d{1,2})", re.ASCII)
_COMPLAINTS = (  # longest known words first; nvidia-smi's and NVML's own
    ("driver/library version mismatch", "driver-library-mismatch"),
    ("communicate with the nvidia driver", "driver-not-loaded"),
    ("driver not loaded", "driver-not-loaded"),
    ("no devices were found", "no-device"),
    ("insufficient permissions", "no-permission"),
    ("blocked by the operating system", "no-permission"),
    ("gpu is lost", "gpu-lost"),
    ("unable to determine the device handle", "gpu-lost"),
    ("failed to initialize nvml", "driver-error"),
)


@dataclass(frozen=True, slots=True)
class SmiReport:
    """What one call of nvidia-smi told."""

    driver: str | None = None
    cuda: str | None = None
    gpus: tuple[Gpu, ...] = ()
    has_mig: bool = False
    is_old: bool = False  # it does not know a field that was asked for
    problems: tuple[DriverProblem, ...] = ()


def parse_query(text: str, fields: tuple[str, ...] = QUERY) -> SmiReport:
    """The answer to `--query-gpu=FIELDS --format=csv,noheader,nounits`."""
    rows: list[dict[str, str]] = []
    problems: list[DriverProblem] = []
    for line in text.splitlines()[:MAX_LINES]:
        cells = [cell.strip() for cell in line.split(",", len(fields) - 1)]
        row = dict(zip(fields, cells, strict=False))
        if len(cells) == len(fields) and _DRIVER.fullmatch(row["driver_version"]) and row["name"]:
            rows.append(row)
        elif problem := _complaint(line):
            problems.append(problem)
    return SmiReport(
        driver=rows[0]["driver_version"] if rows else None,
        gpus=tuple(_gpu(row) for row in rows),
        has_mig=any(row.get("mig.mode.current") == "Enabled" for row in rows),
        is_old="is not a valid field" in text,
        problems=tuple(dict.fromkeys(problems)),
    )


def parse_banner(text: str) -> SmiReport:
    """Driver and CUDA version from the frame that nvidia-smi draws when it is asked nothing."""
    driver, cuda = _BANNER_DRIVER.search(text), _BANNER_CUDA.search(text)
    problems = tuple(problem for line in text.splitlines()[:MAX_LINES] if (problem := _complaint(line)))
    return SmiReport(driver[1] if driver else None, cuda[1] if cuda else None, problems=problems)


def _complaint(line: str) -> DriverProblem | None:
    low = line.lower()
    code = next((code for words, code in _COMPLAINTS if words in low), None)
    return DriverProblem(code, "nvidia-smi", line.strip()[:300]) if code else None


def _gpu(row: dict[str, str]) -> Gpu:
    capability = re.fullmatch(r"(\d{1,2})\.(\d)", row.get("compute_cap", ""), re.ASCII)
    mebibytes = re.fullmatch(r"(\d{1,9})(?: MiB)?", row["memory.total"], re.ASCII)
    return Gpu(
        name=row["name"][:200],
        capability=Capability(int(capability[1]), int(capability[2])) if capability else None,
        memory_bytes=int(mebibytes[1]) * 2**20 if mebibytes else None,
        source="nvidia-smi",
    )
