"""Whom an embedded CSMS knows, and who is asked about a card: the station's list, the CSMS, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hil_rigs.csms_cards import known_cards
from hil_rigs.resources import CsmsResource
from hil_rigs.rig_file import RigFileError, rig_of_text
from hil_rigs.scenario.handle import open_handle
from hil_rigs.scenario.steps import StepError

CARD = "04A1B2C3D4E5F6"
RIG = """\
rig: cards
clock: {mode: virtual, start: 2026-11-20T08:00:00+01:00}
resources:
  bus:   {kind: serial, port: virtual, baud: 9600}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus, serial_number: "12345678"}
  key:   {kind: file_key}
  board: {kind: charger}
  ev:    {kind: vehicle}
  csms:  {kind: csms.ocpp}
gateway:
  serial_number: GW-A
  connectors:
    - {id: "1", evse_id: "DE*PLB*E0001", board: board, meter: m1, signer: key, max_current_a: 32}
  local_list: [{id: "04A1B2C3D4E5F6"}]
  backends: [csms]
"""
WITH_MO = ("{kind: csms.ocpp}", "{kind: csms.ocpp, bills_to: [mo]}\n  mo:    {kind: operator.mo}")


def rig_text(*changes: tuple[str, str]) -> str:
    text = RIG
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def known(*changes: tuple[str, str]) -> list[tuple[str, str]]:
    rig = rig_of_text(Path("cards.yaml"), rig_text(*changes)).rig
    csms = rig.resources["csms"]
    assert isinstance(csms, CsmsResource)
    return [(card.id, card.status) for card in known_cards(rig, csms)]


def cards(text: str) -> tuple[str, str]:
    return "{kind: csms.ocpp", "{kind: csms.ocpp, cards: " + text


def asks(*names: str) -> tuple[str, str]:
    return "  backends:", f"  authorisers: [{', '.join(names)}]\n  backends:"


def test_without_cards_it_knows_the_local_list_unless_operators_say_who_may_charge() -> None:
    assert known() == [(CARD, "Accepted")]
    assert known(cards("[]")) == []
    assert known(cards('[{id: "04AA", status: Blocked}]')) == [("04AA", "Blocked")]
    assert known(WITH_MO) == []


BLOCKED = cards(f'[{{id: "{CARD}", status: Blocked}}]')
NOBODY = cards("[]")
NO_LIST = ('  local_list: [{id: "04A1B2C3D4E5F6"}]\n', "")
CASES: dict[str, tuple[list[tuple[str, str]], bool, str]] = {
    # changes, whether the station asks the CSMS before it begins, flag of the record or reason in the message
    "the obvious rig": ([], False, "OCPP_WHITELIST"),
    "OCPP 1.6": ([("{kind: csms.ocpp", '{kind: csms.ocpp, version: "1.6"')], False, "OCPP_WHITELIST"),
    "the list comes first": ([asks("local", "csms")], False, "OCPP_WHITELIST"),
    "only the CSMS": ([asks("csms")], True, "OCPP_AUTH"),
    "only the CSMS, its own card": ([asks("csms"), NO_LIST, cards(f'[{{id: "{CARD}"}}]')], True, "OCPP_AUTH"),
    "of its type": ([asks("csms"), cards(f'[{{id: "{CARD}", type: ISO14443}}]')], True, "OCPP_AUTH"),
    "of another type": ([asks("csms"), cards(f'[{{id: "{CARD}", type: LOCAL}}]')], True, "refused at .* Unknown"),
    "the CSMS comes first": (
        [asks("csms", "local"), NOBODY],
        True,
        "deauthorised by csms .Unknown.; csms said Unknown",
    ),
    "the CSMS says no": ([asks("csms", "local"), BLOCKED], True, "refused at .*csms says of ISO14443 .*: Blocked"),
    "a no afterwards": (
        [BLOCKED],
        False,
        r"transaction ended at .*: deauthorised by csms \(Blocked\); csms said Blocked",
    ),
    "nobody to ask": ([NOBODY], False, r"deauthorised by csms \(Unknown\); csms said Unknown: nobody to ask"),
    "an operator does not know it": ([WITH_MO], False, "csms said Unknown: mo does not know it"),
    "a card beside an operator": ([WITH_MO, cards(f'[{{id: "{CARD}"}}]')], False, "OCPP_WHITELIST"),
}


@pytest.mark.parametrize("case", CASES)
def test_who_may_charge_and_why_not(tmp_path: Path, case: str) -> None:
    changes, asked, outcome = CASES[case]
    with open_handle(rig_of_text(Path("cards.yaml"), rig_text(*changes)), tmp_path) as rig:
        rig.plug()
        rig.wait("2 s")
        rig.card(CARD)
        if outcome.isupper():
            rig.until("wire.power contactor closed=true", within="30 s")
            rig.wait("5 s")
        else:
            with pytest.raises(StepError, match=outcome):
                rig.until("wire.power contactor closed=true", within="30 s")
        rig.unplug()
        rig.finish()
        rig.count("ocpp Authorize", exactly=1 if asked else 0)
        if outcome.isupper():
            rig.expect(f"store Transaction.Begin IF~{outcome}")
            rig.never("ocpp deauthorised")


def problems(*changes: tuple[str, str]) -> str:
    with pytest.raises(RigFileError) as caught:
        rig_of_text(Path("cards.yaml"), rig_text(*changes))
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            [("{kind: csms.ocpp}", '{kind: csms.ocpp, url: "ws://x", security_profile: 0, cards: [{id: A}]}')],
            "embedded only",
        ),
        ([cards("[{id: A, type: LOCAL}]"), ("cards:", 'version: "1.6", cards:')], "expected no type"),
        ([cards("[{id: A, status: accepted}]")], "status"),
        ([cards("[{id: AA}, {id: aa}]")], '"AA" stands here already, as entry 1 of the list'),
    ],
)
def test_mistakes_have_their_line(changes: list[tuple[str, str]], text: str) -> None:
    assert text in problems(*changes)


def warnings(*changes: tuple[str, str]) -> list[Any]:
    found = [str(warning) for warning in rig_of_text(Path("cards.yaml"), rig_text(*changes)).warnings]
    return [text for text in found if "resources.ev" not in text]


def test_cards_that_the_csms_does_not_know_and_lists_that_nobody_reads_are_pointed_out() -> None:
    assert warnings() == warnings(asks("csms")) == warnings(NOBODY) == []
    (unknown,) = warnings(WITH_MO)
    assert 'csms and its operators do not know "04A1B2C3D4E5F6": its transactions are stopped at once' in unknown
    (unread,) = warnings(asks("csms"), NOBODY)
    assert 'gateway.authorisers does not name "local"' in unread
