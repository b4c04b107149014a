from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from random import Random
from uuid import UUID

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import Response

from backends.access import Forbidden, Principal, Role
from backends.api.errors import json_response
from backends.api.operations import Api, Call
from backends.opcp.error_texts import TEXTS
from backends.refusals import Refusal, Refused
from backends.store.database import StoreError
from backends.token.service import TokenRefused
from ports.trace import TraceEvent
from tests.doubles import ManualClock

OEM = Principal("oem", "OEM", frozenset({Role.OEM}))
GOOD = {"Authorization": "Bearer good"}


class Body(msgspec.Struct):
    what: str


class Recorder:
    def __init__(self) -> None:
        self.events: list[TraceEvent] = []
        self.writes = 0

    def __call__(self, event: TraceEvent) -> None:
        self.events.append(event)

    def wrote(self) -> None:
        self.writes += 1


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


async def check(token: str) -> Principal:
    if token != "good":
        raise TokenRefused("why it is not good")
    return OEM


async def handle(call: Call[Body]) -> Response:
    errors: dict[str, Exception] = {
        "refused": Refused(Refusal.CERTIFICATE_FORMAT, "detail", field="provisioning certificate"),
        "forbidden": Forbidden("not yours"),
        "store": StoreError("database secret-name"),
        "bug": ValueError("secret"),
    }
    if call.body.what in errors:
        raise errors[call.body.what]
    return json_response({"client": call.principal.client_id, "flag": call.flag("x-flag")})


@pytest.fixture
async def http(recorder: Recorder) -> AsyncIterator[httpx.AsyncClient]:
    api = Api(check, TEXTS, ManualClock(), tracer=recorder, after_write=recorder.wrote, random=Random(7))
    routes = [
        api.route("PUT", "/put", "provisioning.put", handle, body=Body),
        api.route("PUT", "/admin", "root.put", handle, body=Body),
        api.route("PUT", "/{ca}/enroll", "est.enroll.{ca}", handle, body=Body),
    ]
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://pools") as client:
        yield client


async def test_a_good_call_is_handled_traced_and_wakes_the_deliveries(
    http: httpx.AsyncClient, recorder: Recorder
) -> None:
    answer = await http.put("/put", headers=GOOD | {"x-flag": "TRUE"}, json={"what": ""})
    assert answer.json() == {"client": "oem", "flag": True}
    assert recorder.writes == 1
    assert recorder.events[0].data["client"] == "oem"
    assert recorder.events[0].data["status"] == 200


async def test_trace_ids_are_drawn_from_the_source_that_was_given(http: httpx.AsyncClient) -> None:
    random = Random(7)
    for _ in range(2):
        answer = await http.put("/admin", json={"what": ""})
        assert answer.json()["traceId"] == str(UUID(int=random.getrandbits(128), version=4))


@pytest.mark.parametrize("header", ["", "good", "Bearer", "Bearer ", "Basic good", "Bearer bad"])
async def test_without_a_good_token_nothing_else_is_looked_at(http: httpx.AsyncClient, header: str) -> None:
    answer = await http.put("/admin", headers={"Authorization": header}, content=b"{")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "why" not in answer.text


async def test_the_first_failing_check_answers(http: httpx.AsyncClient, recorder: Recorder) -> None:
    xml = {"content-type": "application/xml"}
    assert (await http.put("/admin", headers=GOOD | xml, content=b"{")).status_code == 403
    assert (await http.put("/put", headers=GOOD | xml, content=b"{")).status_code == 415
    assert (await http.put("/put", headers=GOOD, content=b"{}")).status_code == 415
    assert (await http.put("/put", headers=GOOD, json={"what": 1})).status_code == 400
    assert (await http.put("/put", headers=GOOD | {"x-flag": "maybe"}, json={"what": ""})).status_code == 400
    assert recorder.writes == 0
    charset = {"content-type": "Application/JSON; charset=utf-8"}
    assert (await http.put("/put", headers=GOOD | charset, content=b'{"what": ""}')).status_code == 200


@pytest.mark.parametrize(
    ("what", "status", "messages"),
    [
        ("refused", 400, ["Invalid certificate format on vehicleCertificate", "detail"]),
        ("forbidden", 403, ["not yours"]),
        ("store", 503, ["The database is not available."]),
        ("bug", 500, ["Internal error."]),
    ],
)
async def test_every_error_becomes_an_answer_and_no_traceback_is_lost(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, what: str, status: int, messages: list[str]
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await http.put("/put", headers=GOOD, json={"what": what})
    assert (answer.status_code, answer.json()["errorMessages"]) == (status, messages)
    logged = [record for record in caplog.records if record.exc_info]
    assert bool(logged) == (status >= 500)
    assert all(answer.json()["traceId"] in record.getMessage() for record in logged)
    assert "secret" not in answer.text


async def test_a_right_may_depend_on_the_path(http: httpx.AsyncClient) -> None:
    for ca, status in (("oem", 200), ("mo", 403), ("x", 404), ("%00", 404)):
        assert (await http.put(f"/{ca}/enroll", headers=GOOD, json={"what": ""})).status_code == status


def test_every_refusal_has_a_text_and_every_field_a_name() -> None:
    assert set(TEXTS.refusals) == set(Refusal)
    for reason in Refusal:
        for field in TEXTS.fields:
            assert TEXTS.response(Refused(reason, "x", field=field)).status_code >= 400
