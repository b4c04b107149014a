"""UID and kind of contactless cards, with the ATRs of real ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports.errors import PeerError
from ports.reader import CardKind
from wire.contactless_atr import kind_of, uid_of

# Gemalto Prox-DU manual (DOC118569A page 48), pcsc-tools smartcard_list.txt
MIFARE_1K = "3B8F8001804F0CA000000306030001000000006A"
MIFARE_ULTRALIGHT = "3B8F8001804F0CA0000003060300030000000068"
ICODE_SLI = "3B8F8001804F0CA0000003060B00140000000077"
FELICA = "3B8F8001804F0CA00000030611003B0000000042"
DESFIRE = "3B8180018080"


@pytest.mark.parametrize(
    ("atr", "uid", "kind"),
    [
        (MIFARE_1K, "04A2B3C4", "ISO14443"),
        (MIFARE_ULTRALIGHT, "04A2B3C4D5E680", "ISO14443"),
        (ICODE_SLI, "E004010012345678", "ISO15693"),
        (DESFIRE, "04A2B3C4D5E680", "ISO14443"),
        (FELICA, "0123456789ABCDEF", "UNDEFINED"),
        ("", "04A2B3C4D5E680A1B2C3", "ISO14443"),
        ("", "E004010012345678", "ISO15693"),
        ("", "0102030405", "UNDEFINED"),
        (MIFARE_1K, "E004010012345678", "UNDEFINED"),
        (ICODE_SLI, "04A2B3C4", "UNDEFINED"),
    ],
)
def test_the_kind_of_a_card(atr: str, uid: str, kind: str) -> None:
    assert kind_of(bytes.fromhex(atr), bytes.fromhex(uid)) is CardKind(kind)


def test_the_uid_of_a_card() -> None:
    assert uid_of(bytes.fromhex("04A2B3C49000")) == bytes.fromhex("04A2B3C4")


@pytest.mark.parametrize(
    ("answer", "text"),
    [("6A81", "answer 6A81"), ("6D00", "contactless"), ("", "answer nothing"), ("9000", "not 0"), ("90", "answer 90"),
     ("0102039000", "not 3"), ("00" * 11 + "9000", "not 11")],
)  # fmt: skip
def test_no_uid(answer: str, text: str) -> None:
    with pytest.raises(PeerError, match=text):
        uid_of(bytes.fromhex(answer))


@given(st.binary(max_size=40), st.binary(max_size=12))
def test_any_octets_have_a_kind(atr: bytes, uid: bytes) -> None:
    assert kind_of(atr, uid) in CardKind
