"""A rig that is up: every part built from the rig file, joined and started."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from backend_client.opcp_contracts import OpcpContracts
from firmware_sim.circuit import Circuit
from firmware_sim.vehicle.communication import Communication
from gateway.authorisation import IdToken, ListEntry, LocalList
from gateway.controller import Controller
from gateway.forwarder import Forwarder
from gateway.journal import Journal
from gateway.policy import ConnectorSetup, GatewayIdentity, OcspPolicy, OnTrouble, Policy
from gateway.secc.setup import SeccSetup
from hil_rigs.arming import GuardedControl
from hil_rigs.hooks import Hooks
from hil_rigs.resources import ChargerResource, FileKeyResource
from hil_rigs.resources.signer import Pkcs11Resource
from hil_rigs.rig import Connector, Rig
from hil_rigs.rig_file import RigFile
from hil_rigs.rig_references import DIRECT, LOCAL
from hil_rigs.virtual_clock import VirtualClock
from hil_rigs.wiring.contract_orders import order_contracts
from hil_rigs.wiring.cpo import Backends, build_backends
from hil_rigs.wiring.csms import CsmsLinks, build_csms
from hil_rigs.wiring.metering import Metering, build_metering
from hil_rigs.wiring.operators import Operators, build_operators, register_at_operators
from hil_rigs.wiring.plant import build_plant
from hil_rigs.wiring.pools import Pools, build_pools
from hil_rigs.wiring.readers import Readers, build_readers
from hil_rigs.wiring.responders import Responders
from hil_rigs.wiring.run_pki import RunPki, prepare_pki, write_public
from hil_rigs.wiring.signing import build_signer
from hil_rigs.wiring.v2g_link import Link, build_links, build_vehicles, secc_setup, tracer_of
from hil_rigs.wiring.vehicle_maker import build_makers
from ocmf.terms import IdType
from ports.charge_control import ChargeControl
from ports.clock import Clock
from ports.contracts import CertificateStatusSource, ContractSource
from ports.errors import RigError
from ports.signer import Signer
from ports.trace import Tracer

LIVE_PER_SAMPLE = 60  # a live reading so many times between two signed ones, but not more often than each second
HEADROOM = Decimal("1.2")  # over the connector's rating: a register that is steeper has jumped


class BootClock(Clock, Protocol):
    """A clock that knows which boot its durations belong to."""

    boot_id: str


@dataclass(slots=True)
class Bench:
    """Everything of a rig, started."""

    rig: Rig
    clock: BootClock
    plant: Circuit
    metering: Metering
    signer: Signer
    backends: Backends
    forwarder: Forwarder
    controller: Controller
    journal: Journal
    links: dict[str, Link]
    vehicles: dict[str, Communication]
    pools: Pools
    pki: RunPki
    operators: Operators
    csms: CsmsLinks
    readers: Readers


@asynccontextmanager
async def open_bench(
    rig_file: RigFile,
    clock: BootClock,
    folder: Path,
    tracer: Tracer,
    say: Callable[[str], None],
    hooks: Hooks | None = None,
) -> AsyncIterator[Bench]:
    """Build and start a rig; leaving stops it in order. Journal and databases stay in `folder`.

    hooks: where its parts may be broken on purpose. say: takes lines for people (what had to be replaced by something
    lesser). Raises RigError, PeerError.
    """
    rig = rig_file.rig
    hooks = hooks or Hooks()
    async with AsyncExitStack() as stack:
        # keys that only this run needs do not stay behind
        private = Path(stack.enter_context(TemporaryDirectory(prefix="plugbench-")))
        links = await build_links(rig, private, clock)
        tracer = tracer_of(links, tracer)
        stack.callback(_write_captures, links, folder)
        plant = await stack.enter_async_context(build_plant(rig, clock, tracer))
        metering = await build_metering(rig, plant, clock, tracer, stack)
        signer = hooks.signer(build_signer(*_signer_resource(rig), private, clock, tracer, say))
        stack.push_async_callback(signer.close)
        pools = await build_pools(rig, private, clock, tracer, stack, hooks)
        pki = await prepare_pki(rig, private, clock, pools)
        write_public(pki, folder)
        makers = await build_makers(rig, pools, folder, clock, tracer, stack)
        await order_contracts(rig, pools, makers, pki, clock, tracer)
        operators = await build_operators(rig, folder, private, clock, tracer, stack, hooks)
        backends = await build_backends(rig, folder, private, clock, tracer, stack, hooks)
        csms = await build_csms(rig, pools, pki, operators, backends, folder, private, clock, tracer, stack, hooks)
        await _register_keys(rig, backends, operators, metering, signer, clock)
        journal_file = folder / "journal.db" if rig.gateway.journal == "auto" else Path(rig.gateway.journal)
        journal = await Journal.open(journal_file, signer, clock, tracer=tracer)
        random = clock.fork_random("forwarder") if isinstance(clock, VirtualClock) else None
        forwarder = Forwarder(journal, backends.clients, clock, random=random, tracer=tracer)
        readers = build_readers(rig, clock, tracer)
        source = _contract_source(rig, pools, csms, clock, tracer)
        asked = rig.gateway.authorisers
        controller = Controller(
            _identity(rig, clock),
            [
                _setup(
                    rig,
                    connector,
                    plant,
                    metering,
                    secc_setup(rig, connector, links[connector.id], plant, pki, source, clock)
                    if connector.secc
                    else None,
                    clock,
                    tracer,
                )
                for connector in rig.gateway.connectors
            ],
            journal,
            forwarder,
            _local_list(rig),
            clock,
            authorisers=[csms.links[name] for name in asked if name != LOCAL],
            list_at=asked.index(LOCAL) if LOCAL in asked else 0,
            certificate_status=_status_source(rig, csms, clock, stack),
            readers=readers.setups,
            tracer=tracer,
        )
        stack.push_async_callback(controller.close)
        await controller.start()
        for csms_link in csms.links.values():
            csms_link.attach(controller)
            await csms_link.start()
        vehicles = await build_vehicles(rig, links, plant, pki, private, clock, tracer)
        for vehicle in vehicles.values():
            vehicle.start()
            stack.push_async_callback(vehicle.close)
        yield Bench(
            rig,
            clock,
            plant,
            metering,
            signer,
            backends,
            forwarder,
            controller,
            journal,
            links,
            vehicles,
            pools,
            pki,
            operators,
            csms,
            readers,
        )


def _signer_resource(rig: Rig) -> tuple[str, Pkcs11Resource | FileKeyResource]:
    name = rig.gateway.connectors[0].signer
    resource = rig.resources[name]
    if not isinstance(resource, Pkcs11Resource | FileKeyResource):
        raise RigError(f"gateway.connectors: {name} is no signer")
    return name, resource


async def _register_keys(
    rig: Rig, backends: Backends, operators: Operators, metering: Metering, signer: Signer, clock: Clock
) -> None:
    """What is done when a station is put up: CPO and MO learn, each by itself, which key signs for which meter."""
    if not backends.embedded and not operators.embedded:
        return
    key = (await signer.identity()).public_key.hex()
    for connector in rig.gateway.connectors:
        meter = await metering.meters[connector.meter].identify()
        for cpo in backends.embedded:
            await cpo.receiver.register_key(rig.gateway.serial_number, meter.serial, key)
        await register_at_operators(operators, key, meter.serial, rig.gateway.serial_number, clock)


def _identity(rig: Rig, clock: BootClock) -> GatewayIdentity:
    release = version("plugbench")
    return GatewayIdentity(
        identification="Plugbench",
        serial=rig.gateway.serial_number,
        version=release,
        controller_firmware=f"plugbench {release}",
        boot_id=clock.boot_id,
    )


def _setup(
    rig: Rig,
    connector: Connector,
    plant: Circuit,
    metering: Metering,
    secc: SeccSetup | None,
    clock: Clock,
    tracer: Tracer,
) -> ConnectorSetup:
    board = rig.resources[connector.board]
    volts, phases = (board.voltage_v, board.phases) if isinstance(board, ChargerResource) else (230.0, 3)
    rating_kw = Decimal(str(volts)) * phases * Decimal(str(connector.max_current_a)) / 1000
    is_dc = isinstance(board, ChargerResource) and board.energy == "dc"
    if isinstance(board, ChargerResource) and is_dc:
        rating_kw = Decimal(str(board.dc_power_kw))
    control: ChargeControl = plant.connectors[connector.id].charger
    if rig.limits is not None:
        control = GuardedControl(control, rig.limits, clock, tracer)
    return ConnectorSetup(
        control=control,
        meter=metering.meters[connector.meter],
        point_id=connector.evse_id,
        current_type="DC" if is_dc else "AC",
        secc=secc,
        offered_a=connector.max_current_a,
        ventilated=isinstance(board, ChargerResource) and board.ventilated,
        max_power_kw=rating_kw * HEADROOM,
        policy=Policy(
            sample_s=connector.reading_interval_s,
            poll_s=connector.live_interval_s or max(1.0, connector.reading_interval_s / LIVE_PER_SAMPLE),
            meter_lost=OnTrouble(connector.trouble.meter_lost),
            meter_silence_s=connector.trouble.meter_silence_s,
            clock_step=OnTrouble(connector.trouble.clock_step),
            token_s=connector.trouble.token_s,
            ocsp=OcspPolicy.OFF if rig.gateway.ocsp is None else OcspPolicy(rig.gateway.ocsp.policy),
            free=rig.gateway.free,
            receipt_s=connector.reading_interval_s if rig.gateway.receipts else 0.0,
        ),
    )


def _contract_source(rig: Rig, pools: Pools, csms: CsmsLinks, clock: Clock, tracer: Tracer) -> ContractSource | None:
    """Where the station has vehicles' requests for contracts answered."""
    name = rig.gateway.contracts
    if name is None:
        return None
    if name in csms.links:
        return csms.links[name]
    return OpcpContracts(name, pools.clients[name], clock, tracer)


def _status_source(rig: Rig, csms: CsmsLinks, clock: Clock, stack: AsyncExitStack) -> CertificateStatusSource | None:
    """Who is asked about the status of contracts."""
    ocsp = rig.gateway.ocsp
    if ocsp is None or ocsp.policy == "off":
        return None
    if ocsp.source != DIRECT:
        return csms.links[ocsp.source]
    responders = Responders(clock)
    stack.push_async_callback(responders.close)
    return responders


def _write_captures(links: dict[str, Link], folder: Path) -> None:
    """What the links recorded, with the TLS keys of the run: opens in Wireshark as it is."""
    for link in links.values():
        file = folder / f"v2g-{link.connector}.pcapng"
        file.write_bytes(link.recording.octets())
        file.chmod(0o600)


def _local_list(rig: Rig) -> LocalList:
    """Empty where it is not among those that are asked."""
    if LOCAL not in rig.gateway.authorisers:
        return LocalList(())
    return LocalList(ListEntry(token=IdToken(entry.id, IdType(entry.type))) for entry in rig.gateway.local_list)
