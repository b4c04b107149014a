"""The contents of a report in which every name was chosen by an enemy."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hil_rigs.bill_check import CheckedBill
from hil_rigs.evidence.assertions import Assertion
from hil_rigs.evidence.event_hash import Event
from hil_rigs.evidence.manifest import File, Versions
from hil_rigs.evidence.report.page import Contents
from hil_rigs.evidence.report.series import Series
from hil_rigs.reality import ResourceLine
from hil_rigs.run import CheckedSession, RunResult
from hil_rigs.story.step import Lane, Passage, Signature, Step, Story, Verdict

EVIL = (
    """</title></style></svg>'"><script src=http://192.0.2.1/x.js>console.error(1)</script>"""
    "<img src=http://192.0.2.1/x onerror=console.error(2)>&amp;\x00\x1b[2J\u202egpj]]><!--"
)

EVENTS = (
    ("plant.sample", {"voltage_v": [230, EVIL, None], "current_a": EVIL, "power_w": EVIL, "energy_wh": "1E+3000"}),
    ("plant.sample", {"voltage_v": [230.0], "power_w": 1e308, "energy_wh": "nan", "pilot_v": [9], "duty": EVIL}),
    ("session.energy", {"kwh": EVIL, "register": "inf"}),
    ("session.state", {"phase": EVIL}),
    ("pilot.state", {"state": EVIL, "pwm": EVIL}),
    ("v2g.StateChanged", {"new": EVIL}),
    ("fault.begun", {"fault": EVIL, "connector": EVIL}),
    ("session.trouble", {"why": EVIL}),
    ("journal.signed", {"page": EVIL}),
    ("v2g.rx", {"message": {"a": [EVIL]}}),
    ("meter.dead", {}),
)


def series() -> Series:
    """Two connectors, one of them with a hostile name; events out of order."""
    found = Series()
    for number, (kind, data) in enumerate(EVENTS * 2):
        for source in ("1", EVIL, f"{EVIL}.secc"):
            found.see(Event(1000.0 + number % 7, kind.partition(".")[0], kind, source, dict(data)))
    return found


def contents(**changes: Any) -> Contents:
    """All of it."""
    step = Step(1000.0, EVIL, Lane.VEHICLE, Lane.STATION, EVIL, EVIL, EVIL)
    note = Step(1001.0, EVIL, Lane.STATION, Lane.STATION, EVIL, EVIL, EVIL)
    said: dict[str, Any] = {
        "run": EVIL,
        "started": EVIL,
        "result": RunResult(
            rig=EVIL,
            verdict="fail",
            clock="virtual",
            seed=17,
            signer=EVIL,
            is_hsm=False,
            resources=[ResourceLine(EVIL, EVIL, EVIL, EVIL)],
            sessions=(CheckedSession("1", EVIL, EVIL, EVIL, Decimal(1), (EVIL,), Decimal(1), Decimal(0), (EVIL,)),),
            problems=(EVIL,),
            bills=(CheckedBill(EVIL, EVIL, Decimal(1), Decimal(1), EVIL, 1, (EVIL,)),),
        ),
        "assertions": [
            Assertion(id=EVIL, claim=EVIL, channel=EVIL, verdict="fail", expected=EVIL, observed=EVIL, place=EVIL)
        ],
        "series": series(),
        "story": Story(
            EVIL,
            EVIL,
            (Passage((step, note), 3, 1002.0), Passage((note,), 1, 1003.0)),
            (Signature(1.0, EVIL, EVIL, EVIL, EVIL, Verdict.INVALID, EVIL, EVIL),),
            (EVIL,),
        ),
        "versions": Versions(EVIL, EVIL, EVIL, EVIL, {EVIL: EVIL}),
        "files": {EVIL: File("00" * 32, 1, EVIL)},
        "event_hash": "00" * 32,
        "scenario": EVIL,
    }
    return Contents(**(said | changes))
