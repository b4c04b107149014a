"""Judgements of what a run left behind, by name; a scenario uses them as `check: store.pagination_gapless`."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from hil_rigs.fault_catalogue.entry import Parameter, Value, number
from hil_rigs.run_check import check_pages, check_transaction
from hil_rigs.scenario import ocpp_checks
from hil_rigs.scenario.holdings import growth
from hil_rigs.scenario.remains import Remains
from hil_rigs.scenario.verifiers import VERIFIERS
from ocmf.container import FormatError, parse
from ocmf.verify import InvalidSignatureError, UndecidableError, verify_record
from ports.errors import LocalError

Values = Mapping[str, Value]
NO_RECORD, NO_TRANSACTION = "there is no record", "there is no transaction"
TIME_TOLERANCE_S = 1.5  # TM of a reading against its boot time: a line at 9600 baud takes some of it


@dataclass(frozen=True, slots=True)
class Check:
    """run: what is wrong, nothing when all is well; with a value for each parameter; may raise NotRunError."""

    channel: str
    meaning: str
    run: Callable[[Remains, Values], list[str]]
    parameters: tuple[Parameter, ...] = ()


def find(name: str) -> Check:
    """A check. Raises LocalError with the nearest name."""
    check = CHECKS.get(name)
    if check is None:
        near = difflib.get_close_matches(name, CHECKS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(CHECKS)}"
        raise LocalError(f'no check "{name}"; {hint}')
    return check


def _pages(remains: Remains, _values: Values) -> list[str]:
    records = remains.records()
    try:
        return check_pages(records, remains.key) if records else [NO_RECORD]
    except (InvalidSignatureError, UndecidableError, FormatError) as error:
        return [str(error)]


def _transactions(remains: Remains, values: Values) -> list[str]:
    found, wanted = remains.transactions(), values["count"]
    return [] if len(found) == wanted else [f"{len(found)} transactions: {', '.join(found) or 'none'}"]


def _pairs(remains: Remains, _values: Values) -> list[str]:
    wrong = []
    for name, records in remains.transactions().items():
        kinds = [record.context for record in records]
        if kinds.count("Transaction.Begin") != 1 or kinds.count("Transaction.End") != 1:
            wrong.append(f"{name}: {', '.join(kinds)}")
    return wrong if remains.transactions() else [NO_TRANSACTION]


def _unsigned(remains: Remains, _values: Values) -> list[str]:
    if not remains.entries:
        return [NO_RECORD]
    return [f"{entry.page} of {entry.stream.meter} is not signed" for entry in remains.entries if not entry.is_signed]


def _exactly_once(remains: Remains, _values: Values) -> list[str]:
    if remains.delivered is None:
        raise LocalError("backend.exactly_once: the rig has no embedded backend")
    effects = {one.record.record_id: one.effects for one in remains.delivered}
    wrong = [f"{record.page} never arrived" for record in remains.records() if record.record_id not in effects]
    wrong += [f"{one.record.page} took effect {one.effects} times" for one in remains.delivered if one.effects != 1]
    return wrong if remains.records() else [NO_RECORD]


def _in_order(remains: Remains, _values: Values) -> list[str]:
    if remains.delivered is None:
        raise LocalError("backend.in_order: the rig has no embedded backend")
    wrong, last = [], dict[str, int]()
    for one in remains.delivered:
        number = int(one.record.page[1:])
        if number < last.get(one.record.transaction_id, 0):
            wrong.append(f"{one.record.page} of {one.record.transaction_id} came late")
        last[one.record.transaction_id] = number
    return wrong if remains.delivered else ["no record was delivered"]


def _times(remains: Remains, _values: Values) -> list[str]:
    """No time runs backwards, and a billable duration is that of the boot-time clock."""
    wrong, begun = [], dict[str, tuple[datetime, float]]()
    last = dict[str, datetime]()
    for entry in remains.entries:
        if not entry.transaction_id or not entry.is_signed:
            continue
        reading = parse(entry.record().ocmf).readings[-1]
        if reading.time is None:
            wrong.append(f"{entry.page}: no time")
            continue
        began, boottime = begun.setdefault(entry.transaction_id, (reading.time, entry.boottime))
        if reading.time < last.get(entry.transaction_id, reading.time):
            wrong.append(f"{entry.page}: {reading.time} is before the reading before it")
        last[entry.transaction_id] = reading.time
        difference = (reading.time - began).total_seconds() - (entry.boottime - boottime)
        if reading.time_status in ("S", "R") and abs(difference) > TIME_TOLERANCE_S:
            wrong.append(
                f"{entry.page}: status {reading.time_status}, but {difference:+.3f} s from the boot-time clock"
            )
    return wrong if begun else [NO_TRANSACTION]


def _energy(remains: Remains, values: Values) -> list[str]:
    """Plant against record, closer than the register's last digit (with: tolerance_wh)."""
    tolerance = Decimal(str(values["tolerance_wh"]))
    wrong = []
    for name, records in remains.transactions().items():
        kwh = check_transaction(name, records, remains.key).kwh
        plant = remains.plant_wh.get(name)
        if plant is None or kwh is None:
            wrong.append(f"{name}: no energy to compare")
        elif abs(plant - kwh * 1000) >= tolerance:
            wrong.append(f"{name}: the plant delivered {plant:.3f} Wh, the record says {kwh} kWh")
    return wrong if remains.transactions() else [NO_TRANSACTION]


