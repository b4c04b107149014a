"""The CPO's HTTP face: strict input, honest status codes, the questions it answers, and its faults."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_client.cpo_messages import MAX_MESSAGE, AnswerMessage, MessageError, RecordMessage, decode, encode
from backends import cpo_store
from backends.cpo import cpo_app
from backends.cpo_receiver import CpoReceiver, KeyPolicy
from backends.faults import BackendFault, FaultKind, FaultSwitch
from backends.store.database import Database
from tests.backends.signed_records import RecordMaker
from tests.doubles import ManualClock

JSON = {"Content-Type": "application/json"}


class Cpo:
    """The application, asked without a network."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = ManualClock()
        self.database = Database(f"sqlite:///{folder / 'cpo.db'}", self.clock, cpo_store.prepare)
        receiver = CpoReceiver(self.database, self.clock, policy=KeyPolicy.FIRST_USE)
        app = cpo_app(receiver, self.database, self.clock, **options)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://cpo")

    async def put(self, body: object, record_id: str = "", headers: dict[str, str] | None = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        name = record_id or (body.get("record_id", "x") if isinstance(body, dict) else "x")
        return await self.http.put(f"/v1/records/{name}", content=content, headers=headers or JSON)

    async def close(self) -> None:
        await self.http.aclose()
        await self.database.close()


@pytest.fixture
async def cpo(tmp_path: Path) -> AsyncIterator[Cpo]:
    opened = Cpo(tmp_path)
    yield opened
    await opened.close()


def message(maker: RecordMaker | None = None) -> dict[str, Any]:
    return dict(json.loads(encode(RecordMessage.of((maker or RecordMaker()).make()))))


async def test_a_record_is_stored_once_and_can_be_asked_for(cpo: Cpo) -> None:
    maker = RecordMaker()
    records = [json.loads(encode(RecordMessage.of(record))) for record in maker.session()]
    assert [(await cpo.put(record)).status_code for record in (*records, records[0])] == [201, 201, 201, 200]
    one = (await cpo.http.get(f"/v1/records/{records[0]['record_id']}")).json()
    assert {name: one[name] for name in records[0]} == records[0]
    assert one["deliveries"] == 2
    listed = (await cpo.http.get("/v1/records", params={"after": 1, "limit": 1})).json()["records"]
    assert [row["page"] for row in listed] == ["T2"]
    by_transaction = (await cpo.http.get("/v1/records", params={"transaction": "t1"})).json()["records"]
    assert len(by_transaction) == 3
    assert (await cpo.http.get("/v1/transactions")).json() == {"transactions": [{"seq": 1, "transaction_id": "t1"}]}
    transaction = (await cpo.http.get("/v1/transactions/t1")).json()
    assert (transaction["status"], transaction["energy_kwh"], transaction["duration_s"]) == ("OK", "3.500", 120.0)
    (key,) = (await cpo.http.get("/v1/keys", params={"meter": "METER1"})).json()["keys"]
    assert (key["public_key"], key["source"]) == (maker.public_key, "first use")
    assert (await cpo.http.get("/v1/keys", params={"meter": "other"})).json() == {"keys": []}
    assert (await cpo.http.get("/health")).json() == {"status": "ok"}
    assert (await cpo.http.get("/v1/incidents")).json() == {"incidents": []}


async def test_a_key_is_registered_in_any_encoding(cpo: Cpo) -> None:
    body = {"gateway": "GW1", "meter": "METER1", "public_key": RecordMaker().public_key}
    assert (await cpo.http.put("/v1/keys", json=body)).status_code == 201
    assert (await cpo.http.put("/v1/keys", json=body)).status_code == 200
    answer = await cpo.http.put("/v1/keys", json=body | {"public_key": "what"})
    assert (answer.status_code, answer.json()["error"]) == (422, "key")
    assert (await cpo.put(message())).status_code == 424  # another key than the registered one


async def test_a_contradiction_is_an_incident(cpo: Cpo) -> None:
    maker = RecordMaker()
    await cpo.put(message(maker))
    maker.page = 0
    answer = await cpo.put(message(maker))
    assert (answer.status_code, answer.json()["error"], answer.json()["retry"]) == (409, "page used twice", False)
    (incident,) = (await cpo.http.get("/v1/incidents")).json()["incidents"]
    assert incident["page"] == "T1"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda body: body | {"more": 1}, 400),
        (lambda body: {name: body[name] for name in body if name != "page"}, 400),
        (lambda body: body | {"page": 7}, 400),
        (lambda body: body | {"page": "X1"}, 400),
        (lambda body: body | {"page": "T" + "9" * 40}, 400),
        (lambda body: body | {"gateway": "a\u0000b"}, 400),
        (lambda body: body | {"meter": "\ud800"}, 400),
        (lambda body: body | {"transaction_id": "t" * 129}, 400),
        (lambda body: body | {"record_id": "../../etc/passwd"}, 400),
        (lambda body: body | {"ocmf": "OCMF|\ud800|{}"}, 422),
        (lambda body: body | {"ocmf": "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"}, 422),
        (lambda body: body | {"ocmf": "${jndi:ldap://127.0.0.1/x}"}, 422),
        (lambda body: body | {"transaction_id": "'; DROP TABLE cpo_records; --"}, 201),
        (lambda body: body | {"public_key": "<script>alert(1)</script>"}, 422),
        (lambda body: [body], 400),
        (lambda body: None, 400),
        (lambda body: json.dumps(body).encode()[:-1], 400),
        (lambda body: json.dumps(body).encode().replace(b'"page"', b'"gateway": "x", "page"'), 400),
        (lambda body: json.dumps(body).encode().replace(b'"T1"', b"NaN"), 400),
        (lambda body: b"\xff\xfe", 400),
        (lambda body: b"[" * 100_000, 400),
        (lambda body: b"{" + b'"a":{' * 50_000, 400),
        (lambda body: b"", 400),
        (lambda body: b" " * (MAX_MESSAGE + 1), 413),
    ],
)
async def test_hostile_bodies_are_refused_with_a_reason(
    cpo: Cpo, change: Callable[[dict[str, Any]], object], status: int
) -> None:
    body = message()
    answer = await cpo.put(change(body), record_id=body["record_id"])
    assert answer.status_code == status
    if status != 201:
        assert answer.json()["reason"]
        assert (await cpo.http.get("/v1/records")).json() == {"records": []}


