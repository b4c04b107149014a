"""Streams: what was deleted, repeated, reordered, restored or forked is seen."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocmf.container import join, parse
from ocmf.payload import payload_hash, write_payload
from ocmf.stream import StreamError, StreamStatus, check_stream
from ocmf.terms import Tx
from ports.meter import Quality

CONTINUOUS, GAP, DUPLICATE = StreamStatus.CONTINUOUS, StreamStatus.GAP, StreamStatus.DUPLICATE
ROLLBACK, FORK = StreamStatus.ROLLBACK, StreamStatus.FORK


def as_record(content):
    return parse(join(content, b"\x30", "secp256r1"))


@pytest.fixture(scope="session")
def stream(payload, reading):
    """Records T1.. of one meter, chained or not; each a transaction of its own."""

    def make(count=6, chained=True, first=1, previous=""):
        records = []
        for number in range(first, first + count):
            readings = (
                reading(Tx.BEGIN, f"{number}.000", 10 * number),
                reading(Tx.END, f"{number}.900", 10 * number + 5),
            )
            content = payload(*readings, page=f"T{number}", previous_hash=previous if chained else None)
            written = write_payload(content)
            previous = payload_hash(written)
            records.append(as_record(written))
        return records

    return make


@pytest.mark.parametrize("chained", [True, False])
def test_continuous(stream, chained):
    verdict = check_stream(stream(chained=chained), from_start=chained)
    assert verdict.status is CONTINUOUS
    assert verdict.findings == ()
    assert verdict.require() is verdict
    assert check_stream([]).status is CONTINUOUS


@given(at=st.integers(1, 4), chained=st.booleans())
def test_any_deleted_record_is_a_gap(stream, at, chained):
    records = stream(chained=chained)
    del records[at]
    verdict = check_stream(records)
    assert verdict.status is GAP
    assert f"missing: T{at + 1}" in verdict.findings[0].text
    with pytest.raises(StreamError, match="GAP"):
        verdict.require()


def test_missing_start_is_a_gap_when_it_is_asked_for(stream):
    assert check_stream(stream()[2:]).status is CONTINUOUS
    assert check_stream(stream()[2:], from_start=True).status is GAP
    assert check_stream(stream(chained=False)[2:], from_start=True).status is GAP


@pytest.mark.parametrize("chained", [True, False])
def test_repeated_record_is_a_duplicate(stream, chained):
    records = stream(chained=chained)
    assert check_stream([*records, records[2]]).status is DUPLICATE


@pytest.mark.parametrize("chained", [True, False])
def test_same_page_with_another_payload_is_a_fork(stream, payload, reading, chained):
    records = stream(chained=chained)
    other = payload(
        reading(Tx.BEGIN, "6.500", 70),
        page="T6",
        previous_hash=records[4].record_id if chained else None,
    )
    assert check_stream([*records, as_record(write_payload(other))]).status is FORK


def test_two_starts_are_a_fork(stream, payload, reading):
    second = as_record(write_payload(payload(reading(Tx.BEGIN, "9.000", 99), page="T7", previous_hash="")))
    verdict = check_stream([*stream(), second])
    assert verdict.status is FORK
    assert "start the stream" in str(verdict.findings)


def test_a_chain_that_skips_a_page_is_a_fork(stream, payload, reading):
    records = stream()
    skipping = payload(reading(Tx.BEGIN, "8.000", 99), page="T8", previous_hash=records[-1].record_id)
    assert check_stream([*records, as_record(write_payload(skipping))]).status is FORK


def test_a_record_out_of_the_chain_is_seen(stream, payload, reading):
    records = stream()
    unchained = payload(reading(Tx.BEGIN, "8.000", 99), page="T7")
    assert check_stream([*records, as_record(write_payload(unchained))]).status is GAP
    wrong = payload(reading(Tx.BEGIN, "8.000", 99), page="T7", previous_hash="ab" * 32)
    assert check_stream([*records, as_record(write_payload(wrong))]).status is GAP


@pytest.mark.parametrize(("value", "minute"), [("1.000", 90), ("9.000", 1)])
def test_a_restored_backup_is_a_rollback(stream, payload, reading, value, minute):
    records = stream(chained=False)
    late = payload(reading(Tx.BEGIN, value, minute), page="T7")
    assert check_stream([*records, as_record(write_payload(late))]).status is ROLLBACK


@pytest.mark.parametrize("mark", [{"status": Quality.TIMEOUT}, {"error_flags": "E"}])
def test_a_value_that_the_record_marks_as_unusable_is_no_rollback(stream, payload, reading, mark):
    records = stream(chained=False)
    bad = payload(reading(Tx.BEGIN, "0.000", 90, **mark), page="T7")
    good = payload(reading(Tx.BEGIN, "9.000", 91), page="T8")
    assert check_stream([*records, *(as_record(write_payload(one)) for one in (bad, good))]).status is CONTINUOUS
    fallen = payload(reading(Tx.BEGIN, "8.000", 92), page="T9")  # what was marked is no measure of what follows
    assert check_stream([*records, *(as_record(write_payload(one)) for one in (bad, good, fallen))]).status is ROLLBACK


def test_time_that_runs_back_is_a_rollback_whatever_the_value_is_worth(stream, payload, reading):
    late = payload(reading(Tx.BEGIN, "9.000", 1, status=Quality.TIMEOUT), page="T7")
    assert check_stream([*stream(chained=False), as_record(write_payload(late))]).status is ROLLBACK


def test_order_of_arrival_does_not_matter(stream):
    assert check_stream(list(reversed(stream()))).status is CONTINUOUS


def test_contexts_count_apart_and_chain_together(payload, reading):
    previous, records = "", []
    pages = [("T1", Tx.BEGIN), ("F1", None), ("T2", Tx.END), ("F2", None)]
    for number, (page, tx) in enumerate(pages, start=1):
        content = payload(reading(tx, f"{number}.000", number), page=page, previous_hash=previous)
        if tx is None:
            content = dataclasses.replace(content, user=None)
        written = write_payload(content)
        previous = payload_hash(written)
        records.append(as_record(written))
    assert check_stream(records, from_start=True).status is CONTINUOUS
    assert check_stream([records[0], *records[2:]]).status is GAP


def test_meters_are_streams_of_their_own(stream, payload, reading):
    other = payload(reading(Tx.BEGIN, "1.000"), page="T400", meter_serial="M2")
    assert check_stream([*stream(chained=False), as_record(write_payload(other))]).status is CONTINUOUS


def test_a_record_without_page_is_a_gap():
    assert check_stream([parse('OCMF|{"MS":"1"}|{"SD":"00"}')]).status is GAP
