"""What customers see in their app (IF_MO_APP): login, sessions, bills with their evidence, remote start and stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import sqlalchemy as sa
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from backend_client.cpo_messages import MessageError, decode
from backend_client.ocpi_types import S64, S255, Ci36
from backends.operators.mo.app_page import PAGE, SCRIPT
from backends.operators.mo.evidence import NoSuchBillError, evidence
from backends.operators.mo.logins import LoginRefused, Logins
from backends.operators.mo.remote import RemoteControl, RemoteRefused
from backends.operators.mo.tables import BILLS, CDRS, COMMANDS, SESSIONS
from backends.operators.request_body import BodyRefused, json_body
from backends.store.database import Database, StoreError
from ports.errors import LocalError, RigError

MAX_BODY = 4096
MOST = 200  # of a list
# the page comes from here alone and talks to here alone
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class LoginMessage(msgspec.Struct, forbid_unknown_fields=True):
    """Who wants in."""

    login: S64
    secret: S255


class StartMessage(msgspec.Struct, forbid_unknown_fields=True):
    """Where to charge. operator: e.g. "DECPO"."""

    operator: Ci36
    location_id: Ci36
    evse_uid: Ci36


class StopMessage(msgspec.Struct, forbid_unknown_fields=True):
    """Which session to end."""

    operator: Ci36
    session_id: Ci36


Handler = Callable[[Request, str], Awaitable[Response]]


class App:
    """One method per route; the customer is known by the bearer token."""

    def __init__(self, database: Database, logins: Logins, remote: RemoteControl) -> None:
        self._database = database
        self._logins = logins
        self._remote = remote

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/app", self._page, methods=["GET"]),
            Route("/app/app.js", self._script, methods=["GET"]),
            Route("/app/v1/login", _answered(self._log_in), methods=["POST"]),
            self._route("POST", "/app/v1/logout", self._log_out),
            self._route("GET", "/app/v1/sessions", self._sessions),
            self._route("GET", "/app/v1/bills", self._bills),
            self._route("GET", "/app/v1/bills/{id}/evidence.xml", self._evidence),
            self._route("GET", "/app/v1/bills/{id}/evidence.ocmf", self._evidence),
            self._route("GET", "/app/v1/records", self._records),
            self._route("POST", "/app/v1/start", self._start),
            self._route("POST", "/app/v1/stop", self._stop),
            self._route("GET", "/app/v1/commands/{id}", self._command),
        ]

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            return await handler(request, await self._logins.customer(_bearer(request)))

        return Route(path, _answered(endpoint), methods=[method])

    async def _page(self, _request: Request) -> Response:
        return Response(PAGE, headers=PAGE_HEADERS, media_type="text/html")

    async def _script(self, _request: Request) -> Response:
        return Response(SCRIPT, headers=PAGE_HEADERS, media_type="text/javascript")

    async def _log_in(self, request: Request) -> Response:
        message = decode(await json_body(request, MAX_BODY), LoginMessage)
        token, seconds = await self._logins.log_in(message.login, message.secret)
        return _json({"token": token, "expires_in": seconds})

    async def _log_out(self, request: Request, _customer: str) -> Response:
        await self._logins.log_out(_bearer(request))
        return _json({})

    async def _sessions(self, _request: Request, customer: str) -> Response:
        columns = (SESSIONS.c[name] for name in ("operator", "id", "status", "kwh", "evse_uid", "began", "updated"))
        query = sa.select(*columns).where(SESSIONS.c.customer == customer).order_by(SESSIONS.c.began.desc())
        return _json({"sessions": await self._rows(query)})

    async def _bills(self, _request: Request, customer: str) -> Response:
        query = sa.select(BILLS.c.bill, BILLS.c.credited).where(BILLS.c.customer == customer)
        found = await self._rows(query.order_by(BILLS.c.made.desc()))
        return _json({"bills": [{**one["bill"], "credited": one["credited"]} for one in found]})  # type: ignore[dict-item]

    async def _records(self, _request: Request, customer: str) -> Response:
        """Every charge detail record of the customer, with what became of it and why."""
        columns = (CDRS.c[name] for name in ("operator", "id", "channel", "status", "reason", "detail", "energy_kwh"))
        query = sa.select(*columns).where(CDRS.c.customer == customer).order_by(CDRS.c.seq.desc())
        return _json({"records": await self._rows(query)})

    async def _evidence(self, request: Request, customer: str) -> Response:
        bill_id = str(request.path_params["id"])
        found = await self._database.read(lambda connection: evidence(connection, bill_id, customer))
        xml = request.url.path.endswith(".xml")
        name = f"{found.bill.id}.{'xml' if xml else 'ocmf'}"
        return Response(
            found.safe_xml() if xml else found.ocmf(),
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
            media_type="application/xml" if xml else "text/plain",
        )

    async def _start(self, request: Request, customer: str) -> Response:
        body = decode(await json_body(request, MAX_BODY), StartMessage)
        command = await self._remote.start(customer, body.operator.upper(), body.location_id, body.evse_uid)
        return _json({"command": command}, 202)

    async def _stop(self, request: Request, customer: str) -> Response:
        body = decode(await json_body(request, MAX_BODY), StopMessage)
        return _json({"command": await self._remote.stop(customer, body.operator.upper(), body.session_id)}, 202)

    async def _command(self, request: Request, customer: str) -> Response:
        mine = (COMMANDS.c.id == request.path_params["id"]) & (COMMANDS.c.customer == customer)
        columns = (COMMANDS.c[name] for name in ("id", "kind", "operator", "subject", "answer", "outcome", "detail"))
        found = await self._rows(sa.select(*columns).where(mine))
        return _json(found[0]) if found else _error(404, "you have no such command")

    async def _rows(self, query: sa.Select[tuple[object, ...]]) -> list[dict[str, object]]:
        rows = await self._database.read(lambda connection: connection.execute(query.limit(MOST)).mappings().all())
        return [dict(row) for row in rows]


def _answered(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Every expected error becomes a JSON answer."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except (LoginRefused, RemoteRefused, BodyRefused) as refused:
            return _error(refused.status, str(refused))
        except NoSuchBillError as error:
            return _error(404, str(error))
        except (MessageError, LocalError) as error:
            return _error(400, str(error))
        except StoreError:
            return _error(503, "the database is not available")
        except RigError as error:
            return _error(502, str(error))
        except ClientDisconnect:
            return Response(status_code=400)

    return endpoint


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, {"Cache-Control": "no-store"}, media_type="application/json")


def _error(status: int, text: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Response(
        msgspec.json.encode({"error": text}),
        status,
        {**headers, "Cache-Control": "no-store"},
        media_type="application/json",
    )