async def test_other_wrong_requests(cpo: Cpo) -> None:
    body = message()
    assert (await cpo.put(body, headers={"Content-Type": "text/plain"})).status_code == 415
    assert (await cpo.put(body, record_id="0" * 64)).status_code == 422
    assert (await cpo.http.post("/v1/records")).status_code == 405
    assert (await cpo.http.get("/nothing")).status_code == 404
    assert (await cpo.http.get("/v1/records/unknown")).status_code == 404
    assert (await cpo.http.get("/v1/transactions/unknown")).status_code == 404
    for query in ("limit=0x", "limit=1001", "after=-1", "after=" + "9" * 30, "limit=%D9%A3", "transaction=a%00b"):
        assert (await cpo.http.get(f"/v1/records?{query}")).status_code == 400
    assert (await cpo.http.get("/v1/transactions/a%00b")).status_code == 400
    assert (await cpo.http.get("/v1/keys?meter=" + "m" * 200)).status_code == 400


async def test_a_token_is_asked_of_everybody_but_the_health_check(tmp_path: Path) -> None:
    cpo = Cpo(tmp_path, token="s3cret")
    for header in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic s3cret"},
        {"Authorization": "Bearer ä"},
    ):
        sent = {name.encode(): value.encode() for name, value in header.items()}
        answer = await cpo.http.get("/v1/records", headers=sent)
        assert answer.status_code == 401
        assert "s3cret" not in answer.text
    assert (await cpo.http.get("/v1/records", headers={"Authorization": "Bearer s3cret"})).status_code == 200
    assert (await cpo.http.get("/health")).status_code == 200
    await cpo.close()


async def test_a_record_changed_in_the_database_is_not_billed(cpo: Cpo) -> None:
    await cpo.put(message())
    await cpo.database.write(
        lambda connection: connection.execute(cpo_store.RECORDS.update().values(ocmf=RecordMaker().make().ocmf))
    )
    answer = await cpo.http.get("/v1/transactions/t1")
    assert answer.status_code == 500
    assert "changed behind our back" in answer.json()["reason"]


async def test_faults_have_their_effect_and_only_that(tmp_path: Path) -> None:
    faults = FaultSwitch()
    cpo = Cpo(tmp_path, faults=faults)
    maker = RecordMaker()

    async def deliver(fault: BackendFault, body: dict[str, Any]) -> tuple[int, int]:
        faults.queue.append(fault)
        status = (await cpo.put(body)).status_code
        answer = await cpo.http.get(f"/v1/records/{body['record_id']}")
        return status, answer.json()["deliveries"] if answer.status_code == 200 else 0

    first = message(maker)
    assert await deliver(BackendFault(FaultKind.ERROR, status=500), first) == (500, 0)
    assert await deliver(BackendFault(FaultKind.LOST_ACK), first) == (504, 1)
    assert await deliver(BackendFault(), first) == (200, 2)
    assert await deliver(BackendFault(FaultKind.DUPLICATE), message(maker)) == (200, 2)
    began = cpo.clock.monotonic()
    assert await deliver(BackendFault(FaultKind.SLOW, seconds=30), message(maker)) == (201, 1)
    assert cpo.clock.monotonic() == began + 30
    await cpo.close()


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)))
def test_any_octets_are_a_message_or_a_message_error(octets: bytes) -> None:
    for kind in (RecordMessage, AnswerMessage):
        try:
            decode(octets, kind)
        except MessageError:
            continue
