"""Runs with mmengine on its path: ROOT ANSWER [PATH...] -> what mmengine gives for each config, as literals.

Each line of the answer is `path<TAB>literal`: `repr` of the settings, or of a text `Error: ...` where mmengine fails.
Functions and modules among the top-level names are left out, as mmengine does for configs of the old style: no file
could hold them. The last word on stdout is the CPU time of the loading alone.
"""

from __future__ import annotations

import logging
import sys
import time
import types
import warnings
from pathlib import Path


def loaded(path: Path) -> object:
    """The settings of one config, or a text with mmengine's error."""
    from mmengine.config import Config

    try:
        settings = Config.fromfile(path, import_custom_modules=False).to_dict()
    except Exception as error:  # whatever mmengine raises is its answer
        return f"Error: {type(error).__name__}: {error}"[:400]
    code = (types.FunctionType, types.ModuleType, types.BuiltinFunctionType, type)
    return {key: value for key, value in settings.items() if not isinstance(value, code)}


def main(root: Path, answer: Path, paths: list[str]) -> None:
    """Loads all, then writes all."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    found = paths or sorted(path.relative_to(root).as_posix() for path in root.glob("configs/**/*.py"))
    loaded(root / found[0])  # imports are not counted
    started = time.process_time()
    results = {path: loaded(root / path) for path in found}
    spent = time.process_time() - started
    answer.write_text("".join(f"{path}\t{result!r}\n" for path, result in results.items()), encoding="utf-8")
    sys.stdout.write(f"{spent}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
