"""Faults of who stands behind a session: pools, CSMS, the way to the backends; and of what a vehicle holds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from backends.operators.cpo.faults import ANY, CsmsFault, CsmsFaultKind, FaultRule
from firmware_sim.vehicle.communication import Communication
from hil_rigs.fault_catalogue.breakable import Breakable, chosen
from hil_rigs.fault_catalogue.entry import Entry, Injection, Parameter, Undo, number
from hil_rigs.http_faults import HttpFault
from ocmf.container import join, parse
from ports.backend import Ack, Backend, SignedRecord
from ports.errors import RigError
from v2g.link.sdp_client import TlsWish


def _nothing() -> None:
    """What stays as it is needs no undo."""


def _pools_fault(bench: Breakable, injection: Injection) -> Undo:
    if bench.bench.pools.own is None:
        raise RigError("the rig has no embedded pools")
    values = injection.values
    fault = HttpFault(
        str(values["path"]), injection.times, number(values, "seconds"), int(number(values, "status")), b"{}"
    )
    bench.pools.rules.append(fault)
    return lambda: bench.pools.rules.remove(fault) if fault in bench.pools.rules else None


def _csms_entry(kind: CsmsFaultKind, effect: str, *parameters: Parameter) -> Entry:
    def inject(bench: Breakable, injection: Injection) -> Undo:
        chosen(injection.on, bench.bench.csms.embedded, "embedded CSMS")
        fault = CsmsFault(kind, seconds=number(injection.values, "seconds"))
        rule = FaultRule(fault, str(injection.values["action"]), times=injection.times)
        bench.csms.rules.append(rule)
        return lambda: bench.csms.rules.remove(rule) if rule in bench.csms.rules else None

    action = Parameter("action", "", ANY, "of which calls; empty = all")
    name = f"csms.{kind.value.replace(' ', '_')}"
    return Entry(name, "CSMS", (action, *parameters), effect, "it answers as it should", inject)


def _csms_away(bench: Breakable, injection: Injection) -> Undo:
    embedded = bench.bench.csms.embedded
    running = embedded[chosen(injection.on, embedded, "embedded CSMS")]
    bench.csms.outage = True
    leaving = asyncio.ensure_future(running.disconnect())

    def undo() -> None:
        leaving.cancel()
        bench.csms.outage = False

    return undo


Deliver = Callable[[Backend, SignedRecord], Awaitable[Ack]]


def _on_the_way(make: Callable[[Breakable], Deliver]) -> Callable[[Breakable, Injection], Undo]:
    """A fault between the journal and a backend, of every delivery or of the next ones."""

    def inject(bench: Breakable, injection: Injection) -> Undo:
        lines = bench.bench.forwarder._lines  # noqa: SLF001 - where records leave the gateway
        line = lines[chosen(injection.on, lines, "backend")]
        backend, way = line.backend, _Way(line.backend, make(bench), injection.times, str(injection.values["context"]))
        line.backend = way

        def undo() -> None:
            if line.backend is way:
                line.backend = backend

        return undo

    return inject


class _Way:
    """A backend behind a way that is broken for so many deliveries of a context."""

    def __init__(self, backend: Backend, broken: Deliver, times: int | None, context: str) -> None:
        self._backend = backend
        self._broken = broken
        self._left = times
        self._context = context

    async def deliver(self, record: SignedRecord) -> Ack:
        """See `ports.backend.Backend`."""
        if self._left == 0 or self._context not in ("", record.context):
            return await self._backend.deliver(record)
        if self._left is not None:
            self._left -= 1
        return await self._broken(self._backend, record)

    async def close(self) -> None:
        """See `ports.backend.Backend`."""
        await self._backend.close()


def _lost(_bench: Breakable) -> Deliver:
    async def deliver(_backend: Backend, _record: SignedRecord) -> Ack:
        return Ack.STORED

    return deliver


def _repeated(_bench: Breakable) -> Deliver:
    async def deliver(backend: Backend, record: SignedRecord) -> Ack:
        await backend.deliver(record)
        return await backend.deliver(record)

    return deliver


def _contradicted(bench: Breakable) -> Deliver:
    """The same page again, with another register value, and with a good signature of the gateway's own key."""

    async def deliver(backend: Backend, record: SignedRecord) -> Ack:
        signer = bench.bench.signer
        await backend.deliver(record)
        payload = re.sub(rb'"RV":(\d+)', rb'"RV":1\1', parse(record.ocmf).payload, count=1)
        curve = (await signer.identity()).curve
        text = join(payload, await signer.sign(payload), curve)
        return await backend.deliver(replace(record, ocmf=text, record_id=parse(text).record_id))

    return deliver


def _communication(bench: Breakable, on: str) -> Communication:
    vehicles = bench.bench.vehicles
    return vehicles[chosen(on, vehicles, "vehicle with V2G")]


def _forgets(bench: Breakable, injection: Injection) -> Undo:
    vehicle = _communication(bench, injection.on)
    for contract in vehicle.setup.store.contracts:
        vehicle.setup.store.remove_contract(contract.emaid)
    vehicle.setup = replace(vehicle.setup, contract=None)
    return _nothing


def _setup(change: Callable[[Communication, Injection], dict[str, Any]]) -> Callable[[Breakable, Injection], Undo]:
    """A fault that changes how a vehicle is made, from its next session on."""

    def inject(bench: Breakable, injection: Injection) -> Undo:
        vehicle = _communication(bench, injection.on)
        changes = change(vehicle, injection)
        before = {name: getattr(vehicle.setup, name) for name in changes}
        vehicle.setup = replace(vehicle.setup, **changes)

        def undo() -> None:
            vehicle.setup = replace(vehicle.setup, **before)

        return undo

    return inject


