"""Hours without the CSMS, in virtual time: everything arrives in order, once, marked as offline, one CALL in flight."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from ocpp.exceptions import SecurityError
from ocpp.v201 import call

from backend_client.credential import Credential
from backend_client.ocpp.link import OcppLink, open_ocpp
from backend_client.ocpp.settings import OcppSettings
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ocmf.terms import Tx
from ports.backend import SignedRecord
from ports.contracts import ContractAction
from ports.errors import RigError
from ports.trace import TraceEvent
from tests.backend_client.ocpp.csms import Csms
from tests.backend_client.ocpp.station import START, FakeStation, Maker
from tests.tls import tls_contexts, tls_files

PORT = 8180


class Run:
    """Link and CSMS on one virtual loop."""

    def __init__(self, folder: Path, clock: VirtualClock, **changes: Any) -> None:
        (folder / "password").write_text("correct horse")
        self.clock = clock
        self.csms = Csms()
        self.station = FakeStation()
        self.trace: list[TraceEvent] = []
        settings: dict[str, Any] = {
            "url": f"ws://127.0.0.1:{PORT}/ocpp",
            "identity": "GW1",
            "state_file": folder / "state.sqlite",
            "password": Credential(file=folder / "password"),
            **changes,
        }
        self.link: OcppLink = open_ocpp(
            OcppSettings(**settings),
            clock,
            station=self.station,
            tracer=self.trace.append,
            random=Random(1),
        )

    async def deliver(self, record: SignedRecord) -> None:
        """As the forwarder does: again and again."""
        pause = 1.0
        while True:
            try:
                await self.link.deliver(record)
                return
            except RigError:
                await self.clock.sleep(pause)
                pause = min(2 * pause, 300.0)

    def times(self, kind: str) -> list[float]:
        return [event.at for event in self.trace if event.kind == kind]


def virtual(
    folder: Path, body: Callable[[Run], Awaitable[None]], server: dict[str, Any] | None = None, **changes: Any
) -> Run:
    runs: list[Run] = []

    async def main(clock: VirtualClock) -> None:
        run = Run(folder, clock, **changes)
        runs.append(run)
        await run.csms.start(port=PORT, **(server or {}))
        await run.link.start()
        try:
            await body(run)
        finally:
            await run.link.close()
            await run.csms.stop()

    run_virtual(main, start=START)
    return runs[0]


def outage(folder: Path, hours: int) -> None:
    async def body(run: Run) -> None:
        maker = Maker(time=run.clock.now())
        await run.clock.sleep(60)
        await run.deliver(maker.make(Tx.BEGIN))
        await run.csms.stop()
        queued = []
        for minute in range(hours * 60):
            await run.clock.sleep(60)
            queued.append(maker.make(Tx.CHARGING, f"{100 + minute * 0.01:.3f}"))
        run.csms.lose = ["TransactionEvent"]  # and the first acknowledgement gets lost
        await run.csms.start(port=PORT)
        for record in queued:
            await run.deliver(record)
        await run.clock.sleep(60)
        maker.time = run.clock.now()
        await run.deliver(maker.make(Tx.END, "500.000", after_s=0))

    run = virtual(folder, body)
    effects = [one.payload for one in run.csms.effects.values() if one.action == "TransactionEvent"]
    assert [event["seqNo"] for event in effects] == list(range(hours * 60 + 2))
    assert [event["offline"] for event in effects] == [False] + [True] * (hours * 60) + [False]
    assert len(run.csms.of("TransactionEvent")) == len(effects) + 1
    assert effects[-1]["eventType"] == "Ended"
    assert len(run.csms.of("BootNotification")) == 1  # a lost connection is no restart
    in_flight = 0
    for event in run.trace:
        message = event.data.get("message")
        if not isinstance(message, list):
            in_flight = 0 if event.kind == "ocpp.down" else in_flight
            continue
        if event.kind == "ocpp.sent" and message[0] == 2:
            in_flight += 1
        if event.kind == "ocpp.received" and message[0] in {3, 4}:
            in_flight -= 1
        assert in_flight in {0, 1}


def test_hours_without_the_csms_leave_no_gap(tmp_path: Path) -> None:
    outage(tmp_path, 1)


@pytest.mark.soak
def test_two_days_without_the_csms_leave_no_gap(tmp_path: Path) -> None:
    outage(tmp_path, 48)


def test_attempts_become_rarer_and_are_never_in_step(tmp_path: Path) -> None:
    async def body(run: Run) -> None:
        await run.csms.stop()
        await run.clock.sleep(3600)

    times = virtual(tmp_path, body).times("ocpp.down")
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] < 2
    assert all(50 <= pause <= 121 for pause in pauses[8:])
    assert len({round(pause, 2) for pause in pauses[8:]}) > 5


def test_queued_values_wait_until_the_csms_has_had_its_say(tmp_path: Path) -> None:
    async def body(run: Run) -> None:
        maker = Maker(time=run.clock.now())
        await run.deliver(maker.make(Tx.BEGIN))
        await run.csms.stop()
        await run.clock.sleep(10)
        await run.csms.start(port=PORT)
        await run.deliver(maker.make(Tx.CHARGING))

    run = virtual(tmp_path, body, resume_delay_s=30.0, wait_s=100.0)
    up = run.times("ocpp.up")[-1]
    sent = [event.at for event in run.trace if event.kind == "ocpp.sent" and "TransactionEvent" in str(event.data)]
    assert sent[-1] == pytest.approx(up + 30, abs=0.5)


def test_pending_and_rejected_are_honoured(tmp_path: Path) -> None:
    words = iter(["Pending", "Rejected", "Accepted"])

    def boot(_: dict[str, Any]) -> dict[str, Any]:
        return {"status": next(words), "interval": 50, "currentTime": "2026-03-01T08:00:05Z"}

    async def body(run: Run) -> None:
        run.csms.answers["BootNotification"] = boot
        await run.clock.sleep(40)
        assert [one.action for one in run.csms.heard] == ["BootNotification"]
        with pytest.raises(RigError, match="away"):
            await run.link.deliver(Maker().make(Tx.BEGIN))
        await run.clock.sleep(175)

    run = virtual(tmp_path, body)
    actions = [one.action for one in run.csms.heard]
    boots = [e.at for e in run.trace if e.kind == "ocpp.sent" and "BootNotification" in str(e.data)]
    assert [round(later - earlier) for earlier, later in pairwise(boots)] == [50, 50]
    assert (
        actions
        == ["BootNotification"] * 3 + ["StatusNotification"] * 2 + ["SecurityEventNotification"] + ["Heartbeat"] * 2
    )
    assert next(e.data["csms_ahead_s"] for e in run.trace if e.kind == "ocpp.clock") == pytest.approx(5, abs=0.1)


def test_a_new_heartbeat_interval_counts_at_once(tmp_path: Path) -> None:
    async def body(run: Run) -> None:
        item = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
        await run.clock.sleep(1)
        await run.csms.call(call.SetVariables(set_variable_data=[{**item, "attribute_value": "10"}]))
        await run.clock.sleep(35)

    assert len(virtual(tmp_path, body).csms.of("Heartbeat")) == 3


def test_a_csms_that_says_nothing_is_left_and_found_again(tmp_path: Path) -> None:
    async def body(run: Run) -> None:
        run.csms.mute = {"Heartbeat"}
        await run.clock.sleep(360)
        run.csms.mute = set()
        await run.clock.sleep(10)
        assert run.link.is_up

    run = virtual(tmp_path, body)
    assert len(run.csms.points) == 2


def test_a_vehicle_is_never_kept_waiting(tmp_path: Path) -> None:
    async def body(run: Run) -> None:
        run.csms.mute = {"Get15118EVCertificate"}
        await run.clock.sleep(1)
        before = run.clock.monotonic()
        with pytest.raises(RigError, match=r"within 4 s"):
            await run.link.fetch(ContractAction.INSTALL, b"x", "urn:iso:15118:2:2013:MsgDef", 4.0)
        assert run.clock.monotonic() - before == pytest.approx(4.0)
        # the unanswered CALL is still in flight: the next one waits for its timeout
        await run.link.deliver(Maker().make(Tx.BEGIN))
        assert run.clock.monotonic() - before == pytest.approx(30.0, abs=0.1)

    run = virtual(tmp_path, body)
    assert len(run.csms.of("Get15118EVCertificate")) == 1


def test_a_csms_that_forgot_the_station_is_greeted_again(tmp_path: Path) -> None:
    async def body(run: Run) -> None:
        await run.clock.sleep(1)
        run.csms.answers["TransactionEvent"] = SecurityError(description="boot first")
        record = Maker().make(Tx.BEGIN)
        with pytest.raises(RigError, match="SecurityError: boot first"):
            await run.link.deliver(record)
        run.csms.answers.clear()
        await run.deliver(record)

    run = virtual(tmp_path, body)
    assert [boot["reason"] for boot in run.csms.of("BootNotification")] == ["PowerUp", "Unknown"]


def test_tls_and_passwords_work_in_virtual_time(tmp_path: Path) -> None:
    async def body(run: Run) -> None:
        await run.deliver(Maker().make(Tx.BEGIN))

    ca, _ = tls_files(tmp_path)
    changes: dict[str, Any] = {"url": f"wss://127.0.0.1:{PORT}", "security_profile": 2, "ca_file": ca}
    run = virtual(tmp_path, body, {"ssl": tls_contexts()[0]}, **changes)
    assert str(run.csms.authorization[0]).startswith("Basic ")
    assert len(run.csms.of("TransactionEvent")) == 1
