"""Records as transactions, where nobody says which belong together."""

import dataclasses
import random

import pytest

from ocmf.container import parse
from ocmf.grouping import group_transactions
from ocmf.payload import write_payload
from ocmf.terms import Tx
from ocmf.verify import VerifiedRecord


@pytest.fixture(scope="session")
def verified(payload, reading, key):
    def make(page, *reasons, **changes):
        readings = [reading(tx, "1.00", minute) for minute, tx in enumerate(reasons or [None])]
        content = dataclasses.replace(payload(*readings, page=page), **changes)
        if not reasons:
            content = dataclasses.replace(content, user=None)
        return VerifiedRecord(parse(key.sign(write_payload(content))), key.public, ())

    return make


def pages(groups):
    return sorted([item.record.string("PG") for item in group] for group in groups)


def test_transactions_of_one_meter(verified):
    records = [
        verified("T1", Tx.BEGIN),
        verified("T2", Tx.CHARGING),
        verified("T3", Tx.END),
        verified("T4", Tx.BEGIN, Tx.END_REMOTE),
        verified("T5", Tx.BEGIN),  # never ended
        verified("T6", Tx.BEGIN),
        verified("T7", Tx.POWER_FAILURE),
        verified("T8", Tx.END),  # a stray
        verified("F1"),
        verified("T9", Tx.BEGIN),
    ]
    random.Random(1).shuffle(records)
    assert pages(group_transactions(records)) == sorted(
        [["T1", "T2", "T3"], ["T4"], ["T5"], ["T6", "T7"], ["T8"], ["F1"], ["T9"]]
    )


def test_sources_are_kept_apart_and_copies_are_one(verified):
    begin, end = verified("T1", Tx.BEGIN), verified("T2", Tx.END)
    other = [verified("T1", Tx.BEGIN, meter_serial="M2"), verified("T2", Tx.END, meter_serial="M2")]
    groups = group_transactions([begin, *other, end, begin, end])
    assert pages(groups) == [["T1", "T2"], ["T1", "T2"]]
    assert {group[0].record.string("MS") for group in groups} == {"12345678", "M2"}
    assert group_transactions([]) == ()
