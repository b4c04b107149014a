"""The signed journal: nothing leaves before it is kept, nothing is signed before it is kept.

A record goes through five steps: its page, its exact payload and the hash of the payload before it are committed
(`store` returns), those octets are signed, the signature is verified with the public key, it is committed, and the
record is released (`Pending.signed`). After a crash the same payload is finished first. Records of one stream are
signed in the order of their pages; records that are under way at the same time share the commits.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from gateway.journal_entry import Delivery, Entry, Head, JournalError, Signed, Stream, sign_entry
from gateway.journal_store import JournalStore
from gateway.receipt import Receipt
from gateway.record_signer import RecordSigner
from gateway.worker_thread import WorkerThread
from ocmf.payload import payload_hash
from ports.clock import Clock
from ports.errors import LocalError, PlugbenchError
from ports.signer import Signer
from ports.trace import TraceEvent, Tracer, no_trace

R = TypeVar("R")

RETRY_FIRST_S = 0.1
RETRY_MOST_S = 1.0  # a token that came back signs again within two seconds
GATHER_S = 0.002  # a signature of a slow token is not waited for
MIN_FREE_BYTES = 32 << 20  # below this no new transaction begins


@dataclass(frozen=True, slots=True)
class Place:
    """What the journal reserves for a record: its page ("T17") and the hash of the payload before it ("" = none)."""

    page: str
    previous: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A record to be.

    context: "T" or "F", which pages count it.
    build: makes the exact payload for a place; called once, on the event loop, must not wait.
    kind: "Transaction.Begin", "Sample.Periodic", "Transaction.End" or "Fiscal".
    """

    stream: Stream
    context: str = "T"
    kind: str
    build: Callable[[Place], bytes]
    transaction_id: str = ""
    connector: str = ""
    boot_id: str = ""
    boottime: float = 0.0


@dataclass(slots=True)
class Pending:
    """A record that is kept and waits for its signature.

    signed: done with the released entry; wait for it through asyncio.shield, it has other readers.
    error: why it is not signed yet, None while all is well. delay: seconds before the next attempt after an error.
    """

    entry: Entry
    signed: asyncio.Future[Entry]
    error: PlugbenchError | None = None
    delay: float = RETRY_FIRST_S


@dataclass(slots=True)
class _Batch:
    """What one commit will hold, and who waits for it."""

    drafts: list[tuple[Draft, asyncio.Future[Pending]]] = field(default_factory=list)
    signatures: list[tuple[Signed, Pending]] = field(default_factory=list)
    deliveries: list[tuple[Delivery, asyncio.Future[None]]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.drafts) + len(self.signatures) + len(self.deliveries)


