"""A CSMS made with the mobilityhouse library: keeps what it hears, answers as a test wants it, may lose an answer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from ocpp.charge_point import ChargePoint, camel_to_snake_case
from ocpp.exceptions import OCPPError
from ocpp.messages import Call
from ocpp.routing import on
from ocpp.v16 import ChargePoint as Base16
from ocpp.v16 import call_result as result16
from ocpp.v201 import ChargePoint as Base201
from ocpp.v201 import call_result as result201
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

QUIET = logging.getLogger("csms of the tests")
QUIET.propagate = False
QUIET.addHandler(logging.NullHandler())

Answer = dict[str, Any] | OCPPError
NOW = "2026-03-01T08:00:00Z"
ANSWERS: dict[str, dict[str, Any]] = {
    "BootNotification": {"status": "Accepted", "interval": 300, "currentTime": NOW},
    "Heartbeat": {"currentTime": NOW},
    "StatusNotification": {},
    "SecurityEventNotification": {},
    "MeterValues": {},
    "TransactionEvent": {},
    "Authorize": {"idTokenInfo": {"status": "Accepted"}},
    "DataTransfer": {"status": "Accepted"},
    "Get15118EVCertificate": {"status": "Failed", "exiResponse": ""},
    "GetCertificateStatus": {"status": "Failed"},
    "SignCertificate": {"status": "Accepted"},
    "NotifyReport": {},
}
ANSWERS_16: dict[str, dict[str, Any]] = ANSWERS | {
    "Authorize": {"idTagInfo": {"status": "Accepted"}},
    "StartTransaction": {"transactionId": 77, "idTagInfo": {"status": "Accepted"}},
    "StopTransaction": {},
}


class Csms:
    """`heard`: every CALL in order, repetitions included. `effects`: those with an id that was new."""

    def __init__(self, version: str = "2.0.1") -> None:
        self.version = version
        self.port = 0
        self.heard: list[Call] = []
        self.effects: dict[str, Call] = {}
        self.frames: list[str] = []
        self.answers: dict[str, Answer | Callable[[dict[str, Any]], Answer]] = {}
        self.lose: list[str] = []  # actions: the next answer to it is lost and the connection cut
        self.raw: dict[str, str] = {}  # actions: the answer's payload as text, sent as it is
        self.mute: set[str] = set()  # actions that get no answer at all
        self.authorization: list[str | None] = []
        self.points: list[ChargePoint] = []
        self._server: Server | None = None
        self._changed = asyncio.Event()

    async def start(self, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        self._server = await serve(
            self._serve,
            host,
            self.port or port,
            subprotocols=[f"ocpp{self.version}"],  # type: ignore[list-item]
            compression=None,
            logger=QUIET,
            **options,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    def of(self, action: str) -> list[dict[str, Any]]:
        return [call.payload for call in self.heard if call.action == action]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def call(self, payload: Any, unique_id: str | None = None) -> Any:
        """A request of the CSMS; raises what the station answers as an error."""
        return await self.points[-1].call(payload, suppress=False, unique_id=unique_id)

    def noted(self) -> None:
        self._changed.set()

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.authorization.append(socket.request.headers.get("Authorization"))
        point = (Point16 if self.version == "1.6" else Point201)(self, socket)
        self.points.append(point)
        self.noted()
        try:
            await point.start()
        except ConnectionClosed:
            pass
        finally:
            self.noted()

    async def take(self, socket: ServerConnection, raw: str) -> bool:
        """Note a frame; False when its sender gets no answer."""
        message = json.loads(raw)
        self.frames.append(raw)
        if message[0] != 2:
            return True
        call = Call(*message[1:])
        self.heard.append(call)
        self.effects.setdefault(call.unique_id, call)
        self.noted()
        if call.action in self.lose:
            self.lose.remove(call.action)
            await socket.close()
            return False
        if call.action in self.raw:
            await socket.send(f'[3,"{call.unique_id}",{self.raw[call.action]}]')
            return False
        return call.action not in self.mute

    def reply(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        default = (ANSWERS_16 if self.version == "1.6" else ANSWERS)[action]
        answer = self.answers.get(action, default)
        if callable(answer):
            answer = answer(payload)
        if isinstance(answer, OCPPError):
            raise answer
        return camel_to_snake_case(answer)


class _Point:
    csms: Csms

    async def route_message(self, raw: str) -> None:
        if await self.csms.take(self._connection, raw):  # type: ignore[attr-defined]
            await super().route_message(raw)  # type: ignore[misc]
        self.csms.noted()


def _routes(results: Any, answers: dict[str, Any]) -> dict[str, Any]:
    """A handler per action, for the library's route map."""

    def handler(action: str) -> Any:
        def answer(self: Any, **payload: Any) -> Any:
            return getattr(results, action)(**self.csms.reply(action, payload))

        answer.__name__ = f"on_{action}"  # the library finds handlers by their names
        return on(action)(answer)

    return {f"on_{action}": handler(action) for action in answers if hasattr(results, action)}


def _init(base: Any) -> Any:
    def init(self: Any, csms: Csms, socket: ServerConnection) -> None:
        self.csms = csms
        base.__init__(self, "point", socket, logger=QUIET)

    return init


Point201: Any = type("Point201", (_Point, Base201), {"__init__": _init(Base201), **_routes(result201, ANSWERS)})
Point16: Any = type("Point16", (_Point, Base16), {"__init__": _init(Base16), **_routes(result16, ANSWERS_16)})
