"""The verdict on transactions: every rule of the table is hit by a case of its own, and a good one hits none."""

import dataclasses
import json
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocmf.container import parse
from ocmf.findings import Severity
from ocmf.payload import LossCompensation, User, write_payload
from ocmf.rules import RULES
from ocmf.terms import IdType, Level, Tx
from ocmf.transaction import TransactionError, TransactionStatus, judge_transaction
from ocmf.verify import VerifiedRecord, verify_record
from ports.clock import TimeStatus
from ports.errors import LocalError
from ports.meter import Quality

OK, NOT_OK, INCOMPLETE = TransactionStatus


def changed(payload, **fields):
    """The payload's bytes with keys replaced, also by what our writer refuses; RD[n].KEY names a reading's."""
    content = json.loads(write_payload(payload), parse_float=Decimal)
    for name, value in fields.items():
        content[name] = value
    return json.dumps(content, default=str)


def found(verdict):
    return {finding.rule for finding in verdict.findings} - {"high s"}


@pytest.fixture(scope="session")
def judge(key):
    """Judge payloads (bytes or text), all signed by one key."""

    def judging(*payloads, keys=(), **options):
        keys = keys or [key] * len(payloads)
        texts = [
            signer.sign_text(content.decode() if isinstance(content, bytes) else content)
            for signer, content in zip(keys, payloads, strict=True)
        ]
        return judge_transaction(
            [verify_record(text, signer.public) for signer, text in zip(keys, texts, strict=True)], **options
        )

    return judging


@pytest.fixture(scope="session")
def pair(payload, reading):
    """Begin and end in two records; changes go to the end record."""

    def make(begin=None, end=None, **changes):
        first = payload(begin or reading(Tx.BEGIN, "100.000"), page="T10")
        last = payload(end or reading(Tx.END, "129.500", 60), page="T11")
        return write_payload(first), write_payload(dataclasses.replace(last, **changes))

    return make


def test_good_transactions(judge, pair, payload):
    for verdict in (judge(write_payload(payload())), judge(*pair(), contexts=["Transaction.Begin", "Transaction.End"])):
        assert verdict.status is OK
        assert found(verdict) == set()
        assert str(verdict.energy_kwh) == "29.500"
        assert verdict.time_billable
        assert verdict.duration is not None
        assert verdict.duration.total_seconds() == 3600
        assert verdict.require() is verdict


def test_every_rule_has_a_case():
    cased = {name for name, _ in CASES} | {name for name, _ in READING_CASES} | {name for name, _ in TEXT_CASES}
    assert {rule.name for rule in RULES} == cased | {"same key", "same register", "billed twice", "context"}


CASES = [  # changes of the end record of a pair
    ("pagination", {"page": "T12"}),
    ("pagination", {"page": "T10"}),
    ("pagination", {"page": "T9"}),
    ("same source", {"meter_serial": "other"}),
    ("same source", {"gateway_serial": "other"}),
    ("same source", {"point_id": "other"}),
    ("same source", {"controller_firmware": "2"}),
    ("same source", {"loss": LossCompensation(resistance=Decimal(1), unit="mOhm")}),
    ("same user", {"user": User(assigned=True, id_type=IdType.LOCAL, id="other")}),
    ("same user", {"user": User(assigned=True, id_type=IdType.ISO14443, id="00000000")}),
    ("identification level", {"user": User(assigned=True, level=Level.MISMATCH)}),
]


@pytest.mark.parametrize(("rule", "changes"), CASES)
def test_faults_between_records(judge, pair, rule, changes):
    verdict = judge(*pair(**changes))
    assert verdict.status is NOT_OK
    assert rule in found(verdict)
    assert verdict.energy_kwh is None


def middle(reading, **changes):
    return dataclasses.replace(reading(Tx.CHARGING, "110.000", 30), **changes)


