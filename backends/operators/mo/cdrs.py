"""Charge detail records: each taken once, judged, billed once; what cannot be decided waits for a key."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from uuid import UUID

import msgspec
import sqlalchemy as sa

from backends.operators.mo.billing import Bill, lines_of, sums, tariff_at
from backends.operators.mo.customers import Holder, holder
from backends.operators.mo.judging import CdrStatus, Judgement, NotBilled, Reason, judge, read_records
from backends.operators.mo.key_database import key_history
from backends.operators.mo.received import Channel, ReceivedCdr, from_body
from backends.operators.mo.settings import MoSettings
from backends.operators.mo.tables import BILLED_RECORDS, BILLS, CDRS
from backends.store.database import Database
from backends.store.locks import lock
from ports.backend import Ack
from ports.clock import Clock
from ports.errors import LocalError, PeerError
from ports.trace import TraceEvent, Tracer, no_trace


class CdrRefused(PeerError):
    """The record is kept as evidence and not billed; the same one will be refused again."""

    def __init__(self, reason: Reason | str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class CdrConflict(PeerError):
    """The id belongs to another record: nothing was kept."""


@dataclass(frozen=True, slots=True)
class StoredCdr:
    """What is known of one that came. energy_kwh: None unless billed."""

    seq: int
    operator: str
    id: str
    channel: Channel
    uid: str
    customer: str
    status: CdrStatus
    reason: Reason
    detail: str
    energy_kwh: Decimal | None
    digest: str
    public_key: str
    deliveries: int


class CdrReceiver:
    """Takes them, from any number of senders and channels at once."""

    def __init__(
        self, database: Database, clock: Clock, settings: MoSettings, random: Random, tracer: Tracer = no_trace
    ) -> None:
        """random: of the ids of bills."""
        self._database = database
        self._clock = clock
        self._settings = settings
        self._random = random
        self._tracer = tracer

    async def receive(self, cdr: ReceivedCdr) -> Ack:
        """STORED (billed, or waiting for a key), DUPLICATE (was here before).

        Raises CdrRefused (kept, not billed), CdrConflict, StoreError (nothing was kept, send it again).
        """
        bill_id, at = self._new_id(), int(self._clock.now().timestamp())

        def work(connection: sa.Connection) -> tuple[Ack, StoredCdr]:
            lock(connection, "mo_cdrs")  # two records of one transaction are judged one after the other
            mine = (CDRS.c.operator == cdr.operator) & (CDRS.c.id == cdr.id)
            row = connection.execute(sa.select(CDRS).where(mine)).one_or_none()
            if row is None:
                return Ack.STORED, self._take(connection, cdr, bill_id, at)
            if row.content != cdr.content:
                raise CdrConflict(f"{cdr.operator} has sent another charge detail record {cdr.id} before")
            connection.execute(CDRS.update().where(mine).values(deliveries=CDRS.c.deliveries + 1))
            return Ack.DUPLICATE, _stored(row)

        try:
            ack, stored = await self._database.write(work)
        except CdrConflict as conflict:
            self._trace("mo.cdr.conflict", cdr, why=str(conflict))
            raise
        self._trace(f"mo.cdr.{stored.status}", cdr, ack=ack.value, reason=stored.reason.value, why=stored.detail)
        if stored.status is CdrStatus.REFUSED:
            raise CdrRefused(stored.reason, stored.detail)
        return ack

    async def judge_waiting(self) -> int:
        """Judge what was undecidable once more, after a key was registered; how many were decided."""
        at = int(self._clock.now().timestamp())
        waiting = CDRS.c.status == CdrStatus.UNDECIDABLE
        rows = await self._database.read(lambda connection: connection.execute(sa.select(CDRS).where(waiting)).all())
        decided = 0
        for row in rows:
            cdr, bill_id = from_body(Channel(row.channel), row.operator, row.body), self._new_id()

            def work(
                connection: sa.Connection, seq: int = row.seq, cdr: ReceivedCdr = cdr, bill_id: str = bill_id
            ) -> StoredCdr | None:
                lock(connection, "mo_cdrs")
                query = sa.select(CDRS.c.seq).where(CDRS.c.seq == seq, waiting)
                if connection.execute(query).one_or_none() is None:
                    return None  # somebody else was faster
                return self._decide(connection, seq, cdr, bill_id, at)

            stored = await self._database.write(work)
            if stored is not None and stored.status is not CdrStatus.UNDECIDABLE:
                decided += 1
                self._trace(f"mo.cdr.{stored.status}", cdr, reason=stored.reason.value, why=stored.detail)
        return decided

    def _take(self, connection: sa.Connection, cdr: ReceivedCdr, bill_id: str, at: int) -> StoredCdr:
        values = {
            "operator": cdr.operator,
            "id": cdr.id,
            "channel": cdr.channel,
            "content": cdr.content,
            "session_id": cdr.session_id,
            "uid": cdr.uid,
            "customer": "",
            "status": CdrStatus.UNDECIDABLE,
            "reason": Reason.NONE,
            "detail": "",
            "energy_kwh": "",
            "digest": "",
            "public_key": "",
            "body": cdr.body,
            "received": at,
            "deliveries": 1,
        }
        seq = connection.execute(CDRS.insert().values(values)).inserted_primary_key
        assert seq is not None  # noqa: S101 - the table has one
        return self._decide(connection, int(seq[0]), cdr, bill_id, at)

    def _decide(self, connection: sa.Connection, seq: int, cdr: ReceivedCdr, bill_id: str, at: int) -> StoredCdr:
        owner = holder(connection, cdr.uid)
        changes: dict[str, object] = {"customer": owner.customer if owner else ""}
        try:
            if cdr.credits:
                changes |= self._credit(connection, cdr)
            else:
                changes |= self._bill(connection, seq, cdr, owner, bill_id, at)
        except NotBilled as reason:
            changes |= {"status": reason.status, "reason": reason.reason, "detail": str(reason)[:2000]}
        connection.execute(CDRS.update().where(CDRS.c.seq == seq).values(changes))
        return _stored(connection.execute(sa.select(CDRS).where(CDRS.c.seq == seq)).one())

    def _bill(
        self, connection: sa.Connection, seq: int, cdr: ReceivedCdr, owner: Holder | None, bill_id: str, at: int
    ) -> dict[str, object]:
        records = read_records(cdr)
        query = (
            sa.select(BILLED_RECORDS.c.record_id, CDRS.c.id)
            .join(CDRS, BILLED_RECORDS.c.cdr == CDRS.c.seq)
            .where(BILLED_RECORDS.c.record_id.in_([one.record_id for one in records]))
        )
        billed = {str(record_id): str(other) for record_id, other in connection.execute(query)}
        judgement = judge(
            cdr,
            records,
            lambda meter, gateway, evse: key_history(connection, meter, gateway, evse),
            billed,
            bill_extracts=self._settings.bill_extracts,
        )
        if owner is None:
            raise NotBilled(Reason.CUSTOMER, f"{cdr.uid!r} belongs to none of our contracts")
        bill = self._make_bill(bill_id, cdr, owner, judgement)
        ids = dict.fromkeys(one.record_id for one in records)
        connection.execute(BILLED_RECORDS.insert(), [{"record_id": one, "cdr": seq} for one in ids])
        row = {"id": bill_id, "cdr": seq, "customer": owner.customer, "bill": msgspec.to_builtins(bill), "made": at}
        connection.execute(BILLS.insert().values(row))
        return {
            "status": CdrStatus.BILLED,
            "reason": Reason.NONE,
            "detail": "; ".join(judgement.notes),
            "energy_kwh": f"{judgement.energy_kwh:f}",
            "digest": judgement.digest,
            "public_key": judgement.key.hex(),
        }

    def _make_bill(self, bill_id: str, cdr: ReceivedCdr, owner: Holder, judgement: Judgement) -> Bill:
        try:
            tariff = tariff_at(self._settings.tariffs, judgement.began)
        except LocalError as error:
            raise NotBilled(Reason.TARIFF, str(error), CdrStatus.UNDECIDABLE) from None
        lines = lines_of(tariff, judgement.verdict)
        net, vat, total = sums(lines, tariff.vat_percent)
        return Bill(
            id=bill_id,
            operator=cdr.operator,
            cdr_id=cdr.id,
            emaid=owner.emaid,
            evse_id=cdr.evse_id,
            meter=judgement.records[0].string("MS"),
            began=judgement.began,
            ended=judgement.ended,
            energy_kwh=judgement.energy_kwh,
            tariff=tariff.name,
            currency=tariff.currency,
            lines=lines,
            net=net,
            vat_percent=tariff.vat_percent,
            vat=vat,
            total=total,
            digest=judgement.digest,
            notes=list(judgement.notes),
        )

    def _credit(self, connection: sa.Connection, cdr: ReceivedCdr) -> dict[str, object]:
        """OCPI 10.2.1.1: a credit CDR takes another one back; its records may be billed anew."""
        mine = (CDRS.c.operator == cdr.operator) & (CDRS.c.id == cdr.credits) & (CDRS.c.status == CdrStatus.BILLED)
        seq = connection.execute(sa.select(CDRS.c.seq).where(mine)).scalar_one_or_none()
        if seq is None:
            raise NotBilled(Reason.CREDIT, f"{cdr.credits} was not billed")
        connection.execute(BILLS.update().where(BILLS.c.cdr == seq).values(credited=cdr.id))
        connection.execute(BILLED_RECORDS.delete().where(BILLED_RECORDS.c.cdr == seq))
        connection.execute(CDRS.update().where(CDRS.c.seq == seq).values(status=CdrStatus.CREDITED))
        return {"status": CdrStatus.CREDITED, "detail": f"takes back {cdr.credits}"}

    def _new_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def _trace(self, kind: str, cdr: ReceivedCdr, **data: object) -> None:
        about = {"operator": cdr.operator, "cdr": cdr.id, "channel": cdr.channel.value, **data}
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", kind, self._settings.name, about))


def _stored(row: sa.Row[tuple[object, ...]]) -> StoredCdr:
    return StoredCdr(
        seq=row.seq,
        operator=row.operator,
        id=row.id,
        channel=Channel(row.channel),
        uid=row.uid,
        customer=row.customer,
        status=CdrStatus(row.status),
        reason=Reason(row.reason),
        detail=row.detail,
        energy_kwh=Decimal(row.energy_kwh) if row.energy_kwh else None,
        digest=row.digest,
        public_key=row.public_key,
        deliveries=row.deliveries,
    )
