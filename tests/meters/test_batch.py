"""The batch planner: fewer reads, never one that the device refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meters.batch import Slot, plan, slots_of, time_on_line, worthwhile_gap
from meters.model import Limits, load_model
from ports.serial_line import SerialSettings
from wire.modbus_pdu import ReadRegisters

AT_9600 = SerialSettings(9600, "8N1")
LIMITS = Limits(max_registers=20, max_response_ms=100, late_window_ms=100, read_holes=True)

slots = st.lists(
    st.builds(Slot, st.sampled_from([3, 4]), st.integers(0, 60).map(lambda n: 4 * n), st.sampled_from([1, 2, 4])),
    min_size=1,
    max_size=40,
)


@given(slots, st.booleans())
def test_every_value_is_read_whole_and_within_the_limits(wanted: list[Slot], holes: bool) -> None:
    limits = Limits(max_registers=20, max_response_ms=100, late_window_ms=100, read_holes=holes)
    reads = plan(wanted, limits, AT_9600)
    for slot in wanted:
        covering = [
            read
            for read in reads
            if read.function == slot.function
            and read.address <= slot.address
            and slot.address + slot.size <= read.address + read.count
        ]
        assert covering
    starts = {(slot.function, slot.address) for slot in wanted}
    ends = {(slot.function, slot.address + slot.size) for slot in wanted}
    defined = {(slot.function, slot.address + i) for slot in wanted for i in range(slot.size)}
    for read in reads:
        assert read.count <= 20
        assert (read.function, read.address) in starts
        assert (read.function, read.address + read.count) in ends
        if not holes:
            assert {(read.function, read.address + i) for i in range(read.count)} <= defined
    assert len(reads) <= len(set(wanted))
    singly = time_on_line((ReadRegisters(*slot) for slot in set(wanted)), AT_9600)
    assert time_on_line(reads, AT_9600) <= singly * (1 + 1e-9)


@pytest.mark.parametrize(("baud", "gap"), [(9600, 10), (19200, 10), (115200, 26)])
def test_worthwhile_gap(baud: int, gap: int) -> None:
    assert worthwhile_gap(SerialSettings(baud, "8N1")) == gap


def test_gaps_are_bridged_only_when_worthwhile() -> None:
    wanted = [Slot(4, 0, 2), Slot(4, 10, 2), Slot(4, 23, 2)]
    limits = Limits(max_registers=80, max_response_ms=100, late_window_ms=100, read_holes=True)
    assert plan(wanted, limits, AT_9600) == [ReadRegisters(4, 0, 12), ReadRegisters(4, 23, 2)]
    assert plan(wanted, limits, SerialSettings(115200, "8N1")) == [ReadRegisters(4, 0, 25)]


def test_functions_are_never_mixed() -> None:
    assert len(plan([Slot(3, 0, 2), Slot(4, 2, 2)], LIMITS, AT_9600)) == 2


def test_sdm630_takes_four_reads() -> None:
    model = load_model("eastron_sdm630")
    reads = plan((slot for point in model.points for slot in slots_of(point)), model.limits, AT_9600)
    assert [(hex(read.address), read.count) for read in reads] == [
        ("0x0", 18),
        ("0x34", 2),
        ("0x46", 6),
        ("0x15a", 6),
    ]
