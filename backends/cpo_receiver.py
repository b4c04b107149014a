"""The CPO's decision about a record that comes in, whatever carried it: check it by our own keys, keep it once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from backends import cpo_store
from backends.cpo_store import StoredKey, StoredRecord
from backends.store.database import Database
from ocmf.container import FormatError, Record, UnknownFormatError, parse
from ocmf.keys import KeyFormatError, PublicKey, decode_public_key
from ocmf.terms import TX_ENDS, Tx
from ocmf.transaction import TransactionVerdict, judge_transaction
from ocmf.verify import InvalidRecordError, UndecidableError, verify_record
from ports.backend import Ack, SignedRecord
from ports.clock import Clock
from ports.errors import PeerError
from ports.trace import TraceEvent, Tracer, no_trace


class KeyPolicy(StrEnum):
    """Which key a record of an unknown meter is checked with."""

    REGISTERED = "registered"  # none: it waits until somebody registers the key
    FIRST_USE = "first use"  # the one that the first record carries, kept for good


class Refusal(StrEnum):
    """Why a record is not taken."""

    FORMAT = "format"
    MISMATCH = "mismatch"
    SIGNATURE = "signature"
    PAGE = "page used twice"
    KEY = "key unknown"


class RecordRefused(PeerError):
    """The record is not taken. retry: whether the same record may be taken later."""

    def __init__(self, refusal: Refusal, reason: str, received: str = "") -> None:
        super().__init__(f"{refusal}: {reason}", received[:2000])
        self.refusal = refusal
        self.reason = reason

    @property
    def retry(self) -> bool:
        """A key can still be registered; nothing else gets better by waiting."""
        return self.refusal is Refusal.KEY


@dataclass(frozen=True, slots=True)
class CpoTransaction:
    """A transaction as it would be billed; `verdict` is None as long as no record is there."""

    transaction_id: str
    records: tuple[StoredRecord, ...]
    verdict: TransactionVerdict | None


# what the readings of a record must say for the context that its envelope claims
_CONTEXTS: dict[str, Collection[str]] = {"Transaction.Begin": {Tx.BEGIN}, "Transaction.End": TX_ENDS}


class CpoReceiver:
    """Takes records, from any number of senders at once. name: the source of its trace."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        policy: KeyPolicy = KeyPolicy.REGISTERED,
        name: str = "cpo",
        tracer: Tracer = no_trace,
    ) -> None:
        self._database = database
        self._clock = clock
        self._policy = policy
        self._name = name
        self._tracer = tracer

    async def receive(self, message: SignedRecord) -> Ack:
        """Check and keep a record. Raises RecordRefused or StoreError (nothing was kept, send it again)."""
        try:
            ack = await self._receive(message)
        except RecordRefused as refused:
            self._trace("cpo.refused", message, refusal=refused.refusal, why=refused.reason)
            raise
        self._trace(f"cpo.{ack}", message)
        return ack

    async def register_key(self, gateway: str, meter: str, public_key: str) -> bool:
        """Check records of this gateway and meter with this key from now on; False when it was known.

        Raises KeyFormatError.
        """
        key = StoredKey(gateway, meter, decode_public_key(public_key).hex(), "registered", self._now())
        return await self._database.write(lambda connection: cpo_store.add_key(connection, key))

    async def transaction(self, transaction_id: str) -> CpoTransaction:
        """All records of a transaction and what the rules say about them."""
        stored = await self._database.read(
            lambda connection: cpo_store.records(connection, transaction_id=transaction_id, limit=100_000)
        )
        stored.sort(key=lambda one: (one.record.page[:1], int(one.record.page[1:])))
        verified = [verify_record(one.record.ocmf, one.record.public_key) for one in stored]
        verdict = judge_transaction(verified, contexts=[one.record.context for one in stored]) if stored else None
        return CpoTransaction(transaction_id, tuple(stored), verdict)

    async def _receive(self, message: SignedRecord) -> Ack:
        record = _check_form(message)
        known = await self._database.read(lambda connection: cpo_store.keys(connection, message.gateway, message.meter))
        key, first_use = self._verify(record, message, known)

        def keep(connection: sa.Connection) -> Ack | RecordRefused:
            stored = cpo_store.find(connection, message.record_id)
            if stored is not None:
                cpo_store.count_delivery(connection, message.record_id)
                return Ack.DUPLICATE
            other = cpo_store.holder(connection, message)
            if other is not None:
                reason = f"page {message.page} of meter {message.meter} belongs to record {other}"
                cpo_store.add_incident(connection, message, reason, self._now())
                return RecordRefused(Refusal.PAGE, reason, message.ocmf)
            if first_use:
                cpo_store.add_key(
                    connection, StoredKey(message.gateway, message.meter, key.hex(), "first use", self._now())
                )
            cpo_store.add(connection, message, key.hex(), self._now())
            return Ack.STORED

        try:
            result = await self._database.write(keep)
        except sa.exc.IntegrityError:  # another connection was faster; now its row is there
            result = await self._database.write(keep)
        if isinstance(result, RecordRefused):
            raise result
        return result

    def _verify(self, record: Record, message: SignedRecord, known: list[StoredKey]) -> tuple[PublicKey, bool]:
        """The key that verifies the record, and whether it is used for the first time."""
        for key in known:
            try:
                return verify_record(record, key.public_key).key, False
            except (InvalidRecordError, UndecidableError):
                continue
        try:
            carried = verify_record(record, message.public_key).key
        except InvalidRecordError as error:
            raise RecordRefused(Refusal.SIGNATURE, str(error), message.ocmf) from error
        except UndecidableError as error:
            if known or message.public_key:
                raise RecordRefused(Refusal.SIGNATURE, str(error), message.ocmf) from error
            raise RecordRefused(Refusal.KEY, f"no key of meter {message.meter} is registered", message.ocmf) from error
        if known or self._policy is KeyPolicy.REGISTERED:
            raise RecordRefused(
                Refusal.KEY,
                f"the record is signed with {carried.fingerprint[:16]}, which is not registered for gateway "
                f"{message.gateway} and meter {message.meter}",
                message.ocmf,
            )
        return carried, True

    def _now(self) -> str:
        return self._clock.now().isoformat()

    def _trace(self, kind: str, message: SignedRecord, **data: object) -> None:
        self._tracer(
            TraceEvent(
                self._clock.monotonic(),
                "backend",
                kind,
                self._name,
                {"record": message.record_id, "meter": message.meter, "page": message.page, **data},
            )
        )


def _check_form(message: SignedRecord) -> Record:
    """The record parsed; what its envelope says must be what is signed."""
    try:
        record = parse(message.ocmf)
    except (FormatError, UnknownFormatError) as error:
        raise RecordRefused(Refusal.FORMAT, str(error), message.ocmf) from error
    reasons = {reading.tx for reading in record.readings}
    expected = _CONTEXTS.get(message.context)
    claims = {
        "record_id": (message.record_id, record.record_id),
        "page": (message.page, record.string("PG")),
        "gateway": (message.gateway, record.string("GS")),
        "meter": (message.meter, record.string("MS")),
    }
    for name, (claimed, signed) in claims.items():
        if claimed != signed:
            raise RecordRefused(
                Refusal.MISMATCH, f"{name} is {claimed!r} in the message, {signed[:128]!r} in the record", message.ocmf
            )
    if expected is not None and not reasons & set(expected):
        raise RecordRefused(
            Refusal.MISMATCH, f"{message.context} without such a reading, TX is {sorted(reasons)}", message.ocmf
        )
    return record


__all__ = ["CpoReceiver", "CpoTransaction", "KeyFormatError", "KeyPolicy", "RecordRefused", "Refusal"]
