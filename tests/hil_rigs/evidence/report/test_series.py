from hil_rigs.evidence.event_hash import Event
from hil_rigs.evidence.report.series import Flag, Series, Span


def series(*events: tuple[float, str, str, dict[str, object]]) -> Series:
    found = Series()
    for at, kind, source, data in events:
        found.see(Event(at, kind.partition(".")[0], kind, source, data))
    return found


def test_bands_last_until_they_change() -> None:
    found = series(
        (1.0, "session.state", "1", {"phase": "PLUG"}),
        (2.0, "session.state", "1", {"phase": "PLUG"}),
        (3.0, "session.state", "1", {"phase": "CHARGE"}),
        (4.0, "pilot.state", "1", {"state": "C", "pwm": True}),
    )
    assert found.tracks["1"].bands["phase"] == [Span(1.0, 3.0, "PLUG"), Span(3.0, None, "CHARGE")]
    assert found.tracks["1"].bands["pilot"] == [Span(4.0, None, "C2")]
    assert (found.began, found.ended) == (1.0, 4.0)


def test_faults_stand_at_their_connector_or_at_the_rig() -> None:
    found = series(
        (1.0, "session.state", "1", {"phase": "PLUG"}),
        (2.0, "fault.begun", "1", {"fault": "cable.diode"}),
        (3.0, "fault.begun", "m1", {"fault": "line.corrupt"}),
        (4.0, "fault.over", "1", {"fault": "cable.diode"}),
        (5.0, "session.trouble", "1", {"why": "no answer"}),
        (6.0, "meter.dead", "m1", {}),
        (7.0, "meter.alive", "m1", {}),
    )
    assert found.tracks["1"].bands["fault cable.diode"] == [Span(2.0, 4.0, "cable.diode")]
    assert found.tracks["1"].flags["session.trouble"] == [Flag(5.0, "no answer")]
    assert found.tracks[""].bands["fault line.corrupt on m1"] == [Span(3.0, None, "line.corrupt on m1")]
    assert found.tracks[""].bands["meter dead m1"] == [Span(6.0, 7.0, "meter dead m1")]


def test_a_fault_that_strikes_some_times_does_not_last() -> None:
    found = series(
        (1.0, "fault.begun", "bus", {"fault": "line.corrupt", "times": 3}),
        (2.0, "fault.begun", "", {"fault": "csms.lost_ack", "times": 1}),
        (3.0, "fault.begun", "", {"fault": "cable.PilotFault.c_pulse", "times": None}),
        (9.0, "fault.over", "bus", {"fault": "line.corrupt", "times": 3}),
    )
    spans = {spans[0] for spans in found.tracks[""].bands.values() if spans}
    assert spans == {
        Span(1.0, 1.0, "line.corrupt on bus, 3 times"),
        Span(2.0, 2.0, "csms.lost_ack, once"),
        Span(3.0, 3.0, "cable.PilotFault.c_pulse"),
    }


def test_the_plant_knows_at_which_connector_a_fault_is() -> None:
    """And what it says when the fault is undone does not begin it again."""
    found = series(
        (1.0, "session.state", "1", {"phase": "CHARGE"}),
        (2.0, "fault.begun", "", {"fault": "cable.HighTemperature"}),
        (2.0, "fault.injected", "1", {"fault": "HighTemperature"}),
        (5.0, "fault.over", "", {"fault": "cable.HighTemperature"}),
        (5.0, "fault.undone", "1", {"fault": "HighTemperature"}),
        (6.0, "fault.injected", "1", {"fault": "DiodeFault"}),
    )
    assert found.tracks["1"].bands["fault cable.HighTemperature"] == [Span(2.0, 5.0, "cable.HighTemperature")]
    assert not any(found.tracks[""].bands.values())


def test_the_register_counts_from_the_first_reading() -> None:
    found = series(
        (1.0, "session.energy", "1", {"kwh": "0.00", "register": "1204.37"}),
        (2.0, "session.energy", "1", {"kwh": "0.50", "register": "1204.87"}),
    )
    assert found.tracks["1"].values["energy meter"] == [(1.0, 0.0), (2.0, 0.5)]
