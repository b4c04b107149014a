"""Our PC/SC reader against pcscd and a virtual contactless reader.

Judges: Debian packages pcscd 1.9.9 (LudovicRousseau/PCSC, BSD-3) with libpcsclite1, and vsmartcard-vpcd 3.3
(frankmorgner/vsmartcard, GPL-3): a reader driver whose card sits behind a TCP connection. Needs root, since pcscd makes
its socket in /run, and no other pcscd.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hil_rigs.real_clock import RealClock
from ports.errors import PeerError, RigError
from ports.reader import CardKind, CardSeen
from readers.pcsc_reader import PcscReader
from readers.pcsclite import PcscLite, ReaderState

READER = "Virtual PCD"
SOCKET = Path("/run/pcscd/pcscd.comm")
MIFARE_1K = "3B8F8001804F0CA000000306030001000000006A"
ICODE_SLI = "3B8F8001804F0CA0000003060B00140000000077"
DRIVER = next(Path("/usr/lib/pcsc/drivers/serial").glob("libifdvpcd.so*"), None)
MISSING = next(
    (
        why
        for why, is_so in (
            ("pcscd is not installed", shutil.which("pcscd", path="/usr/sbin:/usr/bin") is None),
            ("vsmartcard-vpcd is not installed", DRIVER is None),
            ("pcscd needs root", os.geteuid() != 0),
            ("another pcscd runs", SOCKET.exists()),
        )
        if is_so
    ),
    "",
)
pytestmark = [pytest.mark.foreign, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


class Pcscd:
    """The daemon with one virtual reader."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        configuration = folder / "reader.conf"
        configuration.write_text(
            f'FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:0x{self.port:04X}\nLIBPATH {DRIVER}\n'
            f"CHANNELID 0x{self.port:04X}\n"
        )
        self._command = ["/usr/sbin/pcscd", "--foreground", "--config", str(configuration), "--reader-name-no-serial"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 20
        while not SOCKET.exists():
            assert self._process.poll() is None, "pcscd ended"
            assert time.monotonic() < ends, "pcscd makes no socket"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None
        SOCKET.unlink(missing_ok=True)


class Card:
    """A card in the virtual reader while entered: protocol of vpcd, 2 octets length, then APDU or one control octet."""

    def __init__(self, port: int, atr: str, uid: str, status: str = "9000") -> None:
        self._port = port
        self._atr = bytes.fromhex(atr)
        self._answer = bytes.fromhex(uid + status)
        self.apdus: list[bytes] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Card:
        async with asyncio.timeout(20):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                    break
                except ConnectionError:
                    await asyncio.sleep(0.05)
        self._task = asyncio.create_task(self._serve(reader, writer))
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    (length,) = struct.unpack(">H", await reader.readexactly(2))
                    asked = await reader.readexactly(length)
                    answer = b""
                    if length > 1:
                        self.apdus.append(asked)
                        answer = self._answer
                    elif asked == b"\x04":
                        answer = self._atr
                    if answer:
                        writer.write(struct.pack(">H", len(answer)) + answer)
        finally:
            writer.close()


@pytest.fixture
def pcscd(tmp_path: Path) -> Iterator[Pcscd]:
    daemon = Pcscd(tmp_path)
    try:
        yield daemon
    finally:
        daemon.stop()


@contextlib.asynccontextmanager
async def reading(name: str = "") -> AsyncIterator[tuple[PcscReader, asyncio.Queue[CardSeen | Exception]]]:
    """A reader and everything that it says."""
    reader = PcscReader("r1", RealClock(), device=name)
    said: asyncio.Queue[CardSeen | Exception] = asyncio.Queue()

    async def listen() -> None:
        ended = False
        while not ended:
            try:
                async for card in reader.cards():
                    said.put_nowait(card)
                ended = True
            except (PeerError, RigError) as error:
                said.put_nowait(error)

    task = asyncio.create_task(listen())
    try:
        yield reader, said
    finally:
        await reader.close()
        await asyncio.wait_for(task, 10)


async def empty() -> None:
    """Wait until pcscd knows that the card has left."""
    pcsc = PcscLite()
    try:
        state: ReaderState | None = ReaderState()
        while state is None or not state.raw or state.has_card:
            state = await asyncio.to_thread(pcsc.wait, f"{READER} 00 00", state or ReaderState(), 5.0)
    finally:
        pcsc.close()


async def test_cards_come_go_and_come_again(pcscd: Pcscd) -> None:
    pcscd.start()
    async with reading(f"{READER} 00 00") as (_, said), asyncio.timeout(60):
        async with Card(pcscd.port, MIFARE_1K, "04A2B3C4") as card:
            first = await said.get()
            assert isinstance(first, CardSeen), first
            assert (first.id, first.kind, first.reader) == ("04A2B3C4", CardKind.ISO14443, "r1")
            assert card.apdus == [bytes.fromhex("FFCA000000")]
            await asyncio.sleep(1.2)  # it stays: nothing new
            assert said.empty()
        await empty()
        async with Card(pcscd.port, ICODE_SLI, "E004010012345678"):
            second = await said.get()
            assert isinstance(second, CardSeen), second
            assert (second.id, second.kind) == ("E004010012345678", CardKind.ISO15693)
        await empty()
        async with Card(pcscd.port, MIFARE_1K, "", "6A81"):
            third = await said.get()
            assert isinstance(third, PeerError)
            assert "tells no UID (answer 6A81)" in str(third)
        await empty()
        async with Card(pcscd.port, MIFARE_1K, "04A2B3C4"):
            fourth = await said.get()
            assert isinstance(fourth, CardSeen), fourth


async def test_without_pcscd_it_says_so_once_and_goes_on_when_it_runs(pcscd: Pcscd) -> None:
    async with reading() as (_, said), asyncio.timeout(60):
        assert "reader r1: PC/SC: pcscd does not run" in str(await said.get())
        await asyncio.sleep(1.2)
        assert said.empty()
        pcscd.start()
        told = ""
        while "Virtual PCD 00 01" not in told:  # vpcd has two slots; until its configuration is read there is none
            told = str(await said.get())
        assert (
            told
            == "reader r1: PC/SC: a reader is not one but 2: name it; there are Virtual PCD 00 00, Virtual PCD 00 01"
        )


async def test_a_daemon_that_dies_is_told_and_its_next_life_used(pcscd: Pcscd) -> None:
    pcscd.start()
    async with reading(f"{READER} 00 00") as (_, said), asyncio.timeout(60):
        async with Card(pcscd.port, MIFARE_1K, "04A2B3C4"):
            assert isinstance(await said.get(), CardSeen)
        pcscd.stop()
        while "pcscd does not run" not in str(told := await said.get()):
            assert isinstance(told, RigError)
        pcscd.start()
        async with Card(pcscd.port, MIFARE_1K, "04A2B3C4D5E680"):
            while isinstance(again := await said.get(), RigError):
                pass  # pcscd is there before its reader is
            assert isinstance(again, CardSeen), again
            assert again.id == "04A2B3C4D5E680"
