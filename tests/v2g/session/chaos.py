"""Peers that say anything: random requests, random answers, flipped bits; for tests that nothing breaks a machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from msgspec.structs import replace as replace_struct

from ports.faults import FaultHook
from tests.v2g.session.pair import FIRST_SESSION, AutoStation, Pair
from tests.v2g.session.pki import make_pki
from tests.v2g.test_certificates import NOW
from v2g.exi.codec import encode
from v2g.exi.errors import EncodeError
from v2g.exi.random_messages import RandomMessages
from v2g.exi.schemas import SchemaSet, complex_grammar, type_key
from v2g.session.least_message import MODULES, least_body
from v2g.session.machine import CLOSED, Machine
from v2g.session.station_side import CERTIFICATE_SERVICE, INTERNET_SERVICE, CertificateAnswer, MeterReport
from v2g.session.vehicle_side import VehicleState
from v2g.v2gtp import Frame, PayloadType

ROUTES = ("iso2 AC eim", "iso2 DC eim", "iso2 AC pnc", "iso2 DC pnc", "iso2 AC install", "din DC eim")
METER = MeterReport("MTR1", 1234, b"\x01" * 64, 0, 1_780_000_000)
NAMES = {
    schema: sorted(
        member.name
        for member in complex_grammar(f"{schema}.BodyType").steps[0].members
        if not complex_grammar(member.type).abstract
    )
    for schema in MODULES
}


def sides(route: str) -> tuple[AutoStation, VehicleState, bool]:
    """Station, vehicle, and whether they use TLS."""
    protocol, charging, payment = route.split()
    mode = "AC_three_phase_core" if charging == "AC" else "DC_extended"
    station, vehicle = AutoStation(modes=(mode,)), VehicleState(mode=mode, protocols=(protocol,))
    if payment == "eim":
        return station, vehicle, False
    pki = make_pki()
    station = AutoStation(
        modes=(mode,),
        payments=("Contract",),
        services=(CERTIFICATE_SERVICE, INTERNET_SERVICE),
        civil_time=NOW,
        contract_roots=pki.mo_roots,
        meter=METER,
        receipt_required=True,
        certificate_answer=CertificateAnswer(pki.installation(session=FIRST_SESSION)),
    )
    vehicle = replace(
        vehicle,
        payment="Contract",
        contract=pki.credentials(),
        provisioning=pki.provisioned(),
        certificate_action="install" if payment == "install" else "",
        v2g_roots=pki.v2g_roots,
        civil_time=NOW,
        services=((INTERNET_SERVICE.id, 4),),
    )
    return station, vehicle, True


def flipping(random: Random, chance: float) -> FaultHook:
    """A hook that flips up to three bits of some messages' EXI, and cuts or joins some frames."""

    def hook(point: str, unit: Any) -> list[Any]:
        if not point.endswith(".exi") or random.random() >= chance:
            return [unit]
        octets = bytearray(unit)
        for _ in range(random.randint(1, 3)):
            at = random.randrange(8, len(octets) * 8)
            octets[at // 8] ^= 0x80 >> at % 8
        return [bytes(octets[: random.randint(1, len(octets))] if random.random() < 0.1 else octets)]

    return hook


def exaggerate(element: Any, random: Random) -> None:
    """Give one number or octet string somewhere inside a value that no schema allows."""
    inside = [getattr(element, name) for name in element.__struct_fields__]
    inside += [item for value in inside if isinstance(value, list) for item in value]
    deeper = [value for value in inside if hasattr(value, "__struct_fields__")]
    names = [name for name in element.__struct_fields__ if type(getattr(element, name)) in (int, bytes)]
    if deeper and (not names or random.random() < 0.8):
        exaggerate(random.choice(deeper), random)
    elif names:
        name = random.choice(names)
        octets = isinstance(getattr(element, name), bytes)
        setattr(
            element, name, bytes(random.choice((0, 40, 3000))) if octets else random.choice((70000, 10**30, 10**400))
        )


def inventing(random: Random, chance: float) -> FaultHook:
    """A hook that sends messages of the right kind with any content the schema allows, answers mostly with OK."""

    def hook(point: str, unit: Any) -> list[Any]:
        if not point.endswith(".message") or not hasattr(unit, "Body") or random.random() >= chance:
            return [unit]
        makers = RandomMessages(SchemaSet(type_key(type(unit)).partition(".")[0]), random.getrandbits(32))
        body = makers.value(type_key(type(unit.Body.BodyElement)))
        if hasattr(body, "ResponseCode") and random.random() < 0.9:
            body.ResponseCode = "OK"
        if hasattr(body, "EVSEProcessing") and random.random() < 0.7:
            body.EVSEProcessing = "Finished"
        if random.random() < 0.5:
            exaggerate(body, random)
        invented = replace_struct(unit, Body=type(unit.Body)(BodyElement=body))
        try:
            encode(invented, check=False)
        except EncodeError:  # no bits for such a number
            return [unit]
        return [invented]

    return hook


def pair_of(route: str, seed: int, chance: float, spoil: Callable[[Random, float], FaultHook] = flipping) -> Pair:
    """Both machines, each with a hook that spoils what it sends."""
    station, vehicle, tls = sides(route)
    return Pair(
        station,
        vehicle,
        tls=tls,
        secc={"hook": spoil(Random(seed), chance)},
        evcc={"hook": spoil(Random(~seed), chance)},
    )


def message(schema: str, random: Random, session_id: bytes, name: str = "") -> bytes:
    """A frame with any message of the schema: least or random content, of this session mostly."""
    types = MODULES[schema]
    name = name or random.choice(NAMES[schema])
    if random.random() < 0.5:
        body = least_body(schema, name)
    else:
        key = next(m.type for m in complex_grammar(f"{schema}.BodyType").steps[0].members if m.name == name)
        body = RandomMessages(SchemaSet(schema), random.getrandbits(32)).value(key)
    if random.random() < 0.1:
        session_id = random.choice((b"", bytes(8), b"\xff" * 8))
    header = types.MessageHeaderType(SessionID=session_id)
    whole = types.V2G_Message(Header=header, Body=types.BodyType(BodyElement=body))
    return bytes(Frame(PayloadType.EXI, encode(whole)))


def run_out(machine: Machine, now: float, station: AutoStation | None = None) -> float:
    """Let time pass until it is over, while the peer says nothing more; when that was."""
    for _ in range(1000):
        due = machine.deadline
        if machine.state == CLOSED or due is None:
            return now
        now = max(now, due)
        todo = machine.update(now)
        while todo:
            changed = [station.follow(event) for event in todo] if station else []
            todo = machine.update(now) if any(changed) else []
    raise AssertionError(f"no end in {machine.state}")
