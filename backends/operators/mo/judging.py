"""May this charge detail record be billed? Its signed values and our own keys decide, never the carried ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise

from backends.operators.mo.customers import uid_key
from backends.operators.mo.received import Channel, ReceivedCdr
from ocmf.case import Item
from ocmf.container import FormatError, Record, parse
from ocmf.findings import errors
from ocmf.keys import KeyEntry, PublicKey, keys_as_of
from ocmf.reading import EXACT
from ocmf.transaction import TransactionStatus, TransactionVerdict, judge_transaction
from ocmf.verify import InvalidRecordError, UndecidableError, VerifiedRecord, verify_record
from ports.charge_detail import Nature

MOST_IN_OICP = 10  # OICP 2.3, ChargeDetailRecord, SignedMeteringValues
# how fine a claim can be: OCPI types, number; OICP 2.3, ConsumedEnergy
DECIMALS: Mapping[Channel, Decimal] = {Channel.OCPI: Decimal("0.0001"), Channel.OICP: Decimal("0.001")}
CONTEXTS: Mapping[Nature, str] = {
    Nature.START: "Transaction.Begin",
    Nature.INTERMEDIATE: "Sample.Periodic",
    Nature.END: "Transaction.End",
}


class CdrStatus(StrEnum):
    """What becomes of it."""

    BILLED = "billed"
    REFUSED = "refused"
    UNDECIDABLE = "undecidable"  # not billed; judged again when a key is registered
    CREDITED = "credited"  # takes another one back


class Reason(StrEnum):
    """Why it is not billed."""

    NONE = ""
    NO_VALUES = "no signed values"
    NATURES = "order of signed values"
    FORMAT = "format"
    KEY = "key unknown"
    SIGNATURE = "signature"
    METER = "meter"
    EVSE = "EVSE"
    TRANSACTION = "transaction"
    EXTRACT = "extract"
    USER = "user"
    CUSTOMER = "not our customer"
    ENERGY = "energy differs"
    TWICE = "billed before"
    CREDIT = "nothing to credit"
    TARIFF = "no tariff"


class NotBilled(Exception):
    """Ends judging."""

    def __init__(self, reason: Reason, detail: str, status: CdrStatus = CdrStatus.REFUSED) -> None:
        super().__init__(detail)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class Judgement:
    """A record that may be billed. digest: SHA-256 over the ids of its begin and end records, whatever carried them."""

    verdict: TransactionVerdict
    records: tuple[Record, ...]
    key: PublicKey
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def energy_kwh(self) -> Decimal:
        """End minus begin, exact."""
        assert self.verdict.energy_kwh is not None  # noqa: S101 - status OK
        return self.verdict.energy_kwh

    @property
    def began(self) -> datetime:
        """As signed."""
        return _time(self.verdict.begin)

    @property
    def ended(self) -> datetime:
        """As signed."""
        return _time(self.verdict.end)


KeysOf = Callable[[str, str, str], tuple[KeyEntry, ...]]


def read_records(cdr: ReceivedCdr) -> tuple[Record, ...]:
    """The records of its signed values, in the order they must have. Raises NotBilled."""
    if not cdr.values:
        raise NotBilled(Reason.NO_VALUES, "there is nothing that could be checked")
    natures = [one.nature for one in cdr.values]
    if len(natures) == 1:
        expected = natures[0] is not Nature.INTERMEDIATE
    else:
        inner = all(one is Nature.INTERMEDIATE for one in natures[1:-1])
        expected = natures[0] is Nature.START and natures[-1] is Nature.END and inner
    if not expected:
        raise NotBilled(Reason.NATURES, f"natures are {', '.join(natures)}, not Start, Intermediate ..., End")
    try:
        return tuple(parse(one.ocmf) for one in cdr.values)
    except FormatError as error:
        raise NotBilled(Reason.FORMAT, str(error)) from None


def judge(
    cdr: ReceivedCdr, records: tuple[Record, ...], keys_of: KeysOf, billed: Mapping[str, str], *, bill_extracts: bool
) -> Judgement:
    """records: of `read_records`. keys_of: our keys of (meter, gateway, EVSE). billed: CDR by record id.

    Raises NotBilled.
    """
    key = _key(records[0], keys_of)
    verified = [_verified(record, key) for record in records]
    _check_source(cdr, records)
    twice = {one.record_id: billed[one.record_id] for one in records if one.record_id in billed}
    if twice:
        record_id, other = next(iter(twice.items()))
        raise NotBilled(Reason.TWICE, f"record {record_id[:16]} was billed with charge detail record {other}")
    contexts = [CONTEXTS[one.nature] for one in cdr.values] if len(records) > 1 else [""]
    verdict = judge_transaction(verified, contexts=contexts)
    notes: tuple[str, ...] = ()
    if _is_extract(cdr, records, verdict):
        if not bill_extracts:
            raise NotBilled(Reason.EXTRACT, "pages between begin and end were left out", CdrStatus.UNDECIDABLE)
        verdict = _of_extract(verdict)
        notes = (f"extract: {len(records)} records of {records[0].string('PG')} to {records[-1].string('PG')}",)
    if verdict.status is not TransactionStatus.OK:
        found = "; ".join(f"{one.rule} ({one.field}): {one.text}" for one in errors(verdict.findings))
        raise NotBilled(Reason.TRANSACTION, found or f"{verdict.status}: begin or end is missing")
    _check_user(cdr, records)
    judged = Judgement(verdict, records, key, digest_of(records), notes)
    if cdr.energy_kwh is not None and not _same(cdr.energy_kwh, judged.energy_kwh, DECIMALS[cdr.channel]):
        detail = f"{cdr.energy_kwh} kWh are claimed, {judged.energy_kwh} kWh are signed"
        raise NotBilled(Reason.ENERGY, detail)
    return judged


def digest_of(records: tuple[Record, ...]) -> str:
    """What two deliveries of one transaction have in common, however many records between begin and end they carry."""
    ids = dict.fromkeys((records[0].record_id, records[-1].record_id))
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def _time(item: Item | None) -> datetime:
    assert item is not None  # noqa: S101 - status OK: both ends are there
    assert item.reading.time is not None  # noqa: S101 - and their times can be read
    return item.reading.time


def _key(record: Record, keys_of: KeysOf) -> PublicKey:
    """Our own key of the meter at the begin of the transaction; what the sender carries is not even looked at."""
    meter, gateway, evse = record.string("MS"), record.string("GS"), record.string("CI")
    when = next((one.time for one in record.readings if one.time is not None), None)
    if when is None:
        raise NotBilled(Reason.TRANSACTION, "the begin has no readable time")
    keys = keys_as_of(keys_of(meter, gateway, evse), when, meter=meter, gateway=gateway, evse=evse)
    if len(keys) != 1:
        found = f"{len(keys)} keys" if keys else "no key"
        detail = f"{found} of meter {meter!r}, gateway {gateway!r}, EVSE {evse!r} at {when.isoformat()}"
        raise NotBilled(Reason.KEY, detail, CdrStatus.UNDECIDABLE)
    return keys[0]


def _verified(record: Record, key: PublicKey) -> VerifiedRecord:
    try:
        return verify_record(record, key)
    except InvalidRecordError as error:
        raise NotBilled(Reason.SIGNATURE, str(error)) from None
    except UndecidableError as error:
        raise NotBilled(Reason.KEY, str(error), CdrStatus.UNDECIDABLE) from None


def _check_source(cdr: ReceivedCdr, records: tuple[Record, ...]) -> None:
    for record in records:
        if cdr.meter and record.string("MS") != cdr.meter:
            raise NotBilled(Reason.METER, f"meter {cdr.meter!r} is claimed, {record.string('MS')!r} is signed")
        # without separators: OCPI and OICP allow EVSE ids with and without "*"
        if record.string("CT") == "EVSEID" and _plain(record.string("CI")) != _plain(cdr.evse_id):
            raise NotBilled(Reason.EVSE, f"EVSE {cdr.evse_id!r} is claimed, {record.string('CI')!r} is signed")


def _check_user(cdr: ReceivedCdr, records: tuple[Record, ...]) -> None:
    for record in records:
        if uid_key(record.string("ID")) != uid_key(cdr.uid):
            signed = record.string("ID") or "nobody"
            raise NotBilled(Reason.USER, f"{cdr.uid!r} is to pay, {signed!r} is signed")


def _is_extract(cdr: ReceivedCdr, records: tuple[Record, ...], verdict: TransactionVerdict) -> bool:
    """OICP takes ten signed values: exactly ten of them, of growing pages, with nothing else wrong but the gaps."""
    if cdr.channel is not Channel.OICP or len(records) != MOST_IN_OICP:
        return False
    pages = [record.page for record in records]
    grows = all(one and other and one[0] == other[0] and one[1] < other[1] for one, other in pairwise(pages))
    wrong = errors(verdict.findings)
    return bool(wrong) and grows and all(one.rule == "pagination" for one in wrong)


def _of_extract(verdict: TransactionVerdict) -> TransactionVerdict:
    """The verdict without the gaps: the energy is end minus begin, the time stays informative."""
    begin, end = verdict.begin, verdict.end
    if begin is None or end is None or begin.kwh is None or end.kwh is None:
        return verdict
    findings = tuple(one for one in verdict.findings if one.rule != "pagination")
    energy = EXACT.subtract(end.kwh, begin.kwh)
    return replace(
        verdict, status=TransactionStatus.OK, findings=findings, energy_kwh=energy, duration=None, time_billable=False
    )


def _same(claimed: Decimal, signed: Decimal, step: Decimal) -> bool:
    """Whether a claim is the signed energy, rounded to what the protocol can say, either way."""
    return abs(claimed - signed) < step


def _plain(evse_id: str) -> str:
    return evse_id.replace("*", "").replace("-", "").upper()
