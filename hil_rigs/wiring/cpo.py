"""The backends of a rig: embedded ones are served by the run, others are only spoken to."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from backend_client.cpo_mqtt import CpoMqtt
from backend_client.cpo_rest import CpoRest
from backend_client.credential import Credential
from backend_client.mqtt_session import Broker
from backends.cpo import cpo_app
from backends.cpo_mqtt import CpoMqttServer
from backends.cpo_receiver import CpoReceiver
from backends.cpo_store import prepare
from backends.cpo_store import records as stored_records
from backends.http_server import serve_asgi
from backends.store.database import Database
from hil_rigs.hooks import Hooks
from hil_rigs.resources import CpoMqttResource, CpoRestResource, CsmsResource
from hil_rigs.rig import Rig
from hil_rigs.wiring.broker import spawn_broker
from hil_rigs.wiring.self_signed import self_signed
from ports.backend import Backend, SignedRecord
from ports.clock import Clock
from ports.errors import RigError
from ports.trace import Tracer

READ_AT_ONCE = 100_000


@dataclass(slots=True)
class EmbeddedCpo:
    """A CPO served by this run. url: where people and programs reach it."""

    name: str
    receiver: CpoReceiver
    database: Database
    url: str

    async def records(self) -> list[SignedRecord]:
        """Everything that it holds; transactions have the names that it gave them."""
        stored = await self.database.read(lambda connection: stored_records(connection, limit=READ_AT_ONCE))
        return [one.record for one in stored]


@dataclass(slots=True)
class Backends:
    """clients: what the gateway forwards to, by resource name. embedded: the servers of this run."""

    clients: dict[str, Backend] = field(default_factory=dict)
    embedded: list[EmbeddedCpo] = field(default_factory=list)


async def build_backends(
    rig: Rig, folder: Path, private: Path, clock: Clock, tracer: Tracer, stack: AsyncExitStack, hooks: Hooks
) -> Backends:
    """Serve and connect what the gateway forwards to; what has to be closed is left on `stack`.

    folder: for databases. private: for keys. Raises RigError.
    """
    backends = Backends()
    for name in rig.gateway.backends:
        resource = rig.resources[name]
        if isinstance(resource, CpoRestResource):
            client: Backend = await _rest(name, resource, backends, folder, private, clock, tracer, stack, hooks)
        elif isinstance(resource, CpoMqttResource):
            client = await _mqtt(name, resource, rig, backends, folder, clock, tracer, stack, hooks)
        elif isinstance(resource, CsmsResource):
            continue  # see `hil_rigs.wiring.csms`
        else:
            raise RigError(f"gateway.backends: {name} is no CPO")
        stack.push_async_callback(client.close)
        backends.clients[name] = client
    return backends


async def _receiver(name: str, folder: Path, clock: Clock, tracer: Tracer) -> tuple[CpoReceiver, Database]:
    database = Database(f"sqlite:///{folder / f'{name}.db'}", clock)
    await database.write(prepare)
    return CpoReceiver(database, clock, name=name, tracer=tracer), database


async def _rest(
    name: str,
    resource: CpoRestResource,
    backends: Backends,
    folder: Path,
    private: Path,
    clock: Clock,
    tracer: Tracer,
    stack: AsyncExitStack,
    hooks: Hooks,
) -> CpoRest:
    if resource.url != "embedded":
        return CpoRest(
            resource.url, token=_credential(resource.bearer_file, resource.bearer_env), ca_file=resource.ca_file
        )
    receiver, database = await _receiver(name, folder, clock, tracer)
    context, ca_file = self_signed(private / f"{name}.tls", clock) if resource.tls else (None, None)
    server = await serve_asgi(cpo_app(receiver, database, clock, faults=hooks.cpo), ssl=context, clock=clock)
    stack.push_async_callback(server.close)
    backends.embedded.append(EmbeddedCpo(name, receiver, database, server.url))
    return CpoRest(server.url, ca_file=ca_file)


async def _mqtt(
    name: str,
    resource: CpoMqttResource,
    rig: Rig,
    backends: Backends,
    folder: Path,
    clock: Clock,
    tracer: Tracer,
    stack: AsyncExitStack,
    hooks: Hooks,
) -> CpoMqtt:
    if resource.broker == "spawn":
        broker = await spawn_broker(folder / f"{name}.broker", clock, stack)
        receiver, database = await _receiver(name, folder, clock, tracer)
        stack.push_async_callback(database.close)
        server = CpoMqttServer(
            receiver, broker, clock, prefix=resource.topic, name=name, faults=hooks.cpo, tracer=tracer
        )
        await server.start()
        stack.push_async_callback(server.close)
        backends.embedded.append(EmbeddedCpo(name, receiver, database, str(broker)))
    else:
        url = urlsplit(resource.broker)
        secure = url.scheme == "mqtts"
        broker = Broker(
            url.hostname or "",
            url.port or (8883 if secure else 1883),
            username=resource.username,
            password=_credential(resource.password_file, resource.password_env),
            ca_file=resource.ca_file,
            tls=secure,
        )
    return CpoMqtt(broker, rig.gateway.serial_number, clock, prefix=resource.topic)


def _credential(file: Path | None, variable: str | None) -> Credential | None:
    return Credential(file, variable or "") if file is not None or variable else None
