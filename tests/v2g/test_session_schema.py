"""The state of a session chooses the schema."""

from __future__ import annotations

import pytest

from ports.errors import LocalError
from v2g.session_schema import SessionSchema, UnknownSchemaError
from v2g.v2gtp import PayloadType

DIN, ISO2, DC = "urn:din:70121:2012:MsgDef", "urn:iso:15118:2:2013:MsgDef", "urn:iso:std:iso:15118:-20:DC"


def agreed(offers: dict[int, str], answer: int | None) -> SessionSchema:
    state = SessionSchema()
    assert state.schema_of(PayloadType.EXI) == "sap"
    state.offered(offers)
    assert state.schema_of(PayloadType.EXI) == "sap"
    state.answered(answer)
    return state


@pytest.mark.parametrize(
    ("offers", "answer", "schema"),
    [({1: DIN, 0: ISO2}, 1, "din"), ({1: DIN, 0: ISO2}, 0, "iso2"), ({7: DIN}, None, "din"), ({3: DC}, 3, "sap")],
)
def test_the_answer_chooses_among_the_offers(offers, answer, schema):
    assert agreed(offers, answer).schema_of(PayloadType.EXI) == schema


@pytest.mark.parametrize(
    ("payload_type", "schema"),
    [
        (PayloadType.MAINSTREAM, "iso20_common"),
        (PayloadType.AC, "iso20_ac"),
        (PayloadType.DC, "iso20_dc"),
        (PayloadType.ACDP, "iso20_acdp"),
        (PayloadType.WPT, "iso20_wpt"),
        (PayloadType.SCHEDULE_RENEGOTIATION, "iso20_common"),
        (PayloadType.METERING_CONFIRMATION, "iso20_common"),
        (PayloadType.ACDP_SYSTEM_STATUS, "iso20_acdp"),
        (PayloadType.PARKING_STATUS, "iso20_common"),
    ],
)
def test_payload_types_of_20_name_their_schema(payload_type, schema):
    assert SessionSchema().schema_of(payload_type) == schema


@pytest.mark.parametrize(
    ("offers", "answer", "complaint"),
    [
        ({1: DIN}, 2, "chose SchemaID 2"),
        ({1: DIN, 2: ISO2}, None, "chose SchemaID None"),
        ({}, None, "offered nothing"),
        ({1: "urn:tesla:din:2018:MsgDef"}, 1, "urn:tesla:din:2018:MsgDef, which is no standard"),
    ],
)
def test_without_an_agreement_nothing_is_guessed(offers, answer, complaint):
    with pytest.raises(UnknownSchemaError, match=complaint):
        agreed(offers, answer).schema_of(PayloadType.EXI)


def test_a_refusal_ends_it_and_a_new_offer_begins_again():
    state = SessionSchema()
    state.offered({1: DIN})
    state.answered(None, agreed=False)
    with pytest.raises(UnknownSchemaError, match="refused"):
        state.schema_of(PayloadType.EXI)
    state.offered({1: ISO2})
    assert state.schema_of(PayloadType.EXI) == "sap"
    state.answered(1)
    assert state.schema_of(PayloadType.EXI) == "iso2"


def test_a_protocol_may_be_given():
    assert SessionSchema("din").schema_of(PayloadType.EXI) == "din"
    assert SessionSchema("iso20").schema_of(PayloadType.EXI) == "sap"
    with pytest.raises(LocalError, match="'iso3'"):
        SessionSchema("iso3")


def test_payload_types_without_messages():
    with pytest.raises(UnknownSchemaError, match="SDP_REQUEST carries no EXI"):
        SessionSchema().schema_of(PayloadType.SDP_REQUEST)
