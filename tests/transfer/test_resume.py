from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transfer.conftest import DIGEST
from zoo_cli.transfer.failures import BadAnswer
from zoo_cli.transfer.resume import State, content_range, judge, range_headers, read_state
from zoo_cli.transfer.sources import Wanted

URL = "https://h/x"
STATE = State(URL, etag='"1"', size_bytes=100)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(st.builds(State, st.text(), st.none() | ASCII, st.none() | ASCII, st.none() | st.integers(0), st.none() | ASCII))
def test_a_state_comes_back_from_its_document(state: State) -> None:
    assert read_state(state.to_json()) == state


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr).map(str.encode))
def test_any_document_is_a_state_or_none(data: bytes) -> None:
    state = read_state(data)
    assert state is None or isinstance(state.url, str)


@pytest.mark.parametrize("text", ['{"url":"x","etag":"a\\r\\nX: y"}', '{"url":"x","size_bytes":-1}', '{"etag":"x"}'])
def test_a_tampered_state_is_none(text: str) -> None:
    assert read_state(text.encode()) is None


def test_when_kept_bytes_may_be_gone_on_from() -> None:
    plain, known = Wanted("x", (URL,)), Wanted("x", (URL,), sha256=DIGEST)
    of_known = State(URL, digest=DIGEST)
    assert STATE.may_resume(plain, URL)
    assert not STATE.may_resume(plain, "https://other/x")
    assert not State(URL, etag='W/"1"').may_resume(plain, URL)
    assert State(URL, last_modified="Mon, 01 Jan 2024 00:00:00 GMT").may_resume(plain, URL)
    assert not State(URL).may_resume(plain, URL)
    assert of_known.may_resume(known, "https://other/x")
    assert not STATE.may_resume(known, URL) and not of_known.may_resume(plain, URL)
    assert not STATE.may_resume(Wanted("x", (URL,), size_bytes=99), URL)


def test_what_is_asked() -> None:
    assert range_headers(STATE, 7, URL) == {"Range": "bytes=7-", "If-Range": '"1"'}
    assert range_headers(STATE, 7, "https://other/x") == {"Range": "bytes=7-"}


@pytest.mark.parametrize(
    ("status", "headers", "verdict"),
    [
        (200, {}, "from-zero"),
        (206, {"content-range": "bytes 7-99/100", "etag": '"1"'}, "append"),
        (206, {"content-range": "bytes 7-99/*"}, "append"),
        (206, {"content-range": "bytes 7-99/100", "etag": '"2"'}, "ask-again"),
        (206, {"content-range": "bytes 7-98/99"}, "ask-again"),
        (206, {"content-range": "bytes 0-99/100"}, "ask-again"),
        (206, {"content-range": "bytes 7-200/100"}, "ask-again"),
        (206, {"content-range": "bytes */*"}, "ask-again"),
        (206, {}, "ask-again"),
        (416, {"content-range": "bytes */7"}, "complete"),
        (416, {"content-range": "bytes */100"}, "ask-again"),
        (416, {}, "ask-again"),
    ],
)
def test_what_an_answer_to_a_range_means(status: int, headers: dict[str, str], verdict: str) -> None:
    assert judge(status, headers, 7, STATE, URL) == verdict


def test_a_part_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(BadAnswer):
        judge(206, {"content-range": "bytes 0-99/100"}, 0, None, URL)


@given(st.integers(0, 10**17), st.integers(0, 10**17), st.none() | st.integers(0, 10**17))
def test_a_content_range_is_read_when_it_can_be_true(first: int, last: int, total: int | None) -> None:
    found = content_range(f"bytes {first}-{last}/{'*' if total is None else total}")
    possible = first <= last and (total is None or last < total)
    assert found == ((first, total) if possible else (None, None))
