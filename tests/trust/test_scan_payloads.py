"""Checkpoints with live code are refused, however it is named and wrapped; test_scan_corpus proves them live."""

from __future__ import annotations

import pytest

from tests.support.live_payloads import harmless, payloads
from tests.support.pickles import call, checkpoint, lookup, mapping, pickle, tensor, text, torch_legacy, torch_zip
from tests.trust.scanned import verdict_on
from zoo_cli.trust.allowed import ALLOWED, level_of
from zoo_cli.trust.checkpoint import scan_beginning
from zoo_cli.trust.screening import Screening
from zoo_cli.trust.verdict import CheckpointRefused, Policy

PAYLOADS = payloads()
UNNAMED = (
    "container-zip-deflated", "container-zip-local-name-differs", "container-zip-second-data-pkl", "container-tar",
    "container-tar-in-a-pickle", "container-tar-in-safetensors",
)  # fmt: skip


def test_there_are_many() -> None:
    assert len(PAYLOADS) >= 90


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_is_refused(name: str) -> None:
    verdict = verdict_on(PAYLOADS[name])
    assert verdict.is_refused
    # Where the container itself is refused, what is inside need not be known.
    assert any(finding.level in ("dangerous", "unknown") for finding in verdict.findings) or name in UNNAMED


@pytest.mark.parametrize("name", PAYLOADS)
def test_no_trust_lets_a_dangerous_name_pass(name: str) -> None:
    first = verdict_on(PAYLOADS[name])
    again = verdict_on(PAYLOADS[name], *first.globals)
    assert again.is_refused or first.worst == "unknown"


def test_the_harmless_ones_pass() -> None:
    for data in (
        harmless(),
        checkpoint(b"x" * 100),
        torch_legacy(mapping(w=tensor("7", 2, legacy=True)), {"7": (2, b"\0" * 8)}),
    ):
        verdict = verdict_on(data)
        assert not verdict.findings and verdict.tensors == 1
        assert verdict.sentence == "no code found (allow list 2026-11, 3 globals)"
        assert scan_beginning(data) is None


def test_an_unknown_name_is_refused_until_it_is_trusted() -> None:
    data = torch_zip(
        mapping(weight=tensor("0", 2), head=call(lookup("mmdet.models", "Net"), text("x"))), {"0": b"\0" * 8}
    )
    verdict = verdict_on(data)
    assert (verdict.worst, verdict.may_be_trusted) == ("unknown", True)
    assert [finding.what for finding in verdict.findings] == ["mmdet.models.Net"]
    trusted = verdict_on(data, "mmdet.models.Net")
    assert not trusted.is_refused and trusted.trusted == ("mmdet.models.Net",)
    assert "trusted by you: mmdet.models.Net" in trusted.sentence
    assert verdict_on(data, "mmdet.models", "Net", "mmdet.models.Ne").is_refused


def test_a_beginning_is_enough_for_a_name() -> None:
    data = torch_zip(
        mapping(a=call(lookup("os", "system"), text("touch fired")), b=tensor("0", 1000)), {"0": b"\0" * 4000}
    )
    early = scan_beginning(data[:600])
    assert early is not None and early.worst == "dangerous" and not early.is_whole
    assert scan_beginning(data[:200]) is None  # too little to say what it is
    with pytest.raises(CheckpointRefused) as refused:
        Screening("x.pth").beginning(data[:600])
    assert refused.value.early and not refused.value.may_be_kept


def test_damage_is_no_verdict_on_a_beginning() -> None:
    data = bytearray(checkpoint(b"x" * 2000))
    data[100] ^= 0xFF
    assert scan_beginning(bytes(data)) is None
    assert verdict_on(bytes(data)).is_refused


def test_module_code_is_a_warning_and_never_hides_what_follows() -> None:
    classes = [key for key, role in ALLOWED.items() if role == "module"]
    assert len(classes) > 100
    modules = b"](" + b"".join(lookup(module, name) + b")\x81}b" for module, name in classes) + b"e"
    assert verdict_on(pickle(modules)).worst == "warning"
    then = modules[:-1] + call(lookup("os", "system"), text("touch fired")) + b"e"
    assert verdict_on(pickle(then)).worst == "dangerous"


def test_nothing_by_prefix() -> None:
    for module, name in (
        ("torch._utils", "_rebuild"),
        ("torch._utils._rebuild_tensor_v2", "x"),
        ("collections", "OrderedDict.__class__"),
        ("torch.hub", "load"),
        ("numpy", "f2py"),
    ):
        assert level_of(module, name) in ("unknown", "dangerous")
    assert level_of("collections", "OrderedDict") == "allowed"


def test_a_policy_is_exact() -> None:
    assert Policy(frozenset({"a.b"})) != Policy()
