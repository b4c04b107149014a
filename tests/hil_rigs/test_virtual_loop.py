"""Virtual time: jumps, order, holds, watchdogs, deadlocks."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from hil_rigs import virtual_loop
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from hil_rigs.virtual_loop import VirtualDeadlockError, VirtualLoop

START = datetime(2026, 3, 29, 0, 55, tzinfo=UTC)


def test_time_jumps_to_the_next_timer_exactly() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = []
        for _ in range(1000):
            await asyncio.sleep(60.1)
            seen.append(loop.time())
        return seen

    seen = run_virtual(main(), start=START)
    assert seen[-1] == pytest.approx(60_100, abs=1e-6)
    assert len(seen) == 1000


def test_equal_times_fire_in_the_order_they_were_set() -> None:
    async def main() -> list[int]:
        order: list[int] = []
        loop = asyncio.get_running_loop()
        for number in range(200):
            loop.call_at(5.0, order.append, number)
        for number in range(0, 200, 3):
            loop.call_at(1.0 + number, int)
        await asyncio.sleep(10)
        return order

    assert run_virtual(main(), start=START) == list(range(200))


def test_cancelled_timers_do_not_move_time() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        for _ in range(500):  # more than asyncio keeps before it cleans its heap
            loop.call_later(3600, int).cancel()
        async with asyncio.timeout(3600):
            await asyncio.sleep(1)
        return loop.time()

    assert run_virtual(main(), start=START) == 1.0


def test_a_timeout_fires_in_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(6 * 3600):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(main(), start=START) == 6 * 3600


def test_a_deadlock_names_who_waits_and_where() -> None:
    async def waiter(event: asyncio.Event) -> None:
        await event.wait()

    async def main() -> None:
        event = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(waiter(event), name="forwarder")
            group.create_task(waiter(event), name="meter poll")

    with pytest.raises(VirtualDeadlockError) as caught:
        run_virtual(main(), start=START)
    message = str(caught.value)
    assert "forwarder" in message
    assert "meter poll" in message
    assert "locks.py" in message  # where the event is waited for
    assert "hold()" in message


def test_sleeping_forever_is_a_deadlock_too() -> None:
    with pytest.raises(VirtualDeadlockError):
        run_virtual(asyncio.sleep(math.inf), start=START)


def test_tasks_are_cleaned_up_after_a_deadlock() -> None:
    cleaned = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            cleaned.append(True)

    with pytest.raises(VirtualDeadlockError):
        run_virtual(main(), start=START)
    assert cleaned == [True]


@pytest.mark.parametrize("thread_s", [0.0, 0.02])
def test_how_fast_a_thread_is_decides_about_no_order(thread_s: float) -> None:
    order: list[object] = []

    async def ready(rounds: int) -> None:
        for number in range(rounds):
            order.append(number)
            await asyncio.sleep(0)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def work(name: str, seconds: float) -> None:
            await loop.run_in_executor(None, time.sleep, seconds)
            order.append(name)
            loop.call_soon(order.append, f"after {name}")

        await asyncio.gather(work("first", thread_s), work("second", 0.0), ready(50))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    assert order == [*range(50), "first", "after first", "second", "after second"]


def test_an_executor_holds_time_and_other_timers_wait() -> None:
    async def main() -> tuple[float, list[str]]:
        loop = asyncio.get_running_loop()
        order: list[str] = []
        release = threading.Event()

        async def ticker() -> None:
            await asyncio.sleep(0.001)
            order.append("tick")

        async def worker() -> None:
            order.append(await loop.run_in_executor(None, lambda: "work" if release.wait(10) else "late"))

        async with asyncio.TaskGroup() as group:
            group.create_task(ticker())
            group.create_task(worker())
            loop.call_soon(release.set)
        return loop.time(), order

    assert run_virtual(main(), start=START) == (0.001, ["work", "tick"])


def test_results_of_threads_come_in_the_order_of_submission() -> None:
    async def main() -> list[int]:
        order: list[int] = []
        gates = [threading.Event() for _ in range(5)]

        def work(number: int) -> int:
            assert gates[number].wait(10)
            if number:  # each one lets the one before it go: they finish in reverse
                gates[number - 1].set()
            return number

        async def ask(number: int) -> None:
            order.append(await asyncio.to_thread(work, number))

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(ask(number))
            gates[4].set()
        return order

    assert run_virtual(main(), start=START) == [0, 1, 2, 3, 4]


def test_work_that_is_refused_leaves_no_hold() -> None:
    async def main() -> bool:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        executor = ThreadPoolExecutor()
        executor.shutdown()
        with pytest.raises(RuntimeError, match="after shutdown"):
            await loop.run_in_executor(executor, int)
        return loop.is_held

    assert run_virtual(main(), start=START) is False


def test_an_error_in_a_thread_reaches_the_waiter() -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)

    run_virtual(main(), start=START)


def test_a_cancelled_wait_for_a_thread_releases_the_hold() -> None:
    async def main() -> bool:
        release = threading.Event()
        task = asyncio.create_task(asyncio.to_thread(release.wait, 10))
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        assert loop.is_held
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held = loop.is_held
        release.set()
        await asyncio.sleep(5)
        return held

    assert run_virtual(main(), start=START) is False


def test_a_held_pipe_is_waited_for_in_real_time() -> None:
    async def main(clock: VirtualClock) -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        came: asyncio.Future[bytes] = loop.create_future()
        loop.add_reader(reading, lambda: came.set_result(os.read(reading, 10)))
        late = loop.call_later(0.5, came.cancel)
        thread = threading.Timer(0.02, os.write, (writing, b"signed"))
        thread.start()
        with clock.hold():
            octets = await came
        late.cancel()
        loop.remove_reader(reading)
        thread.join()
        os.close(reading)
        os.close(writing)
        return octets, loop.time()

    assert run_virtual(main, start=START) == (b"signed", 0.0)


def test_a_watchdog_runs_in_real_time_while_held() -> None:
    async def main(clock: VirtualClock) -> float:
        expired = asyncio.Event()
        before = time.monotonic()
        clock.watchdog(0.05, expired.set)
        with clock.hold():
            await expired.wait()
        assert time.monotonic() - before >= 0.05
        return clock.monotonic()

    assert run_virtual(main, start=START) == 1000.0


def test_a_cancelled_watchdog_does_not_fire() -> None:
    async def main(clock: VirtualClock) -> list[str]:
        fired: list[str] = []
        done = asyncio.Event()
        first = clock.watchdog(0.01, lambda: fired.append("first"))
        clock.watchdog(0.03, done.set)
        first.cancel()
        first.cancel()
        await done.wait()
        return fired

    assert run_virtual(main, start=START) == []


def test_a_hung_hold_is_an_error_that_names_the_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_loop, "HOLD_LIMIT_S", 0.05)

    async def main(clock: VirtualClock) -> None:
        with clock.hold():
            await clock.sleep(1)

    with pytest.raises(VirtualDeadlockError, match=r"held by .*test_virtual_loop.py:\d+ .*main"):
        run_virtual(main, start=START)


def test_holds_are_counted() -> None:
    async def main(clock: VirtualClock) -> list[bool]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        seen = []
        with clock.hold():
            with clock.hold():
                seen.append(loop.is_held)
            seen.append(loop.is_held)
        seen.append(loop.is_held)
        return seen

    assert run_virtual(main, start=START) == [True, True, False]


def test_sets_of_tasks_have_the_order_of_creation() -> None:
    async def main() -> list[str]:
        cancelled: list[str] = []

        async def wait(name: str) -> None:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                cancelled.append(name)
                raise

        async def fail() -> None:
            await asyncio.sleep(1)
            raise ValueError

        async def all_of_them() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(6):
                    group.create_task(wait(f"{number}"))
                group.create_task(fail())

        with pytest.raises(ExceptionGroup):
            await all_of_them()
        return cancelled

    assert run_virtual(main(), start=START) == ["0", "1", "2", "3", "4", "5"]


def test_errors_of_the_program_come_out() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise KeyError("boom")

    with pytest.raises(KeyError, match="boom"):
        run_virtual(main(), start=START)


def test_setting_a_timer_on_a_closed_loop_is_refused() -> None:
    loop = VirtualLoop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_later(1, int)
