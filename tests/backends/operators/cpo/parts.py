"""What tests of the CPO are made of: a CPO that runs, somebody to ask, somebody who takes charge details."""

from __future__ import annotations

import asyncio
import base64
import functools
import inspect
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from ssl import SSLContext
from typing import Any

import sqlalchemy as sa
from websockets.asyncio.client import ClientConnection, connect

from backends.operators.cpo.cpo import RunningCpo, serve_cpo
from backends.operators.cpo.schema import TRANSACTIONS
from backends.operators.cpo.settings import CpoSettings, StationAccount, with_password
from backends.operators.cpo.tables import prepare
from backends.store.database import Database
from hil_rigs.virtual_clock import run_virtual
from ports.authorisation import Authorisation, AuthorisationRequest, AuthorisationStatus
from ports.backend import Ack, SignedRecord
from ports.charge_detail import ChargeDetail
from ports.clock import Clock
from ports.errors import PlugbenchError
from ports.trace import TraceEvent
from tests.postgres import as_it_is

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
PASSWORD = "a password of 16+"
ACCOUNT: StationAccount = with_password("CP1", PASSWORD, evse_ids=("DE*PLB*E1",))
BASIC = {"Authorization": "Basic " + base64.b64encode(f"CP1:{PASSWORD}".encode()).decode()}


@dataclass
class Word:
    """An authoriser with fixed answers; everybody else is unknown to it."""

    name: str = "mo"
    ocmf_flag: str = "OCPP_AUTH"
    answers: dict[str, Authorisation] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[AuthorisationRequest] = field(default_factory=list)

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return self.answers.get(request.id, Authorisation(AuthorisationStatus.UNKNOWN))


@dataclass
class Taker:
    """A sink that fails as often as it is told, then takes each id once."""

    failures: list[PlugbenchError] = field(default_factory=list)
    taken: list[ChargeDetail] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def push(self, detail: ChargeDetail) -> Ack:
        if self.failures:
            raise self.failures.pop(0)
        if any(one.id == detail.id for one in self.taken):
            return Ack.DUPLICATE
        self.taken.append(detail)
        self.arrived.set()
        return Ack.STORED


def accepting(*ids: str) -> Word:
    return Word(answers={one: Authorisation(AuthorisationStatus.ACCEPTED) for one in ids})


@dataclass
class Cpo:
    """A running CPO with what tests look at."""

    running: RunningCpo
    database: Database
    taker: Taker
    events: list[TraceEvent]

    async def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        query = sa.select(table)
        return await self.database.read(lambda connection: [dict(row._mapping) for row in connection.execute(query)])

    async def register(self, maker: Any) -> None:
        await self.running.csms.transactions.register_key(maker.gateway, maker.meter, maker.public_key)

    async def state(self, transaction_id: str, station: str = "CP1") -> tuple[str, list[str]]:
        """State and flags of a transaction."""
        (row,) = [
            one
            for one in await self.rows(TRANSACTIONS)
            if (one["station"], one["transaction_id"]) == (station, transaction_id)
        ]
        return row["state"], row["flags"]

    def traced(self, kind: str) -> list[Mapping[str, Any]]:
        return [event.data for event in self.events if event.kind == kind]


@functools.cache
def _template() -> bytes:
    """A SQLite file with the CPO's tables."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cpo.db"
        engine = sa.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            prepare(connection)
        engine.dispose()
        return path.read_bytes()


def fresh_url(folder: Path) -> str:
    """Of a fresh SQLite database with the CPO's tables."""
    (folder / "cpo.db").write_bytes(_template())
    return f"sqlite:///{folder / 'cpo.db'}"


@asynccontextmanager
async def running_cpo(
    folder: Path, clock: Clock, settings: CpoSettings | None = None, url: str = "", **parts: Any
) -> AsyncIterator[Cpo]:
    """A CPO with one station CP1 on a fresh SQLite."""
    database = Database(url or fresh_url(folder), clock, as_it_is)
    taker, events = parts.pop("taker", None) or Taker(), []  # type: ignore[var-annotated]
    try:
        running = await serve_cpo(
            settings or CpoSettings(stations=[ACCOUNT]),
            database,
            clock,
            **{"sinks": {"mo": taker}, "tracer": events.append, "random": Random(1), **parts},
        )
        try:
            yield Cpo(running, database, taker, events)
        finally:
            await running.close()
    finally:
        await database.close()


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in virtual time; it takes the folder and the clock, then its fixtures by name."""

    @functools.wraps(test)
    def run(tmp_path: Path, **fixtures: Any) -> None:
        run_virtual(lambda clock: test(tmp_path, clock, **fixtures), start=START)

    signature = inspect.signature(test)
    parameters = [one for name, one in signature.parameters.items() if name != "clock"]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


class Wire:
    """A bare station: sends frames as they are."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.count = 0

    async def ask(self, action: str, payload: Mapping[str, Any], message_id: str = "") -> list[Any]:
        """The frame that answers."""
        self.count += 1
        sent = message_id or f"m{self.count}"
        await self.socket.send(json.dumps([2, sent, action, payload]))
        async with asyncio.timeout(3600):  # longer than anything that a test waits for
            found: list[Any] = json.loads(await self.socket.recv())
        assert found[0] == 2 or found[1] == sent
        return found


@asynccontextmanager
async def station(
    cpo: RunningCpo,
    version: str = "ocpp2.0.1",
    identity: str = "CP1",
    headers: Mapping[str, str] | None = None,
    ssl: SSLContext | None = None,
) -> AsyncIterator[Wire]:
    """A connection of a station."""
    async with connect(
        cpo.url + identity,
        subprotocols=[version],  # type: ignore[list-item]
        additional_headers=BASIC if headers is None else headers,
        compression=None,
        proxy=None,
        ssl=ssl,
    ) as socket:
        yield Wire(socket)


def signed(record: SignedRecord) -> dict[str, str]:
    """As OCPP 2.0.1 carries it, with a key that must not be trusted."""
    return {
        "signedMeterData": base64.b64encode(record.ocmf.encode()).decode(),
        "signingMethod": "",
        "encodingMethod": "OCMF",
        "publicKey": "",
    }


def event(
    kind: str, seq_no: int, records: Sequence[SignedRecord] = (), transaction: str = "t1", **more: Any
) -> dict[str, Any]:
    """A TransactionEventRequest."""
    at = f"2026-01-01T12:0{seq_no % 10}:00Z"
    payload: dict[str, Any] = {
        "eventType": kind,
        "timestamp": at,
        "triggerReason": "Authorized",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": transaction},
        "evse": {"id": 1, "connectorId": 1},
        **more,
    }
    if records:
        payload["meterValue"] = [
            {
                "timestamp": at,
                "sampledValue": [{"value": 1.5, "context": one.context, "signedMeterValue": signed(one)}],
            }
            for one in records
        ]
    return payload
