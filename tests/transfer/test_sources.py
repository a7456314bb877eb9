from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.transfer.sources import KINDS, ORDERS, Mirrors, Rule, kind_of

HOST = "https://download.openmmlab.com"


def addresses(*rules: Rule, url: str = HOST + "/mmcv/x.whl", kind: str = "wheels") -> tuple[str, ...]:
    return Mirrors(rules).addresses(url, kind)  # type: ignore[arg-type]


def test_without_rules_the_original_is_all() -> None:
    assert addresses() == (HOST + "/mmcv/x.whl",)


def test_before_after_and_instead() -> None:
    before, after = Rule(HOST, ("http://a/m",)), Rule(HOST, ("http://b",), order="after")
    instead = Rule(HOST, ("http://c",), order="instead")
    original = HOST + "/mmcv/x.whl"
    assert addresses(after, before) == ("http://a/m/mmcv/x.whl", original, "http://b/mmcv/x.whl")
    assert addresses(before, instead, after) == ("http://a/m/mmcv/x.whl", "http://c/mmcv/x.whl")


def test_a_prefix_ends_at_a_boundary() -> None:
    rule = Rule(HOST, ("http://a",))
    assert addresses(rule, url=HOST + ".evil.example/x") == (HOST + ".evil.example/x",)
    assert addresses(rule, url=HOST) == ("http://a", HOST)
    assert addresses(rule, url=HOST + "?q") == ("http://a?q", HOST + "?q")


def test_one_slash_stands_at_the_seam() -> None:
    for start in (HOST, HOST + "/"):
        for to in ("http://a/m", "http://a/m/"):
            assert addresses(Rule(start, (to,)))[0] == "http://a/m/mmcv/x.whl"


def test_one_rule_can_point_every_host_elsewhere() -> None:
    rule = Rule("https://", ("http://lab/mirror",), order="instead")
    assert addresses(rule) == ("http://lab/mirror/download.openmmlab.com/mmcv/x.whl",)


def test_a_rule_for_one_kind_leaves_the_others_alone() -> None:
    rule = Rule(HOST, ("http://a",), kinds=("checkpoints",))
    assert addresses(rule) == (HOST + "/mmcv/x.whl",)
    assert addresses(rule, kind="checkpoints")[0] == "http://a/mmcv/x.whl"


RULES = st.builds(
    Rule,
    st.sampled_from(["https://", HOST, HOST + "/", HOST + "/mmcv", "https://other"]),
    st.lists(st.sampled_from(["http://a", "http://b/x/", "file:///srv/m"]), min_size=1, max_size=3).map(tuple),
    st.lists(st.sampled_from(KINDS), max_size=2).map(tuple),
    st.sampled_from(ORDERS),
)


@given(st.lists(RULES, max_size=5), st.sampled_from(KINDS))
def test_there_is_always_an_address_and_never_the_same_twice(rules: list[Rule], kind: str) -> None:
    found = addresses(*rules, kind=kind)
    assert found and len(set(found)) == len(found)
    assert all(address.endswith("x.whl") and "//mmcv" not in address for address in found)
    if all(rule.order != "instead" for rule in rules):
        assert HOST + "/mmcv/x.whl" in found


def test_all_addresses_of_equal_files_have_no_repeats() -> None:
    mirrors = Mirrors((Rule("https://", ("http://a",)),))
    found = mirrors.all_addresses(("https://h/x", "https://h/x", "https://g/x"), "wheels")
    assert found == ("http://a/h/x", "https://h/x", "http://a/g/x", "https://g/x")


def test_the_kind_of_a_typed_address() -> None:
    assert [kind_of(name) for name in ("a.whl", "a.tar.gz", "a.py", "a.pth", "x")] == [
        "wheels", "wheels", "configs", "checkpoints", "checkpoints",
    ]  # fmt: skip
