"""The config trees of released packages, laid out as an installation would have them, for mmengine and zoo alike.

A package's folder holds `.mim/` and an empty `__init__.py`, with the metadata by which mmengine finds it beside it; no
code of the package is there. Releases are those of the index, fetched once (`tests.support.pypi`).
"""

from __future__ import annotations

import json
import tarfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.support.mmengine_env import load_with_mmengine, raw_answers, value_of
from tests.support.pypi import wheel
from zoo_cli.models.config_errors import ConfigError
from zoo_cli.models.configs import ConfigTree, Flat, Read
from zoo_cli.models.writer import CannotWrite, write_flat

INDEX = Path(__file__).parent.parent.parent / "index" / "models"

# Which release a base of another package (`mmdet::path`) comes from: the newest of each that the index has.
NEIGHBOURS = {
    "mmaction": ("mmaction2", "1.2.0"), "mmagic": ("mmagic", "1.2.0"), "mmcls": ("mmcls", "1.0.0rc6"),
    "mmdet": ("mmdet", "3.3.0"), "mmdet3d": ("mmdet3d", "1.4.0"), "mmpose": ("mmpose", "1.3.2"),
    "mmpretrain": ("mmpretrain", "1.2.0"), "mmrazor": ("mmrazor", "1.0.0"), "mmrotate": ("mmrotate", "1.0.0rc1"),
    "mmseg": ("mmsegmentation", "1.2.2"), "mmselfsup": ("mmselfsup", "1.0.0"), "mmyolo": ("mmyolo", "0.6.0"),
}  # fmt: skip


class Tree(NamedTuple):
    """One unpacked release."""

    project: str
    version: str
    module: str  # the name it is imported by
    site: Path  # the folder in which it is installed

    @property
    def root(self) -> Path:
        """The folder that holds `configs/`."""
        return self.site / self.module / ".mim"

    def paths(self) -> list[str]:
        """Every Python file below `configs/`."""
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.glob("configs/**/*.py"))


def releases() -> list[tuple[str, str]]:
    """Every release of the index that has configs."""
    return [(path.parent.name, path.stem) for path in sorted(INDEX.glob("*/*.json")) if _config_root(path)]


def unpacked(project: str, version: str, folder: Path) -> Tree:
    """The config tree of a release, unpacked into `folder/<project>-<version>`."""
    prefix = _config_root(INDEX / project / f"{version}.json")
    module = prefix.split("/")[-3]
    tree = Tree(project, version, module, folder / f"{project}-{version}")
    if tree.site.is_dir():
        return tree
    for name, body in _members(wheel(project, version), prefix):
        target = tree.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
    (tree.site / module / "__init__.py").touch()
    info = tree.site / f"{project.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n")
    (info / "top_level.txt").write_text(f"{module}\n")
    return tree


def neighbours(tree: Tree, folder: Path) -> dict[str, Tree]:
    """The other packages on whose configs those of this release are built, and theirs, by import name."""
    found: dict[str, Tree] = {}
    waiting = [tree]
    while waiting:
        here = waiting.pop()
        texts = b"".join((here.root / path).read_bytes() for path in here.paths())
        for module, release in NEIGHBOURS.items():
            if f"{module}::".encode() in texts and module not in (tree.module, *found):
                found[module] = unpacked(*release, folder)
                waiting.append(found[module])
    return found


def reader(root: Path) -> Read:
    """Reads files of a folder by their posix path."""
    return lambda path: (root / path).read_bytes() if (root / path).is_file() else None


@dataclass
class Comparison:
    """How zoo and mmengine compare on one release. Files are paths; reasons are texts."""

    files: int = 0
    equal: int = 0
    mmengine_errors: dict[str, str] = field(default_factory=dict)  # file -> mmengine's error
    refused: dict[str, str] = field(default_factory=dict)  # file that mmengine loads -> zoo's error
    different: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)  # files that mmengine refuses and zoo flattens
    written: int = 0
    reloaded: int = 0
    reload_different: list[str] = field(default_factory=list)
    not_written: dict[str, str] = field(default_factory=dict)
    mmengine_seconds: float = 0.0  # CPU
    zoo_seconds: float = 0.0  # CPU, each file flattened alone, as `zoo download` does


