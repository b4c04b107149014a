"""Charging transactions as stations report them: every message takes effect once, whatever is sent twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC

import sqlalchemy as sa

from backends.cpo_receiver import CpoReceiver, RecordRefused, Refusal
from backends.operators.cpo import ledger
from backends.operators.cpo.billing import CONTRADICTION, Judgement, Rules, judge
from backends.operators.cpo.ledger import Answer, CheckedValue, Effect
from backends.operators.cpo.settings import StationAccount
from backends.operators.cpo.signed_values import Carriage, SignedMeterValue
from backends.store.database import Database
from backends.store.locks import lock
from ocmf.container import FormatError
from ports.clock import Clock
from ports.trace import TraceEvent, Tracer, no_trace

# a record that no known key verifies may be of a key that was not known yet
WAITING_FOR_KEYS = (Refusal.KEY, Refusal.SIGNATURE)


class Transactions:
    """The ledger of one CPO."""

    def __init__(
        self,
        database: Database,
        receiver: CpoReceiver,
        clock: Clock,
        *,
        name: str,
        sinks: Sequence[str],
        account: Callable[[str], StationAccount],
        on_billed: Callable[[], None],
        on_change: Callable[[str, str], None] = lambda _station, _transaction: None,
        tracer: Tracer = no_trace,
    ) -> None:
        """receiver: keeps records and checks them by registered keys. sinks: names of who takes charge details.

        account: of a station. on_billed: called when the outbox has something new. on_change: called with station and
        transaction when something of it was kept.
        """
        self._database = database
        self._receiver = receiver
        self._clock = clock
        self._name = name
        self._sinks = tuple(sinks)
        self._account = account
        self._on_billed = on_billed
        self._on_change = on_change
        self._tracer = tracer

    async def repeated(self, effect: Effect) -> Answer | None:
        """The answer to the first of these messages, counted; None when this is the first. Raises StoreError."""
        message = (effect.station, effect.identity, effect.digest)
        if not await self._database.look_up(lambda connection: ledger.is_known(connection, *message)):
            return None
        return await self._database.write(lambda connection: ledger.repeated(connection, *message))

    async def take(self, effect: Effect, values: Sequence[SignedMeterValue], answer: Callable[[str], Answer]) -> Answer:
        """Let a message take effect, once.

        answer: made from the transaction's id and kept; a repeat gets the same. Another message with the key of one
        that was there is kept, raises an incident and gets the first one's answer. Raises StoreError: nothing of the
        message was kept (its records may be, and are known when it comes again).
        """
        checked = [await self._check(value, effect.station, effect.transaction_id) for value in values]
        at = self._at()

        def work(connection: sa.Connection) -> tuple[str, Answer, Judgement | None]:
            lock(connection, f"csms:{effect.station}:{effect.transaction_id}")
            known = ledger.repeated(connection, effect.station, effect.identity, effect.digest)
            if known is not None:
                return effect.transaction_id, known, None
            first = ledger.first_with_key(connection, effect.station, effect.identity)
            if first is not None:
                detail = f"{effect.identity} came with content {effect.digest[:16]}, too"
                ledger.raise_incident(connection, effect.station, effect.transaction_id, CONTRADICTION, detail, at)
            transaction_id, said = ledger.keep(
                connection, effect, answer if first is None else lambda _transaction_id: first, at
            )
            for one in checked:
                ledger.keep_value(connection, effect.station, transaction_id, one, at)
            return transaction_id, said, judge(connection, effect.station, transaction_id, self._rules(effect.station))

        transaction_id, said, judgement = await self._database.write(work)
        if judgement is not None:
            self._tell(effect.station, transaction_id, judgement)
        return said

    async def keep_records(self, station: str, values: Sequence[SignedMeterValue]) -> None:
        """Signed values of no transaction. Those that are not taken are told in the trace. Raises StoreError."""
        for value in values:
            checked = await self._check(value, station, "")
            if checked.verdict != ledger.VALID:
                self._trace("csms.incident", {"station": station, "transaction": "", "what": checked.reason})

    async def judge_again(self, station: str, transaction_id: str) -> Judgement:
        """With what is known now. Raises StoreError."""

        def work(connection: sa.Connection) -> Judgement:
            lock(connection, f"csms:{station}:{transaction_id}")
            return judge(connection, station, transaction_id, self._rules(station))

        judgement = await self._database.write(work)
        self._tell(station, transaction_id, judgement)
        return judgement

    async def register_key(self, gateway: str, meter: str, public_key: str) -> bool:
        """Trust a key (any encoding of the field) for a source, and check again what waited for it.

        False when it was known. Raises KeyFormatError, StoreError.
        """
        is_new = await self._receiver.register_key(gateway, meter, public_key)
        waiting = await self._database.read(
            lambda connection: ledger.undecided(connection, gateway, meter, WAITING_FOR_KEYS)
        )
        for row in waiting:
            value = SignedMeterValue(row.context, Carriage(row.carriage), row.ocmf)
            again = await self._check(value, row.station, row.transaction_id)
            await self._database.write(
                lambda connection, seq=row.seq, again=again: ledger.set_verdict(  # type: ignore[misc]
                    connection, seq, again.verdict, again.reason
                )
            )
        for station, transaction_id in dict.fromkeys((row.station, row.transaction_id) for row in waiting):
            await self.judge_again(station, transaction_id)
        return is_new

    async def _check(self, value: SignedMeterValue, station: str, transaction_id: str) -> CheckedValue:
        try:
            record = value.record(f"{station}/{transaction_id}" if transaction_id else "")
        except FormatError as error:
            return CheckedValue(value, value.identity, verdict=Refusal.FORMAT, reason=str(error)[:500])
        source = (record.record_id, record.gateway, record.meter, record.page)
        try:
            await self._receiver.receive(record)
        except RecordRefused as refused:
            return CheckedValue(value, *source, refused.refusal, refused.reason[:500])
        return CheckedValue(value, *source)

    def _rules(self, station: str) -> Rules:
        now = int(self._clock.now().timestamp())
        return Rules(self._name, self._sinks, self._account(station), self._at(), now)

    def _tell(self, station: str, transaction_id: str, judgement: Judgement) -> None:
        data: Mapping[str, object] = {
            "station": station,
            "transaction": transaction_id,
            "state": judgement.state,
            "flags": list(judgement.flags),
        }
        self._trace("csms.transaction", data)
        for incident in judgement.incidents:
            self._trace("csms.incident", {"station": station, "transaction": transaction_id, "what": incident})
        self._on_change(station, transaction_id)
        if judgement.detail is not None:
            self._on_billed()

    def _trace(self, kind: str, data: Mapping[str, object]) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", kind, self._name, data))

    def _at(self) -> str:
        """UTC with all digits: text that sorts as time does."""
        return self._clock.now().astimezone(UTC).isoformat(timespec="microseconds")
