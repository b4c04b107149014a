"""Customers, their contracts (EMAIDs) and tokens (cards, app), and who may charge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from backend_client.ocpi_messages import Allowed, TokenType
from backends.operators.mo.tables import CONTRACTS, CUSTOMERS, TOKENS
from backends.pools.identifiers import EMAID_FORM, emaid_key
from ports.errors import PeerError
from v2g.check_digit import check_digit_holds


class Status(StrEnum):
    """Of a contract or of a token. Expiry is a matter of time, not a status."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    REVOKED = "revoked"  # its certificate: the contract is over for good
    NO_CREDIT = "no credit"


class CustomerError(PeerError):
    """A customer, contract or token that cannot be kept as wanted."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose an identification is. status: the worse one of token and contract; valid from, to: UTC seconds."""

    customer: str
    emaid: str
    uid: str
    type: TokenType
    status: Status
    valid_from: int
    valid_to: int
    updated: int

    def allowed(self, at: int) -> Allowed:
        """OCPI's word at this time (12.4.1), which has none for a revoked certificate."""
        if self.status in {Status.BLOCKED, Status.REVOKED}:
            return "BLOCKED"
        if not self.valid_from <= at < self.valid_to:
            return "EXPIRED"
        return "NO_CREDIT" if self.status is Status.NO_CREDIT else "ALLOWED"


def uid_key(uid: str) -> str:
    """What identifications are compared by: upper case, no hyphens, no check digit behind an EMAID."""
    key = uid.replace("-", "").upper()
    return key[:-1] if EMAID_FORM.fullmatch(key) and check_digit_holds(key) else key


def add_customer(connection: sa.Connection, id: str, login: str, name: str, secret_hash: str) -> None:  # noqa: A002
    """secret_hash: of `backends.sealing.hash_secret`, "" = may not log in. Raises CustomerError: the login is taken."""
    if connection.execute(sa.select(CUSTOMERS.c.id).where(CUSTOMERS.c.login == login)).first():
        raise CustomerError(f"login {login!r} is taken")
    connection.execute(CUSTOMERS.insert().values(id=id, login=login, name=name, secret_hash=secret_hash))


def add_contract(connection: sa.Connection, customer: str, emaid: str, valid_from: int, valid_to: int, at: int) -> None:
    """A contract, and its EMAID as a token of its own (Plug & Charge). Raises CustomerError: taken, nobody's."""
    key = emaid_key(emaid)
    if connection.execute(sa.select(CUSTOMERS.c.id).where(CUSTOMERS.c.id == customer)).first() is None:
        raise CustomerError(f"there is no customer {customer!r}")
    if connection.execute(sa.select(CONTRACTS.c.emaid).where(CONTRACTS.c.emaid == key)).first():
        raise CustomerError(f"contract {key} exists")
    row = {"emaid": key, "customer": customer, "status": Status.ACTIVE, "pcid": "", "updated": at}
    connection.execute(CONTRACTS.insert().values(**row, valid_from=valid_from, valid_to=valid_to))
    add_token(connection, key, key, "OTHER", at)


def add_token(connection: sa.Connection, emaid: str, uid: str, type: TokenType, at: int) -> None:  # noqa: A002
    """A card or an app of a contract. Raises CustomerError when the token exists."""
    key = uid_key(uid)
    if connection.execute(sa.select(TOKENS.c.uid).where(TOKENS.c.uid == key)).first():
        raise CustomerError(f"token {key} exists")
    row = {"uid": key, "type": type, "emaid": emaid_key(emaid), "status": Status.ACTIVE, "updated": at}
    connection.execute(TOKENS.insert().values(row))


def set_contract(connection: sa.Connection, emaid: str, at: int, **changes: Any) -> None:
    """Change status, valid_to or pcid; for partners its tokens have changed, too. Raises CustomerError."""
    done = connection.execute(
        CONTRACTS.update().where(CONTRACTS.c.emaid == emaid_key(emaid)).values(**changes, updated=at)
    )
    if not done.rowcount:
        raise CustomerError(f"there is no contract {emaid}")
    connection.execute(TOKENS.update().where(TOKENS.c.emaid == emaid_key(emaid)).values(updated=at))


def set_token(connection: sa.Connection, uid: str, status: Status, at: int) -> None:
    """Block a card, or allow it again. Raises CustomerError when there is none."""
    done = connection.execute(TOKENS.update().where(TOKENS.c.uid == uid_key(uid)).values(status=status, updated=at))
    if not done.rowcount:
        raise CustomerError(f"there is no token {uid}")


def holder(connection: sa.Connection, uid: str) -> Holder | None:
    """Whose it is: a card's UID, an app's token or an EMAID."""
    found = holders(connection, TOKENS.c.uid == uid_key(uid), 0, 1)
    return found[0] if found else None


def holders(connection: sa.Connection, where: sa.ColumnElement[bool], offset: int, limit: int) -> list[Holder]:
    """Tokens with their contracts, those that were changed last at the end (OCPI 12.2.2)."""
    query = (
        sa.select(TOKENS, CONTRACTS.c.customer, CONTRACTS.c.status.label("contract_status"))
        .add_columns(CONTRACTS.c.valid_from, CONTRACTS.c.valid_to)
        .join(CONTRACTS, TOKENS.c.emaid == CONTRACTS.c.emaid)
        .where(where)
        .order_by(TOKENS.c.updated, TOKENS.c.uid)
        .offset(offset)
        .limit(limit)
    )
    return [
        Holder(
            customer=row.customer,
            emaid=row.emaid,
            uid=row.uid,
            type=row.type,
            status=_worse(Status(row.contract_status), Status(row.status)),
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            updated=row.updated,
        )
        for row in connection.execute(query)
    ]


_WORST_FIRST = (Status.REVOKED, Status.BLOCKED, Status.NO_CREDIT, Status.ACTIVE)


def _worse(one: Status, other: Status) -> Status:
    return min(one, other, key=_WORST_FIRST.index)
