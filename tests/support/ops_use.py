"""What a released package asks of mmcv's compiled ops and of CUDA, read from its code and configs without running any.

An independent look at the wheels behind the rows `releases` of index/compat/ops_cpu.yaml.
"""

from __future__ import annotations

import ast
import re
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Not part of a model: tests and tools, and what puts a model on the GPUs of a cluster.
_BESIDE = re.compile(
    r"(?:^|/)(?:tests?|tools|demo|docs|projects|apis|hooks|onnx|visualization|\.dev\w*|\.circleci)/|"
    r"/(?:distributed_wrapper|dist_utils?|distribution|util_distribution|multilevel_pixel_data)\.py$"
)
_TO_CUDA = re.compile(r"\.cuda\(|device\s*=\s*['\"]cuda|\.to\(\s*['\"]cuda")
_OTHER_PACKAGE = re.compile(r"(mm(?!cv|engine)\w+)(?:\.|::)\w")  # `mmdet.FasterRCNN`, `mmdet::_base_/x.py`


class OpUse(NamedTuple):
    """What was found: names imported from mmcv.ops, files that put something on the GPU, words of configs by path."""

    imports: frozenset[str]
    on_cuda: frozenset[str]
    configs: dict[str, frozenset[str]]  # path below configs/ -> every string and name in it

    def naming(self, words: frozenset[str], harmless: frozenset[str]) -> dict[str, str]:
        """Configs that name one of these words, or something of another package that is not harmless: path -> word."""
        found = {path: min(told & words, default="") for path, told in self.configs.items()}
        for path, told in self.configs.items():
            others = [word for word in told if (of := _OTHER_PACKAGE.match(word)) and not {of[1], word} & harmless]
            found[path] = found[path] or min(others, default="")
        return {path: word for path, word in found.items() if word}


def op_use(path: Path) -> OpUse:
    """Reads one wheel or sdist."""
    imports, on_cuda, configs = set[str](), set[str](), dict[str, frozenset[str]]()
    for name, text in _members(path):
        config = re.search(r"(?:/\.mim/|^)configs/(.+)", name)
        if config:
            configs[config[1]] = _words(_parsed(text))
        elif not _BESIDE.search(name) and "/configs/" not in name and "/.mim/" not in name:
            tree = _parsed(text)
            imports |= _ops_imported(tree)
            if _TO_CUDA.search(_code(tree)):
                on_cuda.add(name)
    return OpUse(frozenset(imports), frozenset(on_cuda), configs)


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # upstream's "\\d" in plain strings
        return ast.parse(text)


def _members(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                if name.endswith(".py"):
                    yield name, wheel.read(name).decode("utf-8")
        return
    with tarfile.open(path) as sdist:
        for member in sdist:
            content = sdist.extractfile(member) if member.isfile() and member.name.endswith(".py") else None
            if content is not None:
                yield member.name.partition("/")[2], content.read().decode("utf-8")


def _code(tree: ast.Module) -> str:
    """The code without comments and docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _words(tree: ast.Module) -> frozenset[str]:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return frozenset(names | {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    })  # fmt: skip


def _ops_imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[:2] == ["mmcv", "ops"]:
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "mmcv":
            found.update("*" for alias in node.names if alias.name == "ops")
        elif isinstance(node, ast.Import):
            found.update("*" for alias in node.names if alias.name.startswith("mmcv.ops"))
    return found