def _shows_anything(vehicle: Communication, _injection: Injection) -> dict[str, Any]:
    contracts = vehicle.setup.store.contracts
    if not contracts:
        raise RigError("this vehicle has no contract")
    return {"contract": contracts[0].credentials}


def _without_tls(_vehicle: Communication, _injection: Injection) -> dict[str, Any]:
    return {"tls_wish": TlsWish.OFF, "tls": None}


def _other_tls(vehicle: Communication, injection: Injection) -> dict[str, Any]:
    tls = vehicle.setup.tls
    if tls is None:
        raise RigError("this vehicle speaks no TLS")
    values = injection.values
    given: dict[str, Any] = {name: str(values[name]) for name in ("cipher", "curve") if values[name]}
    return {"tls": replace(tls, tls13=values["version"] == "1.3", **given)}


def _other_root(vehicle: Communication, injection: Injection) -> dict[str, Any]:  # noqa: ARG001
    """Names the root that it should trust, and trusts one that nobody knows."""
    tls, folder = vehicle.setup.tls, vehicle.setup.store.folder
    if tls is None or folder is None:
        raise RigError("this vehicle speaks no TLS")
    return {"tls": replace(tls, roots=(_strange_root(folder / "other-root.pem"),), named_roots=tls.roots)}


def _strange_root(path: Path) -> Path:
    """A V2G root of somebody else, without anything below it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Other V2G Root CA")])
    begins = datetime(2020, 1, 1, tzinfo=UTC)
    root = x509.CertificateBuilder(name, name, key.public_key(), 1, begins, begins + timedelta(days=36500))
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=2), critical=True)
    path.write_bytes(root.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return path


_PATH = Parameter("path", "", "/", "what the path of a request begins with")
_SECONDS = Parameter("seconds", "s", required=True)
_CONTEXT = Parameter("context", "", "", "of which records: Transaction.Begin, Sample.Periodic, Transaction.End")
_ANSWERS = "they answer as they should"


def _delivery_entry(name: str, effect: str, make: Callable[[Breakable], Deliver]) -> Entry:
    return Entry(f"delivery.{name}", "backend", (_CONTEXT,), effect, "deliveries arrive", _on_the_way(make))


def _vehicle_entry(
    name: str, effect: str, undo: str, inject: Callable[[Breakable, Injection], Undo], *parameters: Parameter
) -> Entry:
    return Entry(f"vehicle.{name}", "vehicle", parameters, effect, undo, inject, counts=False)


ENTRIES = (
    Entry(
        "pools.error",
        "nothing",
        (_PATH, Parameter("status", "HTTP", 503), Parameter("seconds", "s", 0.0, "before the answer")),
        "refused without effect: the vehicle is told in time that there is nothing",
        _ANSWERS,
        _pools_fault,
    ),
    Entry(
        "pools.slow",
        "nothing",
        (_PATH, _SECONDS),
        "takes effect and answers late; what is later than 4.5 s is dropped",
        _ANSWERS,
        _pools_fault,
    ),
    _csms_entry(CsmsFaultKind.SLOW, "takes effect and answers late", _SECONDS),
    _csms_entry(CsmsFaultKind.LOST_CALL, "no effect, no answer: sent again after the time-out"),
    _csms_entry(CsmsFaultKind.LOST_ACK, "takes effect, no answer: sent again under the same id, taken once"),
    _csms_entry(CsmsFaultKind.DUPLICATE, "arrives twice: taken once"),
    _csms_entry(CsmsFaultKind.CALL_ERROR, "no effect, answered with CALLERROR"),
    _csms_entry(CsmsFaultKind.REFUSE, "no effect, refused in its own words"),
    _csms_entry(CsmsFaultKind.DISCONNECT, "takes effect; the connection ends instead of an answer"),
    Entry(
        "csms.away",
        "CSMS",
        (),
        "disconnected, and nobody is there for a new connection: records wait",
        "back again",
        _csms_away,
        counts=False,
    ),
    _delivery_entry("lost", "a record is taken for delivered and never arrives: a gap that the receiver finds", _lost),
    _delivery_entry("repeated", "an identical record arrives twice: taken once", _repeated),
    _delivery_entry(
        "contradicted", "the same page comes with another value, well signed: both kept, an incident", _contradicted
    ),
    _vehicle_entry(
        "shows_any_contract",
        "it shows its contract whatever the time: the station has to look",
        "it shows valid ones",
        _setup(_shows_anything),
    ),
    _vehicle_entry("forgets_contract", "it has only its provisioning certificate", "none", _forgets),
    _vehicle_entry(
        "without_tls", "it asks for no TLS, whatever the station says", "it asks again", _setup(_without_tls)
    ),
    _vehicle_entry(
        "other_tls",
        "its ClientHello offers something else than the profile of the standard: refused with an alert",
        "it offers what it should",
        _setup(_other_tls),
        Parameter("cipher", "OpenSSL name", "", "instead of ECDHE-ECDSA-AES128-SHA256"),
        Parameter("curve", "OpenSSL name", "", "instead of prime256v1"),
        Parameter("version", "", "1.2", "of TLS", ("1.2", "1.3")),
    ),
    _vehicle_entry(
        "other_root",
        "it trusts another V2G root than the one that it names: it ends the handshake",
        "it trusts its own",
        _setup(_other_root),
    ),
)
