"""The station's machine (SECC) for DIN SPEC 70121 and ISO 15118-2."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ports.errors import LocalError, PeerError
from ports.faults import FaultHook, no_fault
from v2g.certificate_profiles import Profile
from v2g.exi.deviations import Deviation
from v2g.exi.generated.sap.types import supportedAppProtocolReq
from v2g.session import timers
from v2g.session.contract import FIELD, Contract
from v2g.session.din_station import DinStation
from v2g.session.events import (
    Event,
    Ignored,
    PausedSession,
    PowerWanted,
    ProtocolAgreed,
    Refused,
    Send,
    Tolerated,
)
from v2g.session.handshake import choose
from v2g.session.iso2_station import Iso2Station
from v2g.session.iso2_station_table import END, SETUP, STOPPED_WITHOUT_POWER_DELIVERY
from v2g.session.machine import CLOSED, CLOSING, HANDSHAKE, Machine, body, holes
from v2g.session.refusal import Answer, Refusal
from v2g.session.state_table import StateTable
from v2g.session.station_side import Schedule, StationSide

SESSION_ID_OCTETS = 8
BROKEN_PILOT = frozenset({"A", "E", "F"})  # unplugged, short circuit, station out of order
DC_ONLY = frozenset({"din"})  # a VW ID prefers DIN SPEC 70121 at an AC station too, which is lost there


@dataclass(frozen=True, slots=True)
class SeccSettings:
    """protocols: what is spoken, of "iso2" and "din". close_after: s that the vehicle has for closing TCP.

    ongoing_timeout: s that authorization by contract and schedules may take. customer_timeout: s that a driver has for
    paying; None: as long as the station waits.
    contract_profile: what contract certificates must look like. forbidden_attributes: what their subjects must not
    have ("country_name" by the letter of annex F). provisioning_profile: what provisioning certificates must look like;
    None: the backend judges. expires_soon: days before expiry with
    OK_CertificateExpiresSoon. session_id_octets: 1 to 8 (some stations in the field give 4). random: octets for session
    ids and challenges (a seeded source makes runs repeatable).
    """

    protocols: tuple[str, ...] = ("iso2", "din")
    close_after: float = timers.CLOSE_AFTER
    sequence_timeout: float = timers.SECC_SEQUENCE_TIMEOUT
    setup_timeout: float = timers.SECC_COMMUNICATION_SETUP_TIMEOUT
    ongoing_timeout: float = timers.SECC_ONGOING_PERFORMANCE
    customer_timeout: float | None = None
    contract_profile: Profile = FIELD
    forbidden_attributes: frozenset[str] = frozenset()
    provisioning_profile: Profile | None = None
    expires_soon: int = 21
    session_id_octets: int = SESSION_ID_OCTETS
    random: Callable[[int], bytes] = os.urandom


@dataclass(slots=True)
class SessionFacts:
    """What a station has learned in a session and said in it."""

    evcc_id: bytes = b""
    payment: str = ""
    offered_payments: tuple[str, ...] = ()
    services: tuple[tuple[int, int | None], ...] = ()
    offered_services: tuple[int, ...] = ()
    challenge: bytes = b""
    contract: Contract | None = None
    emaid: str = ""
    authorization_wanted: bool = False
    certificate_wanted: bool = False
    parameters_wanted: bool = False
    cable_check_wanted: bool = False
    ongoing_since: float | None = None
    mode: str = ""
    schedules: tuple[Schedule, ...] = ()
    schedule: int = 1
    power_wanted: bool | None = None
    started: bool = False
    renegotiation: bool = False
    resumed: bool = False
    meter: Any = None
    receipt_received: bool = False


class Messages(Protocol):
    """The messages of one protocol: what `DinStation` and `Iso2Station` offer."""

    schema: str
    table: StateTable

    def answer(self, name: str, request: Any, message: Any, now: float) -> Answer | None:
        """The answer to a request in order; None: not yet. Raises Refusal."""

    def refuse(self, name: str, request: Any, code: str) -> Any:
        """The body that refuses a request; None when the name is no request."""

    def wrap(self, answer: Answer, session_id: bytes) -> Any:
        """The message around a body."""


@dataclass(slots=True)
class Pending:
    """A request whose answer is not known yet."""

    name: str
    message: Any = field(repr=False)
    exi: bytes = field(repr=False)
    deadline: float


class Secc(Machine):
    """One session of a station. Starts when the TCP connection is up.

    paused: the session that sleeps at this outlet; a vehicle that names it joins it again.
    hook: where a rig may break messages on purpose (`v2g.session.faults`).
    """

    station: StationSide
    settings: SeccSettings
    facts: SessionFacts
    paused: PausedSession | None
    pending: Pending | None

    def __init__(
        self,
        station: StationSide,
        *,
        now: float,
        tls: bool = False,
        settings: SeccSettings | None = None,
        paused: PausedSession | None = None,
        hook: FaultHook = no_fault,
    ) -> None:
        super().__init__(tls=tls, hook=hook)
        self.station = station
        self.settings = settings or SeccSettings()
        self.paused = paused
        self.facts = SessionFacts()
        self.pending = None
        self._messages: Messages | None = None
        self._silence_ends: float | None = now + self.settings.sequence_timeout
        self._setup_ends: float | None = now + self.settings.setup_timeout

    def emit(self, event: Event) -> None:
        """Tell the shell something; for the messages of a protocol."""
        self._emit(event)

    def random(self, count: int) -> bytes:
        """Octets from the source of the settings."""
        return self.settings.random(count)

    def new_session_id(self) -> bytes:
        """Usually eight octets: not all zero, and not those of the session that sleeps."""
        asleep = self.paused.session_id if self.paused else b""
        while not any(octets := self.random(self.settings.session_id_octets)) or octets == asleep:
            pass
        return octets

    def _deadlines(self) -> tuple[float | None, ...]:
        return self._silence_ends, self._setup_ends, self.pending.deadline if self.pending else None

    def _tick(self, now: float) -> None:
        if self.state != CLOSING and self.station.pilot in BROKEN_PILOT:
            reason = f"control pilot in state {self.station.pilot}"
            self._end("aborted", reason)
            self._close(reason)
        elif self.pending is not None:
            self._answer(now)
        elif self._setup_ends is not None and now >= self._setup_ends:
            self._setup_ends = None
            self._end("timed out", f"no session {self.settings.setup_timeout:g} s after the connection")
            self._close("communication setup timeout")
        elif self._silence_ends is not None and now >= self._silence_ends:
            self._silence_ends = None
            self._end("timed out", f"no request for {self.settings.sequence_timeout:g} s in state {self.state!r}")
            self._close("sequence timeout")

    def _message(self, name: str, message: Any, found: tuple[Deviation, ...], exi: bytes, now: float) -> None:
        if isinstance(message, supportedAppProtocolReq) and self.state == HANDSHAKE:
            self._negotiate(message, now)
            return
        if self._messages is None or not name.endswith("Req"):
            self._emit(Ignored(f"{name} is no request of state {self.state!r}", exi))
            return
        self._silence_ends = None
        pending, self.pending = self.pending, Pending(name, message, exi, now + self._performance(name))
        try:
            if not self._messages.table.takes(self.state, name) or pending is not None:
                waiting = f"{pending.name} is not answered yet" if pending else f"state is {self.state!r}"
                raise Refusal("FAILED_SequenceError", f"{name} while {waiting}")
            if self.state != SETUP and message.Header.SessionID != self.session_id:
                raise Refusal("FAILED_UnknownSession", f"session {message.Header.SessionID!r}")
            if hole := holes(found):
                raise Refusal(_HOLE_CODES.get(name, "FAILED"), hole)
        except Refusal as refusal:
            self._refuse(refusal, now)
            return
        self._answer(now)

    def _performance(self, name: str) -> float:
        return timers.times_of(self.protocol, name).performance

    def _negotiate(self, request: supportedAppProtocolReq, now: float) -> None:
        has_dc = any(mode.startswith("DC") for mode in self.station.modes)
        spoken = [name for name in self.settings.protocols if has_dc or name not in DC_ONLY]
        answer, version = choose(request, spoken, tls=self.tls)
        self._send("supportedAppProtocolRes", answer, now)
        if version is None:
            offers = ", ".join(f"{o.ProtocolNamespace} {o.VersionNumberMajor}" for o in request.AppProtocol or [])
            self._finish("failed", f"no protocol in common; offered: {offers or 'nothing'}", now)
            return
        self.protocol = version.protocol
        self._messages = MESSAGES[version.protocol](self)
        self._channel.schema = self._messages.schema
        self._emit(ProtocolAgreed(version.protocol, version.namespace))
        self._change(SETUP)
        self._silence_ends = now + self.settings.sequence_timeout

    def _answer(self, now: float) -> None:
        """Answer the pending request, if its answer is known by now."""
        pending, messages = self.pending, self._messages
        if pending is None or messages is None:
            raise LocalError("nothing to answer")
        try:
            answer = messages.answer(pending.name, body(pending.message), pending.message, now)
            if answer is None:
                if now < pending.deadline:
                    return
                late = _LATE_CODES.get(pending.name, "FAILED")
                raise Refusal(late, "the station did not know its answer in time")
        except Refusal as refusal:
            self._refuse(refusal, now)
            return
        except PeerError as error:
            self._refuse(Refusal("FAILED", str(error)), now)
            return
        self.pending = None
        if pending.name == "SessionStopReq" and self.state in STOPPED_WITHOUT_POWER_DELIVERY:
            self._emit(Tolerated("SessionStopReq without PowerDeliveryReq (Stop) before it"))
        self._setup_ends = None
        after = messages.table.next(self.state, pending.name, answer.outcome)
        self._send(answer.name, messages.wrap(answer, self.session_id), now, answer.exi)
        if after == END:
            self._finish("paused" if answer.paused else "terminated", "", now, answer.paused)
        else:
            self._change(after)
            self._silence_ends = now + self.settings.sequence_timeout

    def _refuse(self, refusal: Refusal, now: float) -> None:
        pending, messages = self.pending, self._messages
        if pending is None or messages is None:
            raise LocalError("nothing to refuse")
        self.pending = None
        refused = messages.refuse(pending.name, body(pending.message), refusal.code)
        if refused is None:
            self._emit(Ignored(f"{pending.name} is no request of {self.protocol}", pending.exi))
            self._silence_ends = now + self.settings.sequence_timeout
            return
        self._emit(Refused(pending.name, refusal.code, refusal.reason))
        name = pending.name.removesuffix("Req") + "Res"
        self._send(name, messages.wrap(Answer(name, refused), self.session_id), now)
        self._finish("failed", f"{refusal.code}: {refusal.reason}", now)  # [V2G2-539]

    def _finish(self, outcome: str, reason: str, now: float, paused: PausedSession | None = None) -> None:
        """The last answer is out: the vehicle closes the connection, or we do."""
        self.pending = None
        self._silence_ends = self._setup_ends = None
        self._end(outcome, reason, paused)
        self._change(CLOSING)
        self._close_at = now + self.settings.close_after

    def _on_end(self) -> None:
        if self.facts.power_wanted:
            self.facts.power_wanted = False
            self._emit(PowerWanted(on=False))


MESSAGES: dict[str, Callable[[Secc], Messages]] = {"iso2": Iso2Station, "din": DinStation}

# what a request with holes is refused with; FAILED where nothing fits better
_HOLE_CODES = {
    "ChargeParameterDiscoveryReq": "FAILED_WrongChargeParameter",
    "PaymentDetailsReq": "FAILED_CertChainError",
    "AuthorizationReq": "FAILED_SignatureError",
    "CertificateInstallationReq": "FAILED_SignatureError",
    "CertificateUpdateReq": "FAILED_SignatureError",
    "MeteringReceiptReq": "FAILED_MeteringSignatureNotValid",
}
# what a vehicle is told when the station needs too long
_LATE_CODES = {"PowerDeliveryReq": "FAILED_PowerDeliveryNotApplied"}

__all__ = ["CLOSED", "Secc", "SeccSettings", "Send", "SessionFacts"]
