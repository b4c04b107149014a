"""Every fault of the table, on the line, seeded and composed."""

from __future__ import annotations

import pytest

from hil_rigs.serial_line.faults import FAULTS, FROM_MASTER, FaultPlan
from hil_rigs.serial_line.line import Delivery, Line, PlugChange
from hil_rigs.serial_line.simple_devices import Listener, Repeater
from ports.errors import LocalError
from ports.serial_line import SerialSettings

S = SerialSettings(9600, "8N1")
CHAR = 10 / 9600
REQUEST = b"\x01request"
TURN = 0.02


def polls(plan: FaultPlan, count: int = 1, strict: bool = True, tap: Listener | None = None) -> list[list[Delivery]]:
    """What the master reads after each of `count` requests, one per second."""
    devices = [Repeater(S, TURN)] + ([tap] if tap else [])
    line = Line(S, devices, faults=plan, strict=strict)
    result = []
    for n in range(count):
        line.write(REQUEST, float(n))
        result.append([one for one in line.advance(n + 0.999) if isinstance(one, Delivery)])
    return result


def read(deliveries: list[Delivery]) -> bytes:
    return b"".join(one.octets for one in deliveries)


END = len(REQUEST) * CHAR + TURN + len(REQUEST) * CHAR


def test_no_fault_changes_nothing() -> None:
    assert [(read(one), one[-1].at - n) for n, one in enumerate(polls(FaultPlan(), 3))] == [
        (REQUEST, pytest.approx(END))
    ] * 3


def test_drop() -> None:
    plan = FaultPlan()
    plan.inject("drop", times=1, skip=1)
    assert [read(one) for one in polls(plan, 3)] == [REQUEST, b"", REQUEST]


def test_drop_of_a_request() -> None:
    plan, tap = FaultPlan(), Listener(S)
    plan.inject("drop", point=FROM_MASTER)
    assert [read(one) for one in polls(plan, tap=tap)] == [b""]
    assert tap.bursts == []


@pytest.mark.parametrize("seconds", [0.05, 0.5])
def test_late(seconds: float) -> None:
    plan = FaultPlan()
    plan.inject("late", seconds=seconds)
    assert polls(plan)[0][-1].at == pytest.approx(END + seconds)


def test_late_with_jitter_is_spread_and_repeats_with_the_seed() -> None:
    def times(seed: int) -> list[float]:
        plan = FaultPlan(seed)
        plan.inject("late", spread_s=0.1)
        return [one[-1].at - n - END for n, one in enumerate(polls(plan, 20))]

    assert times(1) == times(1)
    assert times(1) != times(2)
    assert all(0 <= one <= 0.1 for one in times(1))
    assert max(times(1)) - min(times(1)) > 0.05


def test_truncate() -> None:
    plan = FaultPlan()
    plan.inject("truncate", octets=3)
    assert read(polls(plan)[0]) == REQUEST[:-3]
    plan.inject("truncate", octets=99)
    assert read(polls(plan)[0]) == b""


def test_corrupt() -> None:
    plan = FaultPlan()
    plan.inject("corrupt", bits=2)
    got = read(polls(plan)[0])
    assert sum((a ^ b).bit_count() for a, b in zip(got, REQUEST, strict=True)) == 2


def test_stray_octets_before_and_after() -> None:
    plan = FaultPlan()
    plan.inject("stray_before", octets=1, value=0)
    plan.inject("stray_after", octets=2, value=0xFF)
    # the second fault finds two bursts, the stray octet and the answer, and follows each
    assert read(polls(plan)[0]).startswith(b"\x00")
    only_after = FaultPlan()
    only_after.inject("stray_after", octets=2, value=0xFF, gap_s=0.01)
    got = polls(only_after)[0]
    assert read(got) == REQUEST + b"\xff\xff"
    assert got[-1].at == pytest.approx(END + 0.01 + 2 * CHAR)


def test_echo() -> None:
    plan = FaultPlan()
    plan.inject("echo")
    got = polls(plan)[0]
    assert read(got) == REQUEST * 2
    assert got[0].at == pytest.approx(len(REQUEST) * CHAR)


def test_duplicate() -> None:
    plan = FaultPlan()
    plan.inject("duplicate", gap_s=0.1)
    got = polls(plan)[0]
    assert read(got) == REQUEST * 2
    assert got[-1].at == pytest.approx(END + 0.1 + len(REQUEST) * CHAR)


