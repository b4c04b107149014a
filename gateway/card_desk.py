"""Readers at the station: which connector a card is for, and the way there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gateway.admission import Admission
from gateway.authorisation import IdToken, RefusedError
from gateway.connector import Connector
from gateway.transaction import State
from ocmf.terms import IdType
from ports.clock import Clock
from ports.errors import LocalError, PeerError, RigError
from ports.reader import CardKind, CardSeen, Reader
from ports.trace import TraceEvent, Tracer

RETRY_S = 1.0  # a reader that was unplugged is there again soon after

# OCMF 1.4.1 table 17: ISO14443 has 4 or 7 octets; the third size of ISO 14443-3 has no name there
ID_TYPES: Mapping[tuple[CardKind, int], IdType] = MappingProxyType(
    {
        (CardKind.ISO14443, 4): IdType.ISO14443,
        (CardKind.ISO14443, 7): IdType.ISO14443,
        (CardKind.ISO15693, 8): IdType.ISO15693,
    }
)


@dataclass(frozen=True, slots=True)
class ReaderSetup:
    """A reader and the connectors that it serves, by name; () is all.

    connector: where a card goes when no vehicle waits for one; "" is the first that is free.
    """

    reader: Reader
    connectors: tuple[str, ...] = ()
    connector: str = ""


class CardDesk:
    """One reader at work."""

    def __init__(
        self,
        setup: ReaderSetup,
        connectors: Mapping[str, Connector],
        admission: Admission,
        clock: Clock,
        tracer: Tracer,
    ) -> None:
        """Raises LocalError for a connector that does not exist."""
        self.reader = setup.reader
        names = setup.connectors or tuple(connectors)
        if unknown := {*names, *([setup.connector] if setup.connector else [])} - set(connectors):
            raise LocalError(f"reader {setup.reader.name}: there is no connector {', '.join(sorted(unknown))}")
        self._served = [connectors[name] for name in names]
        self._fallback = connectors.get(setup.connector)
        self._admission = admission
        self._clock = clock
        self._tracer = tracer
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None
        self.bugs: list[BaseException] = []

    def start(self) -> None:
        """Take cards from now on."""
        self._following = asyncio.create_task(self._follow(), name=f"reader {self.reader.name}")

    async def close(self) -> None:
        """Take no more, and release the device."""
        tasks = [*self._tasks, *([self._following] if self._following else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.reader.close()

    async def _follow(self) -> None:
        while True:
            try:
                async for card in self.reader.cards():
                    self._take(card)
                why = "it sends no more cards"
            except (PeerError, RigError) as error:
                why = str(error)
            self._trace("session.trouble", part="reader", why=why)
            await self._clock.sleep(RETRY_S)

    def _take(self, card: CardSeen) -> None:
        token = IdToken(card.id, ID_TYPES.get((card.kind, len(card.uid)), IdType.UNDEFINED))
        one = connector_for(token, self._served, self._fallback)
        self._trace("session.card", connector=one.name, id_type=token.id_type)
        task = asyncio.create_task(self._present(one, token), name=f"card at {self.reader.name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _present(self, one: Connector, token: IdToken) -> None:
        try:
            await self._admission.present(one, token)
        except RefusedError:
            return  # told by whoever refused

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.bugs.append(error)
            self._trace("session.bug", part=task.get_name(), why=repr(error))

    def _trace(self, kind: str, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "session", kind, self.reader.name, data))


def connector_for(token: IdToken, served: Sequence[Connector], fallback: Connector | None) -> Connector:
    """Where its own transaction runs; else where a vehicle waits, the one that came last; else the fallback."""
    for one in served:
        user = one.machine.user
        if user is not None and (user.id_type, user.id) == token.key:
            return one
    waiting = [one for one in served if one.machine.state is State.PLUGGED]
    if waiting:
        return max(waiting, key=lambda one: one.plugged_at or 0.0)
    if fallback is not None:
        return fallback
    return next((one for one in served if one.machine.state is State.AVAILABLE), served[0])
