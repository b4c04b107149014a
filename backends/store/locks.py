"""Serialise the writers of one thing across all servers of one database."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa


def lock(connection: sa.Connection, subject: str) -> None:
    """Hold `subject` ("pcid:WMI...") until the transaction ends.

    SQLite has one writer at a time anyway. Who takes several locks takes them in sorted order.
    """
    if connection.dialect.name == "postgresql":
        number = int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big", signed=True)
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
