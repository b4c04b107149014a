"""What both versions say in the same words."""

from __future__ import annotations

from backend_client.ocpp.dialect import Caller
from backend_client.ocpp.frames import Payload
from backend_client.ocpp.settings import OcppSettings
from backend_client.ocpp.state_file import StateFile
from backend_client.ocpp.variables import Variables


class SharedMessages:
    """Base of the dialects."""

    def __init__(self, settings: OcppSettings, state: StateFile, variables: Variables, call: Caller) -> None:
        self._settings = settings
        self._state = state
        self._variables = variables
        self._call = call

    async def heartbeat(self) -> str:
        """Heartbeat."""
        return str((await self._call("Heartbeat", {}))["currentTime"])

    async def notify(self, status: Payload, now: str) -> None:
        """StatusNotification."""
        await self._call("StatusNotification", {"timestamp": now, **status})

    async def security_event(self, kind: str, now: str, detail: str) -> None:
        """SecurityEventNotification; in 1.6 of the security whitepaper."""
        event = {"type": kind[:50], "timestamp": now}
        await self._call("SecurityEventNotification", event | ({"techInfo": detail[:255]} if detail else {}))
