"""How an embedded HTTP server misbehaves on purpose: what stands before its application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ports.clock import Clock

JSON = b"application/json"


@dataclass(slots=True)
class HttpFault:
    """path: what the path of a request begins with. times: how many of them; None: all, until the fault is gone.

    seconds: the answer comes so much later. status, body: the answer instead of the application's, which then never
    sees the request; 0: its own. change: of the body of its own.
    """

    path: str
    times: int | None = None
    seconds: float = 0.0
    status: int = 0
    body: bytes = b""
    change: Callable[[bytes], bytes] | None = None

    def strikes(self, path: str) -> bool:
        """Whether this request is hit; counts."""
        if self.times == 0 or not path.startswith(self.path):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(slots=True)
class HttpFaults:
    """The faults of one server, switched by hand. The first that fits strikes. hit: paths that were hit."""

    rules: list[HttpFault] = field(default_factory=list)
    hit: list[str] = field(default_factory=list)
    clock: Clock | None = None

    def before(self, app: Any) -> Any:
        """The application with the faults before it (ASGI)."""

        async def faulty(scope: dict[str, Any], receive: Any, send: Any) -> None:
            path = scope.get("path", "")
            found = scope["type"] == "http"
            fault = next((one for one in self.rules if found and one.strikes(path)), None)
            if fault is None:
                return await app(scope, receive, send)  # type: ignore[no-any-return]
            self.hit.append(path)
            if fault.status:
                await self.wait(fault)
                return await _answer(send, fault.status, fault.body)
            await app(scope, receive, _Sender(self, fault, send))
            return None

        return faulty

    async def wait(self, fault: HttpFault) -> None:
        """As long as a fault says."""
        if fault.seconds and self.clock is not None:
            await self.clock.sleep(fault.seconds)


class _Sender:
    """Takes the application's answer, and sends it as the fault says."""

    def __init__(self, faults: HttpFaults, fault: HttpFault, send: Any) -> None:
        self._faults = faults
        self._fault = fault
        self._send = send
        self._status = 200
        self._kind = JSON
        self._body = b""

    async def __call__(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._kind = dict(message["headers"]).get(b"content-type", JSON)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        await self._faults.wait(self._fault)
        change = self._fault.change
        body = change(self._body) if change is not None else self._body
        await _answer(self._send, self._status, body, self._kind)


async def _answer(send: Any, status: int, body: bytes, kind: bytes = JSON) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
