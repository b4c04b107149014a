"""The vehicle's machine (EVCC) for DIN SPEC 70121 and ISO 15118-2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ports.errors import PeerError
from ports.faults import FaultHook, no_fault
from v2g.exi.deviations import Deviation
from v2g.exi.generated.sap.types import supportedAppProtocolRes
from v2g.session import timers
from v2g.session.din_vehicle import DinVehicle
from v2g.session.events import Event, Ignored, PausedSession, PilotWanted, ProtocolAgreed, Refused
from v2g.session.handshake import VERSIONS, WITHOUT_TLS_ONLY, offer
from v2g.session.iso2_vehicle import Iso2Vehicle
from v2g.session.iso2_vehicle_table import END, PAUSE
from v2g.session.machine import CLOSING, HANDSHAKE, Machine, body, holes
from v2g.session.state_table import StateTable
from v2g.session.vehicle_side import VehicleSide

FIRST_REQUEST = "SessionSetupReq"


@dataclass(frozen=True, slots=True)
class EvccSettings:
    """Pauses in s: poll, between requests while the station says Ongoing; status, current and pre_charge, in loops.

    pre_charge_tolerance: V between the station's voltage and the battery's at which contactors may close
    (IEC 61851-23: 20 V). message_times: override of time-outs, {"CurrentDemandReq": 2.0}.
    """

    poll: float = 0.2
    status: float = 1.0
    current: float = 0.1
    pre_charge: float = 0.1
    pre_charge_tolerance: float = 20.0
    message_times: dict[str, float] | None = None


class VehicleMessages(Protocol):
    """The messages of one protocol: what `DinVehicle` and `Iso2Vehicle` offer."""

    schema: str
    table: StateTable

    def request(self, name: str) -> Any:
        """The whole message of a request; the name may carry what it says, "PowerDeliveryReq Start"."""

    def outcome(self, name: str, answer: Any, message: Any) -> str:
        """What an answer with an OK code leads to. Raises PeerError."""


class Evcc(Machine):
    """One session of a vehicle. `start` sends the first message.

    paused: the session to join again. hook: where a rig may break messages on purpose (`v2g.session.faults`).
    """

    def __init__(
        self,
        vehicle: VehicleSide,
        *,
        now: float,
        tls: bool = False,
        settings: EvccSettings | None = None,
        paused: PausedSession | None = None,
        hook: FaultHook = no_fault,
    ) -> None:
        super().__init__(tls=tls, hook=hook)
        self.vehicle = vehicle
        self.settings = settings or EvccSettings()
        self.paused = paused
        self.pilot = "B"
        self._messages: VehicleMessages | None = None
        self._next: tuple[str, float] | None = None
        self._answer_by: float | None = None
        self._limits: dict[str, float] = {"communication setup": now + timers.COMMUNICATION_SETUP_TIMEOUT}
        self._offered: tuple[str, ...] = ()

    def start(self, now: float) -> list[Event]:
        """Offer protocols."""
        self._offered = tuple(p for p in self.vehicle.protocols if not (self.tls and p in WITHOUT_TLS_ONLY))
        self._send("supportedAppProtocolReq", offer(self._offered), now)
        self._answer_by = now + self._timeout("supportedAppProtocolReq")
        return self._take()

    def emit(self, event: Event) -> None:
        """Tell the shell something; for the messages of a protocol."""
        self._emit(event)

    def before_signing(self, name: str, message: Any) -> Any:
        """A message that is to be signed next, as faults leave it."""
        return next(iter(self._hook(f"v2g.tx.{name}.unsigned", message)), message)

    def set_pilot(self, state: str) -> None:
        """Ask for a state of the control pilot."""
        if self.pilot != state:
            self.pilot = state
            self._emit(PilotWanted(state))

    def limit(self, what: str, seconds: float, now: float) -> None:
        """Start a timer, unless it runs already."""
        self._limits.setdefault(what, now + seconds)

    def unlimit(self, what: str) -> None:
        """Stop a timer."""
        self._limits.pop(what, None)

    def _timeout(self, request: str) -> float:
        times = self.settings.message_times or {}
        return times.get(request, timers.times_of(self.protocol, request).timeout)

    def _deadlines(self) -> tuple[float | None, ...]:
        return (self._answer_by, self._next[1] if self._next else None, *self._limits.values())

    def _tick(self, now: float) -> None:
        if self.state == CLOSING:
            return
        if self._answer_by is not None and now >= self._answer_by:
            self._fail("timed out", f"no answer to {self._in_flight} in {self._timeout(self._in_flight):g} s")
            return
        for what, by in self._limits.items():
            if now >= by:
                self._fail("timed out", f"{what} took too long")
                return
        if self._next is not None and now >= self._next[1]:
            self._request(self._next[0], now)

    @property
    def _in_flight(self) -> str:
        return "supportedAppProtocolReq" if self.state == HANDSHAKE else self.state.partition(" ")[0]

    def _request(self, name: str, now: float) -> None:
        """Send a request."""
        if self._messages is None:
            raise PeerError("no protocol yet")
        self._next = None
        message = self._messages.request(name)
        kind = name.partition(" ")[0]
        self._change(name)
        self._start_limits(kind, now)
        self._send(kind, message, now)
        self._answer_by = now + self._timeout(kind)

    def _start_limits(self, kind: str, now: float) -> None:
        for limit in LIMITS:
            if kind == limit.starts and self.protocol in limit.protocols:
                self.limit(limit.what, limit.seconds, now)

    def _message(self, name: str, message: Any, found: tuple[Deviation, ...], exi: bytes, now: float) -> None:
        if self._answer_by is None:
            self._emit(Ignored(f"{name}: nothing was asked", exi))
            return
        self._answer_by = None
        try:
            if hole := holes(found):
                raise PeerError(f"{name}: {hole}")
            if self.state == HANDSHAKE:
                self._negotiated(name, message, now)
            else:
                self._answered(name, message, now)
        except PeerError as error:
            self._fail("failed", str(error))

    def _negotiated(self, name: str, message: Any, now: float) -> None:
        if not isinstance(message, supportedAppProtocolRes):
            raise PeerError(f"{name} instead of supportedAppProtocolRes")
        if not message.ResponseCode.startswith("OK"):
            self._emit(Refused("supportedAppProtocolReq", message.ResponseCode, "no protocol in common"))
            raise PeerError(f"the station speaks none of {', '.join(self._offered)}")
        number = message.SchemaID if message.SchemaID is not None or len(self._offered) > 1 else 1
        if number is None or not 1 <= number <= len(self._offered):
            raise PeerError(f"the station chose SchemaID {number}, offered were 1 to {len(self._offered)}")
        version = VERSIONS[self._offered[number - 1]]
        self.protocol = version.protocol
        self._messages = MESSAGES[version.protocol](self)
        self._channel.schema = self._messages.schema
        self._emit(ProtocolAgreed(version.protocol, version.namespace))
        self._request(FIRST_REQUEST, now)

    def _answered(self, name: str, message: Any, now: float) -> None:
        messages = self._messages
        if messages is None or not messages.table.takes(self.state, name):
            raise PeerError(f"{name} in answer to {self.state}")
        answer = body(message)
        if not answer.ResponseCode.startswith("OK"):
            self._emit(Refused(self._in_flight, answer.ResponseCode, "by the station"))
            raise PeerError(f"{name}: {answer.ResponseCode}")
        identifier = message.Header.SessionID
        if self.state == FIRST_REQUEST:
            self.session_id = identifier
            self.unlimit("communication setup")
        elif identifier != self.session_id:
            raise PeerError(f"{name} of session {identifier.hex()}, ours is {self.session_id.hex()}")
        outcome = messages.outcome(name, answer, message)
        self._end_limits(name, outcome, answer, now)
        following = messages.table.next(self.state, name, outcome)
        if following == END:
            self._stopped(message)
            return
        pause = self._pause(name, outcome)
        if pause > 0:
            self._next = (following, now + pause)
        else:
            self._request(following, now)

    def _pause(self, name: str, outcome: str) -> float:
        s = self.settings
        return {
            ("ChargingStatusRes", "charge"): s.status,
            ("CurrentDemandRes", "charge"): s.current,
            ("MeteringReceiptRes", "AC"): s.status,
            ("MeteringReceiptRes", "DC"): s.current,
            ("PreChargeRes", "adjusting"): s.pre_charge,
            ("WeldingDetectionRes", "again"): s.poll,
        }.get((name, outcome), s.poll if outcome == "ongoing" else 0.0)

    def _end_limits(self, name: str, outcome: str, answer: Any, now: float) -> None:
        for limit in LIMITS:
            if name == limit.ends and outcome not in AGAIN:
                self.unlimit(limit.what)
        if outcome != "ongoing":
            self.unlimit("ongoing")
        elif answer.EVSEProcessing == "Ongoing_WaitingForCustomerInteraction":
            self.unlimit("ongoing")  # a driver takes as long as he takes ([V2G2-854])
        elif name != "CableCheckRes":
            self.limit("ongoing", timers.EVCC_ONGOING_TIMEOUT, now)

    def _stopped(self, message: Any) -> None:  # noqa: ARG002
        self._limits.clear()
        if self.state == PAUSE:
            vehicle = self.vehicle
            paused = PausedSession(self.session_id, self.protocol, vehicle.payment, vehicle.mode)
            self._end("paused", "", paused)
        else:
            self._end("terminated")
        self._close("session stopped")

    def _fail(self, outcome: str, reason: str) -> None:
        self._next = self._answer_by = None
        self._limits.clear()
        self._end(outcome, reason)
        self._close(reason)

    def _on_end(self) -> None:
        self.set_pilot("B")


MESSAGES: dict[str, Callable[[Evcc], VehicleMessages]] = {"iso2": Iso2Vehicle, "din": DinVehicle}

AGAIN = frozenset({"ongoing", "adjusting"})


class Limit(NamedTuple):
    """A timer over several messages: started by the first request, stopped by a response that is final."""

    what: str
    starts: str
    ends: str
    seconds: float
    protocols: tuple[str, ...] = ("din", "iso2")


LIMITS = (
    Limit("cable check", "CableCheckReq", "CableCheckRes", timers.CABLE_CHECK_TIMEOUT),
    Limit("pre-charge", "PreChargeReq", "PreChargeRes", timers.PRE_CHARGE_TIMEOUT),
    Limit("ready to charge", "ServiceDiscoveryReq", "PowerDeliveryRes", timers.DIN_READY_TO_CHARGE_TIMEOUT, ("din",)),
)
