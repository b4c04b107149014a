"""As test_audit: each test breaks a copy of a good fleet in one way, here its contracts."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from hil_rigs.fleet.audit import Audit
from hil_rigs.fleet.contract_audit import audit_contracts
from hil_rigs.fleet.contracts import emaid_of, vehicle_folder
from hil_rigs.fleet.pools import DATABASE, FOLDER
from hil_rigs.fleet.station import name_of
from tests.hil_rigs.fleet.conftest import Ran

STATIONS = [name_of(0), name_of(1)]
ONCE = dict.fromkeys(STATIONS, 1)


@pytest.fixture
def folder(ran: Ran, tmp_path: Path) -> Path:
    for name in (FOLDER, "vehicles"):
        shutil.copytree(ran.folder / name, tmp_path / name)
    return tmp_path


def judged(folder: Path, installed: dict[str, int] = ONCE, handed_out: dict[str, int] = ONCE) -> Audit:
    found = Audit()
    audit_contracts(found, STATIONS, folder, handed_out, installed)
    return found


def test_one_contract_for_each_vehicle(folder: Path) -> None:
    found = judged(folder)
    assert (found.contracts, found.handed_out, found.doubled, found.problems) == (2, 2, 0, [])


def test_an_answer_that_was_lost_is_no_problem(folder: Path) -> None:
    found = judged(folder, handed_out={STATIONS[0]: 2, STATIONS[1]: 1})
    assert (found.handed_out, found.doubled, found.problems) == (3, 0, [])


def test_a_vehicle_without_a_contract(folder: Path) -> None:
    (vehicle_folder(folder, STATIONS[0]) / "contracts" / f"{emaid_of(0)}.pem").unlink()
    found = judged(folder, installed={STATIONS[1]: 1})
    assert found.contracts == 1
    assert found.problems == [f"{STATIONS[0]}: its vehicle has no contract; the pools handed out 1"]


def test_a_contract_that_was_installed_twice(folder: Path) -> None:
    found = judged(folder, {STATIONS[0]: 2, STATIONS[1]: 1}, {STATIONS[0]: 2, STATIONS[1]: 1})
    assert (found.contracts, found.doubled) == (1, 1)
    assert "installed 2 contracts" in found.problems[0]


def test_a_contract_that_was_made_twice(folder: Path) -> None:
    with sqlite3.connect(folder / FOLDER / DATABASE) as connection:
        connection.execute(
            "INSERT INTO contract_certificates (emaid_key, fingerprint, certificate, issued_here)"
            " SELECT emaid_key, 'another', certificate, issued_here FROM contract_certificates LIMIT 1"
        )
    connection.close()
    found = judged(folder)
    assert found.doubled == 1
    assert any("the pools made 2" in problem for problem in found.problems)


def test_a_contract_of_somebody_else(folder: Path) -> None:
    one, other = (
        vehicle_folder(folder, station) / "contracts" / f"{emaid_of(n)}.pem" for n, station in enumerate(STATIONS)
    )
    shutil.copy(other, one)
    one.rename(one.with_name(other.name))
    found = judged(folder)
    assert found.problems == [f"{STATIONS[0]}: its vehicle has {emaid_of(1)}, which is not what the pools have for it"]


def test_contracts_that_came_from_nowhere_and_for_nobody(folder: Path) -> None:
    found = Audit()
    audit_contracts(found, STATIONS[:1], folder, {}, ONCE)
    assert any("handed out 0 contracts, its vehicle installed 1" in problem for problem in found.problems)
    assert any("a vehicle that is none of the fleet" in problem for problem in found.problems)
