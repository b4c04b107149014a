"""What must hold over a whole rig file: references, owners, limits, clocks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from importlib.resources import files
from itertools import pairwise
from zoneinfo import ZoneInfo

from hil_rigs import plug_and_charge_checks as plug_and_charge
from hil_rigs.csms_cards import repeated_cards, unknown_cards
from hil_rigs.reality import Where, reality
from hil_rigs.resources import (
    ChargerResource,
    MeterResource,
    MoResource,
    OemResource,
    PcscReaderResource,
    Pkcs11Resource,
    SerialReaderResource,
    SerialResource,
    VehicleResource,
)
from hil_rigs.rig import Rig, Session, VirtualClockSettings
from hil_rigs.rig_references import LOCAL, Finding, names, references
from hil_rigs.typed_yaml import Place, did_you_mean
from meters.model import load_model

__all__ = ["CHECKS", "Finding", "known_models", "rarely_meant"]


def known_models() -> list[str]:
    """Names of the meter models that come with Plugbench."""
    folder = files("meters") / "models"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def one_signer(rig: Rig) -> Iterator[Finding]:
    """One gateway has one journal, and one journal one key."""
    first = rig.gateway.connectors[0].signer
    for number, connector in enumerate(rig.gateway.connectors):
        if connector.signer != first:
            place = ("gateway", "connectors", number, "signer")
            yield place, f'expected "{first}", the signer of the first connector: a gateway signs with one key'


def models(rig: Rig) -> Iterator[Finding]:
    """Meter models that come with Plugbench are known, and their variants too."""
    known = known_models()
    for name, found in rig.resources.items():
        if not isinstance(found, MeterResource) or found.model is None:
            continue
        if found.model not in known:
            yield ("resources", name, "model"), f'no meter model "{found.model}": {did_you_mean(found.model, known)}'
        elif found.variant:
            variants = [variant.name for variant in load_model(found.model).variants]
            if found.variant not in variants:
                hint = did_you_mean(found.variant, variants)
                yield ("resources", name, "variant"), f'{found.model} has no variant "{found.variant}": {hint}'


def _only_once(entries: Iterable[tuple[Place, Hashable, str]]) -> Iterator[Finding]:
    """Report each entry whose value was there before; its text says what it has in common with the first one."""
    first: dict[Hashable, Place] = {}
    for place, value, text in entries:
        if value in first:
            yield place, f"{text}, as {_owner(first[value])}"
        first.setdefault(value, place)


def _owner(place: Place) -> str:
    return str(place[1]) if place[0] == "resources" else f"entry {int(place[2]) + 1} of the list"


def owners(rig: Rig) -> Iterator[Finding]:
    """Nothing belongs to two: ports, bus addresses, boards, meters, ids."""
    named = list(rig.resources.items())
    yield from _only_once(
        (("resources", name, "port"), os.path.realpath(found.port), f"the port {found.port} has one owner; it is taken")
        for name, found in named
        if isinstance(found, SerialResource | SerialReaderResource) and found.port != "virtual"
    )
    yield from _only_once(
        (("resources", name, "unit"), (found.bus, found.unit), f"unit {found.unit} on {found.bus} is taken")
        for name, found in named
        if isinstance(found, MeterResource) and found.bus is not None
    )
    yield from _only_once(
        (
            ("resources", name, "host"),
            (found.host, found.tcp_port, found.unit),
            f"unit {found.unit} at {found.host}:{found.tcp_port} is taken",
        )
        for name, found in named
        if isinstance(found, MeterResource) and found.host not in (None, "virtual")
    )
    connectors = list(enumerate(rig.gateway.connectors))
    for key in ("id", "evse_id", "board", "meter"):
        yield from _only_once(
            (
                ("gateway", "connectors", number, key),
                getattr(connector, key),
                f'{key} "{getattr(connector, key)}" is taken',
            )
            for number, connector in connectors
        )
    yield from _only_once(
        (("gateway", "local_list", number, "id"), entry.id, f'id "{entry.id}" stands here already')
        for number, entry in enumerate(rig.gateway.local_list)
    )
    for key in ("backends", "authorisers", "readers"):
        yield from _only_once(
            (("gateway", key, number), name, f'"{name}" stands here already')
            for number, name in enumerate(getattr(rig.gateway, key))
        )


def limits(rig: Rig) -> Iterator[Finding]:
    """A connector offers no more than its board can switch."""
    for number, connector in enumerate(rig.gateway.connectors):
        board = rig.resources.get(connector.board)
        if rig.limits is not None and connector.max_current_a > rig.limits.max_current_a:
            yield (
                ("gateway", "connectors", number, "max_current_a"),
                f"{connector.max_current_a:g} A is more than the {rig.limits.max_current_a:g} A of limits",
            )
        if isinstance(board, ChargerResource) and connector.max_current_a > board.max_current_a:
            yield (
                ("gateway", "connectors", number, "max_current_a"),
                f"{connector.max_current_a:g} A is more than the {board.max_current_a:g} A of {connector.board}",
            )


def sessions_that_can_talk(rig: Rig) -> Iterator[Finding]:
    """DC needs a V2G session at both ends; what only V2G can do needs a vehicle that speaks it."""
    for number, connector in enumerate(rig.gateway.connectors):
        board = rig.resources.get(connector.board)
        if isinstance(board, ChargerResource) and board.energy == "dc" and connector.secc is None:
            yield ("gateway", "connectors", number), f"{connector.board} delivers DC: expected secc, DC needs V2G"
    connectors = {connector.id: connector for connector in rig.gateway.connectors}
    for number, session in enumerate(rig.sessions):
        vehicle, found = rig.resources.get(session.vehicle), connectors.get(session.connector)
        if not isinstance(vehicle, VehicleResource) or found is None:
            continue
        place, board = ("sessions", number), rig.resources.get(found.board)
        if isinstance(board, ChargerResource) and board.energy != vehicle.energy:
            text = f"{session.vehicle} takes {vehicle.energy.upper()}, connector {found.id} delivers"
            yield (*place, "vehicle"), f"{text} {board.energy.upper()}"
        talks = vehicle.protocol != "none" and found.secc is not None
        for key in ("pause_after_s", "renegotiate_after_s", "station_faults", "vehicle_faults"):
            if getattr(session, key) and not talks:
                yield (*place, key), "needs a vehicle with protocol din or iso2, and a connector with secc"


def interfaces(rig: Rig) -> Iterator[Finding]:
    """A cable has two ends: both are interfaces of this machine, or none is. There are none in virtual time."""
    connectors = {connector.id: connector for connector in rig.gateway.connectors}
    for number, session in enumerate(rig.sessions):
        vehicle, found = rig.resources.get(session.vehicle), connectors.get(session.connector)
        if not isinstance(vehicle, VehicleResource) or found is None or found.secc is None:
            continue
        if vehicle.protocol != "none" and (vehicle.interface is None) != (found.secc.interface is None):
            named = session.vehicle if vehicle.interface is None else f"connector {found.id}"
            yield ("sessions", number), f"expected interface of {named}, too: a cable has two ends"
    named_ones = [(("resources", n, "interface"), one) for n, one in rig.resources.items()]
    for place, one in named_ones:
        if (
            isinstance(one, VehicleResource)
            and one.interface is not None
            and isinstance(rig.clock, VirtualClockSettings)
        ):
            yield place, "a network interface is real: use clock mode: real"
    for number, connector in enumerate(rig.gateway.connectors):
        if connector.secc is not None and connector.secc.interface and isinstance(rig.clock, VirtualClockSettings):
            yield (
                ("gateway", "connectors", number, "secc", "interface"),
                "a network interface is real: use clock mode: real",
            )


def explicit_reality(rig: Rig) -> Iterator[Finding]:
    """Whatever is not simulated says so itself, and what is simulated does not claim to be more."""
    for name, found in rig.resources.items():
        if not isinstance(
            found, SerialResource | MeterResource | Pkcs11Resource | SerialReaderResource | PcscReaderResource
        ):
            continue
        place = ("resources", name)
        if found.real and found.external:
            yield (*place, "external"), "expected one of real and external, found both"
            continue
        where = reality(found, rig).where
        on_a_bus = isinstance(found, MeterResource) and found.bus is not None
        if where is Where.VIRTUAL or on_a_bus:
            for key in ("real", "external"):
                said = getattr(found, key)
                if said is not None and said != (where == key):
                    yield (
                        (*place, key),
                        f"{key}: {str(said).lower()} is not so: {name} is {where} ({reality(found, rig).why})",
                    )
        elif not (found.real or found.external):
            yield (
                place,
                (
                    f"{name} is {reality(found, rig).why}: "
                    "say real: true, or external: true for a program, so that nobody switches hardware by mistake"
                ),
            )


def clocks(rig: Rig) -> Iterator[Finding]:
    """Virtual time is only for rigs that are simulated through and through."""
    if rig.clock.zone is not None:
        try:
            ZoneInfo(rig.clock.zone)
        except (ValueError, OSError, LookupError):
            yield (
                ("clock", "zone"),
                f'no zone "{rig.clock.zone}" on this machine (names like Europe/Berlin; package tzdata)',
            )
    if not isinstance(rig.clock, VirtualClockSettings):
        return
    outside = []
    for name, found in rig.resources.items():
        judged = reality(found, rig)
        if judged.where is not Where.VIRTUAL:
            outside.append(f"{name} is {judged.where}: {judged.why}")
    if outside:
        yield (
            ("clock", "mode"),
            f"virtual time cannot hold for what is outside this process ({'; '.join(outside)}): use mode: real",
        )


def overlaps(rig: Rig) -> Iterator[Finding]:
    """No connector and no vehicle is in two sessions at once, as far as their length is known."""
    for key in ("connector", "vehicle"):
        for value in dict.fromkeys(getattr(session, key) for session in rig.sessions):
            numbered = [entry for entry in enumerate(rig.sessions) if getattr(entry[1], key) == value]
            for (_, first), (number, second) in pairwise(sorted(numbered, key=lambda entry: entry[1].plug_at_s)):
                if second.plug_at_s < _earliest_end(first) or second.plug_at_s == first.plug_at_s:
                    yield (
                        ("sessions", number, "plug_at_s"),
                        f"{key} {value} is still in the session that begins at {first.plug_at_s:g} s",
                    )


def _earliest_end(session: Session) -> float:
    return session.plug_at_s + (session.charge_for_s or 0.0)


CHECKS: tuple[Callable[[Rig], Iterator[Finding]], ...] = (
    references,
    one_signer,
    models,
    owners,
    repeated_cards,
    limits,
    sessions_that_can_talk,
    interfaces,
    explicit_reality,
    clocks,
    overlaps,
    plug_and_charge.contracts,
    plug_and_charge.pools_of_the_run,
    plug_and_charge.bad_certificates,
    plug_and_charge.station_can_ask,
)


_OCTETS = {"ISO14443": (4, 7, 10), "ISO15693": (8,)}  # UID: single, double, triple; ISO/IEC 14443-3, 15693-3


def rarely_meant(rig: Rig) -> Iterator[Finding]:
    """What is allowed and may be a mistake: resources that nobody uses, identifications that nobody accepts."""
    used = {name for _, name, _ in names(rig)}
    used |= {name for name, one in rig.resources.items() if isinstance(one, MoResource | OemResource) and one.pools}
    for name in rig.resources:
        if name not in used:
            yield ("resources", name), "nobody uses it"
    if not rig.gateway.backends:
        yield ("gateway",), "no backends: signed values stay in the journal"
    for number, entry in enumerate(rig.gateway.local_list):
        octets = _OCTETS.get(entry.type)
        if octets and not (re.fullmatch(r"[0-9A-F]*", entry.id) and len(entry.id) / 2 in octets):
            sizes = " or ".join(map(str, octets))
            yield (
                ("gateway", "local_list", number, "id"),
                f'"{entry.id}" does not look like {entry.type}: {sizes} octets in hexadecimal',
            )
    yield from plug_and_charge.rarely_meant(rig)
    yield from unknown_cards(rig)
    accepted = {entry.id for entry in rig.gateway.local_list}
    only_local = rig.gateway.authorisers == [LOCAL] and not rig.gateway.free
    for number, session in enumerate(rig.sessions):
        if only_local and session.identification not in accepted:
            yield (
                ("sessions", number, "identification"),
                f'"{session.identification}" is not in gateway.local_list: the session will be refused',
            )
