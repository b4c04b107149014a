"""A whole gateway in a process that may be killed at any moment; `python -m tests.gateway.kill_gateway` serves them.

The server process imports everything once and forks one gateway for each line of JSON on its standard input, so that
a gateway is up within milliseconds and a kill hits its work, not its imports. It answers with the process id, and
with the exit status when the gateway has ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from backend_client.cpo_rest import CpoRest
from gateway.authorisation import LocalList
from gateway.backoff import Backoff
from gateway.controller import RESTING, Controller
from gateway.forwarder import Forwarder
from gateway.journal import Journal
from gateway.journal_entry import Delivery, Entry, Signed
from gateway.journal_store import JournalStore
from gateway.policy import ConnectorSetup, GatewayIdentity, Policy
from gateway.transaction import State
from hil_rigs.real_clock import RealClock, boot_time
from hsm.file_signer import FileSigner
from ports.meter import MeterIdentity, Reading
from tests.gateway.point import CARD, CARDS, Cable

POLICY = Policy(
    poll_s=0.005,
    sample_s=0.02,
    wind_down_s=0.05,
    meter_silence_s=1.0,
    meter_return_s=5.0,
    meter_retry_s=0.01,
    token_s=5.0,
    stop_s=30.0,
)


class BootMeter:
    """A register that counts boot time, so that it runs on while its gateway is dead: 1 Wh a millisecond."""

    label = "boot"

    def __init__(self, serial: str) -> None:
        self._serial = serial
        self._clock = RealClock()

    async def identify(self) -> MeterIdentity:
        return MeterIdentity("Maker", "Boot", self._serial)

    async def read_energy(self) -> Reading:
        value = Decimal(round(boot_time() * 1000)).scaleb(-3)
        clock = self._clock
        return Reading("energy", value, "kWh", "1-b:1.8.0", clock.now(), clock.status(), clock.monotonic())

    async def read(self, names: tuple[str, ...] = ()) -> dict[str, Reading]:
        return {"energy": await self.read_energy()}

    async def close(self) -> None:
        return None


class CrashPoint:
    """Kills the process when a named step is reached for the n-th time, e.g. "write.before:3"."""

    def __init__(self, where: str) -> None:
        self._step, _, count = where.partition(":")
        self._left = int(count or 0)

    def reach(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class NotingSigner(FileSigner):
    """Notes on disk what it signed, before anybody gets the signature."""

    def __init__(self, key: Path, notes: Path, crash: CrashPoint) -> None:
        super().__init__(key)
        self._notes = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._crash = crash

    async def sign(self, message: bytes) -> bytes:
        self._crash.reach("sign.before")
        signature = await super().sign(message)
        os.write(self._notes, hashlib.sha256(message).hexdigest().encode() + b"\n")
        self._crash.reach("sign.after")
        return signature


def crashing(crash: CrashPoint) -> type[JournalStore]:
    """A store that may die around its commits."""

    class CrashingStore(JournalStore):
        def write(
            self,
            intents: Sequence[Entry] = (),
            signatures: Sequence[Signed] = (),
            deliveries: Sequence[Delivery] = (),
        ) -> None:
            crash.reach("write.before")
            super().write(intents, signatures, deliveries)
            crash.reach("write.after")

    return CrashingStore


async def drive(controller: Controller, name: str, cable: Cable, dice: Random) -> None:
    """Sessions without end."""
    while True:
        await controller.wait_for(name, State.AVAILABLE)
        cable.plug()
        await controller.wait_for(name, State.PLUGGED)
        await controller.authorise(name, CARD)
        await controller.wait_for(name, State.CHARGING)
        await asyncio.sleep(dice.uniform(0.0, 0.08))
        cable.unplug()


async def gateway(config: dict[str, Any]) -> None:
    """Sessions on two connectors until killed, or with `finish`: recover, deliver everything, and stop in order."""
    folder, clock = Path(config["folder"]), RealClock()
    crash = CrashPoint(config["crash_at"])
    signer = NotingSigner(folder / "key.pem", folder / "signed.txt", crash)
    journal = await Journal.open(
        folder / "journal.db", signer, clock, min_free_bytes=0, open_store=crashing(crash).open
    )
    forwarder = Forwarder(journal, {"cpo": CpoRest(config["url"])}, clock, backoff=Backoff(0.01, 0.1))
    cables = [Cable(clock, f"c{number}") for number in (1, 2)]
    for cable in cables:
        cable.switch_s = 0.002
    setups = [
        ConnectorSetup(
            control=cable, meter=BootMeter(f"M{cable.connector}"), point_id="DE*PLG*E1", max_power_kw=Decimal(36000)
        )
        for cable in cables
    ]
    identity = GatewayIdentity(identification="plugbench", serial="GW1", version="1", boot_id=clock.boot_id)
    local_list: LocalList = CARDS
    controller = Controller(identity, setups, journal, forwarder, local_list, clock, policy=POLICY)
    await controller.start()
    if config["finish"]:
        for cable in cables:
            await controller.wait_for(cable.connector, *RESTING)
        await asyncio.gather(*(asyncio.shield(pending.signed) for pending in journal.unsigned()))
        await forwarder.drained()
        await controller.close()
        return
    dice = Random(config["seed"])
    await asyncio.gather(*(drive(controller, cable.connector, cable, dice) for cable in cables))


def serve() -> None:
    """Fork a gateway for every line of standard input."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(gateway(json.loads(line)))
            except BaseException:  # noqa: BLE001 - the forked child must never return into the server's loop
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        tell(pid)
        tell(os.waitpid(pid, 0)[1])


def tell(number: int) -> None:
    """Answer the test."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
