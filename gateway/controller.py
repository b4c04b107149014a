"""A whole gateway: connectors, meters, token, journal and backends joined, recovered at start, stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from gateway.admission import Admission
from gateway.authorisation import IdToken, LocalList
from gateway.card_desk import CardDesk, ReaderSetup
from gateway.connector import Connector
from gateway.forwarder import Forwarder
from gateway.free_charging import FreeCharging
from gateway.journal import Draft, Journal, Place
from gateway.journal_entry import Entry, Stream
from gateway.open_transaction import END, OpenTransaction
from gateway.plausibility import stand_in
from gateway.policy import ConnectorSetup, GatewayIdentity, OcspPolicy, Policy
from gateway.receipt import Receipt
from gateway.record import build_payload
from gateway.record_time import Stamp
from gateway.remote_control import RemoteControl
from gateway.secc.pilot_mode import Mode
from gateway.secc.service import SeccService
from gateway.secc.setup import SeccSetup
from gateway.station_news import StationNews
from gateway.transaction import RESTING, Event, State
from ocmf.terms import Tx
from ports.authorisation import Authoriser
from ports.clock import Clock
from ports.contracts import CertificateStatusSource
from ports.errors import LocalError
from ports.meter import Quality
from ports.station import ConnectorNews, RemoteAnswer, StationIdentity
from ports.trace import TraceEvent, Tracer, no_trace


@dataclass(frozen=True, slots=True)
class ConnectorStatus:
    """What holds at a connector. energy_kwh: of the open transaction, None without one.

    stopped_by: who ended the newest transaction from afar and why, "" otherwise.
    """

    name: str
    state: State
    faults: tuple[str, ...]
    transaction_id: str
    energy_kwh: Decimal | None
    stopped_by: str = ""


class Controller:
    """One gateway; `ports.station.Station` for its backends. by_name: its connectors.

    It closes what it was given: meters, firmware, readers, forwarder and journal; not the signer, nor the backends.
    """

    def __init__(
        self,
        gateway: GatewayIdentity,
        setups: Sequence[ConnectorSetup],
        journal: Journal,
        forwarder: Forwarder,
        local_list: LocalList,
        clock: Clock,
        *,
        policy: Policy | None = None,
        authorisers: Sequence[Authoriser] = (),
        list_at: int = 0,
        certificate_status: CertificateStatusSource | None = None,
        readers: Sequence[ReaderSetup] = (),
        tracer: Tracer = no_trace,
    ) -> None:
        """Raises LocalError for two connectors of one name, and for a policy that cannot be kept.

        authorisers: asked in this order about what is not in the local list; list_at: so many of them before the list.
        certificate_status: where contract certificates are looked up, see `Policy.ocsp`.
        """
        self.by_name: dict[str, Connector] = {}
        self.seccs: dict[str, SeccService] = {}
        self._gateway = gateway
        self._journal = journal
        self._forwarder = forwarder
        self._clock = clock
        self._policy = policy or Policy()
        self._tracer = tracer
        self._admission = Admission(
            self.by_name, local_list, authorisers, certificate_status, journal, clock, tracer, list_at
        )
        self._news = StationNews()
        self._remote = RemoteControl(self._news, self._admission)
        for setup in setups:
            connector = Connector(setup, gateway, journal, clock, self._policy, tracer)
            if connector.name in self.by_name:
                raise LocalError(f"two connectors are named {connector.name}")
            self.by_name[connector.name] = connector
            self._news.add(connector)
            if connector.policy.free:
                FreeCharging(connector, self._admission, partial(self._leads_by_pilot, connector.name))
            if setup.secc is not None:
                _check_policy(connector, setup.secc, certificate_status)
                self.seccs[connector.name] = SeccService(connector, setup.secc, clock, tracer, self._admission, journal)
        self._desks = [CardDesk(reader, self.by_name, self._admission, clock, tracer) for reader in readers]

    async def start(self) -> None:
        """Forward what is left, follow the connectors, and end what a power failure left open.

        Raises RigError or PeerError when a connector does not answer.
        """
        await self._forwarder.start()
        open_begins = await self._journal.open_transactions()
        for connector in self.by_name.values():
            await connector.start()
        for begin in open_begins:
            await self._recover(begin)
        for secc in self.seccs.values():
            await secc.open()
        for desk in self._desks:
            desk.start()

    async def authorise(self, connector: str, token: IdToken) -> None:
        """A card at the reader: begins a transaction, or ends the one that the same card began.

        Returns when the backends have given their word. Raises RefusedError with the reason: nobody knows it, another
        card's transaction, meter in use, no room in the journal, token away, faulted; LocalError for an unknown
        connector.
        """
        await self._admission.present(self._connector(connector), token)

    @property
    def identity(self) -> StationIdentity:
        """See `ports.station.Station`."""
        gateway = self._gateway
        return StationIdentity(gateway.vendor, gateway.model, gateway.serial, gateway.version)

    def connectors(self) -> list[ConnectorNews]:
        """See `ports.station.Station`."""
        return self._news.now()

    def subscribe(self, listener: Callable[[ConnectorNews], None]) -> Callable[[], None]:
        """See `ports.station.Station`."""
        return self._news.subscribe(listener)

    async def request_start(self, number: int | None, id: str, id_type: str, flag: str) -> RemoteAnswer:  # noqa: A002
        """See `ports.station.Station`."""
        return self._remote.start(number, id, id_type, flag)

    async def request_stop(self, transaction_id: str, why: str = "") -> RemoteAnswer:
        """See `ports.station.Station`."""
        return self._remote.stop(transaction_id, why)

    async def receipts(self, transaction_id: str) -> list[Receipt]:
        """The meter readings that the vehicle has signed; `gateway.receipt.verify_receipt` judges them offline."""
        return await self._journal.receipts(transaction_id)

    def stop(self, connector: str, cause: Tx = Tx.END_REMOTE) -> None:
        """End the transaction; `cause` is what its end record says. Harmless without one."""
        self._connector(connector).feed(Event.STOP, cause=cause)

    def status(self) -> list[ConnectorStatus]:
        """Every connector."""
        return [
            ConnectorStatus(
                one.name,
                one.machine.state,
                tuple(sorted(one.machine.faults)),
                one.transaction.transaction_id if one.transaction else "",
                one.transaction.energy_kwh if one.transaction else None,
                one.stopped_by,
            )
            for one in self.by_name.values()
        ]

    async def wait_for(self, connector: str, *states: State) -> State:
        """Wait until a connector is in one of these states; there is no deadline here."""
        return await self._connector(connector).wait_for(*states)

    async def checkpoint(self, connector: str) -> Entry:
        """Sign the register outside of any transaction (page F): what is missing after it shows.

        Raises LostMeterError, JournalError.
        """
        one = self._connector(connector)
        meter, judged = await one.reader.read(None, None, self._policy.meter_silence_s)
        source, reading = one.setup.source(self._gateway, meter), judged.reading

        def build(place: Place) -> bytes:
            return build_payload(source, None, judged, None, Stamp(reading.time, reading.time_status), place)

        pending = await self._journal.store(
            Draft(
                stream=Stream(self._gateway.serial, meter.serial),
                context="F",
                kind="Fiscal",
                connector=connector,
                boot_id=self._gateway.boot_id,
                boottime=reading.monotonic,
                build=build,
            )
        )
        return await asyncio.shield(pending.signed)

    async def close(self) -> None:
        """End open transactions, wait for signatures and backends as long as the policy says, release everything.

        What is not finished by then is finished after the next start. Raises an ExceptionGroup of what failed
        unexpectedly since the start.
        """
        bugs: list[BaseException] = []
        for desk in self._desks:
            await desk.close()
            bugs += desk.bugs
        for one in self.by_name.values():
            one.feed(Event.STOP, cause=Tx.END)
        await self._within(asyncio.gather(*(one.wait_for(*RESTING) for one in self.by_name.values())), bugs)
        unsigned = [asyncio.shield(pending.signed) for pending in self._journal.unsigned()]
        await self._within(asyncio.gather(*unsigned), bugs)
        await self._within(asyncio.ensure_future(self._forwarder.drained()), bugs)
        for one in self.by_name.values():
            if (secc := self.seccs.get(one.name)) is not None:
                await secc.close()
            await one.close()
            await one.setup.control.close()
            await one.setup.meter.close()
            bugs += one.bugs
        await self._forwarder.close()
        await self._journal.close()
        if bugs:
            raise BaseExceptionGroup("the gateway had bugs while it ran", bugs)

    async def _within(self, work: asyncio.Future[Any], bugs: list[BaseException]) -> None:
        """Wait for it, but not longer than the policy says; what it raises is a bug."""
        patience = asyncio.create_task(self._clock.sleep(self._policy.stop_s), name="stopping")
        waiting: set[asyncio.Future[Any]] = {work, patience}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and (error := work.exception()) is not None:
                bugs.append(error)
        finally:
            work.cancel()
            patience.cancel()

    async def _recover(self, begin: Entry) -> None:
        entries = await self._journal.entries(begin.transaction_id)
        transaction = OpenTransaction.recovered(entries, self._gateway.boot_id)
        one = self.by_name.get(transaction.connector)
        if one is not None and one.transaction is None:
            one.recover(transaction)
            return
        reason = f"connector {transaction.connector} can no longer be read by this gateway"
        judged = stand_in(transaction.last, Quality.NOT_FOUND, reason)
        await self._journal.store(transaction.draft(END, Tx.POWER_FAILURE, judged, self._clock))
        self._trace("session.trouble", transaction.connector, part="recovery", why=reason)

    def _leads_by_pilot(self, name: str) -> bool:
        return name not in self.seccs or self.seccs[name].mode is Mode.BASIC

    def _connector(self, name: str) -> Connector:
        one = self.by_name.get(name)
        if one is None:
            raise LocalError(f"there is no connector {name}; there are {', '.join(self.by_name)}")
        return one

    def _trace(self, kind: str, source: str, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "session", kind, source, data))


def _check_policy(connector: Connector, secc: SeccSetup, certificate_status: CertificateStatusSource | None) -> None:
    """What the operator asked for has to be possible. Raises LocalError."""
    if connector.policy.ocsp is OcspPolicy.HARD and "Contract" in secc.payments and certificate_status is None:
        raise LocalError(f"connector {connector.name}: policy ocsp is hard, but no responder is given")
