"""The audit finds what a broken fleet would leave: each test breaks a copy of a good one in one way."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from gateway.journal_store import JournalStore
from hil_rigs.fleet.audit import JOURNAL, Audit, audit
from hil_rigs.fleet.csms import DATABASE
from hil_rigs.fleet.station import name_of
from tests.hil_rigs.fleet.conftest import PLAN, Ran

NAMES = [name_of(number) for number in range(PLAN.stations)]


@pytest.fixture
def folder(ran: Ran, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ran.folder, tmp_path / "copy"))


def broken(folder: Path, statement: str) -> Audit:
    with sqlite3.connect(folder / DATABASE) as connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()
    return audit(folder, registers(folder))


def registers(folder: Path) -> dict[str, str]:
    """What the meters counted: the last value of each journal."""
    found = {}
    for name in NAMES:
        with JournalStore.open_read_only(folder / name / JOURNAL) as store:
            last = list(store.entries())[-1].record().ocmf
        found[name] = last.split('"RV":')[1].split(",")[0]
    return found


def test_a_good_fleet_has_no_problem(folder: Path) -> None:
    assert audit(folder, registers(folder)).problems == []


def test_a_value_that_the_cpo_lacks(folder: Path) -> None:
    found = broken(folder, "DELETE FROM cpo_records WHERE page = 'T3' AND gateway = 'FLEET-00001'")
    assert (found.lost, found.gaps) == (1, 1)
    assert any("lacks 1 signed values: T3" in problem for problem in found.problems)
    assert any("pages in the CPO have gaps: T2 to T4" in problem for problem in found.problems)


def test_a_value_that_no_station_signed(folder: Path) -> None:
    found = broken(folder, "UPDATE cpo_records SET gateway = 'STRANGER' WHERE seq = 1")
    assert any("none of the fleet" in problem for problem in found.problems)
    assert found.lost == 1


def test_a_bill_that_was_made_twice(folder: Path) -> None:
    found = broken(
        folder,
        "INSERT INTO csms_charge_details (id, station, transaction_id, body, made)"
        " SELECT 'again', station, transaction_id, body, made FROM csms_charge_details LIMIT 1",
    )
    assert found.doubled == 1
    assert any("kWh are billed, and its meter counted" in problem for problem in found.problems)


def test_a_message_that_took_effect_twice(folder: Path) -> None:
    found = broken(
        folder,
        "INSERT INTO csms_messages"
        " (station, key, digest, action, transaction_id, payload, answer, deliveries, received)"
        " SELECT station, key, 'other', action, transaction_id, payload, answer, 1, received"
        " FROM csms_messages LIMIT 1",
    )
    assert found.doubled == 1


def test_a_transaction_that_is_not_billed(folder: Path) -> None:
    found = broken(folder, "UPDATE csms_transactions SET state = 'withheld' WHERE seq = 1")
    assert any("is withheld" in problem for problem in found.problems)
    assert found.billed == found.transactions - 1


def test_a_record_that_was_never_signed(folder: Path) -> None:
    with sqlite3.connect(folder / NAMES[0] / JOURNAL) as connection:
        connection.executescript("PRAGMA foreign_keys = OFF;")
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("DELETE FROM signature WHERE seq = 2")
    connection.close()
    found = audit(folder, {})
    assert found.problems  # without registers, every station is a stranger
    found = audit(folder, dict.fromkeys(NAMES, "0"))
    assert any("1 records were never signed" in problem for problem in found.problems)