class Journal:
    """One gateway's journal. Made with `open`; one per file and process."""

    def __init__(
        self,
        path: Path,
        store: JournalStore,
        thread: WorkerThread,
        signer: RecordSigner,
        clock: Clock,
        tracer: Tracer,
        min_free_bytes: int,
    ) -> None:
        self.path = path
        self._store = store
        self._thread = thread
        self._signer = signer
        self._clock = clock
        self._tracer = tracer
        self._min_free_bytes = min_free_bytes
        self._heads: dict[Stream, Head] = {}
        self._seq = 0
        self._batch = _Batch()
        self._wake = asyncio.Event()
        self._enough = asyncio.Event()
        self._missing = 0
        self._lanes: dict[Stream, deque[Pending]] = {}
        self._lane_tasks: dict[Stream, asyncio.Task[None]] = {}
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self._subscribers: list[Callable[[Entry], None]] = []

    @classmethod
    async def open(
        cls,
        path: Path,
        signer: Signer,
        clock: Clock,
        *,
        tracer: Tracer = no_trace,
        min_free_bytes: int = MIN_FREE_BYTES,
        accept_new_key: bool = False,
        open_store: Callable[[Path], JournalStore] = JournalStore.open,
    ) -> Journal:
        """Open, create when missing, and go on with what a crash left unsigned. Raises JournalError.

        accept_new_key: sign with another key than that of the last record; otherwise such a token is refused.
        min_free_bytes: with less room on the disk `refusal` says so.
        """
        thread = WorkerThread("journal", clock)
        try:
            store = await thread.run(open_store, path)
        except BaseException:
            thread.close()
            raise
        try:
            key = "" if accept_new_key else await thread.run(store.last_key)
            journal = cls(path, store, thread, RecordSigner(signer, key, path), clock, tracer, min_free_bytes)
            await journal._start()
        except BaseException:
            store.close()
            thread.close()
            raise
        return journal

    async def _start(self) -> None:
        self._heads = await self._thread.run(self._store.heads)
        self._seq = await self._thread.run(self._store.last_seq)
        unfinished = await self._thread.run(self._store.unsigned)
        self._writer = asyncio.create_task(self._write(), name="journal writer")
        for entry in unfinished:
            self._trace_entry("journal.unfinished", entry)
            self._enqueue(Pending(entry, asyncio.get_running_loop().create_future()))

    async def store(self, draft: Draft) -> Pending:
        """Reserve the next page and keep the payload; durable when this returns, signed some time later.

        Raises JournalFullError or JournalError (nothing was kept, the page is free) or what `build` raised.
        """
        future: asyncio.Future[Pending] = asyncio.get_running_loop().create_future()
        self._nudge().drafts.append((draft, future))
        return await future

    async def acknowledge(self, delivery: Delivery) -> None:
        """Keep a backend's final answer. Raises JournalFullError or JournalError."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._nudge().deliveries.append((delivery, future))
        await future

    async def keep_receipt(self, receipt: Receipt) -> None:
        """Keep a reading that a vehicle has signed; durable when this returns. Raises JournalError."""
        await self._thread.run(self._store.keep_receipt, receipt)

    async def receipts(self, transaction_id: str | None = None) -> list[Receipt]:
        """Every receipt in order, or those of one transaction, each with its record."""
        return await self._thread.run(self._store.receipts, transaction_id)

    def subscribe(self, on_release: Callable[[Entry], None]) -> None:
        """Call this with every record that is released from now on."""
        self._subscribers.append(on_release)

    def head(self, stream: Stream) -> Head:
        """The end of a stream as committed."""
        return self._heads.get(stream, Head())

    def unsigned(self, stream: Stream | None = None) -> list[Pending]:
        """What waits for its signature: of one stream, or of all."""
        lanes: Iterable[deque[Pending]] = self._lanes.values() if stream is None else [self._lanes.get(stream, deque())]
        return [pending for lane in lanes for pending in lane]

    def refusal(self) -> str:
        """Why no new transaction may begin; "" when there is room."""
        free = shutil.disk_usage(self.path.parent).free
        if free < self._min_free_bytes:
            return f"{free >> 10} KiB free for journal {self.path}, fewer than {self._min_free_bytes >> 10}"
        return ""

    async def entries(self, transaction_id: str | None = None) -> list[Entry]:
        """Every entry in order, or those of one transaction."""
        return await self._thread.run(lambda: list(self._store.entries(transaction_id)))

    async def entry(self, seq: int) -> Entry:
        """One entry. Raises JournalError when there is none."""
        return await self._thread.run(self._store.entry, seq)

    async def open_transactions(self) -> list[Entry]:
        """Begin records without an end record."""
        return await self._thread.run(self._store.open_transactions)

    async def undelivered(self, backend: str) -> list[tuple[int, str]]:
        """(seq, transaction_id) of released records without a final answer of this backend."""
        return await self._thread.run(self._store.undelivered, backend)

    async def close(self) -> None:
        """Finish the commits under way and release the file; what is unsigned is finished after the next opening."""
        if self._closing:
            return
        self._closing = True
        lanes = list(self._lane_tasks.values())
        for task in lanes:
            task.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        self._wake.set()
        self._enough.set()
        try:
            if self._writer is not None:
                await self._writer
        finally:
            await self._thread.run(self._store.close)
            self._thread.close()

    def _nudge(self) -> _Batch:
        """The batch that the next commit takes."""
        if self._closing or self._writer is None or self._writer.done():
            raise LocalError(f"journal {self.path} is closed")
        self._wake.set()
        self._missing -= 1
        if self._missing <= 0:
            self._enough.set()
        return self._batch

    async def _write(self) -> None:
        """The only place that commits: everything that is waiting goes into the next commit."""
        batch = _Batch()
        try:
            while not self._closing or self._batch:
                await self._wake.wait()
                self._wake.clear()
                while self._batch:
                    await self._gather()
                    batch, self._batch = self._batch, _Batch()
                    await self._commit(batch)
        except Exception as error:  # a fault of ours: nobody is left waiting for it
            self._trace("journal", "journal.refused", str(self.path), why=repr(error))
            for one in (batch, self._batch):
                for _, stored in one.drafts:
                    _fail(stored, error)
                for _, done in one.deliveries:
                    _fail(done, error)
            for stream in self._lanes:
                self._give_up(stream, error)
            raise

    async def _gather(self) -> None:
        """Wait a moment for the others: all records that are under way should share a commit."""
        self._missing = len(self._lanes) + len(self._batch.drafts) - len(self._batch)
        if self._closing or self._missing <= 0:
            return
        self._enough.clear()
        moment = asyncio.get_running_loop().call_later(GATHER_S, self._enough.set)
        await self._enough.wait()
        moment.cancel()

    async def _commit(self, batch: _Batch) -> None:
        heads, seq = dict(self._heads), self._seq
        built: list[tuple[Entry, asyncio.Future[Pending]]] = []
        for draft, stored in batch.drafts:
            try:
                entry = _entry(draft, seq + 1, heads.get(draft.stream, Head()))
            except Exception as error:  # noqa: BLE001 - the fault of one draft must not stop the others
                _fail(stored, error)
                continue
            heads[draft.stream], seq = heads.get(draft.stream, Head()).after(entry), entry.seq
            built.append((entry, stored))
        try:
            await self._thread.run(
                self._store.write,
                [entry for entry, _ in built],
                [signed for signed, _ in batch.signatures],
                [delivery for delivery, _ in batch.deliveries],
            )
        except JournalError as error:
            self._trace("journal", "journal.refused", str(self.path), why=str(error))
            for _, stored in built:
                _fail(stored, error)
            if built and (batch.signatures or batch.deliveries):  # short of room, what is signed already goes first
                await self._commit(_Batch([], batch.signatures, batch.deliveries))
                return
            for signed, pending in batch.signatures:
                self._run(pending, self._keep_later(signed, pending, error))
            for _, done in batch.deliveries:
                _fail(done, error)
            return
        self._heads, self._seq = heads, seq
        for signed, pending in batch.signatures:
            self._release(pending, sign_entry(pending.entry, signed))
        for _, done in batch.deliveries:
            _succeed(done, None)
        for entry, stored in built:
            pending = Pending(entry, asyncio.get_running_loop().create_future())
            self._trace_entry("journal.intent", entry)
            self._enqueue(pending)
            _succeed(stored, pending)

    def _enqueue(self, pending: Pending) -> None:
        lane = self._lanes.setdefault(pending.entry.stream, deque())
        lane.append(pending)
        if len(lane) == 1:
            self._run(pending, self._sign(pending))

    def _run(self, pending: Pending, work: Coroutine[None, None, None]) -> None:
        """What is done for the first record of a lane; the next one has its turn when this one is released."""
        if self._closing:
            work.close()
        else:
            stream = pending.entry.stream
            self._lane_tasks[stream] = asyncio.create_task(work)

    async def _sign(self, pending: Pending) -> None:
        """Sign a record, again and again until it has worked, and give the signature to the next commit."""
        try:
            while True:
                try:
                    signed = await self._signer.sign(pending.entry)
                    break
                except PlugbenchError as error:
                    await self._wait_after(error, pending, "token", "token.away")
            self._nudge().signatures.append((signed, pending))
        except Exception as error:
            self._give_up(pending.entry.stream, error)
            raise

    async def _keep_later(self, signed: Signed, pending: Pending, error: JournalError) -> None:
        await self._wait_after(error, pending, "journal", "journal.waiting")
        self._nudge().signatures.append((signed, pending))

    async def _wait_after(self, error: PlugbenchError, pending: Pending, layer: str, event: str) -> None:
        if pending.error is None:
            self._trace(layer, event, pending.entry.stream.meter, page=pending.entry.page, why=str(error))
        pending.error = error
        await self._clock.sleep(pending.delay)
        pending.delay = min(2 * pending.delay, RETRY_MOST_S)

    def _give_up(self, stream: Stream, error: Exception) -> None:
        for pending in self._lanes[stream]:
            _fail(pending.signed, error)

    def _release(self, pending: Pending, entry: Entry) -> None:
        lane = self._lanes[entry.stream]
        lane.popleft()
        if lane:
            self._run(lane[0], self._sign(lane[0]))
        else:
            del self._lanes[entry.stream], self._lane_tasks[entry.stream]
        pending.entry, pending.error = entry, None
        self._trace_entry("journal.signed", entry)
        for subscriber in self._subscribers:  # by the loop: a fault of theirs is not ours
            asyncio.get_running_loop().call_soon(subscriber, entry)
        _succeed(pending.signed, entry)

    def _trace(self, layer: str, event: str, source: str, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), layer, event, source, data))

    def _trace_entry(self, event: str, entry: Entry) -> None:
        if self._tracer is no_trace:
            return
        self._trace(
            "journal",
            event,
            entry.stream.meter,
            page=entry.page,
            kind=entry.kind,
            transaction=entry.transaction_id,
            connector=entry.connector,
            record=entry.record_id,
        )


def _entry(draft: Draft, seq: int, head: Head) -> Entry:
    number = head.next_number(draft.context)
    payload = draft.build(Place(f"{draft.context}{number}", head.record_id))
    return Entry(
        seq=seq,
        stream=draft.stream,
        context=draft.context,
        number=number,
        kind=draft.kind,
        transaction_id=draft.transaction_id,
        connector=draft.connector,
        boot_id=draft.boot_id,
        boottime=draft.boottime,
        previous=head.record_id,
        record_id=payload_hash(payload),
        payload=payload,
    )


def _succeed(future: asyncio.Future[R], value: R) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[R], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # seen by whoever waits; the trace has it when nobody does
