"""What goes wrong in Plug & Charge, and what exactly is seen of it: at the vehicle, at the station, at the backends.

All cases of a rig run one after the other on one bench, so that the world is built once; each is followed by a good
session, which shows that nothing of it stays behind.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from backends.operators.cpo.faults import CsmsFault, CsmsFaultKind, FaultRule
from hil_rigs.http_faults import HttpFault
from tests.hil_rigs.plug_and_charge_world import BETWEEN_S, Case, Outcome, Seen, World, play
from v2g.link.sdp_client import TlsWish
from v2g.session.faults import Fault, Replay
from v2g.session.signing_faults import CONTRACT_FAULTS

RESOURCES = """\
clock: {mode: virtual, start: 2026-11-20T08:00:00+01:00}
seed: 17
resources:
  bus:   {kind: serial, port: virtual, baud: 9600}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus, unit: 1, serial_number: "12345678"}
  key:   {kind: file_key}
  board: {kind: charger}
  pools: {kind: pools.opcp}
  oem:   {kind: operator.oem, pools: pools}
  mo:    {kind: operator.mo, pools: pools}
  ev:    {kind: vehicle, protocol: iso2, auth: pnc, tls: true, pki: auto}
  new:
    {kind: vehicle, protocol: iso2, auth: pnc, tls: true, pki: auto, contract: none, emaid: DEPLBC00000002,
     pcid: PLBPROVCERT000002}
"""
CONNECTOR = """\
    - id: "1"
      evse_id: "DE*PLB*E0001"
      board: board
      meter: m1
      signer: key
      max_current_a: 32
      secc: {protocols: [iso2], auth: [pnc], tls: required, pki: auto}
"""
BAD = {"expired": "expired", "early": "not-yet-valid", "revoked": "revoked", "stranger": "self-signed"}
DIRECT = (
    "rig: direct\n"
    + RESOURCES
    + "".join(
        f"  {name}:\n    {{kind: vehicle, protocol: iso2, auth: pnc, tls: true, pki: auto, bad_contract: {bad},\n"
        f"     emaid: DEPLBC0000010{number}, pcid: PLBPROVCERT00010{number}}}\n"
        for number, (name, bad) in enumerate(BAD.items())
    )
    + "  cpo:   {kind: cpo.rest}\n"
    + "gateway:\n  serial_number: GW-T\n  connectors:\n"
    + CONNECTOR
    + """\
  contracts: pools
  ocsp: {source: direct, policy: hard}
  local_list:
    - {id: DEPLBC00000001, type: EMAID}
    - {id: DEPLBC00000002, type: EMAID}
    - {id: DEPLBC00000102, type: EMAID}
  backends: [cpo]
"""
)
CSMS = (
    "rig: csms\n"
    + RESOURCES
    + """\
  csms:  {kind: csms.ocpp, pools: pools, bills_to: [mo]}
  gone:
    {kind: vehicle, protocol: iso2, auth: pnc, tls: true, pki: auto, bad_contract: revoked, emaid: DEPLBC00000003,
     pcid: PLBPROVCERT000003}
  other:
    {kind: vehicle, protocol: iso2, auth: pnc, tls: true, pki: auto, emaid: DEXYZC00000004, pcid: PLBPROVCERT000004}
gateway:
  serial_number: GW-T
  connectors:
"""
    + CONNECTOR
    + """\
  authorisers: [csms]
  contracts: csms
  backends: [csms]
"""
)
INSTALLATION = "/v1/ccp/signedContractData"
NOT_FOUND = json.dumps({"errorMessages": ["nothing is here"], "traceId": "0"}).encode()
WITHOUT = "the vehicle pays by contract only: CertificateInstallationReq"


def shows(vehicle: str) -> Case:
    """The vehicle plugs in and pays with what it has."""
    return lambda world: world.charge(vehicle)


def breaks(*faults: Fault, vehicle: str = "ev") -> Case:
    """The vehicle's messages are broken."""
    return lambda world: world.charge(vehicle, vehicle_faults=list(faults))


def pools_do(fault: HttpFault) -> Case:
    """A vehicle without contract asks for one, and the pools misbehave."""

    async def case(world: World) -> Seen:
        world.pools.rules.append(fault)
        seen = await world.charge("new")
        world.forget_contract("new", "DEPLBC00000002")
        return seen

    return case


