"""A reader without hardware: the driver of a rig puts cards on it and takes them away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ports.clock import Clock
from ports.errors import RigError
from ports.reader import CardKind, CardSeen
from readers.card_kind import check_uid


class SimulatedReader:
    """`ports.reader.Reader`. name: its resource in the rig file."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._news: asyncio.Queue[CardSeen | RigError | None] = asyncio.Queue()
        self._card: tuple[bytes, CardKind] | None = None
        self._plugged = True
        self._closed = False

    @property
    def name(self) -> str:
        """Its resource in the rig file."""
        return self._name

    @property
    def card(self) -> bytes | None:
        """UID of the card that lies on it."""
        return self._card[0] if self._card else None

    def present(self, uid: bytes, kind: CardKind = CardKind.ISO14443) -> None:
        """Put a card on the reader; it stays until `remove`. The card that lies there already is not seen again.

        Raises LocalError when no card of this kind has such a UID.
        """
        check_uid(uid, kind)
        came, self._card = self._card != (uid, kind), (uid, kind)
        if came and self._plugged:
            self._news.put_nowait(CardSeen(self._clock.monotonic(), self._name, kind, uid))

    def remove(self) -> None:
        """Take the card away; harmless when there is none."""
        self._card = None

    def tap(self, uid: bytes, kind: CardKind = CardKind.ISO14443) -> None:
        """Show a card and take it away: seen every time. Raises LocalError as `present`."""
        self.remove()
        self.present(uid, kind)
        self.remove()

    def unplug(self) -> None:
        """Pull its cable: `cards` raises RigError until `plug`."""
        if self._plugged:
            self._plugged = False
            self._news.put_nowait(RigError(f"reader {self._name} was unplugged: plug it in, it goes on by itself"))

    def plug(self) -> None:
        """Plug it in again; a card that lies on it is seen."""
        if not self._plugged:
            self._plugged = True
            card, self._card = self._card, None
            if card is not None:
                self.present(*card)

    async def cards(self) -> AsyncIterator[CardSeen]:
        """See `ports.reader.Reader`: ends when the reader is closed. After an error ask again, it goes on."""
        while not self._closed:
            news = await self._news.get()
            if isinstance(news, RigError):
                raise news
            if news is not None:
                yield news

    async def close(self) -> None:
        """Release the device; harmless when closed."""
        self._closed = True
        self._news.put_nowait(None)
