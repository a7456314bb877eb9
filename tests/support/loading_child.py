"""Runs in an environment with torch: loads every checkpoint of a directory in its own process, and says what fired.

    python loading_child.py DIRECTORY unsafe|weights-only

Each file is loaded with the working directory set to a fresh one; a file called `fired...` there means that code ran.
Prints one JSON object: name -> {"fired": bool, "loaded": bool}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

FOLDER, WEIGHTS_ONLY = Path(sys.argv[1]).absolute(), sys.argv[2] == "weights-only"


def load(path: Path, place: str) -> bool:
    """Loads in a child; whether it went well."""
    child = os.fork()
    if child == 0:
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silent, stream)
        os.chdir(place)
        signal.alarm(20)
        code = 1
        try:
            torch.load(path, weights_only=WEIGHTS_ONLY, map_location="cpu")
            code = 0
        except BaseException:
            pass
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def fired(place: str) -> bool:
    """Whether code ran; what loads unsafely may leave it to a process of its own, which takes its time."""
    for _ in range(1 if WEIGHTS_ONLY else 100):
        if any(name.startswith("fired") for name in os.listdir(place)):
            return True
        time.sleep(0 if WEIGHTS_ONLY else 0.03)
    return False


found = {}
for path in sorted(FOLDER.iterdir()):
    with tempfile.TemporaryDirectory() as place:
        loaded = load(path, place)
        found[path.name] = {"fired": fired(place), "loaded": loaded}
sys.stdout.write(json.dumps(found) + "\n")
