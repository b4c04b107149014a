"""The audit log: who changed what, written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from backends.store.schema import AUDIT


def record(
    connection: sa.Connection,
    *,
    at: int,
    actor: str,
    operation: str,
    subject: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Add an entry. at: UTC seconds since 1970. subject: what was changed. before, after: plain values, no secrets."""
    connection.execute(
        AUDIT.insert().values(
            at=at, actor=actor[:128], operation=operation, subject=subject[:64], before=before, after=after
        )
    )
