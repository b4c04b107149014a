"""The operator's REST API: stations, transactions, incidents, keys, charge details, remote control. JSON, one token."""

from __future__ import annotations

import csv
import hmac
import io
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from backend_client.cpo_messages import KeyText, Name
from backends import cpo_store
from backends.api.errors import error_response, json_response
from backends.api.strict_json import MalformedBody, decode
from backends.operators.cpo import queries
from backends.operators.cpo.csms import Csms
from backends.operators.cpo.queries import Page
from backends.operators.cpo.remote import RemoteControl
from backends.operators.request_body import BodyRefused, json_body
from backends.store.database import Database, StoreError
from ocmf.keys import KeyFormatError, decode_public_key
from ports.errors import LocalError, RigError
from ports.station import RemoteAnswer

MAX_BODY = 16 * 1024
MAX_LIMIT = 1000
# what a table of charge details shows; the signed values do not fit in a cell
CSV_COLUMNS = (
    "id",
    "station",
    "transaction_id",
    "evse_id",
    "user_id",
    "began",
    "ended",
    "energy_kwh",
    "meter",
    "stop_reason",
)
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Handler = Callable[[Request], Awaitable[Response]]


class StartMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may charge. id_type: OCMF name. evse: 1, 2, ...; None = any."""

    id: Text
    id_type: Text = "CENTRAL"
    evse: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None


class StopMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which transaction ends."""

    transaction_id: Text


class TriggerMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which message is wanted."""

    message: Text


class KeyMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to trust for the records of one gateway and meter, in any encoding of the field."""

    gateway: Name
    meter: Name
    public_key: Annotated[KeyText, msgspec.Meta(min_length=1)]


class _QueryRefused(Exception):
    """A parameter that cannot be used."""


def operator_api(csms: Csms, remote: RemoteControl, database: Database, token: str) -> Starlette:
    """The application. token: bearer token of every request but /health."""
    api = _Api(csms, remote, database)

    def route(method: str, path: str, handler: Handler) -> Route:
        return Route(path, _guarded(handler, token), methods=[method])

    async def health(_request: Request) -> Response:
        return json_response({"status": "ok"})

    return Starlette(
        routes=[
            Route("/health", health),
            route("GET", "/v1/stations", api.stations),
            route("GET", "/v1/stations/{station}/reports", api.reports),
            route("POST", "/v1/stations/{station}/start", api.start),
            route("POST", "/v1/stations/{station}/stop", api.stop),
            route("POST", "/v1/stations/{station}/trigger", api.trigger),
            route("GET", "/v1/transactions", api.transactions),
            route("GET", "/v1/transactions/{station}/{transaction_id}", api.transaction),
            route("GET", "/v1/incidents", api.incidents),
            route("GET", "/v1/keys", api.keys),
            route("PUT", "/v1/keys", api.put_key),
            route("GET", "/v1/charge-details", api.charge_details),
            route("GET", "/v1/charge-details.csv", api.charge_details_csv),
        ]
    )


class _Api:
    """One method per route."""

    def __init__(self, csms: Csms, remote: RemoteControl, database: Database) -> None:
        self._csms = csms
        self._remote = remote
        self._database = database

    async def stations(self, _request: Request) -> Response:
        found = await self._csms.stations.all()
        return json_response({"stations": [{**one, "connected": one["identity"] in self._csms.links} for one in found]})

    async def reports(self, request: Request) -> Response:
        station, page = request.path_params["station"], _page(request)
        found = await self._database.read(lambda connection: queries.reports(connection, page, station))
        return json_response({"reports": found})

    async def start(self, request: Request) -> Response:
        message = decode(await json_body(request, MAX_BODY), StartMessage)
        station = request.path_params["station"]
        return _answer(await self._remote.start(station, message.id, message.id_type, evse=message.evse))

    async def stop(self, request: Request) -> Response:
        message = decode(await json_body(request, MAX_BODY), StopMessage)
        return _answer(await self._remote.stop(request.path_params["station"], message.transaction_id))

    async def trigger(self, request: Request) -> Response:
        message = decode(await json_body(request, MAX_BODY), TriggerMessage)
        return _answer(await self._remote.trigger(request.path_params["station"], message.message))

    async def transactions(self, request: Request) -> Response:
        page, wanted = _page(request), request.query_params
        station, state = wanted.get("station"), wanted.get("state")
        found = await self._database.read(lambda connection: queries.transactions(connection, page, station, state))
        return json_response({"transactions": found})

    async def transaction(self, request: Request) -> Response:
        station, transaction_id = request.path_params["station"], request.path_params["transaction_id"]
        found = await self._database.read(lambda connection: queries.transaction(connection, station, transaction_id))
        return error_response(404, "There is no such transaction.") if found is None else json_response(found)

    async def incidents(self, request: Request) -> Response:
        page = _page(request)
        found = await self._database.read(lambda connection: queries.incidents(connection, page))
        return json_response({"incidents": found})

    async def keys(self, _request: Request) -> Response:
        found = await self._database.read(cpo_store.keys)
        keys = [
            {
                "gateway": key.gateway,
                "meter": key.meter,
                "public_key": key.public_key,
                "since": key.since,
                "fingerprint": decode_public_key(key.public_key).fingerprint,
            }
            for key in found
        ]
        return json_response({"keys": keys})

    async def put_key(self, request: Request) -> Response:
        message = decode(await json_body(request, MAX_BODY), KeyMessage)
        is_new = await self._csms.transactions.register_key(message.gateway, message.meter, message.public_key)
        return json_response({"registered": is_new}, 201 if is_new else 200)

    async def charge_details(self, request: Request) -> Response:
        page = _page(request)
        found = await self._database.read(lambda connection: queries.charge_details(connection, page))
        return json_response({"charge_details": found})

    async def charge_details_csv(self, request: Request) -> Response:
        page = _page(request)
        found = await self._database.read(lambda connection: queries.charge_details(connection, page))
        text = io.StringIO()
        writer = csv.DictWriter(text, CSV_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({name: _cell(row[name]) for name in CSV_COLUMNS} for row in found)
        return Response(text.getvalue(), media_type="text/csv")


def _guarded(handler: Handler, token: str) -> Handler:
    """Checks the credential first and turns every expected error into a JSON answer."""

    async def guarded(request: Request) -> Response:
        if not _carries(request, token):
            headers = {"WWW-Authenticate": "Bearer"}  # RFC 6750 section 3
            return error_response(401, "The bearer token is missing or wrong.", headers=headers)
        if any("\0" in value for value in (*request.path_params.values(), *request.query_params.values())):
            return error_response(400, "A name holds a NUL.")
        try:
            return await handler(request)
        except BodyRefused as error:
            return error_response(error.status, str(error))
        except (MalformedBody, KeyFormatError, LocalError, _QueryRefused) as error:
            return error_response(400, str(error))
        except StoreError:
            return error_response(503, "The database is not available.")
        except RigError as error:  # the station is not there, or silent
            return error_response(504, str(error))
        except ClientDisconnect:
            return Response(status_code=400)

    return guarded


def _carries(request: Request, token: str) -> bool:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(credential.encode(), token.encode())


def _page(request: Request) -> Page:
    values = {}
    for name, default, most in (("after", 0, 1 << 62), ("limit", 100, MAX_LIMIT)):
        text = request.query_params.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
            raise _QueryRefused(f"{name} is {text[:40]!r}, not a number up to {most}")
        values[name] = int(text)
    return Page(**values)


def _answer(answer: RemoteAnswer) -> Response:
    return json_response(answer, 200 if answer.accepted else 409)


def _cell(value: Any) -> str:
    """A text that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
