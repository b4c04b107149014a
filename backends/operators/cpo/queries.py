"""What the operator's API reads of the ledger: pages of rows, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from backends.operators.cpo.schema import (
    CHARGE_DETAILS,
    INCIDENTS,
    MESSAGES,
    OUTBOX,
    REPORTS,
    SIGNED_VALUES,
    TRANSACTIONS,
)

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows behind `after`, at most `limit`."""

    after: int = 0
    limit: int = 100


def transactions(connection: sa.Connection, page: Page, station: str | None, state: str | None) -> Rows:
    """Transactions of a station, in a state, or all."""
    query = _page(TRANSACTIONS, page)
    if station is not None:
        query = query.where(TRANSACTIONS.c.station == station)
    if state is not None:
        query = query.where(TRANSACTIONS.c.state == state)
    return _rows(connection, query)


def transaction(connection: sa.Connection, station: str, transaction_id: str) -> dict[str, Any] | None:
    """One transaction with its messages and signed values; None when there is none."""
    found = _rows(connection, sa.select(TRANSACTIONS).where(*_of(TRANSACTIONS, station, transaction_id)))
    if not found:
        return None
    columns = [column for column in MESSAGES.c if column.name not in {"payload", "answer"}]
    messages = sa.select(*columns).where(*_of(MESSAGES, station, transaction_id)).order_by(MESSAGES.c.seq)
    values = sa.select(SIGNED_VALUES).where(*_of(SIGNED_VALUES, station, transaction_id))
    return {
        **found[0],
        "messages": _rows(connection, messages),
        "signed_values": _rows(connection, values.order_by(SIGNED_VALUES.c.seq)),
    }


def incidents(connection: sa.Connection, page: Page) -> Rows:
    """What does not fit together."""
    return _rows(connection, _page(INCIDENTS, page))


def reports(connection: sa.Connection, page: Page, station: str) -> Rows:
    """Security events and device reports of a station."""
    return _rows(connection, _page(REPORTS, page).where(REPORTS.c.station == station))


def charge_details(connection: sa.Connection, page: Page) -> Rows:
    """Charge details as they were made, with what became of each delivery."""
    found = _rows(connection, _page(CHARGE_DETAILS, page))
    ids = [row["id"] for row in found]
    deliveries: dict[str, Rows] = {one: [] for one in ids}
    columns = (OUTBOX.c.detail_id, OUTBOX.c.sink, OUTBOX.c.state, OUTBOX.c.attempts, OUTBOX.c.due, OUTBOX.c.why)
    for row in _rows(connection, sa.select(*columns).where(OUTBOX.c.detail_id.in_(ids)).order_by(OUTBOX.c.seq)):
        deliveries[row.pop("detail_id")].append(row)
    return [
        {"seq": row["seq"], "made": row["made"], **row["body"], "deliveries": deliveries[row["id"]]} for row in found
    ]


def _of(table: sa.Table, station: str, transaction_id: str) -> Sequence[sa.ColumnElement[bool]]:
    return (table.c.station == station, table.c.transaction_id == transaction_id)


def _page(table: sa.Table, page: Page) -> sa.Select[Any]:
    return sa.select(table).where(table.c.seq > page.after).order_by(table.c.seq).limit(page.limit)


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Rows:
    return [dict(row) for row in connection.execute(query).mappings()]
