"""Requests of the CSMS: which are known, and who answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from backend_client.ocpp.connection import Reply
from backend_client.ocpp.frames import Call, Payload, Refusal, Result
from backend_client.ocpp.schemas import SchemaError, check, code_of, is_known
from backend_client.ocpp.settings import OcppSettings
from backend_client.ocpp.state_file import StateFile
from backend_client.ocpp.variables import Variables
from ports.errors import PlugbenchError
from ports.station import Station

Handler = Callable[[Payload], Awaitable[Payload]]


class Desk:
    """Answers requests by a table."""

    def __init__(self, settings: OcppSettings, state: StateFile, variables: Variables) -> None:
        self.station: Station | None = None
        self._version = settings.version
        self._state = state
        self._variables = variables
        self._handlers: Mapping[str, Handler] = {}

    async def answer(self, call: Call) -> Reply:
        """CALLRESULT or CALLERROR; never raises for what a CSMS sends."""
        version = self._version
        handler = self._handlers.get(call.action)
        if handler is None:
            code = "NotImplemented" if not is_known(version, call.action) else "NotSupported"
            return Reply(Refusal(call.id, code, f"{call.action} is not offered by this station"))
        try:
            check(version, call.action, call.payload)
            answer = await handler(call.payload)
            check(version, call.action, answer, answer=True)
        except SchemaError as error:
            return Reply(Refusal(call.id, error.code, str(error)))
        except PlugbenchError as error:
            return Reply(Refusal(call.id, code_of(version, "InternalError"), str(error)))
        return Reply(Result(call.id, answer))
