"""One MQTT 5 connection that is kept up: same client id, session kept by the broker, subscriptions renewed."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from backend_client.credential import Credential
from backend_client.tls_trust import tls_trust
from ports.clock import Clock
from ports.errors import RigError

SESSION_S = 7 * 24 * 3600  # how long the broker keeps what we missed
RECONNECT_FIRST_S = 0.2
RECONNECT_MOST_S = 30.0

_LOG = logging.getLogger("plugbench.mqtt")  # aiomqtt's own; silent unless somebody listens
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False


@dataclass(frozen=True, slots=True)
class Broker:
    """Where and as whom. ca_file: roots to trust instead of the system's; makes the connection TLS, as tls does."""

    host: str
    port: int = 1883
    username: str | None = None
    password: Credential | None = None
    ca_file: Path | None = None
    tls: bool = False

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls or self.ca_file else 'mqtt'}://{self.host}:{self.port}"


class MqttSession:
    """Connects in the background and again after every loss."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        subscriptions: Sequence[str],
        on_message: Callable[[aiomqtt.Message], Awaitable[None]],
        clock: Clock,
    ) -> None:
        """on_message is awaited for each message before the next one is taken."""
        self._broker = broker
        self._client_id = client_id
        self._subscriptions = subscriptions
        self._on_message = on_message
        self._clock = clock
        self._client: aiomqtt.Client | None = None
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._trouble = "not connected yet"

    def start(self) -> None:
        """Begin to connect; harmless when begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"mqtt {self._client_id}")

    async def connected(self) -> None:
        """Wait for the connection. Raises what ended the session unexpectedly."""
        self.start()
        assert self._task is not None  # noqa: S101 - for the type checker
        waiter = asyncio.create_task(self._connected.wait())
        try:
            await asyncio.wait({waiter, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if self._task.done():
                self._task.result()
        finally:
            waiter.cancel()

    async def publish(
        self, topic: str, octets: bytes, timeout_s: float, *, response_topic: str = "", correlation: bytes = b""
    ) -> None:
        """Publish with QoS 1, not retained; returns when the broker has it. Raises RigError."""
        client = self._client
        if client is None:
            raise RigError(f"{self._broker}: {self._trouble}")
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        if response_topic:
            properties.ResponseTopic = response_topic
        if correlation:
            properties.CorrelationData = correlation
        try:
            await client.publish(topic, octets, qos=1, properties=properties, timeout=timeout_s)
        except aiomqtt.MqttError as error:
            raise RigError(f"{self._broker}: {topic} was not taken: {error}") from error

    async def close(self) -> None:
        """Disconnect; the broker keeps the session."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        delay = RECONNECT_FIRST_S
        while True:
            try:
                async with self._new_client() as client:
                    for topic in self._subscriptions:
                        await client.subscribe(topic, qos=1)
                    self._client, delay = client, RECONNECT_FIRST_S
                    self._connected.set()
                    async for message in client.messages:
                        await self._on_message(message)
            except aiomqtt.MqttError as error:
                self._trouble = f"no connection: {error}"
            finally:
                self._client = None
                self._connected.clear()
            await self._clock.sleep(delay)
            delay = min(2 * delay, RECONNECT_MOST_S)

    def _new_client(self) -> aiomqtt.Client:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.SessionExpiryInterval = SESSION_S
        return aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            identifier=self._client_id,
            username=self._broker.username,
            password=self._broker.password.read() if self._broker.password is not None else None,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            tls_context=_tls(self._broker),
            timeout=10.0,
            logger=_LOG,
        )


def _tls(broker: Broker) -> ssl.SSLContext | None:
    if broker.ca_file is None and not broker.tls:
        return None
    return tls_trust(broker.ca_file)
