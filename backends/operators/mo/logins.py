"""Logins of customers: slow hashes for secrets, short-lived tokens that are kept as hashes, a brake on guessing."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict

import sqlalchemy as sa

from backends.operators.mo.tables import CUSTOMERS, LOGINS
from backends.sealing import hash_secret, secret_matches
from backends.store.database import Database
from ports.clock import Clock
from ports.errors import PeerError

MAX_SECRET = 256
FREE_ATTEMPTS = 5
BRAKE_S = 30.0  # of silence for a login after too many wrong secrets
REMEMBERED = 10_000
_NOBODY = hash_secret(secrets.token_hex(16))  # so that an unknown login takes as long as a known one


class LoginRefused(PeerError):
    """status: HTTP, 401 or 429."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Logins:
    """Of all customers."""

    def __init__(self, database: Database, clock: Clock, login_s: int) -> None:
        self._database = database
        self._clock = clock
        self._login_s = login_s
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def log_in(self, login: str, secret: str) -> tuple[str, int]:
        """A bearer token and the seconds that it holds. Raises LoginRefused."""
        count, since = self._wrong.get(login, (0, 0.0))
        if count >= FREE_ATTEMPTS and self._clock.monotonic() < since + BRAKE_S:
            raise LoginRefused(429, "too many wrong secrets; wait a moment")
        query = sa.select(CUSTOMERS.c.id, CUSTOMERS.c.secret_hash).where(CUSTOMERS.c.login == login)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        with self._clock.hold():
            known = row.secret_hash if row is not None and "$" in row.secret_hash else _NOBODY
            matches = await asyncio.to_thread(secret_matches, secret[:MAX_SECRET], known)
        if row is None or not matches:
            self._wrong[login] = (count + 1, self._clock.monotonic())
            self._wrong.move_to_end(login)
            if len(self._wrong) > REMEMBERED:
                self._wrong.popitem(last=False)
            raise LoginRefused(401, "login or secret is wrong")
        self._wrong.pop(login, None)
        token, now = secrets.token_urlsafe(32), int(self._clock.now().timestamp())
        entry = {"token_hash": _hash(token), "customer": row.id, "until": now + self._login_s}

        def work(connection: sa.Connection) -> None:
            connection.execute(LOGINS.delete().where(LOGINS.c.until <= now))
            connection.execute(LOGINS.insert().values(entry))

        await self._database.write(work)
        return token, self._login_s

    async def customer(self, token: str) -> str:
        """Who shows this token. Raises LoginRefused."""
        now = int(self._clock.now().timestamp())
        query = sa.select(LOGINS.c.customer).where(LOGINS.c.token_hash == _hash(token), LOGINS.c.until > now)
        found = await self._database.look_up(lambda connection: connection.execute(query).scalar_one_or_none())
        if found is None:
            raise LoginRefused(401, "log in first")
        return str(found)

    async def log_out(self, token: str) -> None:
        """The token is worth nothing from now on."""
        mine = LOGINS.c.token_hash == _hash(token)
        await self._database.write(lambda connection: connection.execute(LOGINS.delete().where(mine)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
