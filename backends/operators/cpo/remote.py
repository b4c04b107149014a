"""Remote control: what an operator, or an app by way of an MO, may ask of a station."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from backends.operators.cpo.authorisation import TOKEN_TYPES
from backends.operators.cpo.frames import Version
from backends.operators.cpo.link import CallRefused, StationLink
from ports.errors import LocalError, RigError
from ports.station import RemoteAnswer

MAX_REMOTE_START_ID = 2**31 - 1  # OCPP 2.0.1: integer
TRIGGERS = frozenset({"BootNotification", "Heartbeat", "MeterValues", "StatusNotification"})  # of both versions


class RemoteControl:
    """Of the stations that are connected."""

    def __init__(self, links: Mapping[str, StationLink], random: Random) -> None:
        self._links = links
        self._random = random

    def new_start_id(self) -> int:
        """By which a transaction says that it is the one (OCPP 2.0.1)."""
        return self._random.randint(1, MAX_REMOTE_START_ID)

    async def start(
        self,
        station: str,
        id: str,  # noqa: A002 - the port calls it so
        id_type: str,
        *,
        evse: int | None = None,
        remote_start_id: int | None = None,
    ) -> RemoteAnswer:
        """Somebody may charge. id_type: OCMF name. evse: 1, 2, ...; None = any.

        remote_start_id: by which the transaction will say that it is the one (OCPP 2.0.1); drawn when there is none.
        Never raises for a refusal. Raises RigError: not connected, no answer. LocalError: impossible arguments.
        """
        link = self._link(station)
        if link.version is Version.V16:
            payload: dict[str, Any] = {"idTag": id} | ({"connectorId": evse} if evse else {})
            return await _ask(link, "RemoteStartTransaction", payload)
        payload = {
            "remoteStartId": remote_start_id or self.new_start_id(),
            "idToken": {"idToken": id, "type": TOKEN_TYPES.get(id_type, "Central")},
        }
        return await _ask(link, "RequestStartTransaction", payload | ({"evseId": evse} if evse else {}))

    async def stop(self, station: str, transaction_id: str) -> RemoteAnswer:
        """End a transaction. As `start`."""
        link = self._link(station)
        if link.version is Version.V201:
            return await _ask(link, "RequestStopTransaction", {"transactionId": transaction_id})
        if not transaction_id.isdecimal():
            raise LocalError(f"{station} speaks OCPP 1.6, its transactions are numbers, not {transaction_id[:40]!r}")
        return await _ask(link, "RemoteStopTransaction", {"transactionId": int(transaction_id)})

    async def trigger(self, station: str, message: str) -> RemoteAnswer:
        """Have the station send a message now: one of TRIGGERS. As `start`."""
        link = self._link(station)
        if message not in TRIGGERS:
            raise LocalError(f"{message[:40]!r} cannot be triggered; there are {', '.join(sorted(TRIGGERS))}")
        return await _ask(link, "TriggerMessage", {"requestedMessage": message})

    def _link(self, station: str) -> StationLink:
        link = self._links.get(station)
        if link is None:
            raise RigError(f"{station} is not connected")
        return link


async def _ask(link: StationLink, action: str, payload: Mapping[str, Any]) -> RemoteAnswer:
    try:
        said = await link.call(action, payload)
    except CallRefused as refused:
        return RemoteAnswer(accepted=False, detail=str(refused))
    info = said.get("statusInfo", {})
    detail = " ".join(str(info[name]) for name in ("reasonCode", "additionalInfo") if name in info)
    return RemoteAnswer(said["status"] == "Accepted", str(said.get("transactionId", "")), detail or said["status"])
