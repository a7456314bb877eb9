"""Every place in the cache that any code makes is known to `zoo cache`: it is listed, counted and can be given up."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import zoo_cli
from zoo_cli import filelock
from zoo_cli.cli.app import run
from zoo_cli.directories import own_cache
from zoo_cli.transfer.cache import PLACES, read_items

PACKAGE = Path(zoo_cli.__file__).parent
NOT_NAMED_HERE = {
    # The records of `trust.marked` are made for a folder; `inspected` and `bytecode` say theirs.
    ("trust/marked.py", "self.folder"),
    # Places that functions of their own name, which are read beside.
    ("machine/interpreter.py", "interpreter_place(path)"),
    ("machine/remembered.py", "kind"),
}


def constants(tree: ast.Module) -> dict[str, str]:
    """Module-level texts by their names."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def is_cache(node: ast.expr) -> bool:
    """Whether an expression is the cache directory, by its name."""
    names = ("cache", "_cache", "own", "own_cache", "cache_path", "cache_directory")
    return ast.unparse(node).partition("(")[0].rpartition(".")[2] in names


def places(name: str, tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """Each expression that names something in the cache, and the first part of what it names."""
    known = constants(tree)
    for node in ast.walk(tree):
        named: ast.expr | None = None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and is_cache(node.left):
            named = node.right
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "joinpath" and is_cache(node.func.value):
                named = node.args[0]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            at = {"place_of": 1, "Records": 2}.get(node.func.id)
            named = node.args[at] if at and len(node.args) > at and is_cache(node.args[0]) else None
        elif isinstance(node, ast.FunctionDef) and node.name == "interpreter_place":
            named = next(each.value for each in ast.walk(node) if isinstance(each, ast.Return))
        if named is not None:
            yield ast.unparse(named), text_of(named, known)


def text_of(node: ast.expr, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.JoinedStr):  # what follows the first slash, or stands for a digest, is not looked at
        parts = [each.value if isinstance(each, ast.Constant) else "*" for each in node.values]
        return "".join(map(str, parts)).partition("/")[0]
    if isinstance(node, ast.Name):
        return known.get(node.id)
    return node.value.partition("/")[0] if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def found_in(path: Path) -> Iterator[tuple[str, str, str | None]]:
    name = path.relative_to(PACKAGE).as_posix()
    for shown, text in places(name, ast.parse(path.read_text(encoding="utf-8"))):
        yield name, shown, text


def test_every_place_that_the_code_names_is_known() -> None:
    found = [each for path in sorted(PACKAGE.rglob("*.py")) for each in found_in(path)]
    unknown = {(name, shown) for name, shown, text in found if text not in PLACES}
    assert unknown == NOT_NAMED_HERE  # whoever makes another place says in transfer/cache.py what it is
    seen = {text for _name, _shown, text in found if text}
    # What the store and the resolver of names make goes by other words than the cache's.
    assert PLACES - seen == {"sha256", "index-*.db.stamp"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with something in every place."""
    root = tmp_path / "cache"
    monkeypatch.setenv("ZOO_CACHE", str(root))
    for place in PLACES - {"sha256", "quarantine"}:
        if "." in place:
            path = root / place.replace("*", "0a")
        elif place in ("wheels", "sdists", "releases"):
            path = root / place / "x.whl"
        elif place in ("inspected", "bytecode", "interpreters", "extensions", "fits"):
            path = root / place / "0a1b2c3d.json"
        else:
            path = root / place / "0a" / "file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1000))
    (root / "sha256" / "0a").mkdir(parents=True)
    (root / "sha256" / "0a" / ("0a" * 32)).write_bytes(bytes(1000))
    (root / "quarantine").mkdir()
    (root / "quarantine" / "0a.refused").write_bytes(bytes(1000))
    for name in ("building", "bundling"):
        (root / name / ".0a.lock").touch()
    return root


def test_all_of_it_is_listed_counted_and_given_up(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = read_items(cache)
    assert len(items) == len(PLACES) and sum(each.size_bytes for each in items) == 1000 * len(PLACES)
    assert run(["cache", "info", "--json"]) == 0
    kinds = json.loads(capsys.readouterr().out)["kinds"]
    assert kinds["remembered"] == {"count": 4, "size_bytes": 4000}
    assert sum(each["count"] for each in kinds.values()) == len(PLACES)
    assert run(["cache", "prune", "--all", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["removed"]) == len(PLACES)
    left = [each.relative_to(cache).as_posix() for each in cache.rglob("*") if each.is_file()]
    assert sorted(left) == ["building/.0a.lock", "bundling/.0a.lock"]


def test_what_a_command_works_in_is_not_given_up(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with filelock.hold(cache / "bundling" / ".0a.lock"):
        assert run(["cache", "prune", "--all", "--json"]) == 0
    (kept,) = json.loads(capsys.readouterr().out)["kept"]
    assert kept["kind"] == "unfinished" and (cache / "bundling" / "0a" / "file").exists()


@pytest.mark.parametrize("mode", [0o2775, 0o3775, 0o777])
def test_what_no_digest_tells_right_is_not_where_others_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: int
) -> None:
    root, state = tmp_path / "cache", tmp_path / "state"
    monkeypatch.setenv("ZOO_CACHE", str(root))
    monkeypatch.setenv("ZOO_STATE", str(state))
    assert own_cache(root) == root, "not made yet: it will be ours"
    root.mkdir(mode=0o755)
    assert own_cache(root) == root
    root.chmod(mode)
    assert own_cache(root) == state / "cache"
    kept = state / "cache" / "configs" / "mmdet" / "x.py"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(bytes(1000))
    assert run(["cache", "info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kinds"]["configs"]["count"] == 1
    assert run(["cache", "prune", "--all", "-q"]) == 0 and not kept.exists()


def test_a_place_that_can_be_no_cache_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("ZOO_CACHE", str(place))
        for word in ("info", "list", "verify", "prune"):
            assert run(["cache", word]) == 1
            assert "Not a directory" in capsys.readouterr().err
