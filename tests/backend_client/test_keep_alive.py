from datetime import UTC, datetime

import httpx

from backend_client.keep_alive import IDLE_S, keep_alive
from hil_rigs.virtual_clock import VirtualClock, run_virtual


async def test_idle_connections_end_by_time_where_time_is_real() -> None:
    assert keep_alive().keepalive_expiry == IDLE_S
    assert keep_alive() == httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=IDLE_S)


def test_without_a_loop_time_is_real() -> None:
    assert keep_alive().keepalive_expiry == IDLE_S


def test_in_virtual_time_real_seconds_decide_nothing() -> None:
    async def main(_clock: VirtualClock) -> float | None:
        return keep_alive().keepalive_expiry

    assert run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC)) is None
