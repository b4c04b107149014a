"""The line without time and I/O: pacing, silence, half duplex, violations, mismatches."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil_rigs.serial_line.burst import Burst, Unplug
from hil_rigs.serial_line.line import Delivery, Line, MasterUart, PlugChange
from hil_rigs.serial_line.simple_devices import Babbler, Listener, Repeater
from ports.serial_line import LineAnswer, LineDevice, SerialSettings
from ports.trace import TraceEvent

S = SerialSettings(9600, "8N1")
CHAR = 10 / 9600
T35 = 3.5 * CHAR


class Meter:
    """Answers bursts that begin with its id and are no answers of its kind."""

    def __init__(self, settings: SerialSettings, id_: int, delay_s: float = 0.02, size: int = 9) -> None:
        self.settings = settings
        self.id = id_
        self.delay_s = delay_s
        self.answer = bytes((id_, *range(size - 1)))
        self.heard: list[bytes] = []

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
        self.heard.append(octets)
        asked = octets[:1] == bytes((self.id,)) and octets[1:2] in (b"", b"r", b"a", b"\x03")
        return [LineAnswer(self.answer, self.delay_s)] if asked else []


def finish(line: Line) -> list[Delivery]:
    """Everything that still comes."""
    out = []
    while (due := line.due()) is not None:
        out += [one for one in line.advance(due) if isinstance(one, Delivery)]
    return out


def octets(deliveries: list[Delivery]) -> bytes:
    return b"".join(one.octets for one in deliveries)


def test_an_answer_comes_when_a_uart_would_have_it() -> None:
    meter = Meter(S, 1)
    line = Line(S, [meter], start=100.0)
    end = line.write(b"\x01request", 100.0)
    assert end == pytest.approx(100.0 + 8 * CHAR)
    got = finish(line)
    assert octets(got) == meter.answer
    assert got[-1].at == pytest.approx(end + 0.02 + 9 * CHAR)
    assert meter.heard == [b"\x01request"]


@pytest.mark.parametrize("baud", [300, 9600, 19200, 38400, 115200])
def test_devices_hear_a_burst_after_t35(baud: int) -> None:
    settings = SerialSettings(baud, "8E1")
    tap = Listener(settings)
    line = Line(settings, [tap], start=0.0)
    end = line.write(b"abc", 1.0)
    finish(line)
    silence = 3.5 * 11 / baud if baud <= 19200 else 0.00175
    assert tap.bursts == [(pytest.approx(end + silence), b"abc")]


def test_the_receive_fifo_hands_over_in_pieces() -> None:
    meter = Meter(S, 1, size=40)
    whole, pieces = Line(S, [meter], fifo=0), Line(S, [meter], fifo=16)
    for line in (whole, pieces):
        line.write(b"\x01", 0.0)
    assert [len(one.octets) for one in finish(whole)] == [40]
    got = finish(pieces)
    assert [len(one.octets) for one in got] == [16, 16, 8]
    assert got[1].at - got[0].at == pytest.approx(16 * CHAR)


def test_a_usb_adapter_delivers_at_its_latency_timer() -> None:
    line = Line(S, [Meter(S, 1, size=60)], usb_latency_s=0.016, seed=5)
    line.write(b"\x01", 0.0)
    got = finish(line)
    steps = {round((b.at - a.at) / 0.016, 6) for a, b in pairwise(got)}
    assert steps <= {0.0, 1.0, 2.0}
    assert len(octets(got)) == 60


def test_everybody_hears_everybody() -> None:
    one, two, tap = Meter(S, 1), Meter(S, 2), Listener(S)
    line = Line(S, [one, two, tap])
    line.write(b"\x01", 0.0)
    assert octets(finish(line)) == one.answer
    line.write(b"\x02", 1.0)
    assert octets(finish(line)) == two.answer
    assert [heard for _, heard in tap.bursts] == [b"\x01", one.answer, b"\x02", two.answer]
    assert one.heard == [b"\x01", b"\x02", two.answer]  # its own answer it does not hear
    assert line.counters.violations == 0


def test_two_meters_with_one_id_collide() -> None:
    one, other = Meter(S, 1, delay_s=0.02), Meter(S, 1, delay_s=0.022)
    other.answer = b"\x01\xff\x00\x12\x34"
    line = Line(S, [one, other])
    line.write(b"\x01", 0.0)
    got = octets(finish(line))
    assert got not in (one.answer, other.answer)
    assert line.counters.collisions == 1


def test_two_equal_answers_at_the_same_instant_are_one() -> None:
    line = Line(S, [Meter(S, 1), Meter(S, 1)])
    line.write(b"\x01", 0.0)
    assert octets(finish(line)) == Meter(S, 1).answer


@pytest.mark.parametrize(("after", "answered"), [(T35 * 0.9, False), (T35 * 1.001, True)])
@pytest.mark.parametrize("strict", [True, False])
def test_a_request_inside_t35_is_a_violation(after: float, answered: bool, strict: bool) -> None:
    meter = Meter(S, 1)
    line = Line(S, [meter], strict=strict)
    line.write(b"\x01", 0.0)
    end = finish(line)[-1].at
    line.write(b"\x01", end + after)
    assert line.counters.violations == (not answered)
    assert bool(finish(line)) == (answered or not strict)


def test_a_request_during_an_answer_collides() -> None:
    meter = Meter(S, 1)
    line = Line(S, [meter])
    line.write(b"\x01", 0.0)
    line.write(b"\x01again", 0.025)
    got = octets(finish(line))
    assert line.counters.violations == 1
    assert line.counters.collisions == 1
    assert len(got) < len(meter.answer)  # the adapter hears nothing while it sends


def test_a_paced_write_is_one_burst_and_a_gap_splits_it() -> None:
    meter = Meter(S, 1)
    line = Line(S, [meter])
    end = line.write(b"\x01ab", 0.0)
    assert line.write(b"cd", end / 2) == pytest.approx(5 * CHAR)  # it waits in the transmit FIFO
    finish(line)
    assert meter.heard == [b"\x01abcd"]
    end = line.write(b"\x01ab", 1.0)
    line.write(b"cd", end + 2 * CHAR)  # > t1.5
    finish(line)
    assert meter.heard == [b"\x01abcd"]
    assert line.counters.split == 1
    assert line.counters.requests == 2


def test_a_forgiving_device_takes_a_request_with_a_gap() -> None:
    meter = Meter(S, 1)
    line = Line(S, [meter], strict=False)
    end = line.write(b"\x01ab", 0.0)
    line.write(b"cd", end + 2 * CHAR)
    finish(line)
    assert meter.heard == [b"\x01abcd"]
    assert line.counters.split == 1


@pytest.mark.parametrize(
    ("port", "device", "silent"),
    [("8N1", "8N1", False), ("8N2", "8N1", False), ("8N1", "8N2", False), ("8N1", "8E1", True), ("8E1", "8N1", True)],
)
def test_a_device_with_other_settings_stays_silent(port: str, device: str, silent: bool) -> None:
    line = Line(SerialSettings(9600, port), [Meter(SerialSettings(9600, device), 1)])
    line.write(b"\x01\x03\x00\x00\x00\x01\x84\x0a", 0.0)
    assert (not finish(line)) == silent
    assert line.counters.garbled == silent
    assert bool(line.mismatches()) == silent


def test_a_device_that_ignores_framing_errors_half_works() -> None:
    line = Line(SerialSettings(9600, "8E1"), [Meter(S, 1)], lenient_uart=True)
    line.write(b"\x01\x03\x00\x00\x00\x01\x84\x0a", 0.0)
    assert finish(line)


def test_wrong_baud_at_the_master_reads_garbage() -> None:
    line = Line(S, [])
    line.master = MasterUart(SerialSettings(19200, "8N1"))
    line.say(b"\x01\x03\x00\x00\x00\x01", 0.0, S)
    assert octets(finish(line)) == bytes.fromhex("061e00000006")


def test_a_master_that_checks_parity_reads_zeros() -> None:
    line = Line(SerialSettings(9600, "8O1"), [])
    line.say(b"abc", 0.0, SerialSettings(9600, "8E1"))
    assert octets(finish(line)) == bytes(3)
    line.master = MasterUart(SerialSettings(9600, "8O1"), check=False)
    line.say(b"abc", 1.0, SerialSettings(9600, "8E1"))
    assert octets(finish(line)) == b"abc"


def test_a_device_may_change_its_speed_between_hearing_and_answering() -> None:
    class D0(Meter):
        def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
            self.settings = SerialSettings(9600, "7E1")
            return [LineAnswer(b"data", 0.2)]

    line = Line(SerialSettings(300, "7E1"), [D0(SerialSettings(300, "7E1"), 0)])
    line.write(b"\x06050\r\n", 0.0)
    line.master = MasterUart(SerialSettings(9600, "7E1"), check=True)
    assert octets(finish(line)) == b"data"


def test_a_device_sends_one_answer_after_the_other() -> None:
    class Two(Meter):
        def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
            return [LineAnswer(b"one", 0.02), LineAnswer(b"two", 0.02)]

    line = Line(S, [Two(S, 1)])
    line.write(b"x", 0.0)
    got = finish(line)
    assert octets(got) == b"onetwo"
    assert line.counters.collisions == 0


def test_a_speaking_device_sends_unasked() -> None:
    line = Line(S, [Babbler(S, 1.0, octets=3, seed=1)], start=10.0)
    got = [one for one in line.advance(13.9) if isinstance(one, Delivery)]
    assert [round(one.at - CHAR * 3, 6) for one in got] == [10.5, 11.5, 12.5, 13.5]


def test_an_unplugged_adapter_reads_nothing_and_comes_back() -> None:
    line = Line(S, [Meter(S, 1)])
    line.write(b"\x01", 0.0)
    line.unplug(0.01, Unplug(2.0, "ttyUSB1"))
    out = line.advance(5.0)
    assert [type(one) for one in out] == [PlugChange, PlugChange]
    assert out[1] == PlugChange(pytest.approx(2.01), True, "ttyUSB1")
    assert line.counters.octets_lost == 9


def test_what_happened_is_traced() -> None:
    events: list[TraceEvent] = []
    line = Line(S, [Meter(S, 1)], name="bus-1", tracer=events.append)
    line.write(b"\x01", 0.0)
    end = finish(line)[-1].at
    line.write(b"\x01", end)
    finish(line)
    assert [(one.kind, one.source) for one in events] == [
        ("line.sent", "bus-1"),
        ("line.sent", "bus-1"),
        ("line.violation", "bus-1"),
        ("line.sent", "bus-1"),
    ]
    assert events[0].raw == b"\x01"


def test_the_hook_sees_and_changes_bursts_of_both_directions() -> None:
    seen: list[tuple[str, bytes]] = []

    def hook(point: str, unit: Burst) -> list[Burst]:
        seen.append((point, unit.octets))
        return [unit] if point == "line.from_master" else []

    line = Line(S, [Meter(S, 1)], faults=hook)  # type: ignore[arg-type]  # the line gives it bursts only
    line.write(b"\x01", 0.0)
    assert finish(line) == []
    assert seen == [("line.from_master", b"\x01"), ("line.to_master", Meter(S, 1).answer)]
    assert line.counters.faults == {"drop": 1}


def test_endless_talk_of_two_devices_stays_cheap_and_readable() -> None:
    class Chatter(Babbler):
        def speak(self, at: float) -> tuple[list[LineAnswer], float]:
            return [LineAnswer(b"\x55" * 4, 0.0)], at + self.every_s

    fast = SerialSettings(9600, "8N1")
    line = Line(fast, [Chatter(fast, 5 * CHAR), Chatter(fast, 4.9 * CHAR)])
    got = sum(len(one.octets) for one in line.advance(5.0) if isinstance(one, Delivery))
    assert line.counters.answers > 1_750
    assert line.counters.collisions > 875
    assert got > 1_750


@given(
    writes=st.lists(st.tuples(st.binary(min_size=1, max_size=12), st.floats(0, 0.2)), max_size=8),
    formats=st.lists(st.sampled_from(["8N1", "8E1", "7E1", "8N2"]), min_size=1, max_size=3),
    bauds=st.lists(st.sampled_from([2400, 9600, 19200]), min_size=1, max_size=3),
    strict=st.booleans(),
    steps=st.integers(1, 50),
)
@settings(deadline=None)  # devices that repeat each other talk for the whole time
def test_whatever_happens_time_goes_on_and_pace_is_kept(
    writes: list[tuple[bytes, float]], formats: list[str], bauds: list[int], strict: bool, steps: int
) -> None:
    devices: list[LineDevice] = [
        Repeater(SerialSettings(baud, format_), 0.005) for baud, format_ in zip(bauds, formats, strict=False)
    ]
    coarse, fine = Line(S, devices, strict=strict), Line(S, devices, strict=strict)
    at, out, out_fine, last = 0.0, [], [], 0.0
    for octets_, pause in writes:
        for step in range(1, steps):
            out_fine += fine.advance(at + pause * step / steps)
        at += pause
        coarse.write(octets_, at)
        fine.write(octets_, at)
    end = at + 2.0
    out = coarse.advance(end)
    out_fine += fine.advance(end)
    assert out == out_fine  # how often somebody looks changes nothing
    for one in out:
        assert isinstance(one, Delivery)
        assert one.at >= last
        last = one.at
    assert coarse.counters == fine.counters
