"""Whatever a peer says, in whatever order: a defined answer or none, and an end."""

from __future__ import annotations

import itertools
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.v2g.session.chaos import NAMES, ROUTES, flipping, inventing, message, pair_of, run_out, sides
from tests.v2g.session.pair import AutoStation, Pair, counting
from v2g.exi.codec import decode
from v2g.session.evcc import Evcc
from v2g.session.events import Close, Ended, Event, Received, Refused, Send
from v2g.session.machine import CLOSED, Machine
from v2g.session.secc import Secc, SeccSettings
from v2g.v2gtp import parse_frame

seeds = st.integers(0, 2**32)
SPOILERS = {"flipped bits": flipping, "any content": inventing}


@cache
def recorded(route: str) -> Pair:
    """A good session; its octets are the same in every run, signatures aside."""
    station, vehicle, tls = sides(route)
    pair = Pair(station, vehicle, tls=tls)
    pair.run()
    assert pair.ended("vehicle").outcome == pair.ended("station").outcome == "terminated"
    return pair


def frames(route: str, who: str) -> list[bytes]:
    """What a side sends in the good session."""
    return [event.octets for event in recorded(route).found(Send, who)]


def hear(machine: Machine, octets: bytes, now: float, station: AutoStation | None = None) -> list[Event]:
    """Everything that octets lead to at once."""
    events: list[Event] = []
    todo = machine.receive(octets, now)
    while todo:
        events += todo
        changed = [station.follow(event) for event in todo] if station else []
        todo = machine.update(now) if any(changed) else []
    return events


def check_answer(events: list[Event], schema: str) -> None:
    """One request: at most one answer, of its kind; a refusal is told to the shell and ends the session."""
    received = [event for event in events if isinstance(event, Received)]
    sent = [event for event in events if isinstance(event, Send)]
    assert len(sent) <= len(received) <= 1
    for send in sent:
        assert send.name == received[0].name.removesuffix("Req") + "Res"
        answer: Any = decode(schema, parse_frame(send.octets).payload)
        code = answer.Body.BodyElement.ResponseCode
        refused = [event.code for event in events if isinstance(event, Refused)]
        assert refused == ([code] if code.startswith("FAILED") else [])
        assert not refused or any(isinstance(event, Ended) for event in events)


@pytest.mark.parametrize("route", ROUTES)
@given(seed=seeds, data=st.data())
@settings(max_examples=60)
def test_a_station_takes_any_message_in_any_order(route: str, seed: int, data: st.DataObject) -> None:
    station, _, tls = sides(route)
    schema, random, now = route.split()[0], Random(seed), 1000.0
    secc = Secc(station, now=now, tls=tls, settings=SeccSettings(random=counting()))
    good = frames(route, "vehicle")
    for octets in good[: data.draw(st.integers(1, len(good) - 1))]:
        hear(secc, octets, now, station)
    requests = [name for name in NAMES[schema] if name.endswith("Req")]
    for _ in range(12):
        name = random.choice(requests) if random.random() < 0.9 else ""
        octets = random.choice(good) if random.random() < 0.4 else message(schema, random, secc.session_id, name)
        check_answer(hear(secc, octets, now, station), schema)
        now += random.choice((0.0, 0.1, 5.0))
        secc.update(now)
    end = run_out(secc, now, station)
    assert secc.state == CLOSED
    assert secc.ended is not None
    assert end - now < 120.0
    assert not station.power_on


@pytest.mark.parametrize("route", ROUTES)
@given(seed=seeds, data=st.data())
@settings(max_examples=60)
def test_a_vehicle_takes_any_answer(route: str, seed: int, data: st.DataObject) -> None:
    _, vehicle, tls = sides(route)
    schema, random, now = route.split()[0], Random(seed), 1000.0
    evcc = Evcc(vehicle, now=now, tls=tls)
    evcc.start(now)
    good = frames(route, "station")
    for octets in good[: data.draw(st.integers(1, len(good) - 1))]:
        hear(evcc, octets, now)
        now += 0.2
        evcc.update(now)
    for _ in range(6):
        asked = evcc.state.partition(" ")[0].removesuffix("Req") + "Res"
        name = asked if asked in NAMES[schema] and random.random() < 0.9 else ""
        octets = random.choice(good) if random.random() < 0.4 else message(schema, random, evcc.session_id, name)
        hear(evcc, octets, now)
        now += random.choice((0.1, 0.2, 1.0))
        evcc.update(now)
    run_out(evcc, now)
    assert evcc.state == CLOSED
    assert evcc.ended is not None
    assert evcc.pilot == "B"


@pytest.mark.parametrize("spoiler", SPOILERS)
@pytest.mark.parametrize("route", ROUTES)
@given(seed=seeds, chance=st.sampled_from([0.03, 0.1, 0.4]))
@settings(max_examples=25)
def test_spoiled_sessions_end_on_both_sides(route: str, spoiler: str, seed: int, chance: float) -> None:
    pair = pair_of(route, seed, chance, SPOILERS[spoiler])
    pair.run(2000.0)
    for who, machine in (("vehicle", pair.evcc), ("station", pair.secc)):
        assert machine.state == CLOSED
        assert machine.deadline is None
        assert len(pair.found(Ended, who)) == 1
        assert len(pair.found(Close, who)) <= 1
    assert pair.evcc.pilot == "B"
    assert not pair.station.power_on


@given(octets=st.lists(st.binary(max_size=40), max_size=8), role=st.sampled_from(["station", "vehicle"]))
def test_any_octets_are_taken(octets: list[bytes], role: str) -> None:
    station, vehicle, _ = sides(ROUTES[0])
    machine: Machine = Secc(station, now=0.0) if role == "station" else Evcc(vehicle, now=0.0)
    if isinstance(machine, Evcc):
        machine.start(0.0)
    for part in octets:
        machine.receive(part, 0.0)
    run_out(machine, 0.0)
    assert machine.state == CLOSED


@given(cuts=st.lists(st.integers(1, 400), max_size=8))
def test_octets_may_come_in_any_pieces(cuts: list[int]) -> None:
    whole = b"".join(frames("iso2 AC eim", "vehicle")[:2])
    station, _, _ = sides("iso2 AC eim")
    secc = Secc(station, now=0.0, settings=SeccSettings(random=counting()))
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    sent: list[str] = []
    for start, end in itertools.pairwise(edges):
        sent += [event.name for event in secc.receive(whole[start:end], 0.0) if isinstance(event, Send)]
    assert sent == ["supportedAppProtocolRes", "SessionSetupRes"]
