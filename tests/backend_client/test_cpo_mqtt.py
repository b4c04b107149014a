"""Delivery over MQTT with a real broker: only the CPO's own answer counts, and it counts once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from backend_client.cpo_messages import RecordMessage, encode
from backend_client.cpo_mqtt import CpoMqtt
from backend_client.credential import Credential
from backend_client.mqtt_session import Broker
from backends import cpo_store
from backends.cpo_mqtt import CpoMqttServer
from backends.cpo_receiver import CpoReceiver, KeyPolicy
from backends.faults import BackendFault, FaultKind, FaultSwitch
from backends.store.database import Database
from hil_rigs.real_clock import RealClock
from ports.backend import Ack
from ports.errors import LocalError, PeerError, RigError
from tests.backend_client.broker import Mosquitto
from tests.backends.signed_records import RecordMaker


class Line:
    """Broker, CPO and gateway's end."""

    def __init__(self, folder: Path) -> None:
        self.mosquitto = Mosquitto(folder)
        self.clock = RealClock()
        self.faults = FaultSwitch()
        self.database = Database(f"sqlite:///{folder / 'cpo.db'}", self.clock, cpo_store.prepare)
        self.receiver = CpoReceiver(self.database, self.clock, policy=KeyPolicy.FIRST_USE)
        self.server = CpoMqttServer(self.receiver, self.mosquitto.broker, self.clock, faults=self.faults)
        self.client = self.new_client()

    def new_client(self, timeout_s: float = 10.0) -> CpoMqtt:
        return CpoMqtt(self.mosquitto.broker, "gw1", self.clock, timeout_s=timeout_s)

    async def deliveries(self) -> list[int]:
        return [stored.deliveries for stored in (await self.receiver.transaction("t1")).records]


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    opened = Line(tmp_path)
    await opened.mosquitto.start()
    await opened.server.start()
    yield opened
    await opened.client.close()
    await opened.server.close()
    await opened.database.close()
    await opened.mosquitto.stop()


def stranger(line: Line) -> aiomqtt.Client:
    """Somebody else at the same broker."""
    broker = line.mosquitto.broker
    return aiomqtt.Client(broker.host, broker.port, protocol=aiomqtt.ProtocolVersion.V5)


async def test_a_record_is_stored_once_and_refused_with_its_reason(line: Line) -> None:
    maker = RecordMaker()
    record = maker.make()
    assert await line.client.deliver(record) is Ack.STORED
    assert await line.client.deliver(record) is Ack.DUPLICATE
    with pytest.raises(PeerError, match="mismatch: page is 'T9'"):
        await line.client.deliver(replace(record, page="T9"))
    with pytest.raises(RigError, match="key unknown"):  # may still be registered
        await line.client.deliver(RecordMaker().make(page=7))
    assert await asyncio.gather(*(line.client.deliver(maker.make()) for _ in range(20))) == [Ack.STORED] * 20


async def test_a_lost_answer_a_fault_and_a_duplicate_have_one_effect(line: Line) -> None:
    record = RecordMaker().make()
    await line.client.deliver(RecordMaker(meter="other").make(transaction="t2"))  # connected
    await line.client.close()
    line.client = line.new_client(timeout_s=0.5)
    line.faults.queue = [
        BackendFault(FaultKind.LOST_ACK),
        BackendFault(FaultKind.ERROR),
        BackendFault(FaultKind.DUPLICATE),
    ]
    with pytest.raises(RigError, match="no answer within"):
        await line.client.deliver(record)
    with pytest.raises(RigError, match="injected"):
        await line.client.deliver(record)
    assert await line.client.deliver(record) is Ack.DUPLICATE
    assert await line.deliveries() == [3]


async def test_a_broker_that_restarts_interrupts_and_loses_nothing(line: Line) -> None:
    maker = RecordMaker()
    first, second = maker.make(), maker.make()
    await line.client.deliver(first)
    await line.mosquitto.stop()
    hasty = line.new_client(timeout_s=0.2)
    with pytest.raises(RigError):
        await hasty.deliver(second)
    await hasty.close()
    await line.mosquitto.start()
    assert await line.client.deliver(second) is Ack.STORED
    assert await line.deliveries() == [1, 1]


async def test_a_record_that_the_broker_has_reaches_a_cpo_that_was_away(line: Line) -> None:
    await line.server.close()
    record = RecordMaker().make()
    async with stranger(line) as sender:
        await sender.publish("plugbench/cpo/records/gw1", encode(RecordMessage.of(record)), qos=1)  # the broker has it
    line.server = CpoMqttServer(line.receiver, line.mosquitto.broker, line.clock)
    await line.server.start()
    assert await line.client.deliver(record) is Ack.DUPLICATE


async def test_the_cpo_publishes_to_answer_topics_only_and_survives_rubbish(line: Line) -> None:
    record = RecordMaker().make()
    async with stranger(line) as other:
        await other.subscribe("#", qos=1)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = "plugbench/cpo/records/evil"
        octets = encode(RecordMessage.of(record))
        for payload in (b"", b"\xff", b"{}", octets[:-1], octets):
            await other.publish("plugbench/cpo/records/evil", payload, qos=1, properties=properties)
        await other.publish("plugbench/cpo/answers/gw1", b"rubbish", qos=1)
        assert await line.client.deliver(record) is Ack.DUPLICATE
        seen: list[str] = []
        async for message in other.messages:
            seen.append(str(message.topic))
            if message.topic.matches("plugbench/cpo/answers/gw1") and b"ack" in bytes(message.payload):
                break
    assert seen.count("plugbench/cpo/records/evil") == 5


def test_a_client_id_is_one_topic_level() -> None:
    for name in ("", "a/b", "+", "#"):
        with pytest.raises(LocalError, match="topic level"):
            CpoMqtt(Broker("127.0.0.1"), name, RealClock())


async def test_a_missing_password_file_is_a_rig_error(tmp_path: Path) -> None:
    client = CpoMqtt(
        Broker("127.0.0.1", 1, username="u", password=Credential(tmp_path / "missing")), "gw1", RealClock()
    )
    with pytest.raises(RigError, match="credential file"):
        await client.deliver(RecordMaker().make())
    await client.close()
