"""The transaction discipline on a virtual line, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from hil_rigs.serial_line.burst import Unplug
from hil_rigs.serial_line.faults import FROM_MASTER, FaultPlan
from hil_rigs.serial_line.memory_line import MemoryLine
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from meters.bus import AmbiguousAnswerError, Backoff, Call, Priority, Timing
from meters.rtu_master import RtuMaster
from meters.simulated import SimulatedMeter
from ports.errors import LocalError, PeerError, RigError
from ports.serial_line import SerialSettings
from ports.trace import TraceEvent
from tests.meters.fault_matrix import MODEL, SYNC
from tests.meters.plant import Plant
from wire.modbus_pdu import ReadRegisters, WriteRegisters

TIMING = Timing(max_response_s=0.3, late_window_s=0.25)
ENERGY = ReadRegisters(4, 0x48, 2)
VOLTAGE = ReadRegisters(4, 0x00, 2)


@dataclass(slots=True)
class Rig:
    """Two meters on a line, and their master."""

    clock: VirtualClock
    plan: FaultPlan
    sims: dict[int, SimulatedMeter]
    line: MemoryLine
    master: RtuMaster
    events: list[TraceEvent]


def on_rig(test: Callable[[Rig], Awaitable[None]], settings: SerialSettings | None = None, **options: object) -> None:
    """Run a test in virtual time."""
    settings = settings or SerialSettings(9600, "8N1")

    async def main(clock: VirtualClock) -> None:
        plan = FaultPlan(3)
        sims = {n: SimulatedMeter(MODEL, Plant(n * 1000.0), device=n, settings=settings) for n in (1, 2)}
        line = MemoryLine(settings, list(sims.values()), faults=plan, **options)
        events: list[TraceEvent] = []
        await test(Rig(clock, plan, sims, line, RtuMaster(line.port(), events.append), events))
        line.close()

    run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC))


async def seconds_of(rig: Rig, what: Awaitable[object]) -> float:
    began = rig.clock.monotonic()
    await what
    return rig.clock.monotonic() - began


@pytest.mark.parametrize("baud", [1200, 9600, 19200, 115200])
@pytest.mark.parametrize("form", ["8N1", "8E1", "8N2"])
def test_polls_as_fast_as_the_line_and_never_inside_t35(baud: int, form: str) -> None:
    settings = SerialSettings(baud, form)

    async def test(rig: Rig) -> None:
        await rig.master.transact(1, ENERGY, TIMING)

        async def ten() -> None:
            for _ in range(10):
                assert await rig.master.transact(1, ENERGY, TIMING) == rig.sims[1].execute(ENERGY)

        limit = 17 * settings.character_s + 2 * settings.silence_s
        assert await seconds_of(rig, ten()) == pytest.approx(10 * limit, rel=1e-6)
        assert rig.line.counters.violations == 0

    on_rig(test, settings)


def test_a_wrong_crc_is_known_long_before_the_timeout() -> None:
    async def test(rig: Rig) -> None:
        rig.sims[1].faults.inject("bad_crc", times=1)
        with pytest.raises(PeerError, match=r"9600 8N1\) device 1, input registers 0x0048-0x0049: .*wrong CRC"):
            await rig.master.transact(1, ENERGY, TIMING)
        took = rig.clock.monotonic() - 1000.0
        assert took < 0.15 * TIMING.max_response_s + 0.021  # 8 + 9 characters of line time on top
        assert rig.master.counters.crc == 1
        # the answer has come, damaged: nothing has to be waited for
        assert await seconds_of(rig, rig.master.transact(1, ENERGY, TIMING)) < 0.03

    on_rig(test)


def test_after_a_timeout_nothing_is_sent_until_the_late_answer_has_come() -> None:
    async def test(rig: Rig) -> None:
        rig.sims[1].faults.inject("late", times=1, delay_ms=400)
        with pytest.raises(PeerError, match="no answer"):
            await rig.master.transact(1, ENERGY, TIMING)
        sent = rig.line.counters.requests
        voltage = await rig.master.transact(1, VOLTAGE, TIMING, Call(sync=SYNC))
        assert voltage == rig.sims[1].execute(VOLTAGE)
        assert rig.master.counters.late == 1
        assert rig.line.counters.requests == sent + 1  # it came: no other question was needed
        assert rig.line.counters.collisions == 0

    on_rig(test)


def test_an_answer_beyond_the_window_is_told_apart_by_its_size() -> None:
    async def test(rig: Rig) -> None:
        rig.sims[1].faults.inject("late", times=1, delay_ms=700)
        with pytest.raises(PeerError):
            await rig.master.transact(1, ENERGY, TIMING)
        for _ in range(3):
            try:
                voltage = await rig.master.transact(1, VOLTAGE, TIMING, Call(sync=SYNC))
            except PeerError:
                continue
            assert voltage == rig.sims[1].execute(VOLTAGE)
            break
        else:
            pytest.fail("never recovered")
        assert rig.master.counters.syncs >= 1

    on_rig(test)


def test_without_another_question_the_window_has_to_do() -> None:
    """The limit of the method, in the open: no sync read, and an answer later than the window."""

    async def test(rig: Rig) -> None:
        rig.sims[1].faults.inject("late", times=1, delay_ms=620)
        with pytest.raises(PeerError):
            await rig.master.transact(1, ENERGY, TIMING)
        assert await rig.master.transact(1, VOLTAGE, TIMING) == rig.sims[1].execute(ENERGY)

    on_rig(test)


def test_a_cancelled_request_leaves_its_answer_to_nobody() -> None:
    async def test(rig: Rig) -> None:
        task = asyncio.create_task(rig.master.transact(1, ENERGY, TIMING))
        await rig.clock.sleep(0.012)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await rig.master.transact(1, VOLTAGE, TIMING, Call(sync=SYNC)) == rig.sims[1].execute(VOLTAGE)

    on_rig(test)


def test_billing_goes_first_then_live_values_then_settings() -> None:
    async def test(rig: Rig) -> None:
        order: list[Priority] = []

        async def ask(priority: Priority) -> None:
            await rig.master.transact(1, ENERGY, TIMING, Call(priority))
            order.append(priority)

        first = asyncio.create_task(ask(Priority.LIVE))
        await asyncio.sleep(0)
        wanted = [Priority.SETTING, Priority.LIVE, Priority.BILLING, Priority.SETTING, Priority.BILLING]
        await asyncio.gather(first, *(ask(priority) for priority in wanted))
        assert order == [Priority.LIVE, *sorted(wanted)]

    on_rig(test)


def test_a_waiting_request_can_be_cancelled() -> None:
    async def test(rig: Rig) -> None:
        tasks = [asyncio.create_task(rig.master.transact(1, ENERGY, TIMING)) for _ in range(4)]
        await rig.clock.sleep(0.001)
        tasks[1].cancel()
        tasks[2].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [tuple, asyncio.CancelledError, asyncio.CancelledError, tuple]
        assert rig.line.counters.requests == 2

    on_rig(test)


def test_several_meters_on_one_line_keep_apart() -> None:
    async def test(rig: Rig) -> None:
        power = ReadRegisters(4, 0x34, 2)

        async def poll(device: int) -> None:
            for _ in range(20):
                assert await rig.master.transact(device, power, TIMING) == rig.sims[device].execute(power)

        await asyncio.gather(poll(1), poll(2), poll(1))
        assert rig.line.counters.violations == rig.line.counters.collisions == 0

    on_rig(test)


def test_a_line_that_echoes_is_counted_and_harmless() -> None:
    async def test(rig: Rig) -> None:
        rig.plan.inject("echo", point=FROM_MASTER)
        for request in (ENERGY, VOLTAGE, ReadRegisters(3, 0xFC00, 2)):
            assert await rig.master.transact(1, request, TIMING, Call(max_skip=0)) == rig.sims[1].execute(request)
        assert rig.master.counters.echo == 3 * 8
        assert rig.master.counters.noise == 0

    on_rig(test)


def test_writing_one_register_needs_to_know_whether_the_line_echoes() -> None:
    async def test(rig: Rig) -> None:
        write = WriteRegisters(0x10, (5,), 6)
        with pytest.raises(LocalError, match="read once before"):
            await rig.master.transact(1, write, TIMING)
        rig.plan.inject("echo", point=FROM_MASTER)
        await rig.master.transact(1, ENERGY, TIMING)
        rig.sims[1].faults.inject("dead")
        with pytest.raises(PeerError, match="no answer"):  # the echo alone is no answer
            await rig.master.transact(1, write, TIMING)

    on_rig(test)


def test_a_pause_inside_an_answer_is_tolerated() -> None:
    async def test(rig: Rig) -> None:
        rig.plan.inject("gap", seconds=0.09)
        assert await rig.master.transact(1, ENERGY, TIMING) == rig.sims[1].execute(ENERGY)

    on_rig(test)


@pytest.mark.parametrize("latency", [0.001, 0.016])
def test_usb_latency_is_tolerated(latency: float) -> None:
    async def test(rig: Rig) -> None:
        block = ReadRegisters(4, 0x00, 76)
        for _ in range(20):
            assert await rig.master.transact(1, block, TIMING) == rig.sims[1].execute(block)

    on_rig(test, SerialSettings(115200, "8N1"), usb_latency_s=latency)


def test_minimum_gap_of_a_device_is_kept() -> None:
    async def test(rig: Rig) -> None:
        slow = Timing(0.3, 0.25, min_gap_s=0.04)
        await rig.master.transact(1, ENERGY, slow)
        took = await seconds_of(rig, rig.master.transact(1, ENERGY, slow))
        assert took == pytest.approx(0.04 + 17 * 10 / 9600 + 3.5 * 10 / 9600, rel=1e-6)

    on_rig(test)


@pytest.mark.parametrize(
    ("master", "device"),
    [("9600 8N1", "9600 8E1"), ("9600 8E1", "9600 8O1"), ("9600 8N1", "19200 8N1"), ("19200 8N1", "9600 8N1")],
)
def test_wrong_baud_or_parity_is_an_error_that_names_the_settings(master: str, device: str) -> None:
    async def main(clock: VirtualClock) -> None:
        ours, theirs = (SerialSettings(int(text.split()[0]), text.split()[1]) for text in (master, device))
        line = MemoryLine(theirs, [SimulatedMeter(MODEL, Plant(), device=1, settings=theirs)])
        rtu_master = RtuMaster(line.port(ours))
        for _ in range(5):
            with pytest.raises(PeerError, match=rf"\({master}\) device 1, (input|holding) registers"):
                await rtu_master.transact(1, ENERGY, TIMING, Call(sync=SYNC))
        line.close()

    run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC))


def test_unplugged_and_back_under_the_same_name() -> None:
    async def test(rig: Rig) -> None:
        await rig.master.transact(1, ENERGY, TIMING)
        rig.line.line.unplug(rig.line.time() + 0.01, Unplug(for_s=3.0))
        rig.line.pump(rig.line.time())
        with pytest.raises(RigError, match="unplugged"):
            await rig.master.transact(1, ENERGY, TIMING)
        failures, began = 0, rig.clock.monotonic()
        while True:
            try:
                assert await rig.master.transact(1, ENERGY, TIMING, Call(sync=SYNC)) == rig.sims[1].execute(ENERGY)
                break
            except RigError:
                failures += 1
                await rig.clock.sleep(0.05)
        assert 2.9 < rig.clock.monotonic() - began < 5.5
        assert rig.master.counters.opened == 2
        assert rig.events[-1].kind == "line.answer"

    on_rig(test)


def test_a_missing_port_is_a_rig_error_and_tried_with_growing_pauses() -> None:
    backoff = Backoff()
    pauses = []
    for _ in range(7):
        backoff.failed(100.0)
        pauses.append(backoff.next_try - 100.0)
        with pytest.raises(RigError, match="line1 is away; next try in"):
            backoff.check(100.0, "line1")
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.succeeded()
    backoff.check(100.0, "line1")


def test_two_devices_with_one_id_are_named() -> None:
    async def test(rig: Rig) -> None:
        rig.sims[1].faults.inject("second_meter", delay_ms=1)
        with pytest.raises(AmbiguousAnswerError, match="do two devices have this id"):
            await rig.master.transact(1, ENERGY, TIMING, Call(settle=True))

    on_rig(test)


def test_closed_is_closed() -> None:
    async def test(rig: Rig) -> None:
        await rig.master.close()
        await rig.master.close()
        with pytest.raises(LocalError, match="closed"):
            await rig.master.transact(1, ENERGY, TIMING)

    on_rig(test)


def test_every_frame_is_traced_with_its_octets() -> None:
    async def test(rig: Rig) -> None:
        await rig.master.transact(1, ENERGY, TIMING)
        assert [(event.kind, event.raw[:2].hex()) for event in rig.events] == [
            ("line.request", "0104"),
            ("line.answer", "0104"),
        ]

    on_rig(test)
