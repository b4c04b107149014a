from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.api.strict_json import MalformedBody, decode

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


class Body(msgspec.Struct):
    number: int
    texts: list[str] = []


def test_unknown_fields_are_ignored_as_the_schemas_allow() -> None:
    assert decode(b'{"number": 1, "other": {}}', Body) == Body(1)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        (b'{"number": 1, "number": 2}', "key 'number' appears twice"),
        (b'{"number": 1, "other": {"a": 1, "a": 1}}', "key 'a' appears twice"),
        (b'{"number": NaN}', "NaN"),
        (b'{"number": Infinity}', "Infinity"),
        (b'{"number": 1} x', "no JSON"),
        (b'{"number": 1' + b"0" * 5000 + b"}", "digits"),
        (b"[" * 100_000, "nested"),
        (b'{"number": ' * 50_000, "nested"),
        (b'{"number": "1"}', r"does not fit.*\$\.number"),
        (b'{"number": null}', "does not fit"),
        (b'{"number": 1.5}', "does not fit"),
        (b'{"number": true}', "does not fit"),
        (b'{"texts": []}', "missing required field `number`"),
        (b'{"number": 1, "texts": ["a", 2]}', r"\$\.texts\[1\]"),
        (b"[]", "does not fit"),
        (b'{"number": 1, "texts": ["\\u0000"]}', "no text"),
        (b'{"number": 1, "texts": ["\\ud800"]}', "no text"),
        (b'{"number": 1, "\\udfff": 1}', "no text"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(body: bytes, why: str) -> None:
    with pytest.raises(MalformedBody, match=why):
        decode(body, Body)


def test_escapes_that_are_text_are_text() -> None:
    assert decode(rb'["\\u0000", "\ud83d\ude00"]', list[str]) == ["\\u0000", "\U0001f600"]


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(MalformedBody):
        decode(body, dict[str, Any])


@settings(max_examples=40)  # trees take long to draw
@given(st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda x: st.lists(x) | st.dictionaries(TEXT, x)))
def test_plain_json_comes_back(value: object) -> None:
    assert decode(json.dumps({"value": value}).encode(), dict[str, Any]) == {"value": value}
