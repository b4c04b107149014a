"""A contactless reader behind PC/SC: cards by their UID, kinds by their ATR."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from ports.clock import Clock
from ports.errors import LocalError, PeerError, RigError
from ports.reader import CardSeen
from readers.pcsclite import PcscLite, ReaderState
from wire.contactless_atr import kind_of, uid_of

LOOK_S = 1.0  # so long one call waits for news
TRY_AGAIN_S = 1.0


class Pcsc(Protocol):
    """What `PcscLite` offers."""

    def readers(self) -> list[str]:
        """See `PcscLite`."""

    def wait(self, reader: str, known: ReaderState, seconds: float) -> ReaderState | None:
        """See `PcscLite`."""

    def ask_uid(self, reader: str) -> bytes:
        """See `PcscLite`."""

    def cancel(self) -> None:
        """See `PcscLite`."""

    def close(self) -> None:
        """See `PcscLite`."""


class PcscReader:
    """`ports.reader.Reader`. name: its resource in the rig file. device: a part of its PC/SC name, "" the only one.

    A card that lies there when the reader comes up is seen. Raises LocalError in virtual time: a reader is real.
    """

    def __init__(self, name: str, clock: Clock, *, device: str = "", connect: Callable[[], Pcsc] = PcscLite) -> None:
        if clock.is_virtual:
            raise LocalError(f"reader {name}: PC/SC is real, virtual time cannot wait for it")
        self._name = name
        self._clock = clock
        self._device = device
        self._connect = connect
        self._pcsc: Pcsc | None = None
        self._reader = ""
        self._state = ReaderState()
        self._thread = ThreadPoolExecutor(1, f"reader {name}")
        self._look: asyncio.Future[tuple[bytes, bytes] | None] | None = None
        self._told = ""
        self._closed = False

    @property
    def name(self) -> str:
        """Its resource in the rig file."""
        return self._name

    async def cards(self) -> AsyncIterator[CardSeen]:
        """See `ports.reader.Reader`. After an error ask again: it waits until the reader is back, and goes on.

        Raises RigError: no library, no pcscd, no such reader, unplugged; each said once. PeerError: a card without UID.
        """
        while not self._closed:
            try:
                found = await self._next()
            except PeerError as error:
                raise PeerError(f"reader {self._name}: {error}", error.received) from error
            except RigError as error:
                if self._told != str(error):
                    self._told = str(error)
                    raise RigError(f"reader {self._name}: {error}") from error
                await self._clock.sleep(TRY_AGAIN_S)
                continue
            self._told = ""
            if found is not None and not self._closed:
                uid, atr = found
                yield CardSeen(self._clock.monotonic(), self._name, kind_of(atr, uid), uid)

    async def close(self) -> None:
        """Release the reader; harmless when closed."""
        self._closed = True
        while self._look is not None and not self._look.done():
            if self._pcsc is not None:
                self._pcsc.cancel()
            await asyncio.wait((self._look,), timeout=0.1)  # it may not have begun to wait when it was cancelled
        self._forget()
        self._thread.shutdown(wait=False)

    async def _next(self) -> tuple[bytes, bytes] | None:
        """UID and ATR of a card that came; None when none came for a while. A look outlives who waited for it."""
        if self._look is None:
            self._look = asyncio.get_running_loop().run_in_executor(self._thread, self._look_now)
        look = self._look
        try:
            return await asyncio.shield(look)
        finally:
            if look.done():
                self._look = None

    # in the thread

    def _look_now(self) -> tuple[bytes, bytes] | None:
        try:
            if self._pcsc is None:
                self._pcsc = self._connect()
            self._reader = self._reader or self._find(self._pcsc)
            state = self._pcsc.wait(self._reader, self._state, LOOK_S)
            if state is None:
                return None
            before, self._state = self._state, state
            again = before.has_card and (state.events - before.events) % 2**16 >= 2  # left and came between two looks
            if not state.has_card or (before.has_card and not again):
                return None
            if state.is_mute:
                raise PeerError(f"the card on {self._reader} does not answer: hold it closer", state.atr)
            answer = self._pcsc.ask_uid(self._reader)
            return (uid_of(answer), state.atr) if answer else None
        except RigError:
            self._forget()
            raise

    def _find(self, pcsc: Pcsc) -> str:
        readers = pcsc.readers()
        found = [one for one in readers if self._device in one]
        if len(found) == 1:
            return found[0]
        wanted = f"a reader called {self._device!r}" if self._device else "a reader"
        there = ", ".join(readers) or "none"
        if found:
            raise RigError(f"PC/SC: {wanted} is not one but {len(found)}: name it; there are {there}")
        raise RigError(f"PC/SC: {wanted} is not there: plug it in; there are {there}")

    def _forget(self) -> None:
        pcsc, self._pcsc = self._pcsc, None
        self._reader, self._state = "", ReaderState()
        if pcsc is not None:
            pcsc.close()
