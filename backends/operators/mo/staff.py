"""What the staff of a mobility operator does: customers, contracts, cards, keys. Needs no server, only its database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa

from backends.operators.mo import customers, key_database
from backends.operators.mo.cdrs import CdrReceiver
from backends.operators.mo.customers import Status
from backends.operators.mo.evidence import Evidence, evidence
from backends.sealing import hash_secret
from backends.store.database import Database
from ports.clock import Clock

T = TypeVar("T")


class MoStaff:
    """cdrs: what judges charge details when a key comes."""

    def __init__(self, database: Database, clock: Clock, random: Random, cdrs: CdrReceiver) -> None:
        """random: of ids."""
        self.database = database
        self.cdrs = cdrs
        self._clock = clock
        self._random = random

    async def add_customer(self, login: str, name: str, secret: str) -> str:
        """The customer's id. Raises CustomerError."""
        new_id = str(UUID(int=self._random.getrandbits(128), version=4))
        with self._clock.hold():
            hashed = await asyncio.to_thread(hash_secret, secret)
        await self._write(lambda connection: customers.add_customer(connection, new_id, login, name, hashed))
        return new_id

    async def add_contract(self, customer: str, emaid: str, valid_from: datetime, valid_to: datetime) -> None:
        """A contract with its app token. Raises CustomerError; Refused when it is no EMAID."""
        app = f"APP{self._random.getrandbits(64):016X}"  # 19 characters: an idTag of OCPP 1.6 has 20
        begins, ends = int(valid_from.timestamp()), int(valid_to.timestamp())

        def work(connection: sa.Connection, at: int) -> None:
            customers.add_contract(connection, customer, emaid, begins, ends, at)
            customers.add_token(connection, emaid, app, "APP_USER", at)

        await self._write(lambda connection: work(connection, self._now()))

    async def add_card(self, emaid: str, uid: str) -> None:
        """A card of a contract. uid: as readers write it, hexadecimal. Raises CustomerError."""
        await self._write(lambda connection: customers.add_token(connection, emaid, uid, "RFID", self._now()))

    async def set_contract(self, emaid: str, status: Status) -> None:
        """Block, revoke, allow again. Raises CustomerError."""
        await self._write(lambda connection: customers.set_contract(connection, emaid, self._now(), status=status))

    async def set_card(self, uid: str, status: Status) -> None:
        """Block a card, allow it again. Raises CustomerError."""
        await self._write(lambda connection: customers.set_token(connection, uid, status, self._now()))

    async def register_key(
        self,
        public_key: str,
        valid_from: datetime,
        *,
        meter: str = "",
        gateway: str = "",
        evse: str = "",
        valid_to: datetime | None = None,
        source: str = "registered",
    ) -> int:
        """Trust a key; what waited for it is judged, the number of charge details decided is returned.

        Raises KeyFormatError, LocalError.
        """
        await self._write(
            lambda connection: key_database.register_key(
                connection,
                public_key,
                valid_from,
                meter=meter,
                gateway=gateway,
                evse=evse,
                valid_to=valid_to,
                source=source,
            )
        )
        return await self.cdrs.judge_waiting()

    async def end_key(self, public_key: str, at: datetime, *, revoked: bool = False) -> None:
        """Trust it no longer. Raises UnknownKeyError."""
        await self._write(lambda connection: key_database.end_key(connection, public_key, at, revoked=revoked))

    async def evidence(self, bill_id: str) -> Evidence:
        """What proves a bill. Raises NoSuchBillError."""
        return await self.database.read(lambda connection: evidence(connection, bill_id))

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        return await self.database.write(work)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())
