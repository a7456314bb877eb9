"""Runs with mmengine on its path: FOLDER ANSWER -> what mmengine does with each hostile config, as JSON.

Every case is loaded in a child of its own with a second of CPU and a gigabyte more of memory than mmengine itself
needs. What comes of it: `ran` (code of the config ran), `endless`, `memory`, `crash` (the process died), `escaped` (a
file outside the config's folder was read), `loaded`, or `refused: <error>`.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import warnings
from pathlib import Path

from tests.models.hostile_configs import BESIDE, SENTINEL, cases


def lay_out(folder: Path, files: dict[str, bytes]) -> None:
    """Writes files below a folder."""
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)


def load(path: Path, report: int) -> None:
    """In the child: loads one config and tells how it went."""
    from mmengine.config import Config

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
    resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        Config.fromfile(str(path), import_custom_modules=False).to_dict()
        told = "loaded"
    except MemoryError:
        told = "memory"
    except BaseException as error:
        told = f"refused: {type(error).__name__}"
    os.write(report, told.encode())


def outcome(folder: Path, path: Path) -> str:
    """What mmengine does with one config."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.chdir(folder)
        signal.alarm(20)
        load(path, theirs)
        os._exit(0)
    os.close(theirs)
    status = os.waitpid(child, 0)[1]
    told = os.read(ours, 200).decode()
    os.close(ours)
    if any(folder.rglob(SENTINEL)):
        return "ran"
    if os.WIFSIGNALED(status):
        return "endless" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM) else "crash"
    return told or "crash"


def main(folder: Path, answer: Path) -> None:
    """Tries all of them."""
    import mmengine.config  # noqa: F401 - once, for all children

    warnings.simplefilter("ignore")
    outcomes = {}
    for number, (case, (path, body)) in enumerate(cases().items()):
        place = folder / str(number)
        lay_out(place, {**BESIDE, path: body})
        outcomes[case] = outcome(place, place / path)
        shutil.rmtree(place)
    answer.write_text(json.dumps(outcomes, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
