"""What a vehicle does not take from a station: contracts of strangers, meters that go back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.v2g.session.pair import FIRST_SESSION, AutoStation, Pair
from tests.v2g.session.pki import EMAID, OTHER_EMAID, Pki, make_pki
from tests.v2g.session.test_plug_and_charge import METER, install, station, vehicle
from tests.v2g.test_certificates import NOW, Issued
from v2g.exi.codec import decode, encode
from v2g.session.events import ContractInstalled, ReceiptReceived, Tolerated
from v2g.session.fault import ReplaceField
from v2g.session.faults import FaultPlan
from v2g.session.station_side import CERTIFICATE_SERVICE, CertificateAnswer, MeterReport
from v2g.signature_suites import P256, signer
from v2g.xmldsig import sign_message


def answer_of(pki: Pki, **changes: Any) -> CertificateAnswer:
    """An installation answer, signed again after its body was changed."""
    message: Any = decode("iso2", pki.installation(session=FIRST_SESSION))
    for name, value in changes.items():
        setattr(getattr(message.Body.BodyElement, name), "value", value)  # noqa: B010
    sign_message(message, signer(pki.cps.key), P256)
    return CertificateAnswer(encode(message))


def asked(pki: Pki, answer: CertificateAnswer, **more: Any) -> Pair:
    settings = {"provisioning": pki.provisioned(), "certificate_action": "install", "v2g_roots": pki.v2g_roots}
    pair = Pair(station(services=(CERTIFICATE_SERVICE,)), vehicle(contract=None, **(settings | more)), tls=True)
    install(pair, answer)
    return pair


def provider(pki: Pki, name: str, component: str | None, issuer: Issued, use: str = "sign") -> Pki:
    """Somebody else signs installations."""
    return replace(pki, cps=Issued(name, component, use, issuer), cps_sub=issuer)


def strangers() -> dict[str, tuple[Pki, str]]:
    pki = make_pki()
    other_root = Issued("Other Root", "V2G", "ca")
    return {
        "of another root": (provider(pki, "CPS", "CPS", Issued("Sub", "CPS", "ca", other_root, path=0)), "no path"),
        "a charging station": (provider(pki, "DEPLBE0001", "CPO", pki.cps_sub), "DC=CPO, expected CPS"),
        "nobody in particular": (provider(pki, "CPS", None, pki.cps_sub), "no DC, expected CPS"),
        "not for signatures": (provider(pki, "CPS", "CPS", pki.cps_sub, "ca"), "keyUsage lacks digital_signature"),
        "expired": (
            replace(pki, cps=Issued("CPS", "CPS", "sign", pki.cps_sub, start=NOW - timedelta(days=800), years=1)),
            "expired",
        ),
    }


@pytest.mark.parametrize("who", strangers())
def test_a_contract_of_a_stranger_is_not_taken(who: str) -> None:
    pki, text = strangers()[who]
    pair = asked(pki, answer_of(pki))
    assert pair.found(ContractInstalled) == []
    assert text in pair.ended("vehicle").reason
    assert "PaymentDetailsReq" not in pair.sent()


def test_without_a_root_it_is_said_that_nobody_was_checked() -> None:
    pair = asked(make_pki(), answer_of(make_pki()), v2g_roots=None)
    assert len(pair.found(ContractInstalled)) == 1
    assert "has no V2G root" in pair.found(Tolerated, "vehicle")[0].text


@pytest.mark.parametrize(("emaid", "said"), [(EMAID, OTHER_EMAID), ("../../../../x1", OTHER_EMAID)])
def test_the_emaid_of_a_new_contract_is_that_of_its_certificate(emaid: str, said: str) -> None:
    pki = make_pki()
    pair = asked(pki, answer_of(pki, eMAID=emaid))
    assert pair.found(ContractInstalled) == []
    assert pair.ended("vehicle").reason == f"the new contract is for {emaid!r}, its certificate for {said!r}"


def test_the_emaid_may_be_written_in_small_letters() -> None:
    pki = make_pki()
    assert len(asked(pki, answer_of(pki, eMAID=OTHER_EMAID.lower())).found(ContractInstalled)) == 1


def test_an_expired_contract_is_not_installed() -> None:
    old = Issued(OTHER_EMAID, "MO", "contract", make_pki().mo_sub_2, start=NOW - timedelta(days=800), years=1)
    pki = replace(make_pki(), new_contract=old)
    pair = asked(pki, answer_of(pki))
    assert pair.found(ContractInstalled) == []
    assert f"the new contract {OTHER_EMAID} expired" in pair.ended("vehicle").reason


# paying otherwise


def test_a_vehicle_without_a_contract_pays_at_a_station_that_installs_none() -> None:
    settings = {"contract": None, "provisioning": make_pki().provisioned(), "certificate_action": "install"}
    pair = Pair(station(), vehicle(**settings), tls=True)
    pair.run()
    assert pair.ended("vehicle").outcome == "terminated"
    assert "PaymentDetailsReq" not in pair.sent()
    assert [event.text for event in pair.found(Tolerated, "vehicle")] == [
        "the station installs no contract, and the vehicle has none"
    ]


@pytest.mark.parametrize(
    ("payments", "fallback", "text"),
    [
        (
            ("Contract", "ExternalPayment"),
            False,
            "installs no contract, and the vehicle has none; it takes Contract, Ex",
        ),
        (("Contract",), True, "installs no contract, and the vehicle has none; it takes Contract, the"),
    ],
)
def test_a_vehicle_that_may_not_pay_otherwise_leaves(payments: tuple[str, ...], fallback: bool, text: str) -> None:
    settings = {"contract": None, "provisioning": make_pki().provisioned(), "certificate_action": "install"}
    pair = Pair(station(payments=payments), vehicle(**settings, fallback=fallback), tls=True)
    pair.run()
    assert text in pair.ended("vehicle").reason


def test_a_payment_that_is_not_offered_may_be_the_end() -> None:
    pair = Pair(AutoStation(payments=("ExternalPayment",)), vehicle(fallback=False))
    pair.run()
    assert "does not offer payment by Contract; it takes ExternalPayment" in pair.ended("vehicle").reason


@pytest.mark.parametrize("fallback", [True, False])
def test_a_contract_is_not_shown_without_tls_whatever_the_station_offers(fallback: bool) -> None:
    payments = "Body.BodyElement.PaymentOptionList.PaymentOption"
    offer = ReplaceField(message="ServiceDiscoveryRes", field=f"{payments}.0", value="Contract")
    plan = FaultPlan([offer])
    pair = Pair(AutoStation(free=True), vehicle(fallback=fallback), secc={"hook": plan})
    pair.run()
    assert plan.struck
    assert "PaymentDetailsReq" not in pair.sent()
    assert "offers payment by Contract without TLS; it takes nothing else" in pair.ended("vehicle").reason


# the meter


class Meters(AutoStation):
    """Shows another reading in every loop."""

    readings: tuple[MeterReport | None, ...] = ()

    def __getattribute__(self, name: str) -> Any:
        if name != "meter" or not (left := object.__getattribute__(self, "readings")):
            return object.__getattribute__(self, name)
        return left[0]


def metered(*readings: MeterReport | None, receipt: bool) -> Pair:
    given = station(receipt_required=receipt)
    meters = Meters(**{name: getattr(given, name) for name in ("payments", "civil_time", "contract_roots")})
    meters.receipt_required, meters.readings = receipt, readings
    pair = Pair(meters, vehicle(), tls=True, loops=len(readings))

    def turn(who: str, event: Any) -> None:
        if who == "vehicle" and type(event).__name__ == "PowerState" and len(meters.readings) > 1:
            meters.readings = meters.readings[1:]

    pair.on_event = turn
    pair.run()
    return pair


BACK = replace(METER, reading=123455)


def test_a_meter_that_stands_or_runs_forward_is_signed_for() -> None:
    pair = metered(METER, METER, replace(METER, reading=123457), receipt=True)
    assert len(pair.found(ReceiptReceived)) == 3
    assert pair.ended("vehicle").outcome == "terminated"


@pytest.mark.parametrize(
    ("second", "text"),
    [
        (BACK, "meter 'MTR1' went back from 123456 to 123455 Wh"),
        (replace(METER, meter_id="MTR2"), "the station shows meter 'MTR2' after 'MTR1'"),
    ],
)
def test_no_receipt_for_a_reading_that_cannot_be(second: MeterReport, text: str) -> None:
    pair = metered(METER, second, receipt=True)
    assert len(pair.found(ReceiptReceived)) == 1
    assert pair.ended("vehicle").outcome == "failed"
    assert pair.ended("vehicle").reason == f"{text}: the vehicle signs no receipt for that"
    shown = metered(METER, second, receipt=False)
    assert [event.text for event in shown.found(Tolerated, "vehicle")] == [text]
    assert shown.ended("vehicle").outcome == "terminated"


def test_a_reading_that_is_left_out_breaks_nothing() -> None:
    pair = metered(METER, replace(METER, reading=None), METER, receipt=False)
    assert pair.found(Tolerated, "vehicle") == []


# whatever a provisioning service signs


@cache
def leaves() -> list[bytes]:
    pki = make_pki()
    others = [
        Issued(OTHER_EMAID, "MO", "contract", pki.mo_sub_2, curve=curve).der for curve in (ec.SECP521R1(), "ed448")
    ]
    good = pki.new_contract.der
    return [good, pki.contract.der, *others, good[:300], good[:-1], b"", b"\x30\x00", bytes(200)]


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(leaves()),
    st.one_of(st.none(), st.binary(max_size=48), st.binary(min_size=48, max_size=48)),
    st.one_of(st.none(), st.binary(max_size=65), st.binary(min_size=64, max_size=64).map(lambda one: b"\4" + one)),
    st.booleans(),
)
def test_an_answer_is_installed_whole_or_ends_the_session(
    leaf: bytes, sealed: bytes | None, point: bytes | None, bare: bool
) -> None:
    pki = make_pki()
    message: Any = decode("iso2", pki.installation(session=FIRST_SESSION))
    body = message.Body.BodyElement
    body.ContractSignatureCertChain.Certificate = leaf
    if sealed is not None:
        body.ContractSignatureEncryptedPrivateKey.value = sealed
    if point is not None:
        body.DHpublickey.value = point
    if bare:
        body.ContractSignatureCertChain.SubCertificates = None
    sign_message(message, signer(pki.cps.key), P256)
    pair = asked(pki, CertificateAnswer(encode(message)))
    good = leaf == pki.new_contract.der and sealed is None and point is None
    assert bool(pair.found(ContractInstalled)) == good
    assert good or pair.ended("vehicle").outcome == "failed"
