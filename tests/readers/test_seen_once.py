"""A card that stays is seen once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from readers.seen_once import SeenOnce

A, B = b"\x04\xa2\xb3\xc4", b"\xde\xad\xbe\xef"


def test_a_card_that_stays_is_seen_once_and_one_that_left_again() -> None:
    seen = SeenOnce(1.0)
    came = [seen.report(A, at / 10) for at in range(50)]
    assert came == [True] + [False] * 49
    assert not seen.report(A, 5.9)
    assert seen.report(A, 7.0)


def test_two_cards_that_lie_there_together_are_two() -> None:
    seen = SeenOnce(1.0)
    assert [seen.report(card, at / 10) for at, card in enumerate([A, B] * 20)] == [True, True] + [False] * 38


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.floats(0, 3)), max_size=30))
def test_it_is_as_a_list_of_all_reports_says(reports: list[tuple[bytes, float]]) -> None:
    seen, at, past = SeenOnce(1.0), 0.0, {}
    for card, pause in reports:
        at += pause
        assert seen.report(card, at) == (card not in past or at - past[card] > 1.0)
        past[card] = at