async def replayed(world: World) -> Seen:
    """Yesterday's installation request, octet by octet, in a session of today."""
    first = await world.charge("new")
    world.forget_contract("new", "DEPLBC00000002")
    asked = next(e for e in first.events if e.kind == "v2g.rx" and e.data["message"] == "CertificateInstallationReq")
    fault = Replay(message="CertificateInstallationReq", exi=asked.raw[8:].hex())
    return await world.charge("new", vehicle_faults=[fault])


async def without_tls(world: World) -> Seen:
    """Somebody takes the wish for TLS out of the vehicle's SDP request."""
    vehicle = world.bench.vehicles["ev"]
    as_it_was = vehicle.setup
    vehicle.setup = replace(as_it_was, tls_wish=TlsWish.OFF, tls=None)
    seen = await world.charge("ev")
    vehicle.setup = as_it_was
    return seen


async def nothing_there(world: World) -> Seen:
    """The mobility operator has taken the contract back: the pool answers 404 with a message for the vehicle."""
    await world.bench.pools.clients["mo"].delete_contract("DEPLBC00000002")
    return await world.charge("new")


DIRECT_CASES: Mapping[str, tuple[Case, list[str], str]] = {
    # case: what happens; what the station refuses; what the vehicle's driver is told
    "expired": (shows("expired"), ["PaymentDetailsReq FAILED_CertificateExpired"], "FAILED_CertificateExpired"),
    "not yet valid": (shows("early"), ["PaymentDetailsReq FAILED_CertChainError"], "FAILED_CertChainError"),
    "unknown root": (shows("stranger"), ["PaymentDetailsReq FAILED_CertChainError"], "FAILED_CertChainError"),
    "revoked": (shows("revoked"), ["AuthorizationReq FAILED_CertificateRevoked"], "FAILED_CertificateRevoked"),
    "wrong EMAID": (
        breaks(CONTRACT_FAULTS["another EMAID"]),
        ["PaymentDetailsReq FAILED_NoCertificateAvailable"],
        "FAILED_NoCertificateAvailable",
    ),
    "unparseable": (
        breaks(CONTRACT_FAULTS["unreadable certificate"]),
        ["PaymentDetailsReq FAILED_CertChainError"],
        "FAILED_CertChainError",
    ),
    "wrong key": (
        breaks(CONTRACT_FAULTS["another key"]),
        ["AuthorizationReq FAILED_SignatureError"],
        "FAILED_SignatureError",
    ),
    "changed body": (
        breaks(CONTRACT_FAULTS["changed after signing"]),
        ["AuthorizationReq FAILED_SignatureError"],
        "FAILED_SignatureError",
    ),
    "wrong challenge": (
        breaks(CONTRACT_FAULTS["wrong challenge"]),
        ["AuthorizationReq FAILED_ChallengeInvalid"],
        "FAILED_ChallengeInvalid",
    ),
    "replayed installation": (replayed, ["CertificateInstallationReq FAILED_UnknownSession"], WITHOUT),
    "pools answer 503": (
        pools_do(HttpFault(INSTALLATION, status=503)),
        ["CertificateInstallationReq FAILED"],
        WITHOUT,
    ),
    "pools take 4.4 s": (pools_do(HttpFault(INSTALLATION, seconds=4.4)), [], ""),
    "pools take 4.6 s": (
        pools_do(HttpFault(INSTALLATION, seconds=4.6)),
        ["CertificateInstallationReq FAILED"],
        WITHOUT,
    ),
    "404 with a text": (
        pools_do(HttpFault(INSTALLATION, status=404, body=NOT_FOUND)),
        ["CertificateInstallationReq FAILED_NoCertificateAvailable"],
        WITHOUT,
    ),
    "no TLS": (without_tls, [], "wants TLS, which is off here"),
    "404 with a message": (
        nothing_there,
        ["CertificateInstallationReq FAILED_NoCertificateAvailable"],
        WITHOUT,
    ),
}


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return play(DIRECT, {name: row[0] for name, row in DIRECT_CASES.items()}, tmp_path_factory.mktemp("d") / "rig")


def both(outcomes: dict[str, Outcome], case: str) -> tuple[Seen, Seen]:
    outcome = outcomes[case]
    if outcome.error is not None:
        raise outcome.error
    assert outcome.broken is not None
    assert outcome.good is not None
    return outcome.broken, outcome.good


@pytest.mark.parametrize("case", DIRECT_CASES)
def test_the_station_says_exactly_what_is_wrong_and_the_next_session_charges(
    direct: dict[str, Outcome], case: str
) -> None:
    _, refused, told = DIRECT_CASES[case]
    broken, good = both(direct, case)
    assert broken.refused == refused
    assert told in broken.result.problem
    assert bool(broken.result.problem) == bool(told)
    assert broken.charged is not bool(told)
    assert good.result.problem == ""
    assert good.refused == []
    assert good.charged


