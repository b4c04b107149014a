"""TCP reassembly: order, repetition, loss, sequence numbers that wrap."""

from __future__ import annotations

import random
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from v2g.packets import ACK, FIN, SYN, Segment
from v2g.tcp_streams import MOST_WAITING, connections_of

A, B = (ip_address("fe80::1"), 50000), (ip_address("fe80::2"), 61341)


def segment(sequence, payload=b"", flags=ACK, source=A, target=B, number=1):
    return Segment(number, float(number), source, target, sequence & 0xFFFFFFFF, flags, payload)


def octets(segments, source=A) -> bytes:
    (connection,) = connections_of(segments)
    assert all(chunk.missing == 0 for chunk in connection.chunks[source])
    return b"".join(chunk.octets for chunk in connection.chunks[source])


@settings(max_examples=300)
@given(
    st.binary(min_size=1, max_size=60),
    st.integers(0, 0xFFFFFFFF),
    st.lists(st.tuples(st.integers(0, 59), st.integers(1, 60)), max_size=12),
    st.randoms(use_true_random=False),
)
def test_any_order_overlap_and_repetition_gives_the_octets(data, start, extra, rng: random.Random):
    pieces = [(i, i + 7) for i in range(0, len(data), 7)] + [(a, a + n) for a, n in extra if a < len(data)]
    rng.shuffle(pieces)
    segments = [segment(start + 1 + a, data[a:b]) for a, b in pieces]
    assert octets([segment(start, flags=SYN), *segments]) == data


def test_a_chunk_carries_the_segment_that_made_it_whole():
    (connection,) = connections_of([segment(9, flags=SYN), segment(12, b"cd", number=2), segment(10, b"ab", number=3)])
    assert [(c.number, c.octets) for c in connection.chunks[A]] == [(3, b"ab"), (2, b"cd")]


def test_octets_that_never_came_are_counted():
    (connection,) = connections_of([segment(9, flags=SYN), segment(10, b"ab"), segment(17, b"cd"), segment(30, b"e")])
    assert [(c.octets, c.missing) for c in connection.chunks[A]] == [(b"ab", 0), (b"cd", 5), (b"e", 11)]


def test_a_hole_is_given_up_when_too_much_waits_behind_it():
    behind = [segment(100 + i, b"x") for i in range(MOST_WAITING + 1)]
    (connection,) = connections_of([segment(9, flags=SYN), *behind, segment(10, b"late")])
    chunks = connection.chunks[A]
    assert chunks[0].missing == 90
    assert b"".join(c.octets for c in chunks) == b"x" * (MOST_WAITING + 1)


def test_a_capture_may_start_in_the_middle():
    assert octets([segment(500, b"ab"), segment(502, b"cd")]) == b"abcd"


def test_keep_alive_probes_and_repeated_syns_add_nothing():
    handshake = [segment(9, flags=SYN), segment(9, flags=SYN)]
    assert (
        octets([*handshake, segment(10, b"ab"), segment(11, b"b"), segment(9, flags=SYN), segment(12, b"c")]) == b"abc"
    )


def test_the_first_copy_of_an_octet_wins():
    assert octets([segment(9, flags=SYN), segment(10, b"ab"), segment(10, b"XYc")]) == b"abc"


def test_both_directions_and_who_called():
    (connection,) = connections_of(
        [
            segment(99, flags=SYN | ACK, source=B, target=A),
            segment(9, flags=SYN),
            segment(10, b"hello"),
            segment(100, b"world", source=B, target=A),
            segment(15, flags=FIN | ACK),
        ]
    )
    assert connection.client == A
    assert [c.octets for c in connection.chunks[A] + connection.chunks[B]] == [b"hello", b"world"]


def test_the_same_ports_used_again_are_another_connection():
    segments = [segment(9, flags=SYN), segment(10, b"one"), segment(5000, flags=SYN), segment(5001, b"two")]
    connections = connections_of(segments)
    assert [c.number for c in connections] == [0, 1]
    assert [c.chunks[A][0].octets for c in connections] == [b"one", b"two"]
