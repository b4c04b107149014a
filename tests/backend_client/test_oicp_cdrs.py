"""OICP 2.3 messages: published limits at their edges, extracts of long sessions, hostile answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_client.cpo_messages import MessageError, decode
from backend_client.ocpi_types import encode
from backend_client.oicp_authoriser import OicpAuthoriser, identification
from backend_client.oicp_cdrs import OicpCdrs, extract, record_of
from backend_client.oicp_messages import (
    Acknowledgement,
    AuthorizationStart,
    AuthorizeStart,
    ChargeDetailRecord,
    GetChargeDetailRecords,
)
from backend_client.oicp_session import OicpRefused, OicpSession
from ocmf.terms import IdType
from ports.authorisation import AuthorisationRequest, AuthorisationStatus, ContractStatus
from ports.backend import Ack
from ports.charge_detail import Nature, SignedValue
from ports.errors import LocalError, PeerError, RigError
from tests.backend_client.test_ocpi_cdrs import JSON, at
from tests.backends.operators.sessions import BEGAN, Station
from tests.tls import tls_pem
from v2g.check_digit import with_check_digit

SESSION = "b2688855-7f00-0002-6d8e-48d883f6abb6"
CARD = "04A1B2C3D4E5F6"


def good() -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(record_of(Station().charge(), SESSION, "DE-1", "https://cpo.example/")))
    return body


# OICP 2.3, data types and Charge Detail Record API v2.2: longest value that is taken
LIMITS = {
    "CPOPartnerSessionID": 250,
    "EMPPartnerSessionID": 250,
    "PartnerProductID": 100,
    "SignedMeteringValues.0.SignedMeteringValue": 3000,
    "CalibrationLawVerificationInfo.CalibrationLawCertificateID": 100,
    "CalibrationLawVerificationInfo.PublicKey": 1000,
    "CalibrationLawVerificationInfo.MeteringSignatureUrl": 200,
    "CalibrationLawVerificationInfo.MeteringSignatureEncodingFormat": 50,
    "CalibrationLawVerificationInfo.SignedMeteringValuesVerificationInstruction": 400,
}


@pytest.mark.parametrize(("path", "longest"), LIMITS.items())
def test_a_field_is_taken_up_to_its_published_length(path: str, longest: int) -> None:
    decode(json.dumps(at(good(), path, "A" * longest)).encode(), ChargeDetailRecord)
    for wrong in ("A" * (longest + 1), "A" * (longest - 1) + "\n", 5):
        with pytest.raises(MessageError):
            decode(json.dumps(at(good(), path, wrong)).encode(), ChargeDetailRecord)


CONTRACTS = {"DE-PLB-C12345678-X": True, "DEPLBC12345678X": True, "DE*8AA*123456*7": True, "DE8AA1234567": True,
             "DEPLBC00000001": False, "DEPLBD12345678X": False, "DEPLBC12345678X\n": False}  # fmt: skip
CARDS = {"04A1B2C3": True, CARD: True, CARD + "AABBCC": True, "04a1b2c3": False, "04A1B2C3D4E5F600": False, "": False}
EVSES = {
    "DE*PLB*E1*1": True,
    "DEPLBE1": True,
    "+49*810*000*438": True,
    "DE*PLB*X1": False,
    "DE*PLB*E" + "1" * 31: False,
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("EvseID", EVSES),
        ("SessionID", {SESSION: True, SESSION[:-1]: False, SESSION + "a": False, SESSION.replace("-", "_"): False}),
        ("Identification", {"x": False}),
        ("Identification.PlugAndChargeIdentification.EvcoID", CONTRACTS),
        ("HubOperatorID", {"DE*CPO": True, "DECPO": True, "+49*810": True, "DE-CPO": False, "D": False}),
        ("HubProviderID", {"DE-PLB": True, "DEPLB": True, "DE*PLB": True, "DE/PLB": False}),
        ("SignedMeteringValues.0.MeteringStatus", {"Progress": True, "Begin": False}),
    ],
)
def test_identifiers_have_their_published_forms(path: str, values: dict[str, bool]) -> None:
    for value, taken in values.items():
        body = json.dumps(at(good(), path, value)).encode()
        if taken:
            decode(body, ChargeDetailRecord)
        else:
            with pytest.raises(MessageError):
                decode(body, ChargeDetailRecord)


def test_a_card_has_its_published_forms() -> None:
    for uid, taken in CARDS.items():
        body = json.dumps(good() | {"Identification": {"RFIDMifareFamilyIdentification": {"UID": uid}}}).encode()
        if taken:
            assert decode(body, ChargeDetailRecord).identification.value == uid
        else:
            with pytest.raises(MessageError):
                decode(body, ChargeDetailRecord)


def test_there_is_exactly_one_identification() -> None:
    both = {"RFIDMifareFamilyIdentification": {"UID": CARD}, "RemoteIdentification": {"EvcoID": "DEPLBC12345678X"}}
    for wrong in ({}, both):
        with pytest.raises(MessageError, match="exactly one"):
            decode(json.dumps(good() | {"Identification": wrong}).encode(), ChargeDetailRecord)
    for name in ("PlugAndChargeIdentification", "RemoteIdentification", "QRCodeIdentification"):
        body = good() | {"Identification": {name: {"EvcoID": "DEPLBC12345678X"}}}
        assert decode(json.dumps(body).encode(), ChargeDetailRecord).identification.evco_id == "DEPLBC12345678X"


REQUIRED = ("SessionID", "EvseID", "Identification", "SessionStart", "SessionEnd", "ChargingStart", "ChargingEnd")


@pytest.mark.parametrize("name", REQUIRED)
def test_required_fields_are_required(name: str) -> None:
    body = good()
    del body[name]
    with pytest.raises(MessageError, match=name):
        decode(json.dumps(body).encode(), ChargeDetailRecord)


@settings(max_examples=30)
@given(st.integers(1, 500))
def test_an_extract_is_begin_end_and_evenly_what_lies_between(count: int) -> None:
    values = [SignedValue(Nature.INTERMEDIATE, str(number)) for number in range(count)]
    chosen = [int(one.ocmf) for one in extract(values)]
    assert len(chosen) == min(count, 10)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    steps = [after - before for before, after in pairwise(chosen)]
    assert all(step > 0 for step in steps)
    assert not steps or max(steps) - min(steps) <= 1


def test_records_travel_byte_for_byte_and_say_how_they_are_checked() -> None:
    detail = Station().charge(between=2)
    body = json.loads(encode(record_of(detail, SESSION)))
    assert [one["SignedMeteringValue"] for one in body["SignedMeteringValues"]] == [one.ocmf for one in detail.values]
    info = body["CalibrationLawVerificationInfo"]
    assert (info["PublicKey"], info["MeteringSignatureEncodingFormat"]) == (detail.public_key, "OCMF: V1.0")
    assert "Extract" not in info["SignedMeteringValuesVerificationInstruction"]
    assert (body["ConsumedEnergy"], body["MeterValueStart"], body["MeterValueEnd"]) == (3.5, 100, 103.5)
    assert body["Identification"] == {"PlugAndChargeIdentification": {"EvcoID": with_check_digit("DEPLBC00000001")}}
    assert body["CPOPartnerSessionID"] == detail.id
    assert encode(record_of(detail, SESSION)) == encode(record_of(detail, SESSION))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda detail: replace(detail, id="x" * 251), "CPOPartnerSessionID"),
        (lambda detail: replace(detail, evse_id="nowhere"), "EvseID"),
        (lambda detail: replace(detail, user_id="1234", id_type="KEY_CODE"), "UID"),
        (lambda detail: replace(detail, user_id="XX", id_type="EMAID"), "EvcoID"),
        (lambda detail: replace(detail, public_key="0" * 1001), "PublicKey"),
        (lambda detail: replace(detail, values=(SignedValue(Nature.START, "no record"),)), "cannot be read"),
        (
            lambda detail: replace(detail, values=(SignedValue(Nature.START, "x" * 3001),)),
            "has 3001 characters, OICP's SignedMeteringValue takes 3000",
        ),
    ],
)
def test_what_does_not_fit_is_never_sent(change: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(LocalError, match=text):
        record_of(change(Station().charge()), SESSION)
    with pytest.raises(LocalError, match="SessionID"):
        record_of(Station().charge(), "1")


def ack(result: bool = True, code: str = "000", http: int = 200, info: str = "") -> httpx.Response:
    return httpx.Response(http, json={"Result": result, "StatusCode": {"Code": code, "AdditionalInfo": info}})


def session(*answers: httpx.Response | Exception) -> OicpSession:
    left = list(answers)

    async def platform(_request: httpx.Request) -> httpx.Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return OicpSession("http://hub", transport=httpx.MockTransport(platform))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (ack(), Ack.STORED),
        (ack(info="duplicate"), Ack.DUPLICATE),
        (ack(False, "400"), OicpRefused),
        (ack(False, "022", 400), OicpRefused),
        (ack(False, "310"), RigError),
        (ack(False, "021"), RigError),
        (ack(False, "017", 401), RigError),
        (ack(False, "000", 500), RigError),
        (httpx.Response(503, text="<html>"), RigError),
        (httpx.Response(200, text="<html>"), PeerError),
        (httpx.Response(200, content=b" " * ((4 << 20) + 1)), RigError),
        (httpx.ConnectError("no"), RigError),
    ],
)
async def test_answers_are_told_apart(answer: Any, outcome: object) -> None:
    sink = OicpCdrs(session(answer), "DE*CPO", lambda _detail: SESSION)
    if isinstance(outcome, Ack):
        assert await sink.push(Station().charge()) is outcome
    else:
        assert isinstance(outcome, type)
        with pytest.raises(outcome):
            await sink.push(Station().charge())


def authorised(code: str = "000", http: int = 200) -> httpx.Response:
    word = "Authorized" if code == "000" else "NotAuthorized"
    body = {"AuthorizationStatus": word, "StatusCode": {"Code": code}, "SessionID": SESSION, "ProviderID": "DE-PLB"}
    return httpx.Response(http, json=body)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (authorised(), AuthorisationStatus.ACCEPTED),
        (authorised("102"), AuthorisationStatus.UNKNOWN),
        (authorised("105"), AuthorisationStatus.UNKNOWN),
        (authorised("200"), AuthorisationStatus.BLOCKED),
        (authorised("121"), AuthorisationStatus.BLOCKED),
        (authorised("210"), AuthorisationStatus.EXPIRED),
        (authorised("700"), AuthorisationStatus.INVALID),
        (ack(False, "106"), AuthorisationStatus.INVALID),
        (authorised("310"), None),
        (ack(False, "320"), None),
    ],
)
async def test_answers_of_the_hub_are_words_of_ours(answer: httpx.Response, status: AuthorisationStatus | None) -> None:
    authoriser = OicpAuthoriser(session(answer), "DE*CPO", lambda: BEGAN)
    request = AuthorisationRequest("1", "DE*PLB*E1*1", CARD, "ISO14443")
    if status is None:
        with pytest.raises(RigError):
            await authoriser.authorise(request)
        return
    found = await authoriser.authorise(request)
    assert found.status is status
    assert (found.contract is ContractStatus.CERTIFICATE_REVOKED) == ('"121"' in answer.text)
    detail = Station().charge(user=CARD, id_type=IdType.ISO14443)
    assert (authoriser.session_of(detail) == SESSION) == found.is_accepted


async def test_a_session_belongs_to_the_transaction_that_began_after_it() -> None:
    now = [BEGAN]
    second = SESSION.replace("b2688855", "c2688855")
    later = httpx.Response(200, json={**authorised().json(), "SessionID": second})
    authoriser = OicpAuthoriser(session(authorised(), later), "DE*CPO", lambda: now[0])
    request = AuthorisationRequest("1", "DE*PLB*E1*1", CARD, "ISO14443")
    await authoriser.authorise(request)
    detail = Station().charge(user=CARD, id_type=IdType.ISO14443)
    now[0] += timedelta(hours=2)
    await authoriser.authorise(request)
    assert authoriser.session_of(detail) == SESSION
    assert authoriser.session_of(replace(detail, began=now[0])) == second
    unknown = authoriser.session_of(replace(detail, user_id="04FFFFFFFFFFFF"))
    assert unknown not in {SESSION, second}
    assert unknown == authoriser.session_of(replace(detail, user_id="04FFFFFFFFFFFF"))


def test_contracts_get_their_check_digit() -> None:
    made = identification("de-plb-c12345678", "EMAID").evco_id
    assert (made[:14], len(made)) == ("DEPLBC12345678", 15)
    assert identification("DEPLBC12345678X", "EMAID").evco_id == "DEPLBC12345678X"
    assert identification("04a1b2c3", "ISO14443").value == "04A1B2C3"


def test_a_session_needs_a_place_and_files_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="scheme"):
        OicpSession("ftp://hub")
    with pytest.raises(RigError, match="cannot use"):
        OicpSession("https://hub", client_certificate=(tmp_path / "none.pem", tmp_path / "none.key"))
    key, certificate = tls_pem()
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "certificate.pem").write_bytes(certificate)
    OicpSession(
        "https://hub",
        ca_file=tmp_path / "certificate.pem",
        client_certificate=(tmp_path / "certificate.pem", tmp_path / "key.pem"),
    )


KINDS = (ChargeDetailRecord, Acknowledgement, AuthorizeStart, AuthorizationStart, GetChargeDetailRecords)


@settings(max_examples=50)
@given(st.one_of(st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_octets_are_a_message_or_a_message_error(octets: bytes) -> None:
    for kind in KINDS:
        try:
            decode(octets, kind)
        except MessageError:
            continue


@settings(max_examples=40)
@given(st.sampled_from(sorted(good())), JSON)
def test_what_is_read_is_written_the_same(name: str, value: object) -> None:
    try:
        read = decode(json.dumps(good() | {name: value}).encode(), ChargeDetailRecord)
    except MessageError:
        return
    assert decode(encode(read), ChargeDetailRecord) == read
    assert isinstance(read.consumed_energy, Decimal)
