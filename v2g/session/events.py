"""What the session machines tell their shell. A shell does `Send` and `Close`, and looks at the rest as it likes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from v2g.exi.deviations import Deviation
from v2g.exi.element import Element


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class Send(Event):
    """Octets for the peer. name: the message in them, for traces; message: None where only octets were sent."""

    octets: bytes = field(repr=False)
    name: str
    message: Element | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Close(Event):
    """Close the TCP connection now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Received(Event):
    """A message of the peer. deviations: where it left the schema's path, bit by bit. octets: the EXI payload."""

    name: str
    message: Element = field(repr=False)
    deviations: tuple[Deviation, ...] = ()
    octets: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Ignored(Event):
    """Octets or a message that get no answer: what and why."""

    text: str
    octets: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Tolerated(Event):
    """The peer left the standard, and the session goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class StateChanged(Event):
    """The machine waits for something else now; names as in its table."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ProtocolAgreed(Event):
    """The handshake is done. protocol: "din" or "iso2"."""

    protocol: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """A request was answered with a FAILED code, or our request was."""

    name: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class PausedSession:
    """What both sides keep while a session sleeps ([V2G2-740]). details: the machine's own, handed in again."""

    session_id: bytes
    protocol: str
    payment: str = ""
    mode: str = ""
    details: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """The session is over. outcome: "terminated", "paused", "failed", "timed out", "lost" or "aborted".

    paused: to be handed to the machine of the next connection, for a paused session only.
    """

    outcome: str
    reason: str = ""
    paused: PausedSession | None = None


# what a station's machine asks of the station ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    """A vehicle is there. evcc_id: its MAC address."""

    session_id: bytes
    evcc_id: bytes
    resumed: bool


@dataclass(frozen=True, slots=True)
class PaymentSelected(Event):
    """payment: "Contract" or "ExternalPayment". services: (ServiceID, ParameterSetID or None) beside charging."""

    payment: str
    services: tuple[tuple[int, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorizationWanted(Event):
    """Decide, and set `StationSide.authorization`. With a contract its signature has been verified already.

    certificates: DER, contract certificate first; empty with external payment.
    """

    payment: str
    emaid: str = ""
    certificates: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class CertificateWanted(Event):
    """Fetch a contract certificate, and set `StationSide.certificate_answer`; the answer is due at `deadline`.

    action: "install" or "update". exi: the request as it came, octet by octet.
    """

    action: str
    exi: bytes = field(repr=False)
    deadline: float


@dataclass(frozen=True, slots=True)
class ParametersWanted(Event):
    """What the vehicle can take, in W, V, A, Wh, s; set `StationSide.schedules`. None = not said.

    renegotiation: asked again during the session.
    """

    mode: str
    renegotiation: bool = False
    departure_time: int | None = None
    max_entries: int | None = None
    max_voltage: float | None = None
    max_current: float | None = None
    min_current: float | None = None
    max_power: float | None = None
    energy: float | None = None
    soc: int | None = None


@dataclass(frozen=True, slots=True)
class CableCheckWanted(Event):
    """Measure the isolation, and set `StationSide.isolation`."""


@dataclass(frozen=True, slots=True)
class VoltageWanted(Event):
    """Pre-charge: bring the output to this voltage (V) with at most this current (A), contactors of the car open.

    As the vehicle said it, but never below zero: the station keeps to its own limits.
    """

    voltage: float
    current: float


@dataclass(frozen=True, slots=True)
class PowerWanted(Event):
    """Close (True) or open (False) the contactor, or switch the DC output; set `StationSide.power_on`.

    schedule: the chosen SAScheduleTupleID. profile: (start in s, W) of the vehicle's plan.
    """

    on: bool
    schedule: int | None = None
    profile: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class CurrentWanted(Event):
    """DC: what the vehicle wants now, V and A; soc in per cent; limits of this moment, None = as before.

    As the vehicle said it, but never below zero: the station keeps to its own limits.
    """

    voltage: float
    current: float
    soc: int
    complete: bool
    max_voltage: float | None = None
    max_current: float | None = None
    max_power: float | None = None


@dataclass(frozen=True, slots=True)
class ReceiptReceived(Event):
    """The vehicle signed a meter reading: evidence to keep; set `StationSide.receipt_kept`.

    message: with its signature. exi: the request as it came, octet by octet.
    """

    message: Element = field(repr=False)
    exi: bytes = field(repr=False)
    certificate: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WeldingWanted(Event):
    """DC: the vehicle tests its contactors; the output is to be off and its voltage measured."""


# what a vehicle's machine tells the vehicle -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PilotWanted(Event):
    """Set the control pilot: "B" or "C"."""

    state: str


@dataclass(frozen=True, slots=True)
class StationFound(Event):
    """The station's side of the session as ServiceDiscoveryRes tells it."""

    evse_id: str
    payments: tuple[str, ...]
    modes: tuple[str, ...]
    services: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ContractInstalled(Event):
    """A new contract has come and was checked: DER certificates, contract certificate first; its private key."""

    emaid: str
    certificates: tuple[bytes, ...] = field(repr=False)
    key: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class OfferReceived(Event):
    """Schedules and limits of the station, as they came (ChargeParameterDiscoveryRes)."""

    message: Element = field(repr=False)


@dataclass(frozen=True, slots=True)
class PowerState(Event):
    """What the station says in the loop: V, A; None where AC does not say. max_current: of the station now."""

    voltage: float | None
    current: float | None
    max_current: float | None
    meter: Element | None = field(default=None, repr=False)