def _ours(remains: Remains, values: Values) -> list[str]:
    """Our verifier: each transaction as a whole has the wanted verdict."""
    wanted = values["verdict"]
    checks = [check_transaction(name, records, remains.key) for name, records in remains.transactions().items()]
    wrong = [
        f"{one.transaction_id}: {one.verdict}: {'; '.join(one.findings)}" for one in checks if one.verdict != wanted
    ]
    return wrong if checks else [NO_TRANSACTION]


def _foreign(name: str, remains: Remains, values: Values) -> list[str]:
    """Somebody else's verifier: every transaction is valid, and, if asked for, a mixed pair is not."""
    judge = VERIFIERS[name]
    transactions = list(remains.transactions().values())
    if not transactions:
        return [NO_TRANSACTION]
    wrong = [text for records in transactions for text in judge(records, remains.key)]
    if values["mixed_pair"] and len(transactions) > 1:
        mixed = [transactions[1][0], transactions[0][-1]]
        if not judge(mixed, remains.key):
            wrong.append(f"begin {mixed[0].page} with end {mixed[1].page} was taken for a pair")
    return wrong


def _tampered(remains: Remains, _values: Values) -> list[str]:
    """Every record with one digit of its register changed is refused."""
    wrong = []
    for record in remains.records():
        changed = record.ocmf.replace('"RV":', '"RV":1', 1)
        try:
            verify_record(changed, remains.key)
        except (InvalidSignatureError, FormatError, UndecidableError):
            continue
        wrong.append(f"{record.page} was accepted with another register value")
    return wrong if remains.records() else [NO_RECORD]


def _values(remains: Remains, values: Values) -> list[str]:
    """Signed values of one page that an embedded CSMS has kept, good or not."""
    page, wanted = str(values["page"]), values["count"]
    file = remains.folder / f"{values['csms']}.db"
    if not file.is_file():
        raise LocalError(f"csms.values: there is no {file.name}: the rig has no embedded CSMS of this name")
    with closing(sqlite3.connect(file)) as database:
        query = "SELECT count(*) FROM csms_signed_values WHERE page = ?"
        (found,) = database.execute(query, (page,)).fetchone()
    return [] if found == wanted else [f"{found} values of page {page}, not {wanted}"]


def _holdings(remains: Remains, values: Values) -> list[str]:
    return growth(*remains.held, int(number(values, "spare")))


_SPARE = Parameter("spare", "", 2, "so many more of each kind are none")
_COUNT = Parameter("count", "", 1, "how many")
_VERDICT = Parameter("verdict", "", "valid", "of each transaction", ("valid", "invalid", "undecidable"))
_MIXED = Parameter("mixed_pair", "", False, "true: a begin and an end of two transactions must not pass")
_TOLERANCE = Parameter("tolerance_wh", "Wh", 10, "less than this apart")
_REPEATS = Parameter("at_least", "", 0, "so many were sent again")
_PAGE = Parameter("page", "", meaning="PG of a record: T6", required=True)
_CSMS = Parameter("csms", "", "csms", "which CSMS, a resource")

CHECKS: Mapping[str, Check] = {
    "store.pagination_gapless": Check("store", "pages and hash chain of every meter have no gap", _pages),
    "store.transactions": Check("store", "so many transactions have records", _transactions, (_COUNT,)),
    "store.pairs": Check("store", "each transaction has one begin and one end", _pairs),
    "store.all_signed": Check("store", "no record waits for its signature", _unsigned),
    "store.tamper_evident": Check("store", "a changed register value is refused", _tampered),
    "store.times": Check(
        "store",
        f"times of a transaction never run backwards, and those of status S and R are as far apart as on the clock "
        f"that never jumps, to {TIME_TOLERANCE_S} s",
        _times,
    ),
    "backend.exactly_once": Check(
        "backend", "the embedded backend has every record, and each took effect once", _exactly_once
    ),
    "backend.in_order": Check("backend", "records of a transaction came in order", _in_order),
    "wire.power.energy": Check("wire.power", "the plant's exact energy equals the record's", _energy, (_TOLERANCE,)),
    "ocpp.repeats": Check(
        "ocpp", "a TransactionEvent that is sent again has its id again", ocpp_checks.repeats, (_REPEATS,)
    ),
    "ocpp.numbers": Check("ocpp", "seqNo of each transaction has no gap and keeps its order", ocpp_checks.numbers),
    "ocpp.one_in_flight": Check("ocpp", "one call at a time waits for its answer", ocpp_checks.one_in_flight),
    "csms.values": Check(
        "csms", "the embedded CSMS keeps so many signed values of a page", _values, (_PAGE, _COUNT, _CSMS)
    ),
    "process.holdings": Check(
        "process", "open files, tasks and threads at the end are those of the beginning", _holdings, (_SPARE,)
    ),
    "verifier.plugbench": Check("verifier", "our verifier's verdict on each transaction", _ours, (_VERDICT,)),
    **{
        f"verifier.{name}": Check("verifier", f"{name} accepts every transaction", partial(_foreign, name), (_MIXED,))
        for name in VERIFIERS
    },
}