def test_late_pools(direct: dict[str, Outcome]) -> None:
    slow, _ = both(direct, "pools take 4.4 s")
    late, _ = both(direct, "pools take 4.6 s")
    assert slow.data("evcc.contract", "emaid") == ["DEPLBC00000002"]
    assert late.data("secc.certificate", "outcome") == ["failed"]
    assert late.data("secc.certificate", "latency_s") == [4.45]
    assert late.data("evcc.contract", "emaid") == [""]


def test_a_replay_reaches_no_pool(direct: dict[str, Outcome]) -> None:
    replay, _ = both(direct, "replayed installation")
    assert replay.data("opcp.request", "action") == []
    assert replay.data("evcc.contract", "emaid") in ([], [""])


def test_a_refused_contract_leaves_no_transaction(direct: dict[str, Outcome]) -> None:
    for case, (_, refused, _) in DIRECT_CASES.items():
        if refused:
            broken, _ = both(direct, case)
            assert broken.data("journal.intent", "page") == [], case
            assert True not in broken.data("power.contactor", "closed"), case


def test_a_station_that_wants_contracts_never_says_that_there_is_no_tls(direct: dict[str, Outcome]) -> None:
    downgraded, _ = both(direct, "no TLS")
    answers = [event for event in downgraded.events if event.kind == "sdp.response" and event.source == "1.secc"]
    assert [event.data["security"] for event in answers] == ["TLS"]
    assert downgraded.data("secc.session", "outcome") == []


def csms_does(kind: CsmsFaultKind, seconds: float = 0.0, action: str = "TransactionEvent") -> Case:
    """The CSMS handles the first call of an action in its own way."""

    async def case(world: World) -> Seen:
        world.csms.rules.append(FaultRule(CsmsFault(kind, seconds=seconds), action=action))
        seen = await world.charge("ev", charge_for_s=45.0)
        seen.records, seen.bill = await world.bill_of(seen)
        seen.events = world.events[world.events.index(seen.events[0]) :]
        return seen

    return case


async def keeps_silent(world: World) -> Seen:
    """A vehicle without contract asks for one, and the CSMS says nothing."""
    fault = CsmsFault(CsmsFaultKind.LOST_CALL)
    world.csms.rules.append(FaultRule(fault, action="Get15118EVCertificate", times=1))
    seen = await world.charge("new")
    world.forget_contract("new", "DEPLBC00000002")
    return seen


def away(hours: float) -> Case:
    """The CSMS is gone from the middle of a session on."""

    async def case(world: World) -> Seen:
        charging = asyncio.ensure_future(world.charge("ev", charge_for_s=30.0))
        await world.clock.sleep(15.0)
        world.csms.outage = True
        await world.bench.csms.embedded["csms"].disconnect()
        seen = await charging
        await world.clock.sleep(BETWEEN_S)
        refused = await world.charge("ev")
        assert refused.refused == ["AuthorizationReq FAILED"]
        await world.clock.sleep(hours * 3600)
        world.csms.outage = False
        begun = world.events.index(seen.events[0])
        seen.records, seen.bill = await world.bill_of(seen)
        seen.events = world.events[begun:]
        return seen

    return case


def _oversize(body: bytes) -> bytes:
    """An answer whose message is longer than OCPP 2.0.1 carries (exiResponse: 7500 characters)."""
    content = json.loads(body)
    message = content["CCPResponse"]["emaidContent"][0]["messageDef"]
    message["certificateInstallationRes"] = base64.b64encode(bytes(6000)).decode()
    return json.dumps(content).encode()


CSMS_CASES: Mapping[str, Case] = {
    "revoked": shows("gone"),
    "another operator's customer": shows("other"),
    "oversize": pools_do(HttpFault(INSTALLATION, change=_oversize)),
    "pools answer 503": pools_do(HttpFault(INSTALLATION, status=503)),
    "pools take 3.9 s": pools_do(HttpFault(INSTALLATION, seconds=3.9)),
    "pools take 4.1 s": pools_do(HttpFault(INSTALLATION, seconds=4.1)),
    "404 with a text": pools_do(HttpFault(INSTALLATION, status=404, body=NOT_FOUND)),
    "no word of the CSMS": keeps_silent,
    "wrong key": breaks(CONTRACT_FAULTS["another key"]),
    "duplicate": csms_does(CsmsFaultKind.DUPLICATE),
    "lost acknowledgement": csms_does(CsmsFaultKind.LOST_ACK),
    "acknowledgement after its repeat": csms_does(CsmsFaultKind.SLOW, 31.0),
    "connection lost": csms_does(CsmsFaultKind.DISCONNECT),
    "two hours away": away(2),
}


