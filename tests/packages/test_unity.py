"""Sources compiled together give what sources compiled alone give."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.packages.compiling import combine_sources
from zoo_cli.packages.unity import group_sources, opened, own_names, unit_text

SOURCES = {
    "plain.cpp": "int plain(int a) { return a + 1; }\n",
    "min.cpp": "#define min(a, b) (a < b ? a : b)\n#define LIMIT 3\nint least(int a) { return min(a, LIMIT); }\n",
    "std.cpp": "#include <algorithm>\n#define LIMIT 4\nint most(int a) { return std::min(a, LIMIT) + 1; }\n",
    "help1.cpp": "static int helper(int a) { return a * 2; }\nint twice(int a) { return helper(a); }\n",
    "help2.cpp": "static int helper(int a) { return a * 3; }\nint thrice(int a) { return helper(a); }\n",
    "type1.cpp": "template <typename T>\nstruct Calc {\n  T x;\n};\nint one() { return Calc<int>{1}.x; }\n",
    "type2.cpp": "template <class T> struct Calc { T x; T y; };\nint two() { return Calc<int>{1, 2}.y; }\n",
    "open1.cpp": '#include <string>\nusing namespace std;\nint length() { return string("abc").size(); }\n',
    "open2.cpp": "struct string { int x; };\nint other() { return string{5}.x; }\n",
}


def built(folder: Path, files: list[Path]) -> dict[str, int]:
    """Compiles, links and asks the library: the value of every function at 5 (or without argument)."""
    code = folder / "main.cpp"
    calls = {
        "plain": "5",
        "least": "5",
        "most": "5",
        "twice": "5",
        "thrice": "5",
        "one": "",
        "two": "",
        "length": "",
        "other": "",
    }
    head = "".join(f"int {name}({'int' if argument else ''});\n" for name, argument in calls.items())
    body = "".join(f'  printf("{name} %d\\n", {name}({argument}));\n' for name, argument in calls.items())
    code.write_text(f"#include <cstdio>\n{head}int main() {{\n{body}}}\n")
    subprocess.run(("g++", "-g0", "-o", str(folder / "main"), str(code), *map(str, files)), check=True, timeout=60)
    text = subprocess.run((str(folder / "main"),), capture_output=True, text=True, check=True).stdout
    return {line.split()[0]: int(line.split()[1]) for line in text.splitlines()}


def test_headers_of_the_project_count(tmp_path: Path) -> None:
    """Two headers with one helper or one macro of different meaning keep their users apart; a shared one does not."""
    files = {
        "common.h": "#pragma once\nstatic int shared(int a) { return a + 7; }\n",
        "one.h": "#ifndef ONE\n#define ONE\n#define BLOCK 2\nstatic int helper(int a) { return a * BLOCK; }\n#endif\n",
        "two.h": "#ifndef TWO\n#define TWO\n#define BLOCK 3\n#endif\n",
        "one.cpp": '#include "common.h"\n#include "one.h"\nint twice(int a) { return helper(a) + 0 * shared(a); }\n',
        "two.cpp": '#include "two.h"\nint thrice(int a) { return BLOCK * a; }\n',
        "late.cpp": '#include "one.h"\nint plain(int a) { return BLOCK * a; }\n',
        "both.cpp": '#include "common.h"\nint least(int a) { return shared(a); }\n',
        "rest.cpp": "int most(int a) { return a; }\nint one() { return 1; }\nint two() { return 2; }\n"
        "int length() { return 3; }\nint other() { return 4; }\n",
    }
    (tmp_path / "src").mkdir()
    for name, text in files.items():
        (tmp_path / "src" / name).write_text(text)
    alone = built(tmp_path, sorted((tmp_path / "src").glob("*.cpp")))
    assert combine_sources(tmp_path, ("src",), 1) == (2, 5)
    assert built(tmp_path, sorted((tmp_path / "src").glob("*.cpp"))) == alone
    assert (alone["twice"], alone["thrice"], alone["plain"]) == (10, 15, 10)


def test_units_give_the_same_program(tmp_path: Path) -> None:
    """Clashing helpers, types, macros and an opened namespace: real compiler, both ways."""
    (tmp_path / "src").mkdir()
    for name, text in SOURCES.items():
        (tmp_path / "src" / name).write_text(text)
    alone = built(tmp_path, sorted((tmp_path / "src").glob("*.cpp")))
    units, files = combine_sources(tmp_path, ("src",), 1)
    together = sorted((tmp_path / "src").glob("*.cpp"))
    assert (units, files) == (len(together), len(SOURCES))
    assert units == 2  # two helpers and two types keep two units apart; nothing else does
    assert built(tmp_path, together) == alone
    kept = {path.name.removesuffix(".inc"): path.read_text() for path in (tmp_path / "src").glob("*.inc")}
    assert kept == SOURCES


def test_nothing_to_combine(tmp_path: Path) -> None:
    assert combine_sources(tmp_path, ("nowhere",), 2) == (0, 0)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("static inline int f(int a) {\n}", {"f"}),
        ("template <typename T>\nvoid pre_calc(const int a, T *b,\n   int c) {\n}", {"pre_calc"}),
        ("template <class T> struct A : B<T> {", {"A"}),
        ("const int K = 3;\nstatic const char *names[] = {", {"K", "names"}),
        ("using V = std::vector<int>;\ntypedef struct { int a; } W;", {"V", "W"}),
        ("// static int no(int a) {\n/* struct No { */ int yes() {", {"yes"}),
        ("int declared(int a);\nTensor other(Tensor t);", set()),
        ("at::Tensor nms_cpu(Tensor boxes, float iou) {", {"nms_cpu"}),
        ("  int indented(int a) {", set()),
    ],
)
def test_names_of_a_file(text: str, names: set[str]) -> None:
    assert own_names(text) == names


def test_opened_scopes() -> None:
    assert opened("using namespace  std;\nusing at::Tensor;\n// using namespace no;\n") == {
        "namespace std",
        "at::Tensor",
    }


def test_macros_end_with_their_file() -> None:
    text = unit_text(("a.cpp", "b.cpp"), {"a.cpp": "#define X 1\n # define Y(a) a\n", "b.cpp": "//#define Z\n"})
    assert text.splitlines() == ['#include "a.cpp"', "#undef X", "#undef Y", '#include "b.cpp"']


NAMES = st.sampled_from("abcdefgh")
FILES = st.dictionaries(
    st.text("xyz", min_size=1, max_size=3).map("{}.cpp".format),
    st.tuples(st.sets(NAMES, max_size=4), st.sampled_from(["", "using namespace std;\n", "using namespace at;\n"])),
    min_size=1,
    max_size=12,
)


@given(FILES, st.integers(1, 5))
def test_groups_are_a_partition_without_clashes(files: dict[str, tuple[set[str], str]], units: int) -> None:
    texts = {
        path: scope + "".join(f"static int {name}() {{}}\n" for name in sorted(names))
        for path, (names, scope) in files.items()
    }
    groups = group_sources(texts, units)
    assert sorted(path for group in groups for path in group) == sorted(texts)
    for group in groups:
        names = [name for path in group for name in files[path][0]]
        assert len(names) == len(set(names))
        scopes = [files[path][1] for path in group]
        assert scopes == sorted(scopes, key=bool)  # openers last
        assert len(set(filter(None, scopes))) <= 1
    assert group_sources(dict(reversed(texts.items())), units) == groups
