"""Paths that real clients call, and the published path that answers them: one table, first match wins."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

_CA = "(?P<ca>mo|cps|oem|cpo|veh)"
_ISO = "(?P<iso>ISO15118-2|ISO15118-20)"
_ALGORITHM = "(?P<algorithm>secp256r1|secp521r1|ed448)"


@dataclass(frozen=True, slots=True)
class Alias:
    """pattern: of the whole path. target: published path, groups in braces; groups that did not match take defaults."""

    pattern: re.Pattern[str]
    target: str
    client: str


_DEFAULTS = {"iso": "ISO15118-2", "algorithm": "secp256r1"}
_ALGORITHMS = {"ISO15118-2": "secp256r1", "ISO15118-20": "secp521r1"}

ALIASES = (
    Alias(
        re.compile(rf"(?:/\.?well-known(?:/est)?)?/{_CA}/(?P<call>simpleenroll|simplereenroll)(?:/{_ISO})?/?"),
        "/.well-known/est/{ca}/{call}/{iso}",
        "CitrineOS, ocppcompote, EVerest, dc-charging-station (/.well-known/{ca}/...), maeve-csms (/{ca}/...), "
        "a Java client (/well-known/..., no dot)",
    ),
    Alias(
        re.compile(rf"(?:/\.?well-known(?:/est)?)?/{_CA}/cacerts(?:/{_ISO})?(?:/{_ALGORITHM})?/?"),
        "/{ca}/cacerts/{iso}/{algorithm}/",
        "CitrineOS and ocppcompote (/.well-known/{ca}/cacerts), maeve-csms (no algorithm), EVerest",
    ),
    Alias(re.compile(r"/v1/cps/signer/?"), "/cps/signer", "clients that expect /v1 everywhere"),
)


def published_path(path: str) -> str:
    """The path that OPCP publishes for this one; the same when no alias matches."""
    for alias in ALIASES:
        if match := alias.pattern.fullmatch(path):
            groups = {name: value for name, value in match.groupdict().items() if value}
            iso = groups.get("iso", _DEFAULTS["iso"])
            return alias.target.format_map({**_DEFAULTS, "algorithm": _ALGORITHMS[iso], **groups})
    return path


class AliasMiddleware:
    """Rewrites the path before it is routed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and (path := published_path(scope["path"])) != scope["path"]:
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)