def test_gap_in_an_answer() -> None:
    plan = FaultPlan()
    plan.inject("gap", seconds=0.05, after=3)
    got = polls(plan)[0]
    assert [one.octets for one in got] == [REQUEST[:3], REQUEST[3:]]
    assert got[-1].at == pytest.approx(END + 0.05)


def test_gap_in_a_request_is_refused_by_strict_devices() -> None:
    plan = FaultPlan()
    plan.inject("gap", point=FROM_MASTER, seconds=2.5 * CHAR)
    assert read(polls(plan)[0]) == b""
    assert read(polls(plan, strict=False)[0]) == REQUEST


def test_early() -> None:
    plan = FaultPlan()
    plan.inject("early", seconds=0.0005)
    assert polls(plan)[0][-1].at == pytest.approx(END - TURN + 0.0005)


def test_baud_off_and_other_format_garble() -> None:
    plan = FaultPlan()
    plan.inject("baud_off", percent=2.0)
    assert read(polls(plan)[0]) == REQUEST
    plan.inject("baud_off", percent=9.0)
    assert read(polls(plan)[0]) != REQUEST
    plan = FaultPlan()
    plan.inject("other_format", format="8E1", point=FROM_MASTER)
    assert read(polls(plan)[0]) == b""  # the device sees framing errors


def test_unplug_and_return_under_another_name() -> None:
    plan = FaultPlan()
    plan.inject("unplug", times=1, for_s=1.5, name="ttyUSB1")
    line = Line(S, [Repeater(S, TURN)], faults=plan)
    line.write(REQUEST, 0.0)
    out = line.advance(3.0)
    assert [(type(one), round(one.at, 6)) for one in out] == [
        (PlugChange, 0.0),
        (PlugChange, 1.5),
    ]
    line.write(REQUEST, 4.0)
    assert read([one for one in line.advance(5.0) if isinstance(one, Delivery)]) == REQUEST


def test_selection_by_probability_time_and_first_octet() -> None:
    plan = FaultPlan(seed=3)
    half = plan.inject("drop", probability=0.5)
    lost = sum(not one for one in polls(plan, 200))
    assert 70 < lost < 130
    assert half.hits == lost
    plan.undo(half)
    plan.undo(half)
    assert all(polls(plan, 3))
    plan.inject("drop", start_s=1.0, stop_s=3.0)
    assert [bool(one) for one in polls(plan, 5)] == [True, False, False, True, True]
    plan = FaultPlan()
    plan.inject("drop", first_octet=2)
    assert all(polls(plan))
    plan.inject("drop", first_octet=1)
    assert not polls(plan)[0]


def test_faults_compose_in_order() -> None:
    plan = FaultPlan()
    plan.inject("truncate", octets=1)
    plan.inject("duplicate")
    line = Line(S, [Repeater(S, TURN)], faults=plan)
    line.write(REQUEST, 0.0)
    assert read([one for one in line.advance(1.0) if isinstance(one, Delivery)]) == REQUEST[:-1] * 2
    assert line.counters.faults == {"duplicate": 1, "truncate": 1}


def test_units_of_other_layers_pass() -> None:
    plan = FaultPlan()
    plan.inject("drop")
    assert plan("line.to_master", "no burst") == ["no burst"]


@pytest.mark.parametrize(
    ("name", "how", "says"),
    [
        ("dorp", {}, "there are: drop"),
        ("drop", {"seconds": 1}, "no parameter 'seconds'"),
        ("late", {"seconds": "1"}, "a float is wanted"),
        ("corrupt", {"bits": True}, "a int is wanted"),
        ("echo", {"point": "line.to_master"}, "acts at line.from_master"),
    ],
)
def test_wrong_use_is_told(name: str, how: dict[str, object], says: str) -> None:
    with pytest.raises(LocalError, match=says):
        FaultPlan().inject(name, **how)  # type: ignore[arg-type]


def test_the_table_is_complete() -> None:
    for name, kind in FAULTS.items():
        assert name == kind.name
        assert kind.doc
        assert kind.effect
        assert all(one.doc for one in kind.parameters)
        for point in kind.points:  # every fault works with its defaults, at every point, without breaking the line
            plan = FaultPlan(seed=1)
            plan.inject(name, point=point)
            polls(plan, 3)
            assert plan.injected[0].hits > 0
