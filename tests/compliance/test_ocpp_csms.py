"""`ocpp-csms` 0.1.0 (PyPI, AGPL-3.0) as CSMS for OCPP 1.6, with an RPC layer (aiohttp) and rules that are not ours.

It is never imported: it runs as a program of its own from an environment in .peers/ocpp-csms, which the fixture makes;
skipped by name when that fails. It prints every event that it understood.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from backend_client.credential import Credential
from backend_client.ocpp.link import OcppLink, open_ocpp
from backend_client.ocpp.settings import OcppSettings, Version
from hil_rigs.real_clock import RealClock
from ports.authorisation import AuthorisationRequest
from ports.contracts import ContractAction
from ports.errors import PeerError
from tests.backend_client.ocpp.station import FakeStation, Maker
from tests.peers import python_packages

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(300)]
PACKAGE = "ocpp-csms==0.1.0"


def program() -> Path:
    """The command, in an environment of its own."""
    return python_packages("ocpp-csms", PACKAGE) / "ocpp-csms"


class Judge:
    """The program and what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self.printed: list[str] = []
        self._more = asyncio.Event()

    async def listen(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.printed.append(line.decode())
            self._more.set()

    async def until(self, word: str) -> str:
        """The first line with this word, when it has come."""
        while not any(word in line for line in self.printed):
            self._more.clear()
            await self._more.wait()
        return next(line for line in self.printed if word in line)


@pytest.fixture
async def judge() -> AsyncIterator[Judge]:
    process = await asyncio.create_subprocess_exec(
        str(program()),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 20,
    )
    assert process.stdout is not None
    first = (await process.stdout.readline()).decode()
    opened = Judge(process, int(first.rsplit(maxsplit=1)[-1]))
    listening = asyncio.create_task(opened.listen())
    yield opened
    process.terminate()
    await process.wait()
    await listening


def link_to(judge: Judge, folder: Path) -> OcppLink:
    (folder / "password").write_text("correct horse")
    settings = OcppSettings(
        url=f"ws://127.0.0.1:{judge.port}",
        identity="GW1",
        state_file=folder / "state.sqlite",
        version=Version.V16,
        password=Credential(file=folder / "password"),
    )
    return open_ocpp(settings, RealClock(), station=FakeStation(), random=Random(1))


async def test_a_session_with_signed_values_is_understood(judge: Judge, tmp_path: Path) -> None:
    link = link_to(judge, tmp_path)
    await link.start()
    try:
        assert (await link.authorise(AuthorisationRequest("c1", "DE*PLG*E1", "04A1B2C3", "ISO14443"))).is_accepted
        for record in Maker().session():
            await link.deliver(record)
        stopped = await judge.until("TransactionStoppedEvent")
    finally:
        await link.close()
    assert "103500" in stopped or "103.5" in stopped
    assert "signedMeterData" in "".join(judge.printed)
    assert "Traceback" not in "".join(judge.printed)


async def test_it_does_not_know_plug_and_charge_and_says_so(judge: Judge, tmp_path: Path) -> None:
    link = link_to(judge, tmp_path)
    await link.start()
    try:
        with pytest.raises(
            PeerError, match=r"DataTransfer org\.openchargealliance\.iso15118pnc\) with UnknownVendorId"
        ):
            await link.fetch(ContractAction.INSTALL, b"\x80\x98", "urn:iso:15118:2:2013:MsgDef", 4.0)
    finally:
        await link.close()
