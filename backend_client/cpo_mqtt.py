"""Deliver signed records to a CPO over MQTT: QoS 1 to the broker, and an answer of the CPO itself on a topic of ours.

The broker's acknowledgement only says that the broker has the record; only the CPO's answer ends a delivery.
"""

from __future__ import annotations

import asyncio

import aiomqtt

from backend_client.cpo_messages import AnswerMessage, MessageError, RecordMessage, decode, encode
from backend_client.mqtt_session import Broker, MqttSession
from ports.backend import Ack, SignedRecord
from ports.clock import Clock
from ports.errors import LocalError, PeerError, RigError

PREFIX = "plugbench/cpo"


class CpoMqtt:
    """`ports.backend.Backend` over MQTT. Topics: <prefix>/records/<client id>, <prefix>/answers/<client id>."""

    def __init__(
        self, broker: Broker, client_id: str, clock: Clock, *, prefix: str = PREFIX, timeout_s: float = 10.0
    ) -> None:
        """client_id: of this gateway, the same after a restart. Raises LocalError for one that is no topic level."""
        if not client_id or set(client_id) & set("/+#\0"):
            raise LocalError(f"MQTT client id {client_id!r} must be one topic level: not empty, without / + #")
        self._broker = broker
        self._timeout_s = timeout_s
        self._records = f"{prefix}/records/{client_id}"
        self._answers = f"{prefix}/answers/{client_id}"
        self._waiting: dict[str, asyncio.Future[AnswerMessage]] = {}
        self._session = MqttSession(broker, client_id, [self._answers], self._take, clock)

    async def deliver(self, record: SignedRecord) -> Ack:
        """Publish and wait for the CPO's answer. Raises PeerError (refused for good) or RigError (send it again)."""
        future: asyncio.Future[AnswerMessage] = asyncio.get_running_loop().create_future()
        self._waiting[record.record_id] = future
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._session.connected()
                await self._session.publish(
                    self._records,
                    encode(RecordMessage.of(record)),
                    self._timeout_s,
                    response_topic=self._answers,
                    correlation=record.record_id.encode(),
                )
                answer = await future
        except TimeoutError as error:
            raise RigError(f"CPO behind {self._broker} gave no answer within {self._timeout_s:g} s") from error
        finally:
            del self._waiting[record.record_id]
        if answer.ack is not None:
            return answer.ack
        message = f"CPO behind {self._broker}, page {record.page}: {answer.error}: {answer.reason}"
        if answer.retry:
            raise RigError(message)
        raise PeerError(message, answer.reason)

    async def close(self) -> None:
        """Disconnect."""
        await self._session.close()

    async def _take(self, message: aiomqtt.Message) -> None:
        if not isinstance(message.payload, bytes):
            return
        try:
            answer = decode(message.payload, AnswerMessage)
        except MessageError:
            return  # not the answer that is waited for; the timeout tells
        future = self._waiting.get(answer.record_id)
        if future is not None and not future.done():
            future.set_result(answer)
