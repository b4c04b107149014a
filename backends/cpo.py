"""HTTP face of the CPO: takes signed records and answers questions about them. JSON in, JSON out, strict."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from backend_client.cpo_messages import (
    MAX_MESSAGE,
    AnswerMessage,
    KeyText,
    MessageError,
    Name,
    RecordMessage,
    decode,
)
from backends import cpo_store
from backends.cpo_receiver import CpoReceiver, CpoTransaction, RecordRefused, Refusal
from backends.cpo_store import StoredRecord
from backends.faults import BackendFaults, FaultKind, no_backend_fault
from backends.store.database import Database, StoreError
from ocmf.container import FormatError
from ocmf.keys import KeyFormatError, decode_public_key
from ocmf.verify import InvalidRecordError
from ports.clock import Clock

MAX_LIMIT = 1000
STATUS: dict[Refusal, int] = {
    Refusal.FORMAT: 422,
    Refusal.MISMATCH: 422,
    Refusal.SIGNATURE: 422,
    Refusal.PAGE: 409,
    Refusal.KEY: 424,  # Failed Dependency: right as it is, once somebody has registered the key
}
Handler = Callable[[Request], Awaitable[Response]]


class KeyMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to register for the records of one gateway and meter, in any encoding of the field."""

    gateway: Name
    meter: Name
    public_key: Annotated[KeyText, msgspec.Meta(min_length=1)]


