"""The mobility operator's own public keys of meters, with their history: the only keys that its bills rest on."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from backends.operators.mo.tables import KEYS
from ocmf.keys import KeyEntry, decode_public_key
from ports.errors import PeerError


class UnknownKeyError(PeerError):
    """No such key."""


def register_key(
    connection: sa.Connection,
    public_key: str,
    valid_from: datetime,
    *,
    meter: str = "",
    gateway: str = "",
    evse: str = "",
    valid_to: datetime | None = None,
    source: str = "registered",
) -> None:
    """Trust a key (any encoding of the field) for records of a meter, gateway or EVSE.

    A key that is there with the same place and begin is left as it is. Raises KeyFormatError; LocalError when no source
    is named.
    """
    entry = KeyEntry(  # refuses what names no source
        key=decode_public_key(public_key),
        valid_from=valid_from,
        valid_to=valid_to,
        meter=meter,
        gateway=gateway,
        evse=evse,
        source=source,
    )
    row = {
        "meter": meter,
        "gateway": gateway,
        "evse": evse,
        "public_key": entry.key.hex(),
        "valid_from": int(valid_from.timestamp()),
    }
    known = sa.and_(*(KEYS.c[name] == value for name, value in row.items()))
    if connection.execute(sa.select(KEYS.c.seq).where(known)).first() is None:
        until = None if valid_to is None else int(valid_to.timestamp())
        connection.execute(KEYS.insert().values(**row, valid_to=until, source=source))


def end_key(connection: sa.Connection, public_key: str, at: datetime, *, revoked: bool = False) -> None:
    """The key holds until `at`; a revoked one never held. Raises UnknownKeyError."""
    moment = int(at.timestamp())
    changes = {"revoked": moment} if revoked else {"valid_to": moment}
    mine = KEYS.c.public_key == decode_public_key(public_key).hex()
    if not connection.execute(KEYS.update().where(mine).values(**changes)).rowcount:
        raise UnknownKeyError(f"key {decode_public_key(public_key).fingerprint[:16]} is not registered")


def key_history(connection: sa.Connection, meter: str, gateway: str, evse: str) -> tuple[KeyEntry, ...]:
    """The keys that may have signed records of this source, without revoked ones."""
    where = sa.or_(
        sa.and_(KEYS.c.meter == meter, KEYS.c.meter != ""),
        sa.and_(KEYS.c.gateway == gateway, KEYS.c.gateway != ""),
        sa.and_(KEYS.c.evse == evse, KEYS.c.evse != ""),
    )
    return tuple(
        KeyEntry(
            key=decode_public_key(row.public_key),
            valid_from=datetime.fromtimestamp(row.valid_from, UTC),
            valid_to=None if row.valid_to is None else datetime.fromtimestamp(row.valid_to, UTC),
            meter=row.meter,
            gateway=row.gateway,
            evse=row.evse,
            source=row.source,
        )
        for row in connection.execute(sa.select(KEYS).where(where, KEYS.c.revoked.is_(None)))
    )
