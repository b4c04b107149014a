"""Read the body of a request: JSON, not longer than a limit."""

from __future__ import annotations

from starlette.requests import Request

from ports.errors import PeerError


class BodyRefused(PeerError):
    """status: HTTP, 413 or 415."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def json_body(request: Request, limit: int) -> bytes:
    """Raises BodyRefused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BodyRefused(415, f"Content-Type is {kind[:40]!r}, not application/json")
    return await limited_body(request, limit)


async def limited_body(request: Request, limit: int) -> bytes:
    """Of any kind. Raises BodyRefused when it is longer than `limit` octets."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyRefused(413, f"the body is longer than {limit} octets")
    return bytes(body)
