"""Frames: every digit survives, hostile text is refused by name."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_client.ocpp.frames import Call, FrameError, Refusal, Result, decode, encode

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT | st.decimals(-(10**6), 10**6, places=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PAYLOADS = st.dictionaries(TEXT, VALUES, max_size=4)
IDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=36)


@settings(max_examples=25)
@given(
    st.builds(Call, IDS, IDS, PAYLOADS)
    | st.builds(Result, IDS, PAYLOADS)
    | st.builds(Refusal, IDS, IDS, TEXT, PAYLOADS)
)
def test_a_frame_comes_back_as_it_went(frame: Call | Result | Refusal) -> None:
    assert decode(encode(frame)) == frame


@settings(max_examples=25)
@given(st.text() | st.recursive(VALUES, lambda v: st.lists(v, max_size=5)).map(lambda v: json.dumps(v, default=str)))
def test_any_text_is_a_frame_or_an_error_of_the_peer(text: str) -> None:
    with contextlib.suppress(FrameError):
        decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[2]",
        '[2,"1"]',
        '[2,"1","A"]',
        '[2,1,"A",{}]',
        '[2,"1","A",[]]',
        f'[2,"{"x" * 37}","A",{{}}]',
        '[5,"1",{}]',
        '[3,"1",null]',
        '[4,"1","C"]',
        '[2,"1","A",{"a":1,"a":2}]',
        '[2,"1","A",{"a":NaN}]',
        "[" * 100_000,
    ],
)
def test_what_is_no_frame_is_refused(text: str) -> None:
    with pytest.raises(FrameError):
        decode(text)


def test_a_binary_frame_is_refused() -> None:
    with pytest.raises(FrameError, match="binary"):
        decode(b"[]")


def test_trailing_zeros_of_a_register_are_kept() -> None:
    text = encode(Call("1", "A", {"v": Decimal("100.1000")}))
    assert text == '[2,"1","A",{"v":100.1000}]'
    frame = decode(text)
    assert isinstance(frame, Call)
    assert str(frame.payload["v"]) == "100.1000"


def test_an_id_is_found_in_a_frame_that_is_wrong_otherwise() -> None:
    with pytest.raises(FrameError) as caught:
        decode('[2,"abc","A",7]')
    assert caught.value.id == "abc"
