"""What stands before an embedded server: answers late, other ones, changed ones, and only as often as wanted."""

from __future__ import annotations

import httpx

from hil_rigs.http_faults import HttpFault, HttpFaults
from tests.doubles import ManualClock


async def app(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"text/x")]})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"on", "more_body": True})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"ce"})  # type: ignore[operator]


async def asked(faults: HttpFaults, path: str) -> tuple[int, bytes, str]:
    transport = httpx.ASGITransport(faults.before(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get(path)
        return answer.status_code, answer.content, answer.headers.get("content-type", "")


async def test_without_a_fault_nothing_changes() -> None:
    faults = HttpFaults([HttpFault("/other", status=503)])
    assert await asked(faults, "/here") == (201, b"once", "text/x")
    assert faults.hit == []


async def test_a_fault_strikes_as_often_as_it_says() -> None:
    faults = HttpFaults(
        [HttpFault("/a", times=1, status=503, body=b"{}"), HttpFault("/a", times=1, change=bytes.upper)]
    )
    assert [await asked(faults, "/a/b") for _ in range(3)] == [
        (503, b"{}", "application/json"),
        (201, b"ONCE", "text/x"),
        (201, b"once", "text/x"),
    ]
    assert faults.hit == ["/a/b", "/a/b"]


async def test_a_late_answer_takes_protocol_time() -> None:
    clock = ManualClock()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    clock.sleep = sleep  # type: ignore[method-assign]
    faults = HttpFaults([HttpFault("/", seconds=4.5)], clock=clock)
    assert (await asked(faults, "/"))[1] == b"once"
    assert slept == [4.5]
