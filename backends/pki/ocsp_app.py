"""HTTP face of the OCSP responder (RFC 6960 appendix A) and of the revocation lists; open to everybody."""

from __future__ import annotations

import base64

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backends.pki import certificate_store as store
from backends.pki.authorities import CertificateAuthorities
from backends.pki.crl import sign_crl
from backends.pki.http_body import limited_body
from backends.pki.ocsp_request import MAX_OCTETS
from backends.pki.ocsp_responder import OcspResponder
from ports.errors import PeerError, RigError

MEDIA_TYPE = "application/ocsp-response"


def ocsp_routes(responder: OcspResponder, path: str = "/ocsp") -> list[Route]:
    """POST and GET of one responder for all CAs. path: where; "" = at the root of the server, as some ecosystems do."""

    async def post(request: Request) -> Response:
        try:
            octets = await limited_body(request, MAX_OCTETS)
        except PeerError:
            octets = b""  # too long: the responder says malformed_request
        answer = await responder.answer(octets)
        return Response(answer.der, media_type=MEDIA_TYPE)

    async def get(request: Request) -> Response:
        answer = await responder.answer(_decoded(request.path_params["request"]))
        # RFC 5019 section 6.2
        kept = f"max-age={answer.fresh_s}, public, no-transform, must-revalidate" if answer.fresh_s else "no-store"
        return Response(answer.der, media_type=MEDIA_TYPE, headers={"Cache-Control": kept})

    return [
        Route(path or "/", post, methods=["POST"]),
        Route(f"{path}/{{request:path}}", get, methods=["GET"]),
    ]


def crl_routes(authorities: CertificateAuthorities, path: str = "/crl") -> list[Route]:
    """GET {path}/{fingerprint}.crl: the list of one CA, by SHA-256 of its certificate (hex)."""

    async def get(request: Request) -> Response:
        try:
            issuer = await authorities.database.read(
                lambda connection: store.by_fingerprint(connection, request.path_params["fingerprint"].lower())
            )
        except RigError:
            return Response("no such certificate authority", 404)
        if not issuer.x509.ca:
            return Response("not a certificate authority", 404)
        return Response(await sign_crl(authorities, issuer), media_type="application/pkix-crl")

    return [Route(f"{path}/{{fingerprint:str}}.crl", get, methods=["GET"])]


def _decoded(text: str) -> bytes:
    """base64, also without its padding; b"" when it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""
