"""Hours of outage, slow and lying answers over HTTP in virtual time: every record has one effect, in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from backend_client.cpo_rest import CpoRest
from backends import cpo_store
from backends.cpo import cpo_app
from backends.cpo_receiver import CpoReceiver, KeyPolicy
from backends.faults import BackendFault, BackendFaults, FaultKind, FaultMix, FaultSwitch
from backends.http_server import HttpServer, serve_asgi
from backends.store.database import Database
from gateway.policy import Policy
from gateway.transaction import State
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ocmf.transaction import TransactionStatus
from tests.gateway.doubles import STREAM
from tests.gateway.point import CARD, START, Point


class Cpo:
    """A CPO that can be switched off and on again at the same address."""

    def __init__(self, clock: VirtualClock, folder: Path, faults: BackendFaults) -> None:
        self._clock = clock
        self._url = f"sqlite:///{folder / 'cpo.db'}"
        self._faults = faults
        self.server: HttpServer | None = None

    async def on(self) -> None:
        self.database = Database(self._url, self._clock, cpo_store.prepare)
        self.receiver = CpoReceiver(self.database, self._clock, policy=KeyPolicy.FIRST_USE)
        app = cpo_app(self.receiver, self.database, self._clock, faults=self._faults)
        self.server = await serve_asgi(app, port=8443, clock=self._clock)

    async def off(self) -> None:
        assert self.server is not None
        await self.server.close()


def campaign(folder: Path, faults: Callable[[VirtualClock], BackendFaults], outage_s: float, hours: int) -> None:
    async def main(clock: VirtualClock) -> None:
        cpo = Cpo(clock, folder, faults(clock))
        await cpo.on()
        point = Point(clock, folder, Policy(poll_s=10.0, sample_s=300.0, stop_s=3600.0))
        rest = CpoRest("http://127.0.0.1:8443")
        point.backend = rest  # type: ignore[assignment]
        controller = await point.start()
        for hour in range(hours):
            if hour == 1 and outage_s:
                await cpo.off()
            point.cable.plug()
            await controller.wait_for("c1", State.PLUGGED)
            await controller.authorise("c1", CARD)
            await controller.wait_for("c1", State.CHARGING)
            await clock.sleep(1800)
            point.cable.unplug()
            await controller.wait_for("c1", State.AVAILABLE)
            await clock.sleep(1800)
            if hour == int(outage_s // 3600) and outage_s:
                await cpo.on()
        await controller.close()
        assert point.forwarder.waiting() == {"cpo": 0}
        assert not point.told("session.bug")

        kept = [f"T{number}" for number in range(1, point.journal.head(STREAM).next_number("T"))]
        stored = await cpo.database.read(lambda connection: cpo_store.records(connection, limit=10_000))
        assert sorted((one.record.page for one in stored), key=lambda page: int(page[1:])) == kept
        assert await cpo.database.read(cpo_store.incidents) == []
        ids = await cpo.database.read(cpo_store.transaction_ids)
        assert len(ids) == hours
        for _, name in ids:
            pages = [int(one.record.page[1:]) for one in stored if one.record.transaction_id == name]
            assert pages == sorted(pages)
            verdict = (await cpo.receiver.transaction(name)).verdict
            assert verdict is not None
            assert verdict.status is TransactionStatus.OK
        await cpo.off()

    run_virtual(main, start=START, seed=5)


def test_six_hours_without_a_backend(tmp_path: Path) -> None:
    campaign(tmp_path, lambda clock: FaultSwitch(), outage_s=6 * 3600, hours=8)


@pytest.mark.parametrize(
    "lasting",
    [BackendFault(FaultKind.DUPLICATE), BackendFault(FaultKind.SLOW, seconds=5)],
    ids=["every delivery twice", "every answer slow"],
)
def test_a_backend_that_is_always_odd(tmp_path: Path, lasting: BackendFault) -> None:
    campaign(tmp_path, lambda clock: FaultSwitch(lasting=lasting), outage_s=0, hours=1)


def test_a_backend_slower_than_our_patience_still_has_one_effect(tmp_path: Path) -> None:
    slow = [BackendFault(FaultKind.SLOW, seconds=60)] * 5
    campaign(tmp_path, lambda clock: FaultSwitch(slow), outage_s=0, hours=1)


def test_errors_lost_answers_and_duplicates_at_random(tmp_path: Path) -> None:
    shares = {FaultKind.ERROR: 0.3, FaultKind.LOST_ACK: 0.2, FaultKind.DUPLICATE: 0.1, FaultKind.SLOW: 0.1}
    campaign(tmp_path, lambda clock: FaultMix(shares, Random(clock.seed), slow_s=30), outage_s=0, hours=3)