def compare(project: str, version: str, folder: Path, *, reload: bool) -> Comparison:
    """Flattens every config of a release with mmengine and with zoo; with `reload`, mmengine loads what zoo writes."""
    tree = unpacked(project, version, folder)
    others = neighbours(tree, folder)
    sites = (tree.site, *(other.site for other in others.values()))
    answer = folder / f"{project}-{version}.answers"
    result = Comparison(mmengine_seconds=load_with_mmengine(tree.root, answer, sites=sites))
    expected = raw_answers(answer, tree.root)
    for other in others.values():
        expected = {path: text.replace(f"{other.root}/", "") for path, text in expected.items()}
    result.files = len(expected)

    reads = {module: reader(other.root) for module, other in others.items()} | {tree.module: reader(tree.root)}
    flat: dict[str, Flat] = {}
    errors: dict[str, ConfigError] = {}
    started = time.process_time()
    for path in expected:
        try:
            flat[path] = ConfigTree(reader(tree.root), packages=reads.get).flatten(path)
        except ConfigError as error:
            errors[path] = error
    result.zoo_seconds = time.process_time() - started

    for path, literal in expected.items():
        if literal.startswith(("'Error: ", '"Error: ')):
            result.mmengine_errors[path] = literal.strip("'\"")
            result.more += [path] if path in flat else []
        elif path in errors:
            result.refused[path] = f"{errors[path].code}, line {errors[path].line}: {_reason(errors[path])}"
        elif repr(flat[path].settings) == literal or flat[path].settings == value_of(literal):
            result.equal += 1
        else:
            result.different.append(path)
    if reload:
        _reload(flat, result, folder / f"{project}-{version}.written")
    return result


def _reason(error: ConfigError) -> str:
    """What an error says beside its place."""
    return ", ".join(str(value) for name, value in error.fields().items() if name not in ("file", "line"))


def _reload(flat: dict[str, Flat], result: Comparison, written: Path) -> None:
    """Writes every config and lets mmengine load it."""
    expected: dict[str, Flat] = {}
    for path, config in flat.items():
        target = written / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.write_text(write_flat(config), encoding="utf-8")
            expected[path] = config
        except CannotWrite as error:
            result.not_written[path] = f"{error.key}: {error.reason}"
    result.written = len(expected)
    if not expected:
        return
    answer = written.with_suffix(".answers")
    load_with_mmengine(written, answer)
    for path, literal in raw_answers(answer, written).items():
        if value_of(literal) == expected[path].settings:
            result.reloaded += 1
        else:
            result.reload_different.append(path)


def _config_root(path: Path) -> str:
    release = json.loads(path.read_text(encoding="utf-8"))["release"]
    root = str(release.get("config_root", ""))
    return root if root.endswith("/.mim/") else ""


def _members(archive: Path, prefix: str) -> list[tuple[str, bytes]]:
    """Name below the prefix and content of each config, metafile and list of classes."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel_file:
            names = [name for name in wheel_file.namelist() if name.startswith(prefix) and not name.endswith("/")]
            return [(name[len(prefix) :], wheel_file.read(name)) for name in names if _wanted(name)]
    with tarfile.open(archive, "r:gz") as sdist:
        found = [member for member in sdist if member.isreg() and member.name.startswith(prefix)]
        files = [(member.name, sdist.extractfile(member)) for member in found if _wanted(member.name)]
        return [(name[len(prefix) :], file.read()) for name, file in files if file]


def _wanted(name: str) -> bool:
    return name.endswith((".py", ".json", ".yml", ".yaml")) and "/.mim/tools/" not in name and ".." not in name