@pytest.fixture(scope="module")
def behind_csms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return play(CSMS, CSMS_CASES, tmp_path_factory.mktemp("c") / "rig")


@pytest.mark.parametrize(
    ("case", "refused"),
    [
        ("revoked", "AuthorizationReq FAILED_CertificateRevoked"),
        ("another operator's customer", "AuthorizationReq FAILED"),
        ("oversize", "CertificateInstallationReq FAILED_NoCertificateAvailable"),
        ("pools answer 503", "CertificateInstallationReq FAILED_NoCertificateAvailable"),
        ("pools take 4.1 s", "CertificateInstallationReq FAILED_NoCertificateAvailable"),
        ("404 with a text", "CertificateInstallationReq FAILED_NoCertificateAvailable"),
        ("no word of the CSMS", "CertificateInstallationReq FAILED"),
        ("wrong key", "AuthorizationReq FAILED_SignatureError"),
    ],
)
def test_what_the_csms_refuses_never_charges(behind_csms: dict[str, Outcome], case: str, refused: str) -> None:
    broken, good = both(behind_csms, case)
    assert broken.refused == [refused]
    assert broken.data("journal.intent", "page") == []
    assert True not in broken.data("power.contactor", "closed")
    assert good.charged
    assert good.result.problem == ""


def test_the_csms_gives_the_pools_four_seconds_and_the_station_the_csms_4_45(behind_csms: dict[str, Outcome]) -> None:
    slow, _ = both(behind_csms, "pools take 3.9 s")
    assert slow.refused == []
    assert slow.data("evcc.contract", "emaid") == ["DEPLBC00000002"]
    late, _ = both(behind_csms, "pools take 4.1 s")
    assert late.data("secc.certificate", "latency_s") == [4.0]
    silent, _ = both(behind_csms, "no word of the CSMS")
    assert silent.data("secc.certificate", "latency_s") == [4.45]


def test_the_csms_is_asked_about_contracts_that_are_proven_only(behind_csms: dict[str, Outcome]) -> None:
    proven, good = both(behind_csms, "revoked")
    assert [len(one.calls("Authorize")) for one in (proven, good)] == [1, 1]
    unproven, _ = both(behind_csms, "wrong key")
    assert unproven.calls("Authorize") == []


@pytest.mark.parametrize(
    "case",
    ["duplicate", "lost acknowledgement", "acknowledgement after its repeat", "connection lost", "two hours away"],
)
def test_every_value_arrives_once_and_is_billed_once(behind_csms: dict[str, Outcome], case: str) -> None:
    broken, good = both(behind_csms, case)
    assert broken.result.problem == ""
    assert broken.records is not None
    assert broken.records.verdict == "valid", broken.records
    assert broken.bill is not None
    assert broken.bill.problems == ()
    assert broken.bill.kwh == broken.records.kwh
    assert good.charged
    assert good.result.problem == ""


def test_a_repeat_has_the_message_id_of_the_first(behind_csms: dict[str, Outcome]) -> None:
    broken, _ = both(behind_csms, "lost acknowledgement")
    calls = [one for one in broken.calls("TransactionEvent") if one[3]["seqNo"] == 0]
    assert len(calls) == 2
    assert calls[0][1] == calls[1][1]


def test_what_was_kept_while_the_csms_was_away_says_so_and_keeps_its_order(behind_csms: dict[str, Outcome]) -> None:
    broken, _ = both(behind_csms, "two hours away")
    own = [one[3] for one in broken.calls("TransactionEvent")]
    assert own[0]["offline"] is False
    assert own[-1]["offline"] is True
    assert [one["seqNo"] for one in own] == sorted(one["seqNo"] for one in own)
    assert own[-1]["eventType"] == "Ended"


@pytest.mark.soak
def test_a_csms_that_is_gone_for_two_days_gets_everything(tmp_path: Path) -> None:
    outcomes = play(CSMS, {"two days away": away(48)}, tmp_path / "rig")
    broken, good = both(outcomes, "two days away")
    assert broken.bill is not None
    assert broken.bill.problems == ()
    assert good.charged
