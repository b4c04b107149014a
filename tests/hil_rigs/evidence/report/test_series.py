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
    assert found.tracks["1"].flags["faults"] == [Flag(5.0, "session.trouble: no answer")]
    assert found.tracks[""].bands["fault line.corrupt"] == [Span(3.0, None, "line.corrupt")]
    assert found.tracks[""].bands["meter dead m1"] == [Span(6.0, 7.0, "meter dead m1")]


def test_the_register_counts_from_the_first_reading() -> None:
    found = series(
        (1.0, "session.energy", "1", {"kwh": "0.00", "register": "1204.37"}),
        (2.0, "session.energy", "1", {"kwh": "0.50", "register": "1204.87"}),
    )
    assert found.tracks["1"].values["energy meter"] == [(1.0, 0.0), (2.0, 0.5)]
