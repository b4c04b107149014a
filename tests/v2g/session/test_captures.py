"""Sessions of real cars, replayed against our station (captures of tux-evse/iso15118-simulator-rs, Apache-2.0)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.v2g.session.pair import AutoStation, counting
from v2g.exi.codec import decode, encode
from v2g.session.events import Close, Refused, Send, Tolerated
from v2g.session.physical import number
from v2g.session.secc import Secc, SeccSettings
from v2g.session.station_side import DcLimits, Schedule, ScheduleOffer
from v2g.v2gtp import Frame, PayloadType, parse_frame

CAPTURES = {"audi-dc-iso2": "iso2", "vw-ac-iso2": "iso2", "tesla-3-din": "din"}


class Replay:
    """Sends the requests of a capture; `Ongoing` and the wait for a voltage follow the captured station."""

    def __init__(self, rows: list[dict[str, Any]], protocol: str) -> None:
        self.rows = [row for row in rows if parse_frame(bytes.fromhex(row["hex"])).payload_type == PayloadType.EXI]
        self.protocol = protocol
        modes = ("AC_three_phase_core",) if "vw-ac" in rows[0]["source"] else ("DC_extended",)
        self.station = AutoStation(modes=modes, dc=DcLimits(max_power=300000.0))
        self.station.schedules = ScheduleOffer((Schedule(1, ((0, 32000.0),)),))
        self.station.slow = frozenset({"AuthorizationWanted", "CableCheckWanted"})
        self.now = 0.0
        settings = SeccSettings(protocols=("iso2", "din"), random=counting())
        self.secc = Secc(self.station, now=0.0, settings=settings)
        self.events: list[Any] = []

    def run(self) -> list[tuple[Any, Any, Any]]:
        """(request, captured answer, our answer) of every exchange."""
        exchanges = []
        schema = "sap"
        for request_row, answer_row in zip(self.rows[::2], self.rows[1::2], strict=True):
            request = decode(schema, parse_frame(bytes.fromhex(request_row["hex"])).payload)
            theirs = decode(schema, parse_frame(bytes.fromhex(answer_row["hex"])).payload)
            self.follow(theirs)
            ours = self.ask(request)
            exchanges.append((request, theirs, decode(schema, parse_frame(ours).payload)))
            schema = self.protocol
        return exchanges

    def follow(self, theirs: Any) -> None:
        """Know what the captured station knew when it answered."""
        body = getattr(getattr(theirs, "Body", None), "BodyElement", None)
        kind = type(body).__name__
        if kind in ("AuthorizationResType", "ContractAuthenticationResType"):
            self.station.authorization = "OK" if body.EVSEProcessing == "Finished" else None
        if kind == "CableCheckResType":
            self.station.isolation = "Valid" if body.EVSEProcessing == "Finished" else None

    def ask(self, request: Any) -> bytes:
        """Our answer."""
        if hasattr(request, "Header") and self.secc.session_id:
            request.Header.SessionID = self.secc.session_id
        octets = bytes(Frame(PayloadType.EXI, encode(request, check=False)))
        self.now += 0.1
        todo = self.secc.receive(octets, self.now)
        sent = []
        while todo:
            changed = False
            for event in todo:
                self.events.append(event)
                changed = self.station.follow(event) or changed
                if isinstance(event, Send):
                    sent.append(event.octets)
            todo = self.secc.update(self.now) if changed and self.secc.pending else []
        (answer,) = sent
        return answer


@pytest.mark.parametrize("name", CAPTURES)
def test_every_request_of_a_real_car_is_answered_ok(name: str, v2g_rows: Callable[[str], list[dict[str, Any]]]) -> None:
    replay = Replay(v2g_rows(name), CAPTURES[name])
    exchanges = replay.run()
    assert len(exchanges) > 8
    for request, theirs, ours in exchanges:
        body = getattr(getattr(ours, "Body", None), "BodyElement", ours)
        their_body = getattr(getattr(theirs, "Body", None), "BodyElement", theirs)
        assert body.ResponseCode.startswith("OK"), request
        assert type(body) is type(their_body)
    assert [event for event in replay.events if isinstance(event, Refused | Close)] == []
    tolerated = [event.text for event in replay.events if isinstance(event, Tolerated)]
    assert len(tolerated) == (name == "vw-ac-iso2"), "only the VW gives up without PowerDeliveryReq"


def test_the_same_station_sees_what_the_car_wanted(v2g_rows: Callable[[str], list[dict[str, Any]]]) -> None:
    replay = Replay(v2g_rows("audi-dc-iso2"), "iso2")
    exchanges = replay.run()
    currents = [
        number(r.Body.BodyElement.EVTargetCurrent)
        for r, _, _ in exchanges
        if "CurrentDemand" in str(type(getattr(getattr(r, "Body", None), "BodyElement", None)))
    ]
    wanted = [event.current for event in replay.events if type(event).__name__ == "CurrentWanted"]
    assert wanted == currents
    assert max(wanted) > 0
