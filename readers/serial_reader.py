"""A card reader on a serial line: lines of text or ASCII frames, over the same ports as meters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.reader import CardKind, CardSeen
from ports.serial_line import BytePort
from ports.trace import TraceEvent, Tracer, no_trace
from readers.card_kind import UID_OCTETS, expected
from readers.seen_once import GONE_AFTER_S, SeenOnce
from wire.rfid_frame import RfidFrames
from wire.uid_lines import UidLines

TRY_AGAIN_S = 1.0
LOOK_S = 3600.0  # nothing is asked of a reader: it speaks when a card comes


class UidStream(Protocol):
    """A parser of one protocol. skipped: octets so far that were no UID."""

    skipped: int

    def receive(self, octets: bytes) -> list[bytes]:
        """Octets as they come; the UIDs that are whole now."""


PROTOCOLS: dict[str, type[UidStream]] = {"line": UidLines, "frame": RfidFrames}


class SerialReader:
    """`ports.reader.Reader`. name: its resource in the rig file. kind: of the cards that it reads.

    protocol: a name of `PROTOCOLS`. reverse: the reader sends the last octet of a UID first.
    gone_after_s: a card that the reader did not repeat for so long has left.
    """

    def __init__(
        self,
        name: str,
        port: BytePort,
        clock: Clock,
        *,
        kind: CardKind = CardKind.ISO14443,
        protocol: str = "line",
        reverse: bool = False,
        gone_after_s: float = GONE_AFTER_S,
        tracer: Tracer = no_trace,
    ) -> None:
        self._name = name
        self._port = port
        self._clock = clock
        self._kind = kind
        self._make = PROTOCOLS[protocol]
        self._stream = self._make()
        self._reverse = reverse
        self._tracer = tracer
        self._seen = SeenOnce(gone_after_s)
        self._waiting: list[bytes] = []
        self._receiving: asyncio.Future[bytes] | None = None
        self._told = self._closed = False

    @property
    def name(self) -> str:
        """Its resource in the rig file."""
        return self._name

    async def cards(self) -> AsyncIterator[CardSeen]:
        """See `ports.reader.Reader`. After an error ask again: it waits until the port is back, and goes on.

        Raises RigError: the port is missing or was unplugged, said once. PeerError: a UID that no such card has.
        """
        while not self._closed:
            while self._waiting:
                card = self._card(self._waiting.pop(0))
                if card is not None:
                    yield card
            if self._port.is_open or await self._open():
                self._take(await self._receive())

    async def close(self) -> None:
        """Release the port; harmless when closed."""
        self._closed = True
        if self._receiving is not None:
            self._receiving.cancel()
        self._port.close()

    async def _open(self) -> bool:
        """Whether the port is open now; what is wrong with it is said once."""
        try:
            self._port.open()
        except RigError as error:
            if not self._told:
                self._told = True
                raise RigError(f"reader {self._name}: {error}") from error
            await self._clock.sleep(TRY_AGAIN_S)
            return False
        self._told, self._stream = False, self._make()
        self._trace("reader.open", b"", port=self._port.name)
        return True

    async def _receive(self) -> bytes:
        """The next octets; b"" when the reader was closed."""
        receiving = self._receiving = asyncio.ensure_future(self._port.receive(self._port.time() + LOOK_S))
        try:
            return await receiving
        except RigError as error:
            self._told = True
            raise RigError(f"reader {self._name}: {error}") from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                return b""
            raise

    def _take(self, octets: bytes) -> None:
        skipped = self._stream.skipped
        self._waiting += self._stream.receive(octets)
        if self._stream.skipped > skipped:
            self._trace("reader.noise", octets, skipped=self._stream.skipped - skipped)

    def _card(self, received: bytes) -> CardSeen | None:
        uid = received[::-1] if self._reverse else received
        at = self._clock.monotonic()
        if not self._seen.report(uid, at):
            return None
        if len(uid) not in UID_OCTETS[self._kind]:
            text = f"{len(uid)} octets ({uid.hex().upper()}), {self._kind} has {expected(self._kind)}"
            raise PeerError(f"reader {self._name} on {self._port.name}: UID of {text}: set another kind of card", uid)
        return CardSeen(at, self._name, self._kind, uid)

    def _trace(self, kind: str, raw: bytes, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "line", kind, self._name, data, raw))
