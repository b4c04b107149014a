"""What journals and database say after a fleet has run: what was signed, what arrived, what took effect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import sqlalchemy as sa

from backends.cpo_store import RECORDS
from backends.operators.cpo.ledger import BILLED, VALID
from backends.operators.cpo.schema import CHARGE_DETAILS, INCIDENTS, MESSAGES, SIGNED_VALUES, TRANSACTIONS
from gateway.journal_store import JournalStore
from hil_rigs.fleet.csms import DATABASE
from ocmf.terms import IdType

JOURNAL = "journal.db"


@dataclass(slots=True)
class Audit:
    """Counts over the whole fleet. lost: signed values that the CPO lacks. doubled: effects that happened twice.

    repeated: deliveries of messages that had been taken before. gaps: in the pages of a meter, at either end.
    by_contract: of the bills. contracts: of the vehicles, each the one that was ordered for it at the pools.
    handed_out: contracts by the pools; more than contracts where an answer was lost.
    problems: everything that is wrong, one line each.
    """

    signed: int = 0
    kept: int = 0
    transactions: int = 0
    billed: int = 0
    billed_kwh: Decimal = Decimal(0)
    repeated: int = 0
    lost: int = 0
    doubled: int = 0
    gaps: int = 0
    by_contract: int = 0
    contracts: int = 0
    handed_out: int = 0
    problems: list[str] = field(default_factory=list)


def audit(folder: Path, registers: Mapping[str, str]) -> Audit:
    """Compare what every station signed with what the CPO has. registers: kWh counted by each meter, by station.

    Raises JournalError, sqlalchemy's errors when the files are not those of a fleet.
    """
    found = Audit()
    engine = sa.create_engine(f"sqlite:///{folder / DATABASE}")
    try:
        with engine.connect() as connection:
            kept = _kept(connection)
            begun = sum(_compare(found, folder / name, name, kept.pop(name, {})) for name in sorted(registers))
            for name, pages in kept.items():
                found.problems.append(f"{name}: {len(pages)} records of a station that is none of the fleet")
            _count_effects(found, connection, begun)
            _compare_energy(found, connection, registers)
    finally:
        engine.dispose()
    return found


def _kept(connection: sa.Connection) -> dict[str, dict[str, str]]:
    """By gateway, then by page: the record that the CPO has."""
    kept: dict[str, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(sa.select(RECORDS.c.gateway, RECORDS.c.page, RECORDS.c.record_id)):
        kept[row.gateway][row.page] = row.record_id
    return kept


def _compare(found: Audit, folder: Path, name: str, kept: Mapping[str, str]) -> int:
    """One station; how many transactions it has begun."""
    with JournalStore.open_read_only(folder / JOURNAL) as store:
        entries = list(store.entries())
        unsigned = len(store.unsigned())
    signed = {entry.page: entry.record_id for entry in entries}
    lost = sorted(page for page, record_id in signed.items() if kept.get(page) != record_id)
    foreign = sorted(kept.keys() - signed.keys())
    found.signed += len(entries)
    found.kept += len(kept)
    found.lost += len(lost)
    if unsigned:
        found.problems.append(f"{name}: {unsigned} records were never signed")
    if lost:
        found.problems.append(f"{name}: the CPO lacks {len(lost)} signed values: {_some(lost)}")
    if foreign:
        found.problems.append(f"{name}: the CPO has {len(foreign)} values that its journal lacks: {_some(foreign)}")
    for where, pages in (("journal", signed), ("CPO", kept)):
        gaps = list(_gaps(pages))
        found.gaps += len(gaps)
        if gaps:
            found.problems.append(f"{name}: pages in the {where} have gaps: {_some(gaps)}")
    return sum(entry.kind == "Transaction.Begin" for entry in entries)


def _gaps(pages: Iterable[str]) -> Iterable[str]:
    """Also one before the first page: a fleet's meters are new."""
    numbers = [0, *sorted(int(page[1:]) for page in pages)]
    return (f"T{before} to T{after}" for before, after in pairwise(numbers) if after != before + 1)


def _count_effects(found: Audit, connection: sa.Connection, begun: int) -> None:
    """What the CPO counts: whatever stands there twice took effect twice."""
    twice = {
        "messages": sa.select(MESSAGES.c.station, MESSAGES.c.key).group_by(MESSAGES.c.station, MESSAGES.c.key),
        "bills": sa.select(CHARGE_DETAILS.c.station, CHARGE_DETAILS.c.transaction_id).group_by(
            CHARGE_DETAILS.c.station, CHARGE_DETAILS.c.transaction_id
        ),
        "signed values": sa.select(SIGNED_VALUES.c.station, SIGNED_VALUES.c.record_id).group_by(
            SIGNED_VALUES.c.station, SIGNED_VALUES.c.record_id
        ),
    }
    for what, query in twice.items():
        rows = connection.execute(query.having(sa.func.count() > 1)).all()
        found.doubled += len(rows)
        found.problems += [f"{row[0]}: {what} that stand twice: {row[1]}" for row in rows]
    delivered = connection.execute(sa.select(sa.func.sum(MESSAGES.c.deliveries), sa.func.count())).one()
    found.repeated = int(delivered[0] or 0) - int(delivered[1])
    by_state = sa.select(TRANSACTIONS.c.state, sa.func.count()).group_by(TRANSACTIONS.c.state)
    states: dict[str, int] = {row[0]: row[1] for row in connection.execute(by_state)}
    found.transactions, found.billed = sum(states.values()), states.get(BILLED, 0)
    if found.transactions != begun:
        found.problems.append(f"the CPO has {found.transactions} transactions, the stations began {begun}")
    not_billed = sa.select(TRANSACTIONS).where(TRANSACTIONS.c.state != BILLED)
    for row in connection.execute(not_billed):
        found.problems.append(f"{row.station}: transaction {row.transaction_id} is {row.state}: {row.flags}")
    for row in connection.execute(sa.select(SIGNED_VALUES).where(SIGNED_VALUES.c.verdict != VALID)):
        found.problems.append(f"{row.station}: page {row.page} is {row.verdict}: {row.reason}")
    for row in connection.execute(sa.select(INCIDENTS)):
        found.problems.append(f"{row.station}: {row.kind}: {row.detail}")


def _compare_energy(found: Audit, connection: sa.Connection, registers: Mapping[str, str]) -> None:
    """What is billed is what the meters have counted: nothing twice, nothing for free."""
    billed: dict[str, Decimal] = defaultdict(Decimal)
    for row in connection.execute(sa.select(CHARGE_DETAILS.c.station, CHARGE_DETAILS.c.body)):
        billed[row.station] += Decimal(row.body["energy_kwh"])
        found.by_contract += row.body["id_type"] == IdType.EMAID
    found.billed_kwh = sum(billed.values(), Decimal(0))
    found.problems += [
        f"{name}: {billed[name]} kWh are billed, and its meter counted {register}"
        for name, register in registers.items()
        if billed[name] != Decimal(register)
    ]


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
