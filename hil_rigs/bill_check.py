"""The bills of a run: what embedded mobility operators made of what the CPO sent them, checked with their own keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa

from backends.store.database import Database
from hil_rigs.bench import Bench
from hil_rigs.resources import CsmsResource, MoResource, VehicleResource
from hil_rigs.session_run import SessionResult
from ocmf.container import FormatError
from ocmf.keys import decode_public_key
from ocmf.verify import InvalidSignatureError, UndecidableError, verify_record
from ports.backend import SignedRecord
from ports.errors import PeerError

if TYPE_CHECKING:  # imported where there is one
    from backends.operators.mo.serve import RunningMo

LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class CheckedBill:
    """A bill of one transaction. total: with VAT. values: signed values that came with it, all of them verified.

    problems: why it is not the bill of this transaction; empty when it is.
    """

    transaction_id: str
    operator: str
    kwh: Decimal | None = None
    total: Decimal | None = None
    currency: str = ""
    values: int = 0
    problems: tuple[str, ...] = ()


async def bills_delivered(bench: Bench) -> None:
    """Wait until every CSMS and hub of the run has handed over its charge details; there is no deadline here."""
    if bench.csms.embedded:
        from backends.operators.cpo import outbox, schema

        for cpo in bench.backends.embedded:
            if cpo.name in bench.csms.embedded:
                await _nothing_waits(bench, cpo.database, schema.OUTBOX.c.state, outbox.WAITING)
    if bench.operators.hubs:
        from backends.operators.hub import forwarding, tables

        for hub in bench.operators.hubs.values():
            await _nothing_waits(bench, hub.database, tables.CDRS.c.state, forwarding.State.WAITING)


async def _nothing_waits(bench: Bench, database: Database, state: sa.Column[str], waiting: str) -> None:
    def waits(connection: sa.Connection) -> bool:
        return connection.execute(sa.select(state).where(state == waiting)).first() is not None

    while await database.read(waits):
        await bench.clock.sleep(LOOK_EVERY_S)


async def check_bills(
    bench: Bench, sessions: Sequence[tuple[SessionResult, Decimal | None]], records: Sequence[SignedRecord]
) -> tuple[CheckedBill, ...]:
    """One row for each session that an embedded mobility operator has to bill.

    sessions: each with the energy of its verified record, None when that is invalid. records: what the CPO holds.
    """
    found = []
    for session, kwh in sessions:
        name = _operator(bench, session)
        if name and kwh is not None:
            own = [one.ocmf for one in records if one.transaction_id == session.transaction_id]
            found.append(await _check(name, bench.operators.embedded[name], session.transaction_id, kwh, own))
    return tuple(found)


def _operator(bench: Bench, session: SessionResult) -> str:
    """Who bills the session: the operator of the contract, when our CSMS sends it bills; "" = nobody here."""
    vehicle = bench.rig.resources[session.vehicle]
    if not isinstance(vehicle, VehicleResource) or vehicle.auth != "pnc":
        return ""
    senders = [bench.rig.resources[name] for name in bench.rig.gateway.backends]
    takers = {name for one in senders if isinstance(one, CsmsResource) for name in one.bills_to}
    for name in bench.operators.embedded:
        mo = bench.rig.resources[name]
        behind_a_hub = not takers.isdisjoint(bench.operators.hubs)
        if isinstance(mo, MoResource) and mo.provider_id == vehicle.emaid[:5] and (name in takers or behind_a_hub):
            return name
    return ""


async def _check(name: str, running: RunningMo, transaction_id: str, kwh: Decimal, own: Sequence[str]) -> CheckedBill:
    from backends.operators.mo.received import Channel, from_body
    from backends.operators.mo.tables import BILLS, CDRS

    query = sa.select(CDRS, BILLS.c.bill).select_from(CDRS.outerjoin(BILLS, BILLS.c.cdr == CDRS.c.seq))
    rows = await running.database.read(lambda connection: connection.execute(query).all())
    # a hub has its own name for a session: what was signed says which one it is
    read = [(row, from_body(Channel(row.channel), row.operator, row.body)) for row in rows]
    about = [(row, cdr) for row, cdr in read if any(value.ocmf in own for value in cdr.values)]
    if len(about) != 1:
        text = f"{name} has {len(about)} charge detail records of it, expected one"
        return CheckedBill(transaction_id, name, problems=(text,))
    row, cdr = about[0]
    if row.bill is None:
        text = f"{name} made no bill: {row.status} ({row.reason}{f': {row.detail}' if row.detail else ''})"
        return CheckedBill(transaction_id, name, problems=(text,))
    carried = [value.ocmf for value in cdr.values]
    problems = [text for text in (_wrong_value(value, row.public_key) for value in carried) if text]
    if carried != list(own) and not (cdr.channel is Channel.OICP and _is_extract(carried, own)):
        problems.append(f"{name} was sent {len(carried)} signed values, which are not the {len(own)} of the CPO")
    for what, energy in (("charge detail record", cdr.energy_kwh), ("bill", Decimal(row.bill["energy_kwh"]))):
        if energy != kwh:
            problems.append(f"the {what} of {name} says {energy} kWh, the signed record {kwh} kWh")
    return CheckedBill(
        transaction_id,
        name,
        Decimal(row.bill["energy_kwh"]),
        Decimal(row.bill["total"]),
        row.bill["currency"],
        len(carried),
        tuple(problems),
    )


def _is_extract(carried: Sequence[str], own: Sequence[str]) -> bool:
    """OICP carries ten signed values: begin, end, and some between them, in order."""
    rest = iter(own)
    return carried[0] == own[0] and carried[-1] == own[-1] and all(value in rest for value in carried)


def _wrong_value(ocmf: str, key: str) -> str:
    """Why a signed value does not verify with the operator's own key; "" when it does."""
    try:
        verify_record(ocmf, decode_public_key(key))
    except (InvalidSignatureError, UndecidableError, FormatError, PeerError) as error:
        return f"a signed value of the bill does not verify: {error}"
    return ""
