"""How a CSMS misbehaves on purpose: one decision for every call of a station, and for every connection.

The production path asks a hook that never says anything; tests and scenarios hand in `FaultPlan`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from backends.operators.cpo.csms import timestamp
from backends.operators.cpo.frames import Call, Failure, Frame, Result, Version
from backends.operators.cpo.link import Handle, StationLink
from ports.clock import Clock

ANY = ""


class CsmsFaultKind(StrEnum):
    """What goes wrong with a call."""

    NONE = "none"
    SLOW = "slow"  # takes effect; the answer comes late
    LOST_CALL = "lost call"  # no effect, no answer
    LOST_ACK = "lost ack"  # takes effect, no answer
    DUPLICATE = "duplicate"  # arrives twice, is answered once
    CALL_ERROR = "call error"  # no effect, answered with a CALLERROR
    REFUSE = "refuse"  # no effect, answered with the refusal of its kind
    DISCONNECT = "disconnect"  # takes effect; the connection ends in place of an answer


@dataclass(frozen=True, slots=True)
class CsmsFault:
    """seconds: of a slow answer. code: of a CALLERROR (OCPP 2.0.1 part 4, 4.3)."""

    kind: CsmsFaultKind = CsmsFaultKind.NONE
    seconds: float = 0.0
    code: str = "InternalError"


NO_FAULT = CsmsFault()


class CsmsFaults(Protocol):
    """The hook."""

    def call(self, station: str, action: str) -> CsmsFault:
        """What to do with this call."""

    def refuses_connection(self, station: str) -> bool:
        """Whether the CSMS cannot be reached; asked at every upgrade (HTTP 503)."""


class NoCsmsFaults:
    """The hook of production."""

    def call(self, station: str, action: str) -> CsmsFault:  # noqa: ARG002 - the signature of the hook
        """No fault."""
        return NO_FAULT

    def refuses_connection(self, station: str) -> bool:  # noqa: ARG002 - the signature of the hook
        """No."""
        return False


@dataclass(slots=True)
class FaultRule:
    """A fault for calls of an action and a station (ANY = all), after `skip` of them, `times` times (None = always)."""

    fault: CsmsFault
    action: str = ANY
    station: str = ANY
    skip: int = 0
    times: int | None = 1

    def applies(self, station: str, action: str) -> bool:
        """Whether this call is hit; counts."""
        if self.action not in {ANY, action} or self.station not in {ANY, station} or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(slots=True)
class FaultPlan:
    """Faults by rule: the first that applies. `hit` tells what was done. outage: stations that find nobody.

    An outage only keeps stations out; `RunningCpo.disconnect()` ends the connections that there are.
    """

    rules: list[FaultRule] = field(default_factory=list)
    outage: Callable[[str], bool] | bool = False
    hit: list[tuple[str, str, CsmsFault]] = field(default_factory=list)

    def call(self, station: str, action: str) -> CsmsFault:
        """The first rule's."""
        for rule in self.rules:
            if rule.applies(station, action):
                self.hit.append((station, action, rule.fault))
                return rule.fault
        return NO_FAULT

    def refuses_connection(self, station: str) -> bool:
        """During an outage."""
        return self.outage(station) if callable(self.outage) else self.outage


def with_faults(handle: Handle, faults: CsmsFaults, clock: Clock) -> Handle:
    """The same, with what the hook says."""

    async def faulty(link: StationLink, call: Call) -> Frame | None:
        fault = faults.call(link.station, call.action)
        match fault.kind:
            case CsmsFaultKind.LOST_CALL:
                return None
            case CsmsFaultKind.CALL_ERROR:
                return Failure(call.message_id, fault.code, "injected: error without effect", {})
            case CsmsFaultKind.REFUSE:
                return _refusal(link.version, call, timestamp(clock.now()))
            case CsmsFaultKind.DUPLICATE:
                await handle(link, call)
        answer = await handle(link, call)
        match fault.kind:
            case CsmsFaultKind.SLOW:
                await clock.sleep(fault.seconds)
            case CsmsFaultKind.LOST_ACK:
                return None
            case CsmsFaultKind.DISCONNECT:
                await link.close(1011, "injected")
                return None
        return answer

    return faulty


_INVALID_TOKEN = {"idTokenInfo": {"status": "Invalid"}}
_INVALID_TAG = {"idTagInfo": {"status": "Invalid"}}
_FAILED_EXI = {"status": "Failed", "exiResponse": ""}
_REFUSALS: Mapping[tuple[Version, str], Mapping[str, object]] = {
    (Version.V201, "Authorize"): _INVALID_TOKEN,
    (Version.V201, "TransactionEvent"): _INVALID_TOKEN,
    (Version.V201, "Get15118EVCertificate"): _FAILED_EXI,
    (Version.V201, "GetCertificateStatus"): {"status": "Failed"},
    (Version.V201, "SignCertificate"): {"status": "Rejected"},
    (Version.V201, "DataTransfer"): {"status": "Rejected"},
    (Version.V16, "Authorize"): _INVALID_TAG,
    (Version.V16, "StartTransaction"): {**_INVALID_TAG, "transactionId": 0},
    (Version.V16, "StopTransaction"): _INVALID_TAG,
    (Version.V16, "SignCertificate"): {"status": "Rejected"},
    (Version.V16, "DataTransfer"): {"status": "Rejected"},
}


def _refusal(version: Version, call: Call, now: str) -> Frame:
    """What an unwilling CSMS says; a CALLERROR where an action has no word for it."""
    if call.action == "BootNotification":
        return Result(call.message_id, {"currentTime": now, "interval": 30, "status": "Rejected"})
    said = _REFUSALS.get((version, call.action))
    if said is None:
        return Failure(call.message_id, "GenericError", "injected: refused", {})
    return Result(call.message_id, said)
