"""Limits in front of everything else: how large a request may be, how many one address may send."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backends.api.errors import TooLarge, error_response
from ports.clock import Clock

REMEMBERED = 10_000  # addresses


@dataclass(frozen=True, slots=True)
class Limits:
    """body: octets of a request. per_second / burst: requests of one address; per_second 0 = no limit.

    token_per_second / token_burst: token requests of one address (each costs a slow hash on purpose).
    """

    body: int = 256 * 1024
    per_second: float = 2000.0
    burst: int = 4000
    token_per_second: float = 20.0
    token_burst: int = 100


class _Buckets:
    """Token buckets by address."""

    def __init__(self, clock: Clock, per_second: float, burst: int) -> None:
        self._clock = clock
        self._rate = per_second
        self._burst = burst
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """0 and counted, or the seconds until the next request is taken."""
        if not self._rate:
            return 0.0
        now = self._clock.monotonic()
        level, since = self._levels.pop(address, (float(self._burst), now))
        level = min(float(self._burst), level + (now - since) * self._rate)
        taken = level >= 1
        self._levels[address] = (level - 1 if taken else level, now)
        if len(self._levels) > REMEMBERED:
            self._levels.popitem(last=False)
        return 0.0 if taken else (1 - level) / self._rate


class LimitsMiddleware:
    """Refuses with 413 and 429 before anything is read or looked up."""

    def __init__(self, app: ASGIApp, limits: Limits, clock: Clock) -> None:
        self._app = app
        self._limits = limits
        self._all = _Buckets(clock, limits.per_second, limits.burst)
        self._tokens = _Buckets(clock, limits.token_per_second, limits.token_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("",))[0]
        wait = self._all.wait_s(address)
        if not wait and scope["path"] == "/oauth/token":
            wait = self._tokens.wait_s(address)
        if wait:
            answer = error_response(429, "Too many requests.", headers={"Retry-After": str(int(wait) + 1)})
            await answer(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
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
