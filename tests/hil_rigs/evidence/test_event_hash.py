import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil_rigs.evidence.event_hash import LEFT_OUT, Event, EventError, canonical, decode_event, hash_events

LINE = b'{"at":1000.5,"layer":"pilot","kind":"pilot.state","source":"1","data":{"state":"B","pwm":false}}'


def test_the_form_is_stable() -> None:
    """A hash that somebody noted has to be found again by every later version of this rule."""
    assert canonical(decode_event(LINE)) == (
        b'{"at":1000.5,"data":{"pwm":false,"state":"B"},"kind":"pilot.state","layer":"pilot","raw":"","source":"1"}'
    )
    assert hash_events([LINE]).hex() == "9f06db304016953bd8d4da7278625e8d57e128f8c98d3bea134650f3c5425bf2"


def test_order_and_number_count() -> None:
    other = LINE.replace(b"B", b"A")
    hashes = {hash_events(lines).hex() for lines in ([], [LINE], [LINE, LINE], [LINE, other], [other, LINE])}
    assert len(hashes) == 5


@pytest.mark.parametrize("row", [row for row in LEFT_OUT if row.part is None], ids=lambda row: row.kind)
def test_what_is_left_out_does_not_count(row: object) -> None:
    assert isinstance(row, type(LEFT_OUT[0]))
    for name in row.fields:
        events = [
            Event(1.0, "x", f"{row.kind}any", "s", {"deep": [{name: value, "kept": 1}]}, raw) for value, raw in
            (("a", "00"), ({"b": 1}, "ff"))
        ]  # fmt: skip
        assert canonical(events[0]) == canonical(events[1])
        assert b'"kept":1' in canonical(events[0])


def test_of_a_contradicted_message_only_the_hash_of_its_content_is_left_out() -> None:
    """Signed content has another hash in every run; that there was a contradiction, and in which message, counts."""

    def flagged(flag: str) -> bytes:
        return canonical(Event(1.0, "backend", "csms.transaction", "csms", {"flags": ["pagination gap 2 to 4", flag]}))

    one = "message contradicted: event:t1:0 came with content {}, too"
    assert flagged(one.format("d66e3a367bbf7d6e")) == flagged(one.format("0123456789abcdef"))
    others = [one.format("d66e3a367bbf7d6e").replace("t1:0", "t1:1"), "pagination gap 41 to 43"]
    assert len({flagged(text) for text in (one.format("00"), *others)}) == 3


def test_ports_ids_and_challenges_are_drawn_from_the_seed_and_count() -> None:
    """A new source of chance would show at once."""
    for kind, name in (("tcp.open", "peer"), ("webhook.attempt", "event"), ("v2g.tx", "GenChallenge")):
        one, other = (Event(1.0, "x", kind, "s", {name: value}) for value in "ab")
        assert canonical(one) != canonical(other)


def test_octets_count_where_nothing_was_left_out() -> None:
    one, other = (Event(1.0, "line", "line.request", "bus", {"device": 1}, raw) for raw in ("00", "01"))
    assert canonical(one) != canonical(other)


def test_octets_of_a_tls_handshake_do_not_count() -> None:
    one, other = (Event(1.0, "v2g", "tls.failed", "1.secc", {"alert": "unknown_ca"}, raw) for raw in ("00", "01"))
    assert canonical(one) == canonical(other)


def test_a_key_of_another_layer_is_not_left_out() -> None:
    one, other = (Event(1.0, "session", "session.record", "1", {"Certificate": value}) for value in "ab")
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b"null", LINE[:-1], LINE.replace(b"1000.5", b'"x"'), b'{"more":1}', b"\xff", b"[" * 9999],
)
def test_no_event(line: bytes) -> None:
    with pytest.raises(EventError, match=r"events\.jsonl, line 7"):
        decode_event(line, 7)


@settings(max_examples=50)
@given(
    data=st.dictionaries(
        st.text(max_size=4), st.lists(st.integers(-(2**53), 2**53) | st.text(max_size=4), max_size=2), max_size=3
    )
)
def test_the_order_of_keys_does_not_count(data: dict[str, object]) -> None:
    content = {"at": 1.0, "layer": "x", "kind": "x.y", "source": "s", "data": data}
    turned = {**content, "data": dict(reversed(data.items()))}
    assert canonical(decode_event(json.dumps(content).encode())) == canonical(decode_event(json.dumps(turned).encode()))