class HttpError(Exception):
    """Ends a request with this status."""

    def __init__(self, status: int, error: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.error = error


def cpo_app(
    receiver: CpoReceiver,
    database: Database,
    clock: Clock,
    *,
    token: str | None = None,
    faults: BackendFaults = no_backend_fault,
) -> Starlette:
    """The application. token: bearer token that every request must carry; None = open (a rig on one machine).

    It closes the database at shutdown.
    """
    api = _Api(receiver, database, clock, faults)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> Any:
        yield
        await database.close()

    def route(path: str, handler: Handler, method: str, *, open_to_all: bool = False) -> Route:
        return Route(path, _guarded(handler, None if open_to_all else token), methods=[method])

    return Starlette(
        routes=[
            route("/health", api.health, "GET", open_to_all=True),
            route("/v1/records/{record_id}", api.put_record, "PUT"),
            route("/v1/records/{record_id}", api.get_record, "GET"),
            route("/v1/records", api.get_records, "GET"),
            route("/v1/transactions", api.get_transactions, "GET"),
            route("/v1/transactions/{transaction_id:path}", api.get_transaction, "GET"),
            route("/v1/keys", api.get_keys, "GET"),
            route("/v1/keys", api.put_key, "PUT"),
            route("/v1/incidents", api.get_incidents, "GET"),
        ],
        lifespan=lifespan,
    )


class _Api:
    """One method per route."""

    def __init__(self, receiver: CpoReceiver, database: Database, clock: Clock, faults: BackendFaults) -> None:
        self._receiver = receiver
        self._database = database
        self._clock = clock
        self._faults = faults

    async def health(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def put_record(self, request: Request) -> Response:
        record_id = request.path_params["record_id"]
        message = decode(await _body(request), RecordMessage)
        if message.record_id != record_id:
            raise HttpError(422, Refusal.MISMATCH, f"the path names record {record_id!r}, the body another one")
        fault = self._faults()
        if fault.kind is FaultKind.ERROR:
            raise HttpError(fault.status, "fault", "injected: error without effect")
        if fault.kind is FaultKind.SLOW:
            await self._clock.sleep(fault.seconds)
        try:
            if fault.kind is FaultKind.DUPLICATE:
                await self._receiver.receive(message.record())
            ack = await self._receiver.receive(message.record())
        except RecordRefused as refused:
            answer = AnswerMessage(record_id, error=refused.refusal.value, reason=refused.reason, retry=refused.retry)
            return _json(answer, STATUS[refused.refusal])
        if fault.kind is FaultKind.LOST_ACK:
            raise HttpError(504, "fault", "injected: the answer was lost")
        return _json(AnswerMessage(record_id, ack=ack), 201 if ack == "stored" else 200)

    async def get_record(self, request: Request) -> Response:
        stored = await self._database.read(
            lambda connection: cpo_store.find(connection, _name(request.path_params["record_id"]) or "")
        )
        if stored is None:
            raise HttpError(404, "not found", "there is no such record")
        return _json(_record(stored))

    async def get_records(self, request: Request) -> Response:
        after, limit = _page(request)
        transaction_id = _name(request.query_params.get("transaction"))
        found = await self._database.read(
            lambda connection: cpo_store.records(connection, transaction_id=transaction_id, after=after, limit=limit)
        )
        return _json({"records": [_record(stored) for stored in found]})

    async def get_transactions(self, request: Request) -> Response:
        after, limit = _page(request)
        found = await self._database.read(
            lambda connection: cpo_store.transaction_ids(connection, after=after, limit=limit)
        )
        return _json({"transactions": [{"seq": seq, "transaction_id": name} for seq, name in found]})

    async def get_transaction(self, request: Request) -> Response:
        transaction_id = _name(request.path_params["transaction_id"]) or ""
        transaction = await self._receiver.transaction(transaction_id)
        if transaction.verdict is None:
            raise HttpError(404, "not found", "there is no such transaction")
        return _json(_transaction(transaction))

    async def get_keys(self, request: Request) -> Response:
        gateway, meter = (_name(request.query_params.get(name)) for name in ("gateway", "meter"))
        found = await self._database.read(lambda connection: cpo_store.keys(connection, gateway, meter))
        return _json(
            {"keys": [asdict(key) | {"fingerprint": decode_public_key(key.public_key).fingerprint} for key in found]}
        )

    async def put_key(self, request: Request) -> Response:
        message = decode(await _body(request), KeyMessage)
        try:
            new = await self._receiver.register_key(message.gateway, message.meter, message.public_key)
        except KeyFormatError as error:
            raise HttpError(422, "key", str(error)) from error
        return _json({"registered": new}, 201 if new else 200)

    async def get_incidents(self, request: Request) -> Response:
        after, limit = _page(request)
        found = await self._database.read(lambda connection: cpo_store.incidents(connection, after=after, limit=limit))
        return _json({"incidents": found})


def _guarded(handler: Handler, token: str | None) -> Handler:
    """Checks the credential first and turns every expected error into a JSON answer."""

    async def guarded(request: Request) -> Response:
        try:
            if token is not None and not _carries(request, token):
                raise HttpError(401, "unauthorised", "the bearer token is missing or wrong")
            return await handler(request)
        except HttpError as error:
            return _error(request, error.status, error.error, str(error))
        except MessageError as error:
            return _error(request, 413 if "octets, more than" in str(error) else 400, "message", str(error))
        except StoreError as error:
            return _error(request, 503, "store", str(error))
        except (InvalidRecordError, FormatError) as error:
            return _error(request, 500, "store", f"a kept record was changed behind our back: {error}")
        except ClientDisconnect:
            return Response(status_code=400)

    return guarded


def _carries(request: Request, token: str) -> bool:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(credential.encode(), token.encode())


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HttpError(415, "message", f"Content-Type is {kind!r}, not application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_MESSAGE:
            raise HttpError(413, "message", f"the body is longer than {MAX_MESSAGE} octets")
    return bytes(body)


def _name(text: str | None) -> str | None:
    """A name to look for; what no record can have is refused before a database sees it."""
    try:
        return None if text is None else msgspec.convert(text, Name)
    except msgspec.ValidationError as error:
        raise HttpError(400, "query", f"{text[:40]!r}: {error}" if text else str(error)) from error


def _page(request: Request) -> tuple[int, int]:
    values: list[int] = []
    for name, default, most in (("after", 0, 1 << 62), ("limit", 100, MAX_LIMIT)):
        text = request.query_params.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
            raise HttpError(400, "query", f"{name} is {text[:40]!r}, not a number up to {most}")
        values.append(int(text))
    return values[0], values[1]


def _record(stored: StoredRecord) -> dict[str, object]:
    return asdict(stored.record) | {
        "seq": stored.seq,
        "received_at": stored.received_at,
        "deliveries": stored.deliveries,
    }


def _transaction(transaction: CpoTransaction) -> dict[str, object]:
    verdict = transaction.verdict
    assert verdict is not None  # noqa: S101 - asked for above
    return {
        "transaction_id": transaction.transaction_id,
        "status": verdict.status,
        # text, because a JSON number would be read as a float
        "energy_kwh": None if verdict.energy_kwh is None else f"{verdict.energy_kwh:f}",
        "duration_s": None if verdict.duration is None else verdict.duration.total_seconds(),
        "time_billable": verdict.time_billable,
        "findings": [finding.as_dict() for finding in verdict.findings],
        "records": [stored.record.record_id for stored in transaction.records],
    }


def _error(request: Request, status: int, error: str, reason: str) -> Response:
    record_id = request.path_params.get("record_id", "")
    return _json({"record_id": record_id, "error": error, "reason": reason, "retry": status >= 500}, status)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, {"Cache-Control": "no-store"}, media_type="application/json")
