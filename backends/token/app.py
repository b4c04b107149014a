"""HTTP face of the token service: POST /oauth/token (JSON or form), GET /.well-known/jwks.json."""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backends.token.service import SCOPE, TOKEN_LIFE_S, TokenService

MAX_BODY = 16 * 1024
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 section 5.1


class TokenRequest(msgspec.Struct):
    """Body of the request; unknown fields are ignored, as RFC 6749 section 3.2 asks."""

    grant_type: str = ""
    client_id: str = ""
    client_secret: str = ""
    audience: str = ""


def _error(status: int, error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status, NO_STORE)


def _parse(media_type: str, body: bytes) -> TokenRequest:
    """Raises ValueError."""
    if media_type == "application/x-www-form-urlencoded":
        fields = {name: values[-1] for name, values in parse_qs(body.decode("ascii"), max_num_fields=16).items()}
        wanted = msgspec.convert(fields, TokenRequest)
    else:
        wanted = msgspec.json.decode(body, type=TokenRequest)
    if "\0" in wanted.client_id:
        raise ValueError("client_id is no text")
    return wanted


def token_routes(service: TokenService) -> list[Route]:
    """The routes of the token service."""

    async def issue(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return _error(400, "invalid_request", f"the body is longer than {MAX_BODY} octets")
        try:
            wanted = _parse(request.headers.get("content-type", "").partition(";")[0].strip().lower(), body)
        except ValueError:  # msgspec's and the codecs' errors are all of this kind
            return _error(
                400, "invalid_request", "the body is neither JSON nor a form with the fields of a token request"
            )
        if wanted.grant_type != "client_credentials":
            return _error(400, "unsupported_grant_type", "grant_type must be client_credentials")
        # many clients ask for the URL that they call
        if wanted.audience.rstrip("/") not in (service.audience, str(request.base_url).rstrip("/")):
            return _error(400, "invalid_request", f"audience must be {service.audience}")
        token = await service.issue(wanted.client_id, wanted.client_secret)
        if token is None:
            return _error(401, "invalid_client", "client_id or client_secret is wrong")
        answer = {"access_token": token, "scope": SCOPE, "expires_in": TOKEN_LIFE_S, "token_type": "Bearer"}
        return JSONResponse(answer, 200, NO_STORE)

    async def jwks(_request: Request) -> Response:
        return JSONResponse(await service.jwks())

    return [
        Route("/oauth/token", issue, methods=["POST"]),
        Route("/.well-known/jwks.json", jwks, methods=["GET"]),
    ]