READING_CASES = [  # the three readings of one record
    ("begin and end", lambda r: (r(Tx.BEGIN, "1.00"), r(Tx.BEGIN, "1.00"), r(Tx.END, "2.00"))),
    ("begin and end", lambda r: (r(Tx.BEGIN, "1.00"), r(Tx.END, "1.50"), r(Tx.END_LOCAL, "2.00"))),
    ("begin and end", lambda r: (r(Tx.END, "2.00"), r(Tx.BEGIN, "2.00"))),
    ("value order", lambda r: (r(Tx.BEGIN, "2.00"), r(Tx.END, "1.00"))),
    ("value order", lambda r: (r(Tx.BEGIN, "1.00"), r(Tx.CHARGING, "3.00"), r(Tx.END, "2.00"))),
    ("time order", lambda r: (r(Tx.BEGIN, "1.00", 60), r(Tx.END, "2.00", 0))),
    ("time order", lambda r: (r(Tx.BEGIN, "1.00", 0), r(Tx.CHARGING, "1.00", 90), r(Tx.END, "2.00", 60))),
    ("time letter", lambda r: (r(Tx.BEGIN, "1.00", time_status=TimeStatus.RELATIVE), r(Tx.END, "2.00"))),
    ("status", lambda r: (r(Tx.BEGIN, "1.00"), r(Tx.END, "2.00", status=Quality.TIMEOUT))),
    ("status", lambda r: (r(Tx.BEGIN, "1.00", status=Quality.SUBSTITUTE), r(Tx.END, "2.00"))),
    ("status forbids billing", lambda r: (r(Tx.BEGIN, "1.00"), r(Tx.CHARGING, "1.00", status=Quality.MANIPULATED),
                                          r(Tx.END, "2.00"))),
    ("status between", lambda r: (r(Tx.BEGIN, "1.00"), r(Tx.CHARGING, "1.00", status=Quality.TIMEOUT),
                                  r(Tx.END, "2.00"))),
    ("energy flag", lambda r: (r(Tx.BEGIN, "1.00"), r(Tx.CHARGING, "1.00", error_flags="E"), r(Tx.END, "2.00"))),
    ("time flag", lambda r: (r(Tx.BEGIN, "1.00"), r(Tx.END, "2.00", error_flags="t"))),
    ("exception", lambda r: (r(Tx.BEGIN, "1.00"), r(Tx.EXCEPTION, "1.50"), r(Tx.END, "2.00"))),
    ("units differ", lambda r: (r(Tx.BEGIN, "1000", unit="Wh"), r(Tx.END, "2.00"))),
    ("value", lambda r: (r(Tx.BEGIN, "1.00"), r(Tx.END, "2.00", unit="mOhm"))),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "readings"), READING_CASES)
def test_faults_of_readings(judge, payload, reading, rule, readings):
    def make(tx, value, minute=0, **changes):
        return dataclasses.replace(reading(tx, value, minute), **changes)

    verdict = judge(write_payload(payload(*readings(make))))
    assert rule in found(verdict)
    severity = next(row.severity for row in RULES if row.name == rule)
    assert verdict.status is (NOT_OK if severity is Severity.ERROR else OK)


