"""The local list: who is who, until when, and what the record says about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.authorisation import IdToken, ListEntry, LocalList, RefusedError
from ocmf.terms import IdType, Level
from ports.errors import LocalError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CARD = IdToken("04A2B3C4")


def test_one_card_in_any_spelling() -> None:
    cards = LocalList([ListEntry(token=IdToken("04:a2:b3:c4"), level=Level.TRUSTED)])
    for spelling in ("04A2B3C4", "04 a2 b3 c4", "04-A2-B3-C4"):
        user = cards.check(IdToken(spelling), NOW)
        assert (user.id, user.id_type, user.level, user.assigned) == ("04A2B3C4", IdType.ISO14443, Level.TRUSTED, True)
        assert user.flags == ("RFID_PLAIN", "OCPP_WHITELIST")
    with pytest.raises(RefusedError):
        cards.check(IdToken("04A2B3C4", IdType.CENTRAL), NOW)


@pytest.mark.parametrize(
    ("entry", "level"),
    [
        (None, Level.UNKNOWN),
        (ListEntry(token=CARD, blocked=True), Level.INVALID),
        (ListEntry(token=CARD, valid_to=NOW), Level.OUTDATED),
        (ListEntry(token=CARD, valid_from=NOW + timedelta(seconds=1)), Level.OUTDATED),
    ],
)
def test_who_may_not_charge_is_told_why(entry: ListEntry | None, level: Level) -> None:
    with pytest.raises(RefusedError, match="04A2B3C4") as refused:
        LocalList([entry] if entry else []).check(CARD, NOW)
    assert refused.value.level is level


def test_the_bounds_of_validity() -> None:
    cards = LocalList([ListEntry(token=CARD, valid_from=NOW, valid_to=NOW + timedelta(seconds=1))])
    assert cards.check(CARD, NOW).assigned


def test_an_identification_stands_once() -> None:
    with pytest.raises(LocalError, match="twice"):
        LocalList([ListEntry(token=CARD), ListEntry(token=IdToken("04:A2:B3:C4"))])
