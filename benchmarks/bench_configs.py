"""Flattening every config of mmdet 3.3.0: zoo and mmengine 0.10.7 in one run, CPU seconds (goal: 5 times faster).

    python benchmarks/bench_configs.py

Needs the package registry the first time: the wheels of mmdet and mmpretrain, and an environment with mmengine (see
`tests/support/mmengine_env.py`). mmengine's imports are not counted. zoo is measured twice: as `zoo download` works
(one config at a time, nothing kept between them) and as the index is built (one tree for all).
"""

from __future__ import annotations

import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.mmengine_env import load_with_mmengine
from tests.support.pypi import wheel
from zoo_cli.models.config_errors import ConfigError
from zoo_cli.models.configs import ConfigTree, Read
from zoo_cli.models.writer import write_config


def reader(root: Path) -> Read:
    return lambda path: (root / path).read_bytes() if (root / path).is_file() else None


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        trees = {}
        for project, version in (("mmdet", "3.3.0"), ("mmpretrain", "1.2.0")):
            with zipfile.ZipFile(wheel(project, version)) as archive:
                archive.extractall(folder, [name for name in archive.namelist() if "/.mim/configs/" in name])
            trees[project] = Path(folder, project, ".mim")
        root, packages = trees["mmdet"], {"mmpretrain": reader(trees["mmpretrain"])}.get
        paths = sorted(path.relative_to(root).as_posix() for path in root.glob("configs/**/*.py"))
        mmengine = load_with_mmengine(root, Path(folder, "answers"))

        def measure(tree: ConfigTree | None) -> tuple[float, list[dict[str, object]]]:
            started, results = time.process_time(), []
            for path in paths:
                try:
                    found = (tree or ConfigTree(reader(root), packages=packages)).flatten(path)
                    results.append(found.settings)
                except ConfigError:
                    continue
            return time.process_time() - started, results

        alone, results = measure(None)
        together, _ = measure(ConfigTree(reader(root), packages=packages))
        started = time.process_time()
        for settings in results:
            write_config(settings)
        written = time.process_time() - started
    count = len(paths)
    print(f"mmdet 3.3.0: {count} configs, CPU seconds (ms a config)")
    print(f"  mmengine 0.10.7   {mmengine:7.2f}  ({1000 * mmengine / count:6.2f})")
    for name, spent in (("zoo, one by one", alone), ("zoo, one tree", together)):
        print(f"  {name:16}  {spent:7.2f}  ({1000 * spent / count:6.2f})  {mmengine / spent:5.1f} times faster")
    print(f"  {'zoo, written':16}  {written:7.2f}  ({1000 * written / count:6.2f})")


if __name__ == "__main__":
    main()
