"""Bodies of requests, never more than asked for."""

from __future__ import annotations

from starlette.requests import Request

from ports.errors import PeerError


async def limited_body(request: Request, max_octets: int) -> bytes:
    """The body. Raises PeerError when it is longer than `max_octets`; the rest is not read."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_octets:
            raise PeerError(f"the body is longer than {max_octets} octets", body[:64])
    return body
