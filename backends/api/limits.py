"""Limits in front of everything else: how large a request may be, how many one client or address may send."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backends.api.errors import TooLarge, error_response
from ports.clock import Clock

REMEMBERED = 10_000  # clients and addresses
ClientOf = Callable[[str], str]
"""The client of a bearer token that has been verified before, "" of any other."""


@dataclass(frozen=True, slots=True)
class Limits:
    """body: octets of a request. per_second / burst: requests of one client, wherever it is, or without a token that is
    known, of one address; per_second 0 = no limit.

    token_per_second / token_burst: token requests of one address (each costs a slow hash on purpose).
    """

    body: int = 256 * 1024
    per_second: float = 2000.0
    burst: int = 4000
    token_per_second: float = 20.0
    token_burst: int = 100


class _Buckets:
    """Token buckets by client or address."""

    def __init__(self, clock: Clock, per_second: float, burst: int) -> None:
        self._clock = clock
        self._rate = per_second
        self._burst = burst
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str) -> float:
        """0 and counted, or the seconds until the next request is taken."""
        if not self._rate:
            return 0.0
        now = self._clock.monotonic()
        level, since = self._levels.pop(who, (float(self._burst), now))
        level = min(float(self._burst), level + (now - since) * self._rate)
        taken = level >= 1
        self._levels[who] = (level - 1 if taken else level, now)
        if len(self._levels) > REMEMBERED:
            self._levels.popitem(last=False)
        return 0.0 if taken else (1 - level) / self._rate


class LimitsMiddleware:
    """Refuses with 413 and 429 before anything is read or looked up."""

    def __init__(self, app: ASGIApp, limits: Limits, clock: Clock, client_of: ClientOf = lambda _token: "") -> None:
        self._app = app
        self._client_of = client_of
        self._limits = limits
        self._all = _Buckets(clock, limits.per_second, limits.burst)
        self._tokens = _Buckets(clock, limits.token_per_second, limits.token_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("",))[0]
        headers = dict(scope["headers"])
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        client = self._client_of(token.strip()) if scheme.lower() == "bearer" else ""
        wait = self._all.wait_s(f"client {client}" if client else address)
        if not wait and scope["path"] == "/oauth/token":
            wait = self._tokens.wait_s(address)
        if wait:
            answer = error_response(429, "Too many requests.", headers={"Retry-After": str(int(wait) + 1)})
            await answer(scope, receive, send)
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._limits.body:
            await self._too_large(scope, receive, send)
            return
        received, started = 0, False

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limits.body:
                raise TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, limited, watched)
        except TooLarge:
            if not started:
                await self._too_large(scope, receive, send)

    async def _too_large(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = f"The request is longer than {self._limits.body} octets."
        await error_response(413, text, headers={"Connection": "close"})(scope, receive, send)
