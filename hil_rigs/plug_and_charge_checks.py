"""What must hold over the parts of Plug & Charge in a rig file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backends.pki.bad_variants import BAD_VARIANTS, LEAF
from hil_rigs.resources import CsmsResource, MoResource, OemResource, PoolsResource, VehicleResource
from hil_rigs.resources.url import EMBEDDED
from hil_rigs.rig import Rig, Session
from hil_rigs.rig_references import LOCAL, Finding
from hil_rigs.typed_yaml import Place, did_you_mean

AUTO = "auto"


def contracts(rig: Rig) -> Iterator[Finding]:
    """Who wants a contract can get one."""
    for number, session, vehicle in _contract_sessions(rig):
        if vehicle.contract != "preinstalled" and rig.gateway.contracts is None:
            place = ("sessions", number, "vehicle")
            yield place, f"{session.vehicle} wants a certificate: expected gateway.contracts, where they come from"
    for key in ("emaid", "pcid"):
        first: dict[str, str] = {}
        for name, found in rig.resources.items():
            if not isinstance(found, VehicleResource) or found.auth != "pnc" or found.pki != AUTO:
                continue
            value = getattr(found, key)
            if value in first:
                yield ("resources", name, key), f"{value} is taken, as {first[value]}"
            first.setdefault(value, name)


def pools_of_the_run(rig: Rig) -> Iterator[Finding]:
    """At most one embedded set of pools: it makes the PKI of the run. Operators know their pools."""
    embedded = [name for name, one in rig.resources.items() if isinstance(one, PoolsResource) and one.url == EMBEDDED]
    for name in embedded[1:]:
        yield ("resources", name, "url"), f"{embedded[0]} is embedded already: its PKI is the one of the run"
    for kind in (MoResource, OemResource, CsmsResource):
        served = [
            n for n, one in rig.resources.items() if isinstance(one, kind) and getattr(one, "url", "") == EMBEDDED
        ]
        for name in served[1:]:
            yield ("resources", name, "url"), f"{served[0]} is embedded already: one of kind {_tag(kind)} is served"
    for name, found in rig.resources.items():
        if not isinstance(found, MoResource | OemResource) or found.pools is None:
            continue
        pools = rig.resources.get(found.pools)
        if not isinstance(pools, PoolsResource):
            continue
        own = found.client_id is not None and found.secret_file is not None
        if pools.url == EMBEDDED and (found.client_id or found.secret_file):
            yield ("resources", name, "client_id"), f"{found.pools} is embedded and knows its clients: expected none"
        if pools.url != EMBEDDED and not own:
            yield ("resources", name), f"expected client_id and secret_file, for the tokens of {found.pools}"


def bad_certificates(rig: Rig) -> Iterator[Finding]:
    """What is wrong on purpose is a known way to be wrong, and only possible where the run makes certificates."""
    for place, name, pki in _wrong(rig):
        known = sorted(variant for variant, one in BAD_VARIANTS.items() if LEAF in one.levels)
        if name not in known:
            yield place, f'unknown variant "{name}": {did_you_mean(name, known)}'
        elif pki != AUTO:
            yield place, "needs pki: auto, where the run makes the certificates"


def rarely_meant(rig: Rig) -> Iterator[Finding]:
    """What is allowed and may be a mistake: contracts that nobody makes, names that nobody shows."""
    for number, session, vehicle in _contract_sessions(rig):
        if session.identification != vehicle.emaid:
            text = f'"{session.identification}" is not the EMAID of {session.vehicle}, "{vehicle.emaid}"'
            yield ("sessions", number, "identification"), text
        wants = vehicle.contract != "preinstalled" and any(isinstance(one, PoolsResource) for one in _resources(rig))
        for kind, does in ((OemResource, "publishes"), (MoResource, "has a contract made for")):
            if wants and not any(isinstance(one, kind) and one.pools for one in _resources(rig)):
                place = ("sessions", number, "vehicle")
                yield place, f"nobody {does} {session.vehicle}: expected a resource of kind {_tag(kind)} with pools"


def _resources(rig: Rig) -> list[object]:
    return list(rig.resources.values())


def _wrong(rig: Rig) -> Iterator[tuple[Place, str, str | None]]:
    for name, found in rig.resources.items():
        if isinstance(found, VehicleResource):
            for key in ("bad_contract", "bad_provisioning"):
                if getattr(found, key):
                    yield ("resources", name, key), getattr(found, key), found.pki
    for number, connector in enumerate(rig.gateway.connectors):
        if connector.secc is not None and connector.secc.bad_certificate:
            place = ("gateway", "connectors", number, "secc", "bad_certificate")
            yield place, connector.secc.bad_certificate, connector.secc.pki


def station_can_ask(rig: Rig) -> Iterator[Finding]:
    """What the gateway shall ask can answer."""
    gateway = rig.gateway
    if gateway.contracts is not None and not any(one.secc and "pnc" in one.secc.auth for one in gateway.connectors):
        yield ("gateway", "contracts"), "no connector takes contracts: expected secc with auth: [pnc]"
    asked = {*gateway.authorisers, gateway.contracts, gateway.ocsp and gateway.ocsp.source}
    for name in asked - {LOCAL, None}:
        found = rig.resources.get(str(name))
        if name == gateway.contracts and isinstance(found, CsmsResource) and found.url == EMBEDDED and not found.pools:
            yield ("resources", str(name)), "expected pools: the station asks it for certificates"


def _contract_sessions(rig: Rig) -> Iterator[tuple[int, Session, VehicleResource]]:
    for number, session in enumerate(rig.sessions):
        vehicle = rig.resources.get(session.vehicle)
        if isinstance(vehicle, VehicleResource) and vehicle.auth == "pnc":
            yield number, session, vehicle


def _tag(kind: Any) -> str:
    return str(kind.__struct_config__.tag)
