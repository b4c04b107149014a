"""HTTP face of enrolment, under every path that clients of the ecosystem are known to call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backends.access import Forbidden, Principal, require_role
from backends.api.errors import error_response, json_response
from backends.pki import end_entities
from backends.pki.authorities import CertificateAuthorities
from backends.pki.certs_only import as_base64, certs_only
from backends.pki.client_certificate import TrustedProxy, client_certificate
from backends.pki.csr import MAX_OCTETS, read_request
from backends.pki.est import CAS, Enrolment, NotAuthenticated
from backends.pki.http_body import limited_body
from backends.token.service import TokenRefused
from ports.errors import PeerError, RigError

CheckToken = Callable[[str], Awaitable[Principal]]
Handler = Callable[[Request], Awaitable[Response]]

# What stands before the {ca}: OPCP 1.0.0 and RFC 7030; CitrineOS, ocppcompote and EVerest's presets have no "est"; one
# client has no dot; maeve-csms has nothing.
PREFIXES = ("/.well-known/est", "/.well-known", "/well-known/est", "/well-known", "")
MAX_ENTITY = 64 * 1024
CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
_BASE64 = {"Content-Transfer-Encoding": "base64"}


def est_routes(
    enrolment: Enrolment, check_token: CheckToken, *, proxy: TrustedProxy | None = None, open_cacerts: bool = False
) -> list[Route]:
    """cacerts, simpleenroll, simplereenroll and csrattrs of every {ca}.

    check_token: who a bearer token speaks for. proxy: whose word on client certificates is taken.
    open_cacerts: cacerts without token, as RFC 7030 4.1.1 has it; the ecosystem wants one. csrattrs is always open.
    """

    async def cacerts(request: Request) -> Response:
        if not open_cacerts and not client_certificate(request, proxy):
            require_role(await _principal(request, check_token), "est.cacerts")
        ca, iso, algorithm = (request.path_params.get(name, "") for name in ("ca", "iso", "algorithm"))
        return _answer(certs_only(await enrolment.cacerts(ca, iso, algorithm)), CERTS_ONLY)

    async def csrattrs(request: Request) -> Response:
        return _answer(enrolment.attributes(request.path_params.get("iso", "")), "application/csrattrs")

    async def simpleenroll(request: Request) -> Response:
        ca, iso = request.path_params["ca"], request.path_params.get("iso", "")
        principal = await _principal(request, check_token)
        require_role(principal, f"est.enroll.{ca}")
        wanted = read_request(await limited_body(request, 2 * MAX_OCTETS))
        issued = await enrolment.enroll(ca, iso, wanted, principal)
        return _answer(certs_only([issued.certificate]), CERTS_ONLY)

    async def simplereenroll(request: Request) -> Response:
        shown = client_certificate(request, proxy)
        if not shown and "authorization" in request.headers:
            return await simpleenroll(request)
        ca, iso = request.path_params["ca"], request.path_params.get("iso", "")
        if not shown:
            raise NotAuthenticated("simplereenroll needs a TLS client certificate or a token")
        wanted = read_request(await limited_body(request, 2 * MAX_OCTETS))
        issued = await enrolment.renew(ca, iso, wanted, shown)
        return _answer(certs_only([issued.certificate]), CERTS_ONLY)

    operations: dict[str, tuple[str, Handler]] = {
        "cacerts": ("GET", cacerts),
        "csrattrs": ("GET", csrattrs),
        "simpleenroll": ("POST", simpleenroll),
        "simplereenroll": ("POST", simplereenroll),
    }
    tails = ("", "/", "/{iso}", "/{iso}/", "/{iso}/{algorithm}", "/{iso}/{algorithm}/")
    routes = [
        Route(f"{prefix}/{{ca}}/{name}{tail}", _guarded(handler), methods=[method])
        for prefix in PREFIXES
        for name, (method, handler) in operations.items()
        for tail in (tails if name == "cacerts" else tails[:4])
    ]
    plain = [Route(f"/.well-known/est/{name}", _guarded(operations[name][1])) for name in ("cacerts", "csrattrs")]
    return [*plain, *routes]


def end_entity_routes(
    authorities: CertificateAuthorities, check_token: CheckToken, path: str = "/v1/vra/cpo/endEntities"
) -> list[Route]:
    """PUT and GET of stations announced before they enrol."""

    async def put(request: Request) -> Response:
        principal = await _principal(request, check_token)
        require_role(principal, "est.enroll.cpo")
        body = await limited_body(request, MAX_ENTITY)
        try:
            entity = msgspec.json.decode(body, type=end_entities.EndEntity)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PeerError(str(error), body[:256]) from None
        end_entities.check_operator(principal, entity)
        at, client_id = authorities.now(), principal.client_id
        await authorities.database.write(lambda c: end_entities.put(c, entity, client_id, at=at))
        return json_response(entity)

    async def get(request: Request) -> Response:
        principal = await _principal(request, check_token)
        require_role(principal, "est.enroll.cpo")
        return json_response(await authorities.database.read(lambda c: end_entities.list_of(c, principal.client_id)))

    return [Route(path, _guarded(put), methods=["PUT"]), Route(path, _guarded(get), methods=["GET"])]


def _guarded(handler: Handler) -> Handler:
    """Every error becomes an answer."""

    async def guarded(request: Request) -> Response:
        try:
            if request.path_params.get("ca", "mo") not in CAS:
                return error_response(404, f"There is no certificate authority {request.path_params['ca'][:16]!r}.")
            return await handler(request)
        except (TokenRefused, NotAuthenticated) as error:
            texts = [str(error)] if isinstance(error, NotAuthenticated) else []
            return error_response(401, *texts, headers={"WWW-Authenticate": "Bearer"})
        except Forbidden as error:
            return error_response(403, str(error))
        except PeerError as error:
            return error_response(400, str(error))
        except RigError:
            return error_response(503, "The certificate authority is not usable at the moment.")

    return guarded


async def _principal(request: Request, check_token: CheckToken) -> Principal:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenRefused("no bearer token")
    return await check_token(token.strip())


def _answer(der: bytes, media_type: str) -> Response:
    return Response(as_base64(der), headers={"Content-Type": media_type, **_BASE64})
