from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.transfer.keptrules import compiled_rules, kept_rules
from zoo_cli.transfer.mirrors import (
    BadMirrorOption,
    bundled_file,
    compiled_mirrors,
    load_mirrors,
    parse_option,
    read_bundled_file,
    read_mirrors,
)
from zoo_cli.transfer.mirrorsfile import SCHEMA, BadMirrors
from zoo_cli.transfer.sources import KINDS, ORDERS

URL = "https://download.openmmlab.com/mmcv/x%2Bcu121.whl"


def written(folder: Path, text: str) -> Path:
    path = folder / "mirrors.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_bundled_file_is_right_and_each_host_has_a_source() -> None:
    mirrors = read_mirrors(bundled_file())
    assert {host.url for host in mirrors.hosts} >= {"https://download.openmmlab.com/", "https://pypi.org/simple/"}
    assert all(host.source and host.kinds for host in mirrors.hosts)


def test_option_then_user_file_then_bundled(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "version: 1\nmirrors:\n  - from: https://download.openmmlab.com\n    to: http://user\n    kinds: [wheels]\n",
    )
    mirrors = load_mirrors(["https://download.openmmlab.com=http://option/m"], {"ZOO_MIRRORS": str(path)})
    found = mirrors.addresses(URL, "wheels")
    assert found == ("http://option/m/mmcv/x%2Bcu121.whl", "http://user/mmcv/x%2Bcu121.whl", URL)
    assert mirrors.hosts  # the bundled file was read too


