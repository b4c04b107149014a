"""The OPCP v1 application: any set of modules, over one database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from backends.api.errors import error_response
from backends.api.limits import Limits, LimitsMiddleware
from backends.opcp.aliases import AliasMiddleware
from backends.opcp.contract_routes import contract_routes
from backends.opcp.provisioning_routes import provisioning_routes
from backends.opcp.root_routes import root_routes
from backends.opcp.services import Services
from backends.opcp.signing_routes import signing_routes
from backends.opcp.webhook_routes import webhook_routes
from backends.pki.authorities import CertificateAuthorities
from backends.pki.est import Enrolment
from backends.pki.est_app import end_entity_routes, est_routes
from backends.pki.ocsp_app import crl_routes, ocsp_routes
from backends.pki.ocsp_responder import OcspResponder
from backends.token.app import token_routes
from ports.errors import RigError


def _authorities(services: Services) -> CertificateAuthorities:
    if services.authorities is None:
        raise RigError("enrolment and OCSP need certificate authorities: see `plugbench pki`")
    return services.authorities


def _est(services: Services) -> list[BaseRoute]:
    authorities, check = _authorities(services), services.tokens.check
    return [*est_routes(Enrolment(authorities), check), *end_entity_routes(authorities, check)]


def _ocsp(services: Services) -> list[BaseRoute]:
    authorities = _authorities(services)
    return [*ocsp_routes(OcspResponder(authorities)), *crl_routes(authorities)]


# Every module that can run alone. A new one is one row.
MODULES: Mapping[str, Callable[[Services], list[BaseRoute]]] = MappingProxyType(
    {
        "token": lambda services: [*token_routes(services.tokens)],
        "rcp": lambda services: [*root_routes(services.api, services.roots)],
        "pcp": lambda services: [*provisioning_routes(services.api, services.provisioning)],
        "cps": lambda services: [*signing_routes(services.api, services.signing)],
        "ccp": lambda services: [*contract_routes(services.api, services.contracts, services.updates)],
        "webhooks": lambda services: [*webhook_routes(services.api, services.webhooks)],
        "est": _est,
        "ocsp": _ocsp,
    }
)


def build_app(modules: Collection[str], services: Services, *, limits: Limits | None = None) -> Starlette:
    """The application with the routes of these modules (names of MODULES); background work starts with it.

    Raises RigError for a module that does not exist.
    """
    if unknown := sorted(set(modules) - set(MODULES)):
        raise RigError(f"no module {', '.join(unknown)}; there are {', '.join(MODULES)}")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with services.running(modules):
            yield

    return Starlette(
        routes=[route for name in MODULES if name in modules for route in MODULES[name](services)],
        middleware=[
            Middleware(
                LimitsMiddleware,
                limits=limits or Limits(),
                clock=services.clock,
                client_of=services.tokens.known_client,
            ),
            Middleware(AliasMiddleware),
        ],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )


async def _http_error(request: Request, error: Exception) -> Response:
    """No such path, no such method: then all that the path has are listed (RFC 9110 15.5.6)."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status != 405:
        return error_response(status, {404: "Not found."}.get(status, ""))
    allowed: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            allowed |= route.methods or set()
    return error_response(405, "Method not allowed.", headers={"Allow": ", ".join(sorted(allowed))})
