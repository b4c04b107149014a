"""Defects of V2G sessions, of who decides about contracts, of pools and CPO. See `defects`."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backends.operators.cpo import billing
from gateway.admission import Admission
from gateway.ocsp_check import OcspCheck
from gateway.secc import service
from gateway.secc.outlet import Outlet
from gateway.secc.receipt_pace import ReceiptPace
from hil_rigs.fault_catalogue.breakable import Breakable
from hil_rigs.fault_catalogue.entry import Undo
from hil_rigs.http_faults import HttpFault
from hil_rigs.scenario.seed import Seed, Values, patched
from ocmf.payload import User
from ocmf.terms import Level
from v2g import sdp, v2gtp
from v2g.certificates import load, public_key
from v2g.link import sdp_server, vehicle
from v2g.link.tls_settings import StationContexts, VehicleTls, vehicle_context
from v2g.session import iso2_station_payment as payment
from v2g.session.contract import Contract, read_contract
from v2g.session.iso2_station_opening import Iso2Opening
from v2g.session.refusal import Refusal
from v2g.session.secc import Secc
from v2g.session.state_table import StateTable

INSTALLATION = "/v1/ccp/signedContractData"


def _lets_anybody_on(_bench: Breakable, _values: Values) -> Undo:
    return patched(Outlet, "authorization", property(lambda _outlet: "OK"))


def _skips_signature(_bench: Breakable, _values: Values) -> Undo:
    return patched(payment, "verify_message", lambda *_arguments: None)


def _ignores_challenge(_bench: Breakable, _values: Values) -> Undo:
    plain = payment.Iso2Payment.authorization

    def authorization(self: Any, request: Any, message: Any, now: float) -> Any:
        self.secc.facts.challenge = request.GenChallenge
        return plain(self, request, message, now)

    return patched(payment.Iso2Payment, "authorization", authorization)


def _ignores_session_id(_bench: Breakable, _values: Values) -> Undo:
    plain = Secc._message  # noqa: SLF001 - a defect is where nobody looks

    def message(self: Any, name: str, received: Any, *others: Any) -> None:
        if self.session_id and hasattr(received, "Header"):
            received.Header.SessionID = self.session_id
        plain(self, name, received, *others)

    return patched(Secc, "_message", message)


def _ignores_order(_bench: Breakable, _values: Values) -> Undo:
    plain = StateTable.next

    def anywhere(self: StateTable, state: str, message: str, outcome: str) -> str:
        return plain(self, state, message, outcome) if self.leads(state, message, outcome) else state

    undo, again = patched(StateTable, "takes", lambda *_arguments: True), patched(StateTable, "next", anywhere)

    def both() -> None:
        undo()
        again()

    return both


def _is_patient(_bench: Breakable, _values: Values) -> Undo:
    class Patient(Secc):
        def _deadlines(self) -> tuple[float | None, ...]:
            return (self.pending.deadline if self.pending else None,)

    return patched(service, "Secc", Patient)


def _any_header(_bench: Breakable, _values: Values) -> Undo:
    """Its version is not looked at."""

    def lenient(octets: bytes, _limit: int = 0) -> v2gtp.Header:
        return v2gtp.Header(int.from_bytes(octets[2:4], "big"), int.from_bytes(octets[4:8], "big"))

    return patched(v2gtp, "parse_header", lenient)


def _vague(_bench: Breakable, _values: Values) -> Undo:
    plain = Secc._refuse  # noqa: SLF001

    def refuse(self: Any, refusal: Refusal, now: float) -> None:
        plain(self, Refusal("FAILED", refusal.reason), now)

    return patched(Secc, "_refuse", refuse)


def _accepts_expired(_bench: Breakable, _values: Values) -> Undo:
    def lenient(chain: Any, emaid: str, roots: Any, profile: Any, _at: Any, *others: Any) -> Contract:
        return read_contract(chain, emaid, roots, profile, None, *others)

    return patched(payment, "read_contract", lenient)


def _accepts_any_contract(_bench: Breakable, _values: Values) -> Undo:
    def lenient(chain: Any, emaid: str, *_others: Any) -> Contract:
        sub_cas = chain.SubCertificates.Certificate if chain.SubCertificates else ()
        leaf = load(chain.Certificate)
        return Contract(emaid, (chain.Certificate, *sub_cas), public_key(leaf), leaf.not_valid_after)

    return patched(payment, "read_contract", lenient)


def _asks_twice(_bench: Breakable, _values: Values) -> Undo:
    plain = Admission._user  # noqa: SLF001

    async def twice(self: Any, *arguments: Any) -> Any:
        await plain(self, *arguments)
        return await plain(self, *arguments)

    return patched(Admission, "_user", twice)


def _ignores_revocation(_bench: Breakable, _values: Values) -> Undo:
    """Whoever has a good chain and signature may charge: nobody is asked."""
    flags = ("RFID_NONE", "ISO15118_PNC")

    async def user(_self: Any, _one: Any, token: Any, _certificates: Any) -> User:
        return User(assigned=True, level=Level.SECURE, flags=flags, id_type=token.id_type, id=token.key[1])

    return patched(Admission, "_contract_user", user)


def _trusts_silence(_bench: Breakable, _values: Values) -> Undo:
    async def check(*_arguments: Any) -> None:
        return None

    return patched(OcspCheck, "check", check)


def _plain_contracts(_bench: Breakable, _values: Values) -> Undo:
    return patched(Iso2Opening, "offered_payments", lambda self: list(self.secc.station.payments))


def _denies_tls(_bench: Breakable, _values: Values) -> Undo:
    def denies(_policy: Any, _asked: int, ports: dict[sdp.Security, int]) -> sdp.Security:
        ports.setdefault(sdp.Security.NONE, ports[sdp.Security.TLS])
        return sdp.Security.NONE

    return patched(sdp_server, "security_offered", denies)


def _any_tls(bench: Breakable, _values: Values) -> None:
    for secc in bench.bench.controller.seccs.values():
        contexts = secc.station and secc.station._contexts  # noqa: SLF001
        for chain in contexts._chains if contexts else ():  # noqa: SLF001
            for context in chain._contexts.values():  # noqa: SLF001
                context.maximum_version = ssl.TLSVersion.TLSv1_3
                context.set_ciphers("DEFAULT")


def _shows_expired(_bench: Breakable, _values: Values) -> Undo:
    return patched(StationContexts, "problem", lambda *_arguments: "")


def _trusts_anybody(_bench: Breakable, _values: Values) -> Undo:
    plain = vehicle_context

    def trusting(settings: VehicleTls, **more: Any) -> ssl.SSLContext:
        return plain(replace(settings, trust_any=True), **more)

    return patched(vehicle, "vehicle_context", trusting)


def _no_receipts(_bench: Breakable, _values: Values) -> Undo:
    return patched(ReceiptPace, "is_due", property(lambda _pace: False))


def _deaf_to_wake_up(bench: Breakable, _values: Values) -> None:
    for connector in bench.bench.controller.by_name.values():
        connector.on_wake_up = lambda: None


def _forgets_pause(_bench: Breakable, _values: Values) -> Undo:
    def forgetful(station: Any, **others: Any) -> Secc:
        return Secc(station, **{**others, "paused": None})

    return patched(service, "Secc", forgetful)


def _spoiled_answers(bench: Breakable, _values: Values) -> None:
    """The CPS signs with another key than the one that it shows: the last octets of the EXI are of the signature."""

    def spoil(body: bytes) -> bytes:
        content = json.loads(body)
        message = content["CCPResponse"]["emaidContent"][0]["messageDef"]
        exi = bytearray(base64.b64decode(message["certificateInstallationRes"]))
        exi[-1200] ^= 0x10
        message["certificateInstallationRes"] = base64.b64encode(exi).decode()
        return json.dumps(content).encode()

    bench.pools.rules.append(HttpFault(INSTALLATION, change=spoil))


def _bills_gaps(_bench: Breakable, _values: Values) -> Undo:
    return patched(billing, "_gaps", lambda _pages: iter(()))


SESSION_DEFECTS: Mapping[str, Seed] = {
    "secc.lets_anybody_on": Seed(
        "a vehicle is let on before it is authorised and the begin is signed", _lets_anybody_on
    ),
    "secc.skips_signature": Seed("no signature of a vehicle is verified", _skips_signature),
    "secc.ignores_challenge": Seed("any challenge will do", _ignores_challenge),
    "secc.ignores_session_id": Seed("any session id will do", _ignores_session_id),
    "secc.ignores_order": Seed("any message is taken at any time", _ignores_order),
    "secc.waits_for_ever": Seed("a silent vehicle keeps its session", _is_patient),
    "secc.takes_any_header": Seed("the version of a V2GTP header is not looked at, nor its length", _any_header),
    "secc.is_vague": Seed("every refusal is FAILED", _vague),
    "secc.accepts_expired": Seed("the validity of contracts is not looked at", _accepts_expired),
    "secc.accepts_any_contract": Seed("neither chain nor name of a contract are looked at", _accepts_any_contract),
    "secc.offers_contract_without_tls": Seed("contracts are offered over plain TCP", _plain_contracts),
    "secc.denies_tls": Seed("SDP says that there is no TLS", _denies_tls),
    "secc.takes_any_tls": Seed("TLS with whatever OpenSSL can do", _any_tls),
    "secc.shows_expired": Seed("the station does not look at its own certificate's end", _shows_expired),
    "evcc.trusts_anybody": Seed("the vehicle verifies no station", _trusts_anybody),
    "secc.wants_no_receipts": Seed("the vehicle is never asked to sign a reading", _no_receipts),
    "secc.forgets_pause": Seed("a session that sleeps is forgotten", _forgets_pause),
    "gateway.deaf_to_wake_up": Seed("toggles of the pilot wake nobody", _deaf_to_wake_up),
    "gateway.asks_twice": Seed("backends are asked twice about the same contract", _asks_twice),
    "gateway.ignores_revocation": Seed("whoever has a good contract charges, nobody is asked", _ignores_revocation),
    "gateway.asks_no_responder": Seed("the status of certificates is never asked for", _trusts_silence),
    "pools.spoiled_answers": Seed("contracts come with a signature that does not hold", _spoiled_answers),
    "cpo.bills_gaps": Seed("missing pages are not noticed", _bills_gaps),
}
