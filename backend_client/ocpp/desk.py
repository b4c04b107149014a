"""What a CSMS may ask for, whatever its version calls it: start, stop, trigger, reset, unlock, availability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from backend_client.ocpp.certificate_folder import CertificateFolder
from backend_client.ocpp.hooks import Outcome, StationHooks
from backend_client.ocpp.messages_201 import transaction_id
from backend_client.ocpp.requests import Answer, Later, status
from backend_client.ocpp.settings import OcppSettings
from backend_client.ocpp.signing import plain_id
from backend_client.ocpp.state_file import StateFile
from backend_client.ocpp.variables import Variables
from ports.clock import Clock
from ports.errors import PlugbenchError, RigError
from ports.station import ConnectorNews, RemoteAnswer, Station

NO_STATION = RemoteAnswer(False, detail="no station behind this link")


@dataclass(slots=True)
class Desk:
    """What the handlers of both versions share.

    trace: takes kind and data. is_accepting: whether the CSMS has accepted us. report: sends the device model under a
    requestId. reconnect: ends the connection, so that the next one uses new certificates. triggers: what TriggerMessage
    can send, by the name of the message; each takes the connector's number, None for all.
    """

    settings: OcppSettings
    state: StateFile
    variables: Variables
    clock: Clock
    hooks: StationHooks
    trace: Callable[..., None]
    is_accepting: Callable[[], bool]
    report: Callable[[int], Later]
    reconnect: Later
    triggers: dict[str, Callable[[int | None], Later]]
    station: Station | None = None
    csrs: dict[str, str] = field(default_factory=dict)  # the newest CSR of each kind, PEM

    @property
    def folder(self) -> CertificateFolder | None:
        """Where certificates are installed."""
        path = self.settings.certificate_folder
        return CertificateFolder(path) if path is not None else None

    def connector(self, number: int) -> ConnectorNews | None:
        """What holds at a connector."""
        found = self.station.connectors() if self.station is not None else ()
        return next((news for news in found if news.number == number), None)

    async def start(self, number: int | None, id: str, id_type: str, remote_id: int | None) -> RemoteAnswer:  # noqa: A002
        """Remote start. remote_id: remoteStartId, for the transaction that comes of it."""
        if self.station is None or not self.is_accepting():
            return NO_STATION if self.station is None else RemoteAnswer(False, detail="not accepted by the CSMS yet")
        flag = "OCPP_RS_TLS" if self.settings.security_profile >= 2 else "OCPP_RS"
        key = plain_id(id)
        if remote_id is not None:
            await self.state.remember_start(key, remote_id)
        answer = await self.station.request_start(number, id, id_type, flag)
        if not answer.accepted:
            await self.state.forget_start(key)
        self.trace("ocpp.remote_start", accepted=answer.accepted, why=answer.detail)
        return answer

    async def stop(self, ours: str | None) -> RemoteAnswer:
        """Remote stop. ours: None = the CSMS named a transaction that nobody knows."""
        if self.station is None or ours is None:
            return NO_STATION if self.station is None else RemoteAnswer(False, detail="no such transaction")
        answer = await self.station.request_stop(ours)
        self.trace("ocpp.remote_stop", transaction=ours, accepted=answer.accepted, why=answer.detail)
        return answer

    def running(self, theirs: str) -> str | None:
        """Our id of a transaction that runs, from that of 2.0.1."""
        news = self.station.connectors() if self.station is not None else ()
        ours = (one.transaction_id for one in news if one.transaction_id)
        return next((one for one in ours if transaction_id(one) == theirs), None)

    def is_waiting(self, theirs: str) -> bool:
        """Whether the end of a transaction has not been taken yet."""
        known = self.state.transactions.values()
        return any(transaction_id(one.id) == theirs and not one.ended for one in known)

    def running_16(self, theirs: int) -> str | None:
        """Our id of a transaction, from the number that the CSMS gave it."""
        known = (one for one in self.state.transactions.values() if not one.ended)
        return next((one.id for one in known if one.csms_id == theirs), None)

    def trigger(self, message: str, number: int | None) -> Answer:
        """TriggerMessage."""
        make = self.triggers.get(message)
        if make is None:
            return status("NotImplemented")
        if number is not None and self.connector(number) is None:
            return status("Rejected")
        return Answer({"status": "Accepted"}, make(number))

    async def reset(self, kind: str) -> Outcome:
        """Reset, by whoever built the link."""
        outcome = await self.hooks.reset(kind) if self.hooks.reset is not None else Outcome.REJECTED
        self.trace("ocpp.reset", reset=kind, outcome=outcome.value)
        return outcome

    async def unlock(self, number: int) -> str:
        """UnlockStatusEnumType of 2.0.1."""
        news = self.connector(number)
        if news is None:
            return "UnknownConnector"
        if news.transaction_id:
            return "OngoingAuthorizedTransaction"
        unlocked = self.hooks.unlock is not None and await self.hooks.unlock(number)
        return "Unlocked" if unlocked else "UnlockFailed"

    async def change_availability(self, number: int | None, operative: bool) -> Outcome:
        """ChangeAvailability."""
        if self.hooks.availability is None or (number is not None and self.connector(number) is None):
            return Outcome.REJECTED
        return await self.hooks.availability(number, operative)

    async def make_csr(self, kind: str) -> str:
        """A certificate signing request. Raises RigError when nobody makes them."""
        if self.hooks.make_csr is None:
            raise RigError(f"{self.settings.name}: this station makes no certificate signing requests")
        try:
            self.csrs[kind] = await self.hooks.make_csr(kind)
        except PlugbenchError as error:
            raise RigError(f"no certificate signing request for {kind}: {error}") from error
        return self.csrs[kind]
