"""Paths that clients call beside the published ones, and what answers them: one table.

The paths of enrolment are in `backends.pki.est_app.PREFIXES`: they vary in more than their beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from starlette.types import ASGIApp, Receive, Scope, Send

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "/v1/cps/signer": "/cps/signer",  # for clients that expect /v1 everywhere
        "/v1/oauth/token": "/oauth/token",
    }
)


def published_path(path: str) -> str:
    """The path that OPCP publishes for this one; a slash at the end of an OPCP path makes no difference."""
    if path.startswith(("/v1/", "/cps/", "/oauth/")):
        path = path.rstrip("/")
    return ALIASES.get(path, path)


class AliasMiddleware:
    """Rewrites the path before it is routed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and (path := published_path(scope["path"])) != scope["path"]:
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)
