"""The pools of a rig: embedded ones are brought up in the run's private folder, others are only spoken to."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from backend_client.opcp import OpcpClient
from backend_client.opcp_session import Credentials
from hil_rigs.hooks import Hooks
from hil_rigs.resources import MoResource, OemResource, PoolsResource
from hil_rigs.resources.url import EMBEDDED
from hil_rigs.rig import Rig
from hil_rigs.virtual_clock import random_of
from hil_rigs.wiring.secret_file import write_secret
from ports.clock import Clock
from ports.errors import RigError
from ports.trace import Tracer

if TYPE_CHECKING:  # imported where pools are brought up: a rig without them starts faster
    from backends.bring_up import Running

EDITION = "iso2-strict"  # what simulated vehicles speak
VIRTUAL_PORT = 8080  # a net of its own: every port is free, and the run repeats octet by octet
ROLES = {PoolsResource: "cpo", MoResource: "mo", OemResource: "oem"}
"""Which client of the embedded pools each resource is."""


@dataclass(slots=True)
class Pools:
    """The pools of a rig. embedded: what this run serves, by resource name. clients: everybody's way to them."""

    embedded: dict[str, Running] = field(default_factory=dict)
    clients: dict[str, OpcpClient] = field(default_factory=dict)

    @property
    def own(self) -> Running | None:
        """Those whose PKI is the one of the run."""
        return next(iter(self.embedded.values()), None)


async def build_pools(
    rig: Rig, private: Path, clock: Clock, tracer: Tracer, stack: AsyncExitStack, hooks: Hooks
) -> Pools:
    """Bring up the embedded pools, and make a client for each resource that works with pools.

    private: for databases, keys and secrets. What has to be closed is left on `stack`. Raises RigError.
    """
    pools = Pools()
    for name, resource in rig.resources.items():
        if isinstance(resource, PoolsResource) and resource.url == EMBEDDED:
            pools.embedded[name] = await _bring_up(name, resource, private / "pools", clock, tracer, stack, hooks)
    for name, resource in rig.resources.items():
        if isinstance(resource, PoolsResource):
            pools.clients[name] = _client(resource, name, resource, pools, private, clock)
        elif isinstance(resource, MoResource | OemResource) and resource.pools is not None:
            found = rig.resources[resource.pools]
            if not isinstance(found, PoolsResource):
                raise AssertionError(name)
            pools.clients[name] = _client(resource, resource.pools, found, pools, private, clock)
        else:
            continue
        stack.push_async_callback(pools.clients[name].close)
    return pools


async def _bring_up(
    name: str,
    resource: PoolsResource,
    folder: Path,
    clock: Clock,
    tracer: Tracer,
    stack: AsyncExitStack,
    hooks: Hooks,
) -> Running:
    from backends.bring_up import EXAMPLES, Plan, brought_up

    plan = Plan(
        folder,
        port=VIRTUAL_PORT if clock.is_virtual else 0,
        allow_loopback=True,
        strict_revocation=bool(resource.strict_revocation),
        presets=(EDITION,),
        clients=tuple(one for one in EXAMPLES if one.client_id in ROLES.values()),
    )

    def random(part: str) -> Random:
        return random_of(clock, f"{name} {part}")

    return await stack.enter_async_context(brought_up(plan, clock, tracer, before=hooks.pools, random=random))


def _client(
    who: PoolsResource | MoResource | OemResource,
    name: str,
    resource: PoolsResource,
    pools: Pools,
    private: Path,
    clock: Clock,
) -> OpcpClient:
    running = pools.embedded.get(name)
    if running is not None:
        return OpcpClient(running.url, _embedded_credentials(ROLES[type(who)], running, private), clock)
    if who.client_id is None or who.secret_file is None:
        raise RigError(f"{name}: expected client_id and secret_file")
    credentials = Credentials(who.client_id, who.secret_file, resource.audience or "")
    return OpcpClient(resource.url, credentials, clock, token_url=resource.token_url or "", ca_file=resource.ca_file)


def _embedded_credentials(client_id: str, running: Running, private: Path) -> Credentials:
    client = next(one for one in running.clients if one.client_id == client_id)
    path = private / f"{client_id}.secret"
    write_secret(path, client.client_secret)
    return Credentials(client_id, path, running.audience)
