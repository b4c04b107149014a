"""What the CPO writes down of transactions: messages that had an effect, signed values, incidents. SQL only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from backends.operators.cpo.schema import INCIDENTS, MESSAGES, SIGNED_VALUES, TRANSACTIONS
from backends.operators.cpo.signed_values import SignedMeterValue

VALID = "valid"
RUNNING, WITHHELD, BILLED = "running", "withheld", "billed"
Answer = Mapping[str, Any]


def _same(table: sa.Table, *names: str) -> sa.ColumnElement[bool]:
    """These columns have the values given by name."""
    return sa.and_(*(table.c[name] == sa.bindparam(name) for name in names))


# made once: to build a statement costs more than to run it
_MINE = _same(SIGNED_VALUES, "station", "transaction_id")
_VALUES = sa.select(SIGNED_VALUES).where(_MINE).order_by(SIGNED_VALUES.c.seq)
_SEQ_OF_VALUE = sa.select(SIGNED_VALUES.c.seq).where(_MINE, _same(SIGNED_VALUES, "record_id"))
_OTHER = SIGNED_VALUES.alias("other")
_ELSEWHERE = sa.select(SIGNED_VALUES.c.record_id, _OTHER.c.station, _OTHER.c.transaction_id).where(
    _MINE, _OTHER.c.record_id == SIGNED_VALUES.c.record_id, _OTHER.c.seq < SIGNED_VALUES.c.seq
)
_TRANSACTION = sa.select(TRANSACTIONS).where(_same(TRANSACTIONS, "station", "transaction_id"))
_SEQ_OF_MESSAGE = sa.select(MESSAGES.c.seq).where(_same(MESSAGES, "station", "key", "digest"))
_ANSWER_TO_MESSAGE = sa.select(MESSAGES.c.answer).where(_same(MESSAGES, "station", "key", "digest"))
_FIRST_ANSWER = sa.select(MESSAGES.c.answer).where(_same(MESSAGES, "station", "key")).order_by(MESSAGES.c.seq).limit(1)
_SEQ_NUMBERS = (
    sa.select(MESSAGES.c.seq_no)
    .where(_same(MESSAGES, "station", "transaction_id"), MESSAGES.c.seq_no.is_not(None))
    .distinct()
    .order_by(MESSAGES.c.seq_no)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one message does.

    key: of which a station may send one message only, however often; "" = messages differ by their content.

    transaction_id: "" for one that the CPO has to number (OCPP 1.6 StartTransaction). began, ended: ISO 8601 as the
    station says, "" when the message does not say so. payload: of the message, without what may differ in a repeat.
    """

    station: str
    version: str
    action: str
    payload: Mapping[str, Any]
    key: str = ""
    transaction_id: str = ""
    seq_no: int | None = None
    evse: int = 0
    connector: int = 0
    id_token: str = field(default="", repr=False)
    id_type: str = ""
    remote_start_id: int | None = None
    began: str = ""
    ended: str = ""
    stop_reason: str = ""

    @property
    def text(self) -> str:
        """The payload with sorted keys: equal for equal content."""
        return json.dumps(self.payload, sort_keys=True, separators=(",", ":"), default=str)

    @property
    def digest(self) -> str:
        """SHA-256 of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def identity(self) -> str:
        """What tells a repeat from another message of the station."""
        return self.key or f"{self.action}:{self.digest}"


@dataclass(frozen=True, slots=True)
class CheckedValue:
    """A signed value and what the check by our keys said: VALID, or the refusal with its reason."""

    value: SignedMeterValue
    record_id: str
    gateway: str = ""
    meter: str = ""
    page: str = ""
    verdict: str = VALID
    reason: str = ""


def is_known(connection: sa.Connection, station: str, key: str, digest: str) -> bool:
    """Whether this message was kept before."""
    message = {"station": station, "key": key, "digest": digest}
    return connection.execute(_SEQ_OF_MESSAGE, message).first() is not None


def repeated(connection: sa.Connection, station: str, key: str, digest: str) -> Answer | None:
    """The answer that this message got before; counts the delivery. None when it is new."""
    message = {"station": station, "key": key, "digest": digest}
    text = connection.execute(_ANSWER_TO_MESSAGE, message).scalar_one_or_none()
    if text is None:
        return None
    mine = (MESSAGES.c.station == station) & (MESSAGES.c.key == key) & (MESSAGES.c.digest == digest)
    connection.execute(MESSAGES.update().where(mine).values(deliveries=MESSAGES.c.deliveries + 1))
    answer: Answer = json.loads(text)
    return answer


def first_with_key(connection: sa.Connection, station: str, key: str) -> Answer | None:
    """The answer to the first message with this key, whatever it said."""
    text = connection.execute(_FIRST_ANSWER, {"station": station, "key": key}).scalar()
    return None if text is None else json.loads(text)


def keep(connection: sa.Connection, effect: Effect, answer: Callable[[str], Answer], at: str) -> tuple[str, Answer]:
    """Write the message and its effect on the transaction; returns the transaction's id and the answer."""
    transaction_id = _apply(connection, effect)
    said = answer(transaction_id)
    row = {
        "station": effect.station,
        "key": effect.identity,
        "digest": effect.digest,
        "action": effect.action,
        "transaction_id": transaction_id,
        "seq_no": effect.seq_no,
        "payload": effect.text,
        "answer": json.dumps(said),
        "deliveries": 1,
        "received": at,
    }
    connection.execute(MESSAGES.insert(), row)
    return transaction_id, said


