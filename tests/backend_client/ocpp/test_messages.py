"""Messages as data: every word of OCMF has one of OCPP, in both versions, and what is sent fits its schema."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest

from backend_client.ocpp import messages_16, messages_201
from backend_client.ocpp.contracts import read_authorisation, read_authorisation_16
from backend_client.ocpp.record_facts import facts_of, value_of
from backend_client.ocpp.requests_16 import id_type
from backend_client.ocpp.schemas import SchemaError, check, is_known
from backend_client.ocpp.settings import SignPolicy, Version
from backend_client.ocpp.signed_values import DATA_LIMIT, chunks, fits, signed_data
from backend_client.ocpp.signing import plain_id
from backend_client.ocpp.state_file import KnownTransaction
from ocmf.payload import User
from ocmf.terms import TX_ENDS, IdType, Tx
from ports.charge_control import ControlFault
from ports.errors import PeerError
from ports.station import Availability, ChargingState, ConnectorNews, StationIdentity
from tests.backend_client.ocpp.station import FakeStation, Maker

LONG = StationIdentity("v" * 99, "m" * 99, "s" * 99, "f" * 99)


@pytest.mark.parametrize("tx", list(Tx))
def test_every_reason_of_a_reading_makes_an_event(tx: Tx) -> None:
    maker = Maker()
    maker.make(Tx.BEGIN)
    facts = facts_of(maker.make(tx), FakeStation())
    value = messages_201.meter_value(facts.value, facts.record.context, {})
    event = messages_201.transaction_event(facts, KnownTransaction("x"), [value], offline=False)
    check(Version.V201, "TransactionEvent", event)
    assert (event["eventType"] == "Ended") == (tx in TX_ENDS)
    assert ("stoppedReason" in event["transactionInfo"]) == (tx in TX_ENDS)


@pytest.mark.parametrize("kind", list(IdType))
def test_every_kind_of_identification_has_a_word(kind: IdType) -> None:
    check(Version.V201, "Authorize", {"idToken": messages_201.id_token("04A1B2C3", kind.value)})
    assert set(messages_201.OCMF_TYPES.values()) <= set(IdType)


def test_nobody_is_no_authorisation() -> None:
    assert messages_201.id_token("", "NONE") == {"idToken": "", "type": "NoAuthorization"}
    with pytest.raises(PeerError, match=r"37 characters, OCPP 2\.0\.1 allows 36"):
        messages_201.id_token("x" * 37, "LOCAL")


def test_long_names_are_cut_to_their_fields() -> None:
    check(Version.V201, "BootNotification", messages_201.boot(LONG, "PowerUp"))
    check(Version.V16, "BootNotification", messages_16.boot(LONG))
    bare = StationIdentity("v", "m", "", "")
    assert messages_16.boot(bare) == {"chargePointVendor": "v", "chargePointModel": "m"}


def test_a_long_transaction_id_becomes_a_uuid_that_stays() -> None:
    short, long = "GW1-M1-T1", "GW-0001-WITH-A-LONG-SERIAL-12345678-T100"
    assert messages_201.transaction_id(short) == short
    assert messages_201.transaction_id(long) == messages_201.transaction_id(long)
    assert len(messages_201.transaction_id(long)) == 36


@pytest.mark.parametrize(("availability", "charging"), list(product(Availability, ChargingState)))
def test_every_state_of_a_connector_has_a_status_in_16(availability: Availability, charging: ChargingState) -> None:
    for faults in ((), *((fault.value,) for fault in ControlFault)):
        news = ConnectorNews(1, "c1", "e", availability, charging, faults=faults)
        status = {**messages_16.connector_status(news), "timestamp": "2026-01-01T00:00:00Z"}
        check(Version.V16, "StatusNotification", status)


def test_whole_watt_hours_are_rounded_once() -> None:
    value = value_of(Maker().make(Tx.BEGIN, "100.0006").ocmf)
    assert value.wh == 100001
    assert replace(value, unit="Wh", value=Decimal("7.4")).wh == 7


def test_records_that_no_message_can_carry_are_refused() -> None:
    maker = Maker()
    begin = maker.make(Tx.BEGIN)
    with pytest.raises(PeerError, match="page T1: no reading"):
        facts_of(replace(begin, ocmf=begin.ocmf.replace('"RU":"kWh"', '"RU":"mOhm"')), None)
    with pytest.raises(PeerError):
        facts_of(replace(begin, ocmf="OCMF|x|y"), None)
    for wrong in ("t1", "GW1-M1-T9", "GW1-M1-Tx"):
        with pytest.raises(PeerError, match="does not belong to transaction"):
            facts_of(replace(maker.make(Tx.CHARGING), transaction_id=wrong), None)


def test_the_limit_of_a_signed_value_is_exact() -> None:
    assert fits("x" * 1875)
    assert not fits("x" * 1876)
    assert len(signed_data("x" * 1875)) == DATA_LIMIT
    assert "".join(chunks("x" * 9999)) == signed_data("x" * 9999)


@pytest.mark.parametrize(
    ("signing", "begin", "periodic", "clock", "end"),
    [  # OCA note on signed meter values, table 20
        (SignPolicy(sampled=False, aligned=False), False, False, False, False),
        (SignPolicy(started=False, updated=False, aligned_updated=False), False, False, False, True),
        (SignPolicy(updated=False, aligned_updated=False), True, False, False, True),
        (SignPolicy(aligned_updated=False), True, True, False, True),
        (SignPolicy(updated=False), True, False, True, True),
        (SignPolicy(), True, True, True, True),
    ],
)
def test_the_acceptance_matrix(signing: SignPolicy, begin: bool, periodic: bool, clock: bool, end: bool) -> None:
    contexts = ("Transaction.Begin", "Sample.Periodic", "Sample.Clock", "Transaction.End")
    assert tuple(signing.signs(context) for context in contexts) == (begin, periodic, clock, end)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("04A1B2C3", "ISO14443"), ("04a1b2c3d4e5f6", "ISO14443"), ("DE-PLG-C00000001-2", "EMAID"), ("x", "CENTRAL")],
)
def test_an_id_tag_is_known_by_its_form(tag: str, expected: str) -> None:
    assert id_type(tag) == expected


def test_identifications_are_compared_without_separators() -> None:
    assert plain_id("de-plg*c0 00:00001") == "DEPLGC00000001"


def test_every_word_of_an_authorisation_is_understood() -> None:
    schema_words = "Accepted Blocked ConcurrentTx Expired Invalid NoCredit NotAllowedTypeEVSE NotAtThisLocation"
    for word in (*schema_words.split(), "NotAtThisTime", "Unknown"):
        answer = {"idTokenInfo": {"status": word}}
        check(Version.V201, "Authorize", answer, answer=True)
        assert read_authorisation(answer).is_accepted == (word == "Accepted")
    for word in ("Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"):
        answer = {"idTagInfo": {"status": word}}
        check(Version.V16, "Authorize", answer, answer=True)
        assert read_authorisation_16(answer).is_accepted == (word == "Accepted")


@pytest.mark.parametrize(
    ("version", "payload", "code"),
    [
        (Version.V201, {}, "OccurrenceConstraintViolation"),
        (Version.V16, {}, "OccurenceConstraintViolation"),
        (Version.V201, {"type": 1}, "TypeConstraintViolation"),
        (Version.V201, {"type": "Never"}, "PropertyConstraintViolation"),
        (Version.V201, {"type": "Immediate", "x": 1}, "FormatViolation"),
        (Version.V16, {"type": "Hard", "x": 1}, "FormationViolation"),
    ],
)
def test_what_a_schema_forbids_has_its_code(version: Version, payload: dict[str, object], code: str) -> None:
    with pytest.raises(SchemaError) as caught:
        check(version, "Reset", payload)
    assert caught.value.code == code


def test_actions_are_known_by_their_schemas() -> None:
    assert is_known(Version.V201, "Reset")
    assert not is_known(Version.V201, "RemoteStartTransaction")
    assert is_known(Version.V16, "RemoteStartTransaction")
    for odd in ("", "../Reset", "Reset/", "Frobnicate", "x" * 5000):
        assert not is_known(Version.V16, odd)


def test_a_user_without_a_name_still_has_an_event() -> None:
    maker = Maker(user=User(assigned=False))
    facts = facts_of(maker.make(Tx.BEGIN), FakeStation())
    event = messages_201.transaction_event(facts, KnownTransaction("x"), [], offline=True)
    assert event["idToken"]["type"] == "NoAuthorization"
