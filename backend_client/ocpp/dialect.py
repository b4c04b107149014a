"""What a version of OCPP offers to the link, whatever its messages are called."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Protocol

from backend_client.ocpp.frames import Payload
from backend_client.ocpp.record_facts import RecordFacts
from ports.authorisation import Authorisation, AuthorisationRequest
from ports.station import ConnectorNews, StationIdentity

NAMESPACE = uuid.UUID("6f1b9c0e-6d0f-5b3a-9c55-0a9a3d0f6f7e")  # of our message and transaction ids

MAX_INTERVAL_S = 7 * 86400  # no CSMS means more


class Caller(Protocol):
    """Sends one request of ours and returns its answer, both held to their schemas."""

    async def __call__(self, action: str, payload: Payload, message_id: str = "") -> Payload:
        """message_id: "" = a new one. Raises PeerError or RigError."""


@dataclass(frozen=True, slots=True)
class BootAnswer:
    """status: Accepted, Pending, Rejected. interval_s: of heartbeats, or before the next attempt."""

    status: str
    interval_s: float
    current_time: str

    @classmethod
    def of(cls, answer: Payload) -> BootAnswer:
        """BootNotificationResponse, the same in both versions."""
        interval = min(max(answer["interval"], 0), MAX_INTERVAL_S)
        return cls(answer["status"], float(interval), answer["currentTime"])


class Dialect(Protocol):
    """One version's messages."""

    async def boot(self, identity: StationIdentity, reason: str) -> BootAnswer:
        """BootNotification."""

    async def heartbeat(self) -> str:
        """Returns the time of the CSMS."""

    def station_status(self) -> dict[str, Any] | None:
        """StatusNotification of the station as a whole, where the version has one."""

    def connector_status(self, news: ConnectorNews) -> dict[str, Any]:
        """StatusNotification without its time: what is told again only when it has changed."""

    async def notify(self, status: Payload, now: str) -> None:
        """StatusNotification."""

    async def security_event(self, kind: str, now: str, detail: str) -> None:
        """SecurityEventNotification."""

    async def sign_certificate(self, kind: str, csr: str) -> bool:
        """SignCertificate; whether the CSMS will send a certificate. csr: PEM."""

    async def deliver(self, facts: RecordFacts, *, offline: bool) -> str:
        """All messages about one record; how the CSMS refused its user ("Blocked"), "" when he may charge."""

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        """Authorize."""

    async def plug_and_charge(self, action: str, payload: Payload) -> Payload:
        """A message for ISO 15118 with the body of 2.0.1, in the version's own wrapping."""


def message_id(record_id: str, kind: str) -> str:
    """The same for every repetition, also after a restart."""
    return str(uuid.uuid5(NAMESPACE, f"{record_id}/{kind}"))