_TIME = "2026-03-01T08:00:00,000+0100"
TEXT_CASES = [  # keys that our writer refuses to write
    ("readings", {"RD": []}),
    ("page", {"PG": "T01x"}),
    ("billed register", {"RD": [{"TM": f"{_TIME} S", "TX": "B", "RV": 1, "RI": "1-0:2.8.0", "RU": "kWh", "ST": "G"}]}),
    ("time", {"RD": [{"TM": "2026-02-30T08:00:00,000+0100 S", "TX": "B", "RV": 1, "RI": "1-b:1.8.0", "RU": "kWh"}]}),
    ("time letter", {"RD": [{"TM": _TIME, "TX": "B", "RV": 1, "RI": "1-b:1.8.0", "RU": "kWh", "ST": "G"}]}),
    ("value", {"RD": [{"TM": f"{_TIME} S", "TX": "B", "RV": "many", "RI": "1-b:1.8.0", "RU": "kWh", "ST": "G"}]}),
    ("source named", {"MS": "", "GS": "", "CI": ""}),
    ("version", {"FV": "1.4"}),
    ("version", {"FV": ""}),
    ("user fields", {"IF": ["RFID_PLAIN", "RFID_PSK"]}),
    ("user fields", {"IF": ["anything"]}),
    ("event counter", {"RD": [{"TM": f"{_TIME} S", "TX": tx, "RV": 1, "RI": "1-b:1.8.0", "RU": "kWh", "ST": "G",
                               "EI": counter} for tx, counter in (("B", 1), ("E", 2))]}),
    ("unit", {"RD": [{"TM": f"{_TIME} S", "TX": tx, "RV": 1, "RI": "1-b:1.8.0", "RU": "MWh", "ST": "G"}
                     for tx in "BE"]}),
    ("loss at begin", {"RD": [{"TM": f"{_TIME} S", "TX": tx, "RV": 1, "RI": "1-b:1.8.0", "RU": "kWh", "ST": "G",
                               "CL": 1} for tx in "BE"]}),
    ("value omitted", {"RD": [{"TM": f"{_TIME} S", "TX": "B", "RV": 1, "RI": "1-b:1.8.0", "RU": "kWh", "ST": "G"},
                              {"TX": "E"}]}),
    ("begin and end", {"RD": [{"TM": f"{_TIME} S", "TX": "b", "RV": 1, "RI": "1-b:1.8.0", "RU": "kWh", "ST": "G"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "fields"), TEXT_CASES)
def test_faults_that_only_others_write(judge, payload, rule, fields):
    verdict = judge(changed(payload(), **fields))
    assert rule in found(verdict)
    severity = next(row.severity for row in RULES if row.name == rule)
    assert (verdict.status is NOT_OK) == (severity is Severity.ERROR)


def test_begin_and_end_of_different_registers(judge, pair, reading):
    verdict = judge(*pair(end=reading(Tx.END, "129.500", 60, register="01-00:B2.08.00*FF")))
    assert found(verdict) == {"same register"}
    assert verdict.status is NOT_OK


def test_two_keys_are_two_sources(judge, pair, key, other_key):
    verdict = judge(*pair(), keys=[key, other_key])
    assert found(verdict) == {"same key"}
    assert verdict.status is NOT_OK


def test_a_record_is_billed_once(judge, payload):
    content = write_payload(payload())
    first = judge(content)
    assert first.status is OK
    again = judge(content, already_billed={parse(f'OCMF|{content.decode()}|{{"SD":"00"}}').record_id})
    assert found(again) == {"billed twice"}
    assert "billed twice" in found(judge(content, content))


def test_contexts_must_fit(judge, pair):
    verdict = judge(*pair(), contexts=["Transaction.End", "Transaction.Begin"])
    assert found(verdict) == {"context"}


def test_context_change_of_the_page(judge, pair, payload, reading):
    begin, _ = pair()
    fiscal = write_payload(payload(reading(None, "129.500", 60), page="F11", user=None))
    assert "pagination" in found(judge(begin, fiscal))


def test_open_transactions_are_incomplete(judge, payload, reading):
    for verdict in (
        judge(write_payload(payload(reading(Tx.BEGIN, "1.00")))),
        judge(write_payload(payload(reading(Tx.END, "1.00")))),
    ):
        assert verdict.status is INCOMPLETE
        assert verdict.energy_kwh is None
        assert not verdict.fiscal
        with pytest.raises(TransactionError, match="INCOMPLETE"):
            verdict.require()


def test_fiscal_records_are_no_transaction(judge, payload, reading):
    verdict = judge(write_payload(payload(reading(None, "1.00"), page="F1", user=None)))
    assert (verdict.status, verdict.fiscal) == (INCOMPLETE, True)


def test_error_names_the_findings(judge, pair):
    with pytest.raises(TransactionError, match=r"pagination \(record 2, PG\): T13 does not follow T10") as error:
        judge(*pair(page="T13")).require()
    assert error.value.verdict.status is NOT_OK


def test_no_records_are_a_mistake_of_the_caller():
    with pytest.raises(LocalError):
        judge_transaction([])


@pytest.mark.parametrize(
    ("begin", "end", "billable"),
    [("S", "S", True), ("R", "R", True), ("S", "R", True), ("U", "S", False), ("S", "I", False), ("I", "I", False)],
)
def test_time_is_billable_only_when_both_ends_are(judge, payload, reading, begin, end, billable):
    verdict = judge(
        write_payload(
            payload(
                reading(Tx.BEGIN, "1.00", time_status=TimeStatus(begin)),
                reading(Tx.END, "2.00", 1, time_status=TimeStatus(end)),
            )
        )
    )
    assert verdict.time_billable is billable
    assert (verdict.duration is not None) is billable


def test_compensated_registers_are_billed_alone(judge, payload, reading):
    readings = [
        reading(tx, value, minute, register=f"01-00:{register}.08.00*FF")
        for tx, minute in ((Tx.BEGIN, 0), (Tx.END, 60))
        for register, value in (("B0", "10.00" if minute == 0 else "20.00"), ("B1", "9.00" if minute == 0 else "18.5"))
    ]
    verdict = judge(write_payload(payload(*readings)))
    assert verdict.status is OK
    assert verdict.energy_kwh == Decimal("9.50")


@given(st.lists(st.decimals(min_value=0, max_value=10**7, places=3), min_size=2, max_size=6))
def test_energy_is_end_minus_begin_to_the_last_digit(payload, reading, key, values):
    values = sorted(values)
    reasons = [Tx.BEGIN, *[Tx.CHARGING] * (len(values) - 2), Tx.END]
    content = payload(*(reading(tx, str(value), n) for n, (tx, value) in enumerate(zip(reasons, values, strict=True))))
    record = parse(key.sign(write_payload(content)))
    verdict = judge_transaction([VerifiedRecord(record, key.public, ())])
    assert verdict.status is OK
    assert verdict.energy_kwh == sum((after - before for before, after in pairwise(values)), Decimal(0))
    assert int(verdict.energy_kwh.as_tuple().exponent) == -3
