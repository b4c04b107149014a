"""Whole sessions of a gateway in virtual time: records as signed, and every fault on the way."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.authorisation import IdToken, RefusedError
from gateway.controller import RESTING
from gateway.journal_entry import Delivery, Entry, JournalFullError, Signed
from gateway.journal_store import JournalStore
from gateway.policy import OnTrouble, Policy
from gateway.transaction import State
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ocmf.container import Record, parse
from ocmf.stream import check_stream
from ocmf.terms import IdType, Level
from ocmf.transaction import TransactionStatus, TransactionVerdict, judge_transaction
from ocmf.verify import verify_record
from ports.charge_control import ControlFault, PilotState
from ports.errors import LocalError
from tests.gateway.point import BLOCKED_CARD, CARD, OTHER_CARD, START, Cable, CableMeter, Point

Session = Callable[[Point], Coroutine[Any, Any, None]]


def play(folder: Path, session: Session, policy: Policy | None = None) -> Point:
    """Run a session in virtual time; checks at the end that nothing was lost and nothing failed unexpectedly."""

    async def main(clock: VirtualClock) -> Point:
        point = Point(clock, folder, policy)
        await session(point)
        await point.controller.close()
        return point

    point = run_virtual(main, start=START, seed=7)
    assert not point.told("session.bug")
    records = [parse(record.ocmf) for record in point.backend.records]
    assert check_stream(records, from_start=True).findings == ()
    with JournalStore.open_read_only(folder / "journal.db") as store:
        assert [entry.record_id for entry in store.entries()] == [record.record_id for record in records]
    return point


def verdict(point: Point, transaction_id: str = "GW1-METER1-T1") -> TransactionVerdict:
    mine = [record for record in point.backend.records if record.transaction_id == transaction_id]
    return judge_transaction(
        [verify_record(record.ocmf, record.public_key) for record in mine],
        contexts=[record.context for record in mine],
    )


def readings(point: Point) -> list[tuple[str, str, str]]:
    """(TX, ST, EF) of every record."""
    return [
        (reading.tx, reading.status, reading.error_flags)
        for record in point.backend.records
        for reading in parse(record.ocmf).readings
    ]


def last(point: Point) -> Record:
    return parse(point.backend.records[-1].ocmf)


async def charge(point: Point, seconds: float = 150.0) -> None:
    """Start, plug in, show the card, charge for a while."""
    controller = await point.start()
    point.cable.plug()
    await controller.wait_for("c1", State.PLUGGED)
    await controller.authorise("c1", CARD)
    await controller.wait_for("c1", State.CHARGING)
    await point.clock.sleep(seconds)


async def rest(point: Point) -> None:
    await point.controller.wait_for("c1", *RESTING)


def test_a_session_gives_a_billable_transaction_with_the_energy_of_the_plant(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point)
        point.cable.unplug()
        await rest(point)

    point = play(tmp_path, session)
    assert [code for code, _, _ in readings(point)] == ["B", "C", "C", "E"]
    judged = verdict(point).require()
    plant = (point.meter.wh / 1000).quantize(Decimal("0.001"), "ROUND_DOWN") - 1000
    assert judged.energy_kwh == plant > Decimal("0.4")
    assert judged.time_billable
    begin = parse(point.backend.records[0].ocmf)
    assert (begin.string("ID"), begin.string("IT"), begin.string("IL")) == ("04A2B3C4", "ISO14443", "TRUSTED")
    log = point.cable.log
    assert (
        log.index("locked") < log.index("offer 16") < log.index("closed") < log.index("opened") < log.index("unlocked")
    )


def test_the_contactor_waits_for_the_signed_begin(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        controller = await point.start()
        point.signer.away = True
        point.cable.plug()
        await controller.wait_for("c1", State.PLUGGED)
        await controller.authorise("c1", CARD)
        await controller.wait_for("c1", State.SIGNING_BEGIN)
        await point.clock.sleep(5)
        assert "closed" not in point.cable.log
        assert point.backend.records == []
        point.signer.away = False
        await controller.wait_for("c1", State.CHARGING)
        point.cable.unplug()
        await rest(point)

    assert verdict(play(tmp_path, session)).status is TransactionStatus.OK


@pytest.mark.parametrize(("token", "code"), [(CARD, "L"), (None, "R")])
def test_local_and_remote_stops_have_their_code(tmp_path: Path, token: IdToken | None, code: str) -> None:
    async def session(point: Point) -> None:
        await charge(point, 10)
        if token:
            await point.controller.authorise("c1", token)
        else:
            point.controller.stop("c1")
        await rest(point)
        assert point.controller.status()[0].state is State.PLUGGED

    point = play(tmp_path, session)
    assert [tx for tx, _, _ in readings(point)] == ["B", code]
    log = point.cable.log
    assert log.index("offer 0") < log.index("pilot B", log.index("offer 0")) < log.index("opened")


def test_cards_that_may_not_charge_are_refused_with_their_level(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 1)
        for token in (OTHER_CARD, BLOCKED_CARD, IdToken("DEADBEEF"), IdToken(CARD.id, IdType.CENTRAL)):
            with pytest.raises(RefusedError) as refused:
                await point.controller.authorise("c1", token)
            assert refused.value.level is Level.MISMATCH
        assert point.controller.status()[0].state is State.CHARGING
        await point.controller.authorise("c1", CARD)
        await rest(point)
        for token, level in (
            (BLOCKED_CARD, Level.INVALID),
            (IdToken("04A2B3AA"), Level.OUTDATED),
            (IdToken("DEADBEEF"), Level.UNKNOWN),
        ):
            with pytest.raises(RefusedError) as refused:
                await point.controller.authorise("c1", token)
            assert refused.value.level is level
        with pytest.raises(LocalError, match="no connector c9"):
            await point.controller.authorise("c9", CARD)

    point = play(tmp_path, session)
    assert verdict(point).status is TransactionStatus.OK
    assert len(point.told("session.refused")) == 7


def test_the_vehicle_pauses_and_the_transaction_goes_on(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 30)
        point.cable.set_pilot(PilotState.B)
        await point.controller.wait_for("c1", State.SUSPENDED)
        await point.clock.sleep(600)
        point.cable.set_pilot(PilotState.C)
        await point.controller.wait_for("c1", State.CHARGING)
        await point.clock.sleep(30)
        point.cable.unplug()
        await rest(point)

    point = play(tmp_path, session)
    assert [tx for tx, _, _ in readings(point)] == ["B", "S", "E"]
    assert verdict(point).status is TransactionStatus.OK


def test_the_meter_lost_stops_the_session_and_the_end_says_so(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 30)
        point.meter.silent = True
        began = point.clock.monotonic()
        await point.controller.wait_for("c1", State.STOPPING)
        assert point.clock.monotonic() - began < point.policy.meter_silence_s + 2
        await rest(point)

    point = play(tmp_path, session)
    assert readings(point)[-1] == ("A", "T", "E")
    assert "no answer" in last(point).string("ZE")
    assert verdict(point).status is TransactionStatus.NOT_OK


def test_a_meter_that_comes_back_in_time_still_gives_the_signed_end(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 30)
        point.meter.silent = True
        await point.controller.wait_for("c1", State.READING_END)
        point.meter.silent = False
        await rest(point)

    point = play(tmp_path, session)
    assert readings(point)[-1] == ("A", "G", "")
    assert verdict(point).status is TransactionStatus.OK


def test_a_short_silence_is_retried_without_a_word(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 30)
        point.meter.silent = True
        await point.clock.sleep(5)
        point.meter.silent = False
        await point.clock.sleep(60)
        assert point.controller.status()[0].state is State.CHARGING

    assert verdict(play(tmp_path, session)).status is TransactionStatus.OK


def test_charging_without_a_meter_goes_on_where_the_policy_says_so(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 50)
        point.meter.silent = True
        await point.clock.sleep(40)
        assert point.controller.status()[0].state is State.CHARGING
        point.meter.silent = False
        await point.clock.sleep(60)
        point.cable.unplug()
        await rest(point)

    point = play(tmp_path, session, Policy(sample_s=60, meter_lost=OnTrouble.CONTINUE))
    assert ("C", "T", "E") in readings(point)
    assert readings(point)[-1] == ("E", "G", "")


def test_another_meter_in_the_place_aborts_with_both_serial_numbers(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 10)
        point.meter.serial = "METER2"
        point.meter.wh = Decimal(5_000_000)
        await rest(point)
        await point.clock.sleep(1)

    point = play(tmp_path, session)
    end = last(point)
    assert readings(point)[-1] == ("A", "X", "E")
    assert (end.string("MS"), end.string("ZM")) == ("METER1", "METER2")
    assert end.readings[0].value is not None
    assert end.readings[0].value < 1001
    assert verdict(point).status is TransactionStatus.NOT_OK


@pytest.mark.parametrize("delta", [Decimal("-0.5"), Decimal("53700"), Decimal(-1000)])
def test_a_register_that_runs_backwards_or_jumps_aborts(tmp_path: Path, delta: Decimal) -> None:
    async def session(point: Point) -> None:
        await charge(point, 10)
        point.meter.spoil = lambda value: value + delta
        await rest(point)

    point = play(tmp_path, session)
    assert readings(point)[-1] == ("A", "O", "E")
    assert verdict(point).status is TransactionStatus.NOT_OK


def test_a_momentary_zero_is_read_again_and_not_believed(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 10)
        answers = iter([Decimal(0)])
        point.meter.spoil = lambda value: next(answers, value)
        await point.clock.sleep(60)
        assert point.controller.status()[0].state is State.CHARGING

    assert verdict(play(tmp_path, session)).status is TransactionStatus.OK


def test_a_token_that_goes_away_stops_charging_in_time_and_nothing_unsigned_is_shown(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 30)
        point.signer.away = True
        await point.controller.wait_for("c1", State.STOPPING)
        assert point.clock.monotonic() < 1000 + 60 + point.policy.token_s + 10
        await rest(point)
        assert len(point.backend.records) == 1
        assert [pending.entry.kind for pending in point.journal.unsigned()] == ["Sample.Periodic", "Transaction.End"]
        with pytest.raises(RefusedError, match="2 records wait for the token"):
            await point.controller.authorise("c1", CARD)
        await point.clock.sleep(3600)
        point.signer.away = False
        await point.clock.sleep(3)
        assert len(point.backend.records) == 3

    point = play(tmp_path, session)
    assert [tx for tx, _, _ in readings(point)] == ["B", "C", "A"]
    assert verdict(point).status is TransactionStatus.OK


@pytest.mark.parametrize("step", [37 * 60.0, -37 * 60.0])
def test_a_clock_step_keeps_order_and_duration_and_lowers_the_status(tmp_path: Path, step: float) -> None:
    async def session(point: Point) -> None:
        await charge(point, 100)
        point.clock.step(step)
        await point.clock.sleep(100)
        point.cable.unplug()
        await rest(point)

    point = play(tmp_path, session)
    times = [parse(record.ocmf).readings[0] for record in point.backend.records]
    assert [reading.time_status for reading in times] == ["S", "S", "R", "R", "R"]
    assert times[0].time is not None
    assert times[-1].time is not None
    assert abs(times[-1].time - times[0].time - timedelta(seconds=200)) < timedelta(seconds=2)
    assert verdict(point).status is TransactionStatus.OK
    assert len(point.told("session.clock_step")) == 1


def test_a_clock_step_ends_the_transaction_where_the_policy_says_so(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 10)
        point.clock.step(-100)
        await rest(point)

    point = play(tmp_path, session, Policy(sample_s=60, clock_step=OnTrouble.STOP))
    assert [tx for tx, _, _ in readings(point)] == ["B", "C", "A"]


class Full(JournalStore):
    """A disk that can be filled."""

    full = False

    def _write(self, intents: Sequence[Entry], signatures: Sequence[Signed], deliveries: Sequence[Delivery]) -> None:
        if Full.full and intents:
            raise JournalFullError("no room")
        super()._write(intents, signatures, deliveries)


def test_a_disk_that_fills_up_stops_charging_and_the_end_is_kept_when_there_is_room(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        point.open_journal = {"open_store": Full.open}
        await charge(point, 30)
        Full.full = True
        await point.controller.wait_for("c1", State.WAITING_FOR_ROOM)
        assert "unlocked" in point.cable.log
        with pytest.raises(RefusedError):
            await point.controller.authorise("c1", OTHER_CARD)
        await point.clock.sleep(3600)
        Full.full = False
        await rest(point)

    point = play(tmp_path, session)
    assert [tx for tx, _, _ in readings(point)] == ["B", "A"]
    assert verdict(point).status is TransactionStatus.OK


def test_a_full_disk_refuses_a_new_session(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        point.min_free_bytes = 1 << 60
        controller = await point.start()
        with pytest.raises(RefusedError, match="KiB free"):
            await controller.authorise("c1", CARD)

    play(tmp_path, session)


@pytest.mark.parametrize("same_boot", [True, False])
def test_a_power_failure_is_closed_with_a_signed_end(tmp_path: Path, same_boot: bool) -> None:
    async def session(point: Point) -> None:
        await charge(point)
        await point.crash()
        await point.clock.sleep(600)
        if not same_boot:
            point.boot_id = "another boot"
        await point.start()
        await rest(point)
        assert point.controller.status()[0].state is State.PLUGGED

    point = play(tmp_path, session)
    assert readings(point)[-1] == ("P", "G", "")
    assert [record.transaction_id for record in point.backend.records] == ["GW1-METER1-T1"] * 4
    judged = verdict(point).require()
    assert judged.energy_kwh == (point.meter.wh / 1000).quantize(Decimal("0.001"), "ROUND_DOWN") - 1000


def test_after_a_power_failure_with_the_clock_set_back_the_time_is_marked_unusable(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point)
        await point.crash()
        point.clock.step(-86400)
        point.boot_id = "another boot"
        await point.start()
        await rest(point)

    point = play(tmp_path, session)
    assert readings(point)[-1] == ("P", "G", "t")
    assert last(point).readings[0].time_status == "U"
    judged = verdict(point)
    assert judged.status is TransactionStatus.OK
    assert not judged.time_billable


def test_a_meter_exchanged_while_the_power_was_off_is_found(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point)
        await point.crash()
        point.meter.serial = "METER2"
        await point.start()
        await rest(point)

    point = play(tmp_path, session)
    assert readings(point)[-1] == ("P", "X", "E")
    assert last(point).string("ZM") == "METER2"


def test_a_connector_that_is_gone_after_the_restart_does_not_leave_a_transaction_open(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point)
        await point.crash()
        point.setups = []
        await point.start()
        await point.clock.sleep(1)

    point = play(tmp_path, session)
    assert readings(point)[-1] == ("P", "R", "E")


def test_a_token_away_over_a_restart_signs_the_same_payloads(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 30)
        point.signer.away = True
        point.cable.unplug()
        await rest(point)
        kept = point.journal.unsigned()[0].entry.payload
        await point.crash()
        await point.start()
        await point.clock.sleep(10)
        point.signer.away = False
        await point.clock.sleep(2)
        assert point.signer.messages[-1] == kept

    assert verdict(play(tmp_path, session)).status is TransactionStatus.OK


@pytest.mark.parametrize("fault", [ControlFault.GROUND, ControlFault.EMERGENCY_STOP, ControlFault.DIODE])
def test_a_fault_opens_at_once_and_blocks(tmp_path: Path, fault: ControlFault) -> None:
    async def session(point: Point) -> None:
        await charge(point, 10)
        point.cable.set_fault(fault)
        began = point.clock.monotonic()
        await point.controller.wait_for("c1", State.READING_END)
        assert point.clock.monotonic() - began < 0.1
        await point.controller.wait_for("c1", State.FAULTED)
        with pytest.raises(RefusedError, match=fault):
            await point.controller.authorise("c1", CARD)
        point.cable.set_fault(fault, False)
        await point.controller.wait_for("c1", State.PLUGGED)
        await point.controller.authorise("c1", CARD)
        await point.controller.wait_for("c1", State.CHARGING)

    point = play(tmp_path, session)
    assert [tx for tx, _, _ in readings(point)] == ["B", "A", "B", "E"]


def test_a_welded_contactor_stays_locked_and_its_energy_is_billed(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 10)
        point.cable.welded = True
        point.cable.obeys_offer = False  # the vehicle goes on drawing
        point.controller.stop("c1")
        await point.controller.wait_for("c1", State.STUCK)
        await point.clock.sleep(100)
        assert point.cable.locked
        with pytest.raises(RefusedError):
            await point.controller.authorise("c1", OTHER_CARD)
        point.cable.move_contactor(False)
        await rest(point)
        assert point.controller.status()[0].faults == ()

    point = play(tmp_path, session)
    judged = verdict(point).require()
    assert judged.energy_kwh is not None
    assert judged.energy_kwh > Decimal("0.3")
    assert readings(point)[-1][0] == "R"


def test_a_vehicle_that_ignores_the_stop_is_cut_off_after_the_policy_time(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 10)
        point.cable.obeys_offer = False
        began = point.clock.monotonic()
        point.controller.stop("c1")
        await point.controller.wait_for("c1", State.READING_END)
        assert 6 <= point.clock.monotonic() - began < 6.2

    play(tmp_path, session)


def test_a_lock_that_jams_begins_nothing(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        point.cable.jammed = True
        controller = await point.start()
        point.cable.plug()
        await controller.authorise("c1", CARD)
        await controller.wait_for("c1", State.FAULTED)

    assert play(tmp_path, session).backend.records == []


def test_firmware_that_falls_silent_ends_the_session_and_may_come_back(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 10)
        point.cable.end_events()
        await point.controller.wait_for("c1", State.STOPPING)
        await point.controller.wait_for("c1", State.PLUGGED)

    point = play(tmp_path, session)
    assert [tx for tx, _, _ in readings(point)] == ["B", "A"]


def test_a_begin_without_a_meter_begins_nothing(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        point.meter.silent = True
        controller = await point.start()
        point.cable.plug()
        await controller.wait_for("c1", State.PLUGGED)
        await controller.authorise("c1", CARD)
        await controller.wait_for("c1", State.READING_BEGIN)
        await controller.wait_for("c1", State.PLUGGED)
        await point.clock.sleep(0.1)
        assert not point.cable.locked

    assert play(tmp_path, session).backend.records == []


def test_a_card_that_waits_for_a_vehicle_is_forgotten_in_time(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        controller = await point.start()
        await controller.authorise("c1", CARD)
        await controller.wait_for("c1", State.AUTHORISED)
        await point.clock.sleep(61)
        point.cable.plug()
        await controller.wait_for("c1", State.PLUGGED)
        await point.clock.sleep(10)
        assert controller.status()[0].state is State.PLUGGED

    assert play(tmp_path, session).backend.records == []


def test_two_connectors_with_two_meters_and_two_with_one(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        cables = [Cable(point.clock, name) for name in ("c2", "c3")]
        other = CableMeter(point.clock, cables[0], serial="METER2")
        point.setups += [replace(point.setup(), control=cable, meter=other, point_id="DE*PLG*E2") for cable in cables]
        controller = await point.start()
        for cable in (point.cable, *cables):
            cable.plug()
        for name in ("c1", "c2"):
            await controller.wait_for(name, State.PLUGGED)
            await controller.authorise(name, CARD)
        for name in ("c1", "c2"):
            await controller.wait_for(name, State.CHARGING)
        with pytest.raises(RefusedError, match="counts for c2"):
            await controller.authorise("c3", CARD)
        await point.clock.sleep(100)

    point = play(tmp_path, session)
    for meter in ("METER1", "METER2"):
        assert verdict(point, f"GW1-{meter}-T1").status is TransactionStatus.OK


def test_a_checkpoint_is_a_fiscal_record_in_the_same_chain(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 10)
        entry = await point.controller.checkpoint("c1")
        assert (entry.page, entry.number) == ("F1", 1)

    point = play(tmp_path, session)
    assert [record.page for record in point.backend.records] == ["T1", "F1", "T2"]
    assert verdict(point).status is TransactionStatus.OK


def test_a_bug_in_one_session_faults_the_connector_and_is_raised_at_the_end(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        point = Point(clock, tmp_path)
        await charge(point, 1)

        def explode(value: Decimal) -> Decimal:
            raise ZeroDivisionError("a bug")

        point.meter.spoil = explode
        await point.controller.wait_for("c1", State.READING_END)
        with pytest.raises(ExceptionGroup, match="bugs"):
            await point.controller.close()

    run_virtual(main, start=START)


def test_the_same_seed_gives_the_same_payloads(tmp_path: Path) -> None:
    async def session(point: Point) -> None:
        await charge(point, 1800)
        point.cable.unplug()
        await rest(point)

    payloads = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        point = play(tmp_path / name, session)
        payloads.append([parse(record.ocmf).payload for record in point.backend.records])
    assert payloads[0] == payloads[1]
    assert len(payloads[0]) > 30
