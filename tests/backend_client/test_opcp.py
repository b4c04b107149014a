"""The OPCP client: tokens, one deadline over everything, and repeats only where nothing can happen twice."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_client.opcp import ContractData, Credentials, OpcpClient, OpcpError
from ports.errors import LocalError, RigError
from tests.doubles import ManualClock

URL = "https://pools.example"
TRACE = "f61bc043-9697-436f-8df6-3274f0befb1d"
Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Pools:
    """Answers in the order in which they are written down; the last one stays."""

    def __init__(self, folder: Path, *replies: Reply, expires_in: float = 86400) -> None:
        self.replies = list(replies)
        self.requests: list[httpx.Request] = []
        self.tokens = 0
        self.expires_in = expires_in
        self.clock = ManualClock()
        secret = folder / "secret"
        secret.write_text("s3cret\n")
        self.client = OpcpClient(
            URL, Credentials("me", secret), self.clock, transport=httpx.MockTransport(self.answer), timeout_s=10
        )

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token":
            assert json.loads(request.content) == {
                "grant_type": "client_credentials",
                "client_id": "me",
                "client_secret": "s3cret",
                "audience": URL,
            }
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"t{self.tokens}", "expires_in": self.expires_in})
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else reply


def error(status: int, *messages: str) -> httpx.Response:
    return httpx.Response(status, json={"errorMessages": list(messages), "traceId": TRACE})


ROOTS = httpx.Response(200, json={"RootCertificateCollection": {"rootCertificates": []}})
SIGNED = httpx.Response(201, json={"emaid": "E", "signedData": "", "xsdMsgDefNamespace": "n"})
DATA = ContractData(b"a", b"b", None, b"c", b"d")


async def test_a_token_is_fetched_once_and_renewed_before_it_expires(tmp_path: Path) -> None:
    pools = Pools(tmp_path, ROOTS)
    await asyncio.gather(*(pools.client.roots() for _ in range(5)))
    assert pools.tokens == 1
    pools.clock.advance(86400 - 61)
    await pools.client.roots()
    assert pools.tokens == 1
    pools.clock.advance(2)
    await pools.client.roots()
    assert pools.tokens == 2
    assert pools.requests[-1].headers["authorization"] == "Bearer t2"


async def test_401_is_tried_once_with_a_new_token(tmp_path: Path) -> None:
    pools = Pools(tmp_path, error(401), SIGNED)
    await pools.client.sign_contract(DATA, pcid="P")  # not done yet, so it may be sent again
    assert [one.headers["authorization"] for one in pools.requests] == ["Bearer t1", "Bearer t2"]
    pools = Pools(tmp_path, error(401, "no"))
    with pytest.raises(OpcpError) as refused:
        await pools.client.roots()
    assert (refused.value.status, len(pools.requests), pools.tokens) == (401, 2, 2)


async def test_errors_carry_the_pools_words(tmp_path: Path) -> None:
    pools = Pools(tmp_path, error(400, "EXI format is invalid!", "bit 7"))
    with pytest.raises(OpcpError) as refused:
        await pools.client.request_contract(b"exi")
    assert refused.value.messages == ("EXI format is invalid!", "bit 7")
    assert refused.value.trace_id == TRACE
    assert str(refused.value) == (
        f"POST /v1/ccp/signedContractData: 400: EXI format is invalid!; bit 7 (traceId {TRACE})"
    )


async def test_what_may_have_happened_is_not_done_again(tmp_path: Path) -> None:
    for reply in (httpx.ReadError("gone"), error(503, "busy"), error(500)):
        for work in (
            lambda client: client.sign_contract(DATA, pcid="P"),
            lambda client: client.generate_contract("E", "P", datetime.now(UTC), datetime.now(UTC)),
            lambda client: client.request_contract(b"exi"),
            lambda client: client.store_contract("E", "P", b"xml"),
            lambda client: client.add_endpoint("https://x.example", []),
            lambda client: client.enroll("mo", b"csr"),
        ):
            pools = Pools(tmp_path, reply)
            with pytest.raises(OpcpError):
                await work(pools.client)
            assert len(pools.requests) == 1


async def test_what_the_pool_cannot_have_seen_is_sent_again(tmp_path: Path) -> None:
    busy = httpx.Response(429, headers={"Retry-After": "1"})
    pools = Pools(tmp_path, httpx.ConnectError("refused"), busy, SIGNED)
    await pools.client.sign_contract(DATA, pcid="P")
    assert len(pools.requests) == 3


async def test_reading_is_repeated_a_few_times(tmp_path: Path) -> None:
    pools = Pools(tmp_path, httpx.ReadError("gone"), error(503), ROOTS)
    assert await pools.client.roots() == []
    assert len(pools.requests) == 3
    pools = Pools(tmp_path, error(503, "busy"))
    with pytest.raises(OpcpError) as refused:
        await pools.client.roots()
    assert (refused.value.status, len(pools.requests)) == (503, 4)


async def test_a_deletion_whose_answer_was_lost_is_no_error(tmp_path: Path) -> None:
    pools = Pools(tmp_path, httpx.ReadError("gone"), error(404, "The contract for the given EMAID not found."))
    await pools.client.delete_contract("E")
    pools = Pools(tmp_path, error(404, "The contract for the given EMAID not found."))
    with pytest.raises(OpcpError) as refused:
        await pools.client.delete_contract("E")
    assert refused.value.status == 404


async def test_the_deadline_is_over_everything(tmp_path: Path) -> None:
    pools = Pools(tmp_path, error(503, "busy"))
    begin = pools.clock.monotonic()
    with pytest.raises(OpcpError):
        await pools.client.roots(deadline_s=0.5)
    assert pools.clock.monotonic() - begin <= 0.5
    with pytest.raises(OpcpError) as refused:
        await pools.client.roots(deadline_s=0)
    assert (refused.value.status, refused.value.messages) == (0, ("the deadline has passed",))


async def test_an_answer_that_never_comes_ends_at_the_deadline(tmp_path: Path) -> None:
    pools = Pools(tmp_path, ROOTS)

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    pools.client._session._client = httpx.AsyncClient(transport=httpx.MockTransport(never))
    with pytest.raises(OpcpError) as refused:
        await pools.client.request_contract(b"exi", deadline_s=0.05)
    assert refused.value.messages == ("no answer in time",)


async def test_a_refusal_for_the_vehicle_is_an_answer(tmp_path: Path) -> None:
    exi = base64.b64encode(b"failed").decode()
    body = {"CCPResponse": {"emaidContent": [{"messageDef": {"certificateInstallationRes": exi}}]}}
    pools = Pools(tmp_path, httpx.Response(404, json=body))
    (answer,) = await pools.client.request_contract(b"exi")
    assert (answer.message, answer.available) == (b"failed", False)
    assert pools.requests[0].headers["alwaysReturnEXI"] == "true"


async def test_identifiers_cannot_leave_their_place_in_the_path(tmp_path: Path) -> None:
    pools = Pools(tmp_path, error(400, "no"))
    with pytest.raises(OpcpError):
        await pools.client.vehicle("../x?y#z")
    assert pools.requests[0].url.raw_path == b"/v1/oem/provCerts/..%2Fx%3Fy%23z"


@given(st.binary(max_size=60))
async def test_strange_answers_give_named_errors(body: bytes) -> None:
    for status in (200, 400, 404, 500):
        transport = httpx.MockTransport(lambda _request, status=status: httpx.Response(status, content=body))
        client = OpcpClient(URL, Credentials("me", Path("/nowhere")), ManualClock(), transport=transport)
        client._session._token, client._session._refresh_at = "t", 1e9
        with pytest.raises(OpcpError):
            await client.request_contract(b"exi")


async def test_what_cannot_work_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="scheme"):
        OpcpClient("ftp://x", Credentials("me", tmp_path / "secret"), ManualClock())
    pools = Pools(tmp_path, ROOTS)
    (tmp_path / "secret").write_text("")
    with pytest.raises(RigError, match="is empty"):
        await pools.client.roots()
    (tmp_path / "secret").unlink()
    with pytest.raises(RigError, match="cannot be read"):
        await pools.client.roots()


async def test_an_endless_answer_is_cut(tmp_path: Path) -> None:
    pools = Pools(tmp_path, httpx.Response(200, content=bytes(5 << 20)))
    with pytest.raises(OpcpError, match="longer than"):
        await pools.client.request_contract(b"exi")