def test_the_config_directory_is_read_and_a_missing_file_is_fine(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert load_mirrors((), environ).rules == ()
    (tmp_path / "zoo").mkdir()
    written(tmp_path / "zoo", "version: 1\nmirrors: [{from: https://, to: [http://lab], order: instead}]\n")
    assert load_mirrors((), environ).addresses(URL, "wheels") == (
        "http://lab/download.openmmlab.com/mmcv/x%2Bcu121.whl",
    )


def test_a_directory_as_mirror_keeps_the_meaning_of_percent_codes(tmp_path: Path) -> None:
    rule = parse_option(f"https://download.openmmlab.com={tmp_path}")
    assert rule.to == (tmp_path.as_uri(),)
    assert rule.addresses("/x%2By.whl") == (f"{tmp_path.as_uri()}/x%2By.whl",)


@pytest.mark.parametrize("text", ["", "https://h", "h=http://m", "https://h=", "=http://m", "https://h=ftp://x"])
def test_a_wrong_option_is_refused(text: str) -> None:
    with pytest.raises(BadMirrorOption):
        parse_option(text)


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("", 0, ""),
        ("version: 2\n", 1, "version"),
        ("mirrors: []\n", 1, "version"),
        ("version: 1\nmirors: []\n", 2, "mirors"),
        ("version: 1\nmirrors: {}\n", 2, "mirrors"),
        ("version: 1\nmirrors:\n  - from: https://h\n", 3, "to"),
        ("version: 1\nmirrors:\n  - to: http://m\n", 3, "from"),
        ("version: 1\nmirrors:\n  - from: https://h\n    to: []\n", 4, "to"),
        ("version: 1\nmirrors:\n  - from: https://h\n    to: m/x\n", 4, "to"),
        ("version: 1\nmirrors:\n  - from: h\n    to: http://m\n", 3, "from"),
        ("version: 1\nmirrors:\n  - from: https://h\n    to: http://m\n    order: first\n", 5, "order"),
        ("version: 1\nmirrors:\n  - from: https://h\n    to: http://m\n    kinds: [wheel]\n", 5, "kinds"),
        ("version: 1\nmirrors:\n  - from: https://h\n    to: http://m\n    verfy: no\n", 5, "verfy"),
        ("version: 1\nversion: 1\n", 2, "version"),
        ("version: 1\nhosts:\n  - url: https://h\n", 3, "source"),
        ("version: &a 1\n", 1, ""),
        ("version: !!python/object/apply:os.system [x]\n", 1, ""),
        ("version: 1\nmirrors: [[[[[[[[[[]]]]]]]]]]\n", 2, ""),
        ("version: 1\n\tx: y\n", 2, ""),
        ("version: [1\n", 2, ""),
        ("- a\n- b\n", 1, "the file"),
        ("version: 1\n---\nversion: 1\n", 2, ""),
        ("version: 1\nuse: [a\0b]\n", 2, ""),
        ("version: 1\nmirrors:\n  - from: https://h\n    to: https://m\n    date: 2026-02-32\n", 5, "date"),
        ("version: 1\nmirrors:\n  - from: https://h?x\n    to: https://m\n", 3, "from"),
        ("version: 1\nmirrors:\n  - from: https://me:pw@h\n    to: https://m\n", 3, "from"),
        ("version: 1\nmirrors:\n  - from: https://h\n    to: https://m/?x=1\n", 4, "to"),
        ("version: 1\nuse-order: " + "v" * 100_000, 2, "use-order"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_line_and_key(tmp_path: Path, text: str, line: int, key: str) -> None:
    with pytest.raises(BadMirrors) as caught:
        read_mirrors(written(tmp_path, text))
    assert (caught.value.line, caught.value.key) == (line, key)
    assert caught.value.why and len(str(caught.value)) < 1000


@given(st.binary(max_size=200) | st.text("[]{}:-&*!|> \n\"'#%@abc1,?").map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "m.yaml"
    path.write_bytes(data)
    with pytest.raises(BadMirrors):
        read_mirrors(path)


def test_a_missing_or_huge_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadMirrors, match="No such file"):
        load_mirrors((), {"ZOO_MIRRORS": str(tmp_path / "none.yaml")})
    with pytest.raises(BadMirrors, match="larger than"):
        read_mirrors(written(tmp_path, "#" * 300_000))


def test_the_examples_of_the_documentation_are_right(tmp_path: Path) -> None:
    text = (bundled_file().parent / "docs" / "mirrors.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(examples) >= 2
    assert all(read_mirrors(written(tmp_path, example)).rules for example in examples)
    for option in re.findall(r"--mirror (https\S+=\S+)", text):
        assert parse_option(option).to


def test_what_is_kept_is_what_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_STATE", str(tmp_path / "state"))
    path = bundled_file()
    first = read_mirrors(path)
    assert not (tmp_path / "state").exists()  # a mistyped command leaves nothing behind
    (tmp_path / "state").mkdir()
    assert read_mirrors(path) == first
    (kept,) = (tmp_path / "state" / "mirrors").iterdir()
    again = kept_rules(path, path.read_bytes())
    assert again == first == read_mirrors(path)
    assert kept_rules(path, path.read_bytes() + b"#") is None  # the file was changed
    for damaged in (b"", kept.read_bytes()[:-1], kept.read_bytes()[:-30] + b"\n", b"zoo mirrors 1\nrule\tx\n"):
        kept.write_bytes(damaged)
        assert kept_rules(path, path.read_bytes()) in (None, first) and read_mirrors(path) == first


def test_the_compiled_form_is_what_mirrors_yaml_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = tmp_path / "mirrors.tsv"
    monkeypatch.setattr("zoo_cli.transfer.mirrors.COMPILED_FILE", compiled)
    read = read_bundled_file()
    assert read == read_mirrors(bundled_file()) and read.hosts
    compiled.write_bytes(compiled_mirrors(bundled_file()))
    data = bundled_file().read_bytes()
    assert compiled_rules(compiled, data) == read == read_bundled_file()
    assert compiled_rules(compiled, data + b"#") is None  # mirrors.yaml was edited since
    compiled.write_bytes(compiled.read_bytes().replace(b"https://", b"http://"))
    assert compiled_rules(compiled, data) is None and read_bundled_file() == read


def test_a_text_that_is_no_field_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_STATE", str(tmp_path / "state"))
    path = written(tmp_path, 'version: 1\nmirrors: [{from: "https://", to: ["http://lab"], source: "a\\tb"}]\n')
    (tmp_path / "state").mkdir()
    assert read_mirrors(path).rules[0].source == "a\tb" and list((tmp_path / "state").iterdir()) == []


FILES: dict[str, dict[str, str]] = {
    "file": {"version": "1", "mirrors": "[]", "known": "[]", "use": "[]", "use-order": "fastest", "headers": "[]",
             "find-links": "['https://h/wheels/', /srv/b]", "hosts": "[]"},
    "mirrors": {"from": "'https://h'", "to": "['http://a', /srv/b]", "kinds": "[wheels]", "order": "after",
                "source": "x", "date": "2026-11-23"},
    "known": {"name": "lab", "region": "cn", "from": "'https://'", "to": "'http://a'", "kinds": "[configs]",
              "source": "x", "date": "2026-11-23"},
    "headers": {"for": "'https://h/x'", "name": "X-Key", "from-environment": "KEY", "scheme": "Bearer"},
    "hosts": {"url": "'https://h'", "kinds": "[package-index]", "source": "x", "date": "2026-11-23"},
}  # fmt: skip


def documented() -> dict[str, dict[str, tuple[bool, str]]]:
    """The table of keys in docs/mirrors.md: whether each must be there, and what it says of its value."""
    text = (bundled_file().parent / "docs" / "mirrors.md").read_text(encoding="utf-8")
    found: dict[str, dict[str, tuple[bool, str]]] = {}
    for place, key, must, value in re.findall(r"^\| (\w+) \| `([\w-]+)` \| (yes|no) \| (.+) \|$", text, re.MULTILINE):
        found.setdefault(place, {})[key] = (must == "yes", value)
    return found


def one_file(place: str, keys: dict[str, str]) -> str:
    pairs = "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"
    return pairs if place == "file" else f"{{version: 1, {place}: [{pairs}]}}"


def test_documentation_and_validator_agree_about_every_key(tmp_path: Path) -> None:
    told = documented()
    assert {place: {key: must for key, (must, _) in keys.items()} for place, keys in told.items()} == SCHEMA
    assert {place: set(keys) for place, keys in FILES.items()} == {place: set(keys) for place, keys in SCHEMA.items()}
    for place, keys in FILES.items():
        assert read_mirrors(written(tmp_path, one_file(place, keys)))
        for key in keys:
            rest = {other: value for other, value in keys.items() if other != key}
            if told[place][key][0]:
                with pytest.raises(BadMirrors, match="missing") as caught:
                    read_mirrors(written(tmp_path, one_file(place, rest)))
                assert caught.value.key == key
            else:
                assert read_mirrors(written(tmp_path, one_file(place, rest)))
        with pytest.raises(BadMirrors, match="no such key"):
            read_mirrors(written(tmp_path, one_file(place, {**keys, "more": "x"})))


def test_documentation_and_validator_agree_about_every_word(tmp_path: Path) -> None:
    """Each word in the table is taken, each default is what is read without the key, any other word is refused."""
    told = documented()
    for place, key in (("mirrors", "order"), ("file", "use-order"), ("mirrors", "kinds")):
        words, _, default = told[place][key][1].partition(";")
        for word in re.findall(r"`([\w-]+)`", words):
            value = f"[{word}]" if key == "kinds" else word
            assert read_mirrors(written(tmp_path, one_file(place, {**FILES[place], key: value})))
        for value in ("[first]" if key == "kinds" else "first", "{}", "''"):
            with pytest.raises(BadMirrors):
                read_mirrors(written(tmp_path, one_file(place, {**FILES[place], key: value})))
        if place == "mirrors":
            known = set(KINDS if key == "kinds" else ORDERS)
            assert set(re.findall(r"`([\w-]+)`", words)) == known
        if key != "kinds":
            rest = {other: value for other, value in FILES[place].items() if other != key}
            read = read_mirrors(written(tmp_path, one_file(place, rest)))
            assert f"`{read.rules[0].order if read.rules else read.use_order}` if" in default
    for place in ("mirrors", "known", "hosts"):
        for day in ("2026-13-01", "23.11.2026", "2026-11-23T10:00", "yesterday"):
            with pytest.raises(BadMirrors, match="day"):
                read_mirrors(written(tmp_path, one_file(place, {**FILES[place], "date": f"'{day}'"})))