def _apply(connection: sa.Connection, effect: Effect) -> str:
    found = find(connection, effect.station, effect.transaction_id) if effect.transaction_id else None
    told = {
        "evse": effect.evse or None,
        "connector": effect.connector or None,
        "remote_start_id": effect.remote_start_id,
        "began": effect.began or None,
        "ended": effect.ended or None,
        "stop_reason": effect.stop_reason or None,
    }
    if found is not None:
        changes = {name: value for name, value in told.items() if value is not None}
        if effect.id_token and not found.id_token:
            changes |= {"id_token": effect.id_token, "id_type": effect.id_type}
        if changes:
            connection.execute(TRANSACTIONS.update().where(TRANSACTIONS.c.seq == found.seq).values(changes))
        return effect.transaction_id
    row = {
        "station": effect.station,
        "transaction_id": effect.transaction_id or f"?{effect.digest[:40]}",
        "version": effect.version,
        "evse": effect.evse,
        "connector": effect.connector,
        "id_token": effect.id_token,
        "id_type": effect.id_type,
        "remote_start_id": effect.remote_start_id,
        "began": effect.began,
        "ended": effect.ended,
        "stop_reason": effect.stop_reason,
        "state": RUNNING,
        "flags": [],
        "detail_id": "",
    }
    seq = connection.execute(TRANSACTIONS.insert().values(row).returning(TRANSACTIONS.c.seq)).scalar_one()
    if effect.transaction_id:
        return effect.transaction_id
    connection.execute(TRANSACTIONS.update().where(TRANSACTIONS.c.seq == seq).values(transaction_id=str(seq)))
    return str(seq)


def keep_value(connection: sa.Connection, station: str, transaction_id: str, checked: CheckedValue, at: str) -> bool:
    """Keep a signed value once for its transaction; False when the same record was there."""
    value = {"station": station, "transaction_id": transaction_id, "record_id": checked.record_id}
    if connection.execute(_SEQ_OF_VALUE, value).first() is not None:
        return False
    row = value | {
        "context": checked.value.context,
        "carriage": checked.value.carriage.value,
        "ocmf": checked.value.ocmf,
        "gateway": checked.gateway,
        "meter": checked.meter,
        "page": checked.page[:20],
        "verdict": checked.verdict,
        "reason": checked.reason,
        "received": at,
    }
    connection.execute(SIGNED_VALUES.insert(), row)
    return True


def set_verdict(connection: sa.Connection, seq: int, verdict: str, reason: str) -> None:
    """A value was checked again."""
    connection.execute(SIGNED_VALUES.update().where(SIGNED_VALUES.c.seq == seq).values(verdict=verdict, reason=reason))


def values(connection: sa.Connection, station: str, transaction_id: str) -> Sequence[sa.Row[Any]]:
    """The signed values of a transaction in the order they came."""
    return connection.execute(_VALUES, {"station": station, "transaction_id": transaction_id}).all()


def undecided(connection: sa.Connection, gateway: str, meter: str, verdicts: Sequence[str]) -> Sequence[sa.Row[Any]]:
    """Values of a source with these verdicts."""
    query = sa.select(SIGNED_VALUES).where(
        SIGNED_VALUES.c.gateway == gateway, SIGNED_VALUES.c.meter == meter, SIGNED_VALUES.c.verdict.in_(verdicts)
    )
    return connection.execute(query.order_by(SIGNED_VALUES.c.seq)).all()


def elsewhere(connection: sa.Connection, station: str, transaction_id: str) -> dict[str, str]:
    """Records of this transaction that stand in another one, too: record id -> the older transaction."""
    rows = connection.execute(_ELSEWHERE, {"station": station, "transaction_id": transaction_id})
    return {row.record_id: f"{row.station}/{row.transaction_id}" for row in rows}


def seq_numbers(connection: sa.Connection, station: str, transaction_id: str) -> list[int]:
    """The seqNo of its messages, ascending, each once."""
    rows = connection.scalars(_SEQ_NUMBERS, {"station": station, "transaction_id": transaction_id})
    return [int(number) for number in rows]


def find(connection: sa.Connection, station: str, transaction_id: str) -> sa.Row[Any] | None:
    """A transaction."""
    return connection.execute(_TRANSACTION, {"station": station, "transaction_id": transaction_id}).one_or_none()


def settle(connection: sa.Connection, seq: int, state: str, flags: Sequence[str], detail_id: str) -> None:
    """What the judgement came to."""
    connection.execute(
        TRANSACTIONS.update()
        .where(TRANSACTIONS.c.seq == seq)
        .values(state=state, flags=list(flags), detail_id=detail_id)
    )


def raise_incident(
    connection: sa.Connection, station: str, transaction_id: str, kind: str, detail: str, at: str
) -> bool:
    """Write an incident, once for the same thing; False when it was there."""
    digest = hashlib.sha256(json.dumps([station, transaction_id, kind, detail]).encode()).hexdigest()
    if connection.execute(sa.select(INCIDENTS.c.seq).where(INCIDENTS.c.digest == digest)).first() is not None:
        return False
    connection.execute(
        INCIDENTS.insert().values(
            digest=digest, station=station, transaction_id=transaction_id, kind=kind, detail=detail, at=at
        )
    )
    return True
