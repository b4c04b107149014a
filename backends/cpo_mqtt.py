"""MQTT face of the CPO: takes signed records from a broker and answers each on the sender's own topic."""

from __future__ import annotations

import aiomqtt

from backend_client.cpo_messages import AnswerMessage, MessageError, RecordMessage, decode, encode
from backend_client.cpo_mqtt import PREFIX
from backend_client.mqtt_session import Broker, MqttSession
from backends.cpo_receiver import CpoReceiver, RecordRefused
from backends.faults import BackendFaults, FaultKind, no_backend_fault
from backends.store.database import StoreError
from ports.backend import SignedRecord
from ports.clock import Clock
from ports.errors import RigError
from ports.trace import TraceEvent, Tracer, no_trace

PUBLISH_S = 10.0


class CpoMqttServer:
    """Listens at <prefix>/records/+; one record after the other, so that order is kept."""

    def __init__(
        self,
        receiver: CpoReceiver,
        broker: Broker,
        clock: Clock,
        *,
        prefix: str = PREFIX,
        client_id: str = "plugbench-cpo",
        name: str = "cpo",
        faults: BackendFaults = no_backend_fault,
        tracer: Tracer = no_trace,
    ) -> None:
        self._receiver = receiver
        self._clock = clock
        self._answers = f"{prefix}/answers/"
        self._name = name
        self._faults = faults
        self._tracer = tracer
        self._session = MqttSession(broker, client_id, [f"{prefix}/records/+"], self._take, clock)

    async def start(self) -> None:
        """Connect; returns when subscribed."""
        await self._session.connected()

    async def close(self) -> None:
        """Disconnect."""
        await self._session.close()

    async def _take(self, message: aiomqtt.Message) -> None:
        octets = message.payload if isinstance(message.payload, bytes) else b""
        try:
            record = decode(octets, RecordMessage).record()
        except MessageError as error:
            self._trace("cpo.refused", why=str(error))
            return  # without a record id there is nothing to answer to
        fault = self._faults()
        if fault.kind is FaultKind.SLOW:
            await self._clock.sleep(fault.seconds)
        if fault.kind is FaultKind.DUPLICATE:
            await self._answer_for(record)
        if fault.kind is FaultKind.ERROR:
            answer = AnswerMessage(record.record_id, error="fault", reason="injected", retry=True)
        else:
            answer = await self._answer_for(record)
        if fault.kind is not FaultKind.LOST_ACK:
            await self._answer(message, answer)

    async def _answer_for(self, record: SignedRecord) -> AnswerMessage:
        try:
            return AnswerMessage(record.record_id, ack=await self._receiver.receive(record))
        except RecordRefused as refused:
            return AnswerMessage(
                record.record_id, error=refused.refusal.value, reason=refused.reason, retry=refused.retry
            )
        except StoreError as error:
            return AnswerMessage(record.record_id, error="store", reason=str(error), retry=True)

    async def _answer(self, message: aiomqtt.Message, answer: AnswerMessage) -> None:
        """Only to answer topics: nobody makes this server publish elsewhere."""
        topic = getattr(message.properties, "ResponseTopic", "") if message.properties else ""
        name = topic.removeprefix(self._answers)
        if name == topic or not name or set(name) & set("/+#"):
            self._trace("cpo.refused", why=f"response topic {topic!r} is not one below {self._answers}")
            return
        try:
            await self._session.publish(topic, encode(answer), PUBLISH_S)
        except RigError as error:  # the sender asks again
            self._trace("cpo.trouble", why=str(error))

    def _trace(self, kind: str, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", kind, self._name, data))
