"""The CSMS of a rig, and the gateway's OCPP link to it; embedded ones are served by the run."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from backend_client.credential import Credential
from backends.cpo_receiver import CpoReceiver
from backends.guarded_http import LOOPBACK
from backends.store.database import Database
from hil_rigs.csms_cards import cards_of, operators_of
from hil_rigs.hooks import Hooks
from hil_rigs.resources import CsmsResource
from hil_rigs.resources.url import EMBEDDED
from hil_rigs.rig import Rig
from hil_rigs.virtual_clock import random_of
from hil_rigs.wiring.cpo import Backends, EmbeddedCpo
from hil_rigs.wiring.operators import CPO, SITE, Operators
from hil_rigs.wiring.pools import Pools
from hil_rigs.wiring.run_pki import RunPki
from hil_rigs.wiring.secret_file import make_secret
from hil_rigs.wiring.self_signed import client_certificate, self_signed
from ports.clock import Clock
from ports.trace import Tracer
from v2g.link.tls_settings import read_certificates

if TYPE_CHECKING:  # imported where there is one: a rig without starts faster
    from backend_client.ocpp.link import OcppLink
    from backend_client.ocpp.settings import OcppSettings
    from backends.operators.cpo.cpo import RunningCpo
    from backends.operators.cpo.ocpi_platform import OcpiSettings

CLIENT_PROFILE = 3


@dataclass(slots=True)
class CsmsLinks:
    """links: the gateway's, still to be attached and started. embedded: the servers of this run. By resource name."""

    links: dict[str, OcppLink] = field(default_factory=dict)
    embedded: dict[str, RunningCpo] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What every CSMS of the rig is built with."""

    rig: Rig
    pools: Pools
    pki: RunPki
    operators: Operators
    folder: Path
    private: Path
    clock: Clock
    tracer: Tracer
    hooks: Hooks


async def build_csms(
    rig: Rig,
    pools: Pools,
    pki: RunPki,
    operators: Operators,
    backends: Backends,
    folder: Path,
    private: Path,
    clock: Clock,
    tracer: Tracer,
    stack: AsyncExitStack,
    hooks: Hooks,
) -> CsmsLinks:
    """Serve the embedded ones, make a link to each that the gateway names; where signed values go it is a backend, too.

    What has to be closed is left on `stack`. Raises RigError.
    """
    around = _Surroundings(rig, pools, pki, operators, folder, private, clock, tracer, hooks)
    found = CsmsLinks()
    gateway = rig.gateway
    named = {*gateway.backends, *gateway.authorisers, gateway.contracts, gateway.ocsp and gateway.ocsp.source}
    for name, resource in rig.resources.items():
        if not isinstance(resource, CsmsResource) or name not in named:
            continue
        from backend_client.ocpp.link import open_ocpp

        settings = await _settings(name, resource, around, found, backends, stack)
        link = open_ocpp(settings, clock, tracer=tracer, random=random_of(clock, name))
        stack.push_async_callback(link.close)
        found.links[name] = link
        if name in gateway.backends:
            backends.clients[name] = link
    return found


async def _settings(
    name: str,
    resource: CsmsResource,
    around: _Surroundings,
    found: CsmsLinks,
    backends: Backends,
    stack: AsyncExitStack,
) -> OcppSettings:
    from backend_client.ocpp.settings import OcppSettings, Version

    identity = resource.identity or around.rig.gateway.serial_number
    own = around.private / f"{name}.ocpp"
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    password: Credential | None = None
    certificate, key, ca_file, url = resource.certificate_file, resource.key_file, resource.ca_file, resource.url
    if resource.security_profile in (1, 2):
        given = resource.password_file is not None or resource.password_env is not None
        password = (
            Credential(resource.password_file, resource.password_env or "") if given else make_secret(own / "password")
        )
    if resource.url == EMBEDDED:
        context: ssl.SSLContext | None = None
        if resource.security_profile >= 2:
            context, ca_file = self_signed(own / "tls", around.clock)
        if resource.security_profile == CLIENT_PROFILE and context is not None:
            certificate, key = client_certificate(own / "client", identity, around.clock)
            context.load_verify_locations(certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        running = await _serve(name, resource, identity, password, context, around, backends, stack)
        found.embedded[name] = running
        url = running.url
    return OcppSettings(
        url=url,
        identity=identity,
        state_file=own / "state.db",
        version=Version(resource.version),
        name=name,
        security_profile=resource.security_profile,
        password=password,
        ca_file=ca_file,
        client_certificate=certificate,
        client_key=key,
        certificate_folder=own / "certificates",
    )


async def _serve(
    name: str,
    resource: CsmsResource,
    identity: str,
    password: Credential | None,
    context: ssl.SSLContext | None,
    around: _Surroundings,
    backends: Backends,
    stack: AsyncExitStack,
) -> RunningCpo:
    from backends.operators.cpo.cpo import serve_cpo
    from backends.operators.cpo.settings import CpoSettings, Listener, SecurityProfile, StationAccount, with_password

    profile = SecurityProfile(resource.security_profile)
    evse_ids = tuple(connector.evse_id for connector in around.rig.gateway.connectors)
    account = StationAccount(identity=identity, profile=profile, evse_ids=evse_ids)
    if password is not None:
        account = with_password(identity, password.read(), profile=profile, evse_ids=evse_ids)
    roots = [file for file in sorted(around.pki.common.glob("*-root.pem")) if file.stem in ("mo-root", "v2g-root")]
    settings = CpoSettings(
        name=name,
        stations=(account,),
        listeners=(Listener(ssl=context),),
        contract_roots=[one.dump() for file in roots for one in read_certificates(file)],
        networks=LOOPBACK,
    )
    partners = operators_of(around.rig, resource)
    cards = cards_of(around.rig, resource)
    database = Database(f"sqlite:///{around.folder / f'{name}.db'}", around.clock)
    stack.push_async_callback(database.close)
    running = await serve_cpo(
        settings,
        database,
        around.clock,
        authorisers=[*(around.operators.authorisers[one] for one in partners), *([cards] if cards else [])],
        contracts=None if resource.pools is None else around.pools.clients[resource.pools],
        sinks={one: around.operators.sinks[one] for one in resource.bills_to},
        ocpi=_ocpi(around.operators, partners),
        faults=around.hooks.csms,
        tracer=around.tracer,
        random=random_of(around.clock, f"{name} server"),
    )
    stack.push_async_callback(running.close)
    if running.ocpi is not None:
        for one in partners:
            if one in around.operators.embedded:
                await around.operators.embedded[one].remote.reach(CPO.id, running.ocpi.versions_url)
    receiver = CpoReceiver(database, around.clock, name=name, tracer=around.tracer)
    backends.embedded.append(EmbeddedCpo(name, receiver, database, running.url))
    return running


def _ocpi(operators: Operators, partners: Sequence[str]) -> OcpiSettings | None:
    """For the apps of the embedded mobility operators; others cannot reach a CSMS that ends with the run."""
    from backends.operators.cpo.ocpi_platform import OcpiSettings

    links = [operators.links[one] for one in partners if one in operators.links]
    return OcpiSettings(operator=CPO, site=SITE, links=links) if links else None
