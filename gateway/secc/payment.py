"""Who pays for a V2G session: contracts fetched and authorised, free charging, readings that the vehicle signs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from gateway.admission import Admission
from gateway.authorisation import RefusedError
from gateway.connector import Connector
from gateway.free_charging import admit_anybody
from gateway.journal import Journal
from gateway.journal_entry import Entry, JournalError
from gateway.receipt import Receipt
from gateway.secc.certificate_request import CertificateRequest
from gateway.secc.outlet import Outlet
from gateway.transaction import RESTING, Event, State
from ports.clock import Clock
from ports.contracts import ContractAnswer, ContractSource
from ports.errors import LocalError
from v2g.link.connection import Connection
from v2g.session import events as v2g
from v2g.session.station_side import CertificateAnswer

LOOP = frozenset({"ChargingStatusReq", "CurrentDemandReq"})


@dataclass(frozen=True, slots=True, eq=False)
class Till:
    """What the sessions of a connector share. spawn: starts a task that ends with the station.

    changed: look at everything once more. fetches: questions to the pools that are under way.
    """

    connector: Connector
    source: ContractSource | None
    admission: Admission
    journal: Journal
    clock: Clock
    trace: Callable[..., None]
    spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]
    changed: Callable[[], None]
    fetches: set[asyncio.Task[ContractAnswer]] = field(default_factory=set)


class Payment:
    """One session's."""

    def __init__(self, till: Till, connection: Connection, outlet: Outlet) -> None:
        self._till = till
        self._connection = connection
        self._outlet = outlet
        self._contract: v2g.AuthorizationWanted | None = None
        self._is_free = False
        self._asking: list[asyncio.Task[None]] = []

    def take(self, event: v2g.Event) -> bool:
        """An event of the session; whether it was one of these."""
        outlet = self._outlet
        match event:
            case v2g.AuthorizationWanted(payment="Contract"):
                self._contract = event
                outlet.certificates = event.certificates
            case v2g.AuthorizationWanted():
                self._is_free = outlet.free
            case v2g.CertificateWanted():
                self._request_certificate(event)
            case v2g.Received(name=name) if name in LOOP:
                outlet.receipts.message()
            case v2g.ReceiptReceived():
                self._take_receipt(event)
            case v2g.Send(name="MeteringReceiptRes"):
                outlet.receipt_kept = None
            case _:
                return False
        return True

    def review(self) -> None:
        """Something happened at the connector: go on with what waited for it."""
        machine = self._till.connector.machine
        if self._is_free and machine.state in RESTING:
            self._is_free = False
            admit_anybody(self._till.admission, self._till.connector)
        # as soon as the transaction before it is over
        if self._contract is not None and (machine.state in RESTING or machine.user is not None):
            contract, self._contract = self._contract, None
            self._asking.append(self._till.spawn(self._ask(contract), "authorisation"))
        self._pace_receipts()

    def end(self) -> None:
        """The session is over: nobody waits for a word any more."""
        for task in self._asking:
            task.cancel()

    # contracts

    async def _ask(self, contract: v2g.AuthorizationWanted) -> None:
        till, outlet = self._till, self._outlet
        try:
            await till.admission.present_contract(till.connector, contract.emaid, contract.certificates)
        except RefusedError as error:
            till.trace("secc.refused", why=str(error), code=error.code)
            outlet.refusal = error.code
        except Exception:  # ours: the vehicle is not left waiting for it
            outlet.refusal = "FAILED"
            raise
        finally:
            till.changed()

    def _request_certificate(self, wanted: v2g.CertificateWanted) -> None:
        till = self._till
        if till.source is None:  # the service is not offered; a vehicle may ask all the same
            self._outlet.certificate_answer = CertificateAnswer(code="FAILED_NoCertificateAvailable")
            return
        request = CertificateRequest(till.source, wanted, till.clock, till.trace)
        till.fetches.add(request.asking)
        request.asking.add_done_callback(till.fetches.discard)
        till.spawn(self._fetch(request), "certificate")

    async def _fetch(self, request: CertificateRequest) -> None:
        try:
            self._outlet.certificate_answer = await request.answer()
        except Exception:  # ours, as above
            self._outlet.certificate_answer = CertificateAnswer()
            raise
        finally:
            self._connection.changed()

    # receipts

    def _pace_receipts(self) -> None:
        """Have a reading signed when the vehicle is to sign one."""
        connector, receipts = self._till.connector, self._outlet.receipts
        if connector.transaction is None or not self._outlet.certificates:
            return
        kept, charging = connector.transaction.kept, connector.machine.state is State.CHARGING
        receipts.kept(kept)
        if charging and receipts.wants_sample(self._till.clock.monotonic(), kept):
            connector.feed(Event.SAMPLE_DUE)

    def _take_receipt(self, received: v2g.ReceiptReceived) -> None:
        outlet, machine = self._outlet, self._connection.machine
        shown, now = outlet.receipts.shown, self._till.clock.monotonic()
        outlet.receipts.received(now)
        if shown is None or machine is None:
            raise LocalError("a receipt that nobody asked for was accepted")
        chain = outlet.certificates or (received.certificate,)
        receipt = Receipt(shown.entry.seq, machine.session_id, received.exi, chain, shown.entry.boot_id, now)
        self._till.spawn(self._keep(receipt, shown.entry), "receipt")

    async def _keep(self, receipt: Receipt, entry: Entry) -> None:
        till = self._till
        try:
            await till.journal.keep_receipt(receipt)
        except JournalError as error:
            till.trace("session.trouble", part="receipt", page=entry.page, why=str(error))
            self._outlet.receipt_kept = False
        else:
            digest = hashlib.sha256(receipt.exi).hexdigest()
            till.trace("secc.receipt", page=entry.page, transaction=entry.transaction_id, request_sha256=digest)
            self._outlet.receipt_kept = True
        self._connection.changed()
