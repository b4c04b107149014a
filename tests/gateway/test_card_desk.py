"""Cards at readers: which connector they are for, what the record says of them, and readers that break."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.card_desk import CardDesk, ReaderSetup
from gateway.transaction import RESTING, State
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ocmf.terms import Level
from ports.authorisation import Authorisation, AuthorisationStatus
from ports.errors import LocalError, RigError
from ports.reader import CardKind
from tests.gateway.backend_doubles import Cards, Words
from tests.gateway.point import CARD, OTHER_CARD, START, Cable, CableMeter, Point

UID, OTHER_UID = CARD.key[1], OTHER_CARD.key[1]


def play(
    folder: Path,
    session: Callable[[Point, Cards], Awaitable[None]],
    *authorisers: Words,
    cables: int = 1,
    **reader: Any,
) -> Point:
    """A gateway with so many connectors and one reader."""

    async def main(clock: VirtualClock) -> Point:
        point, cards = Point(clock, folder), Cards()
        for number in range(2, cables + 1):
            cable = Cable(clock, f"c{number}")
            meter = CableMeter(clock, cable, serial=f"METER{number}")
            point.setups.append(type(point.setups[0])(control=cable, meter=meter, point_id=f"DE*PLG*E{number}"))
        point.arguments = {"authorisers": authorisers, "readers": [ReaderSetup(cards, **reader)]}
        await point.start()
        await session(point, cards)
        await point.controller.close()
        assert cards.closed
        return point

    return run_virtual(main, start=START)


def cable(point: Point, number: int) -> Cable:
    control = point.setups[number - 1].control
    assert isinstance(control, Cable)
    return control


def user(point: Point) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(point.backend.records[0].ocmf.split("|")[1])
    return {key: payload[key] for key in ("IS", "IL", "IF", "IT", "ID")}


def test_a_card_begins_another_does_not_end_and_the_same_does(tmp_path: Path) -> None:
    async def session(point: Point, cards: Cards) -> None:
        controller = point.controller
        point.cable.plug()
        await controller.wait_for("c1", State.PLUGGED)
        cards.show(UID)
        await controller.wait_for("c1", State.CHARGING)
        for uid in (OTHER_UID, "DEADBEEF"):
            cards.show(uid)
            await point.clock.sleep(2)
            assert controller.status()[0].state is State.CHARGING
        assert [e.data["level"] for e in point.told("session.refused")] == [Level.MISMATCH] * 2
        cards.show(UID)
        await controller.wait_for("c1", *RESTING)

    point = play(tmp_path, session)
    assert user(point)["ID"] == UID
    assert json.loads(point.backend.records[-1].ocmf.split("|")[1])["RD"][0]["TX"] == "L"


@pytest.mark.parametrize(
    ("kind", "uid", "id_type"),
    [
        (CardKind.ISO14443, "0A0B0C0D", "ISO14443"),
        (CardKind.ISO14443, "04112233445566", "ISO14443"),
        (CardKind.ISO14443, "04112233445566778899", "UNDEFINED"),  # OCMF knows 4 and 7 octets
        (CardKind.ISO15693, "E004010012345678", "ISO15693"),
    ],
)
def test_the_record_names_the_card_as_the_backend_knew_it(
    tmp_path: Path, kind: CardKind, uid: str, id_type: str
) -> None:
    words = Words(flag="OCPP_AUTH")

    async def session(point: Point, cards: Cards) -> None:
        point.cable.plug()
        await point.controller.wait_for("c1", State.PLUGGED)
        cards.show(uid, kind)
        await point.controller.wait_for("c1", State.CHARGING)

    point = play(tmp_path, session, words)
    flag = "RFID_NONE" if id_type == "UNDEFINED" else "RFID_PLAIN"
    assert user(point) == {"IS": True, "IL": "TRUSTED", "IF": [flag, "OCPP_AUTH"], "IT": id_type, "ID": uid}
    (request,) = words.asked
    assert (request.id, request.id_type, request.certificates) == (uid, id_type, ())


def test_a_card_before_the_plug_waits_for_it_and_is_forgotten_in_time(tmp_path: Path) -> None:
    async def session(point: Point, cards: Cards) -> None:
        controller = point.controller
        cards.show(UID)
        await controller.wait_for("c1", State.AUTHORISED)
        await point.clock.sleep(59)
        point.cable.plug()
        await controller.wait_for("c1", State.CHARGING)
        cards.show(UID)
        await controller.wait_for("c1", *RESTING)
        point.cable.unplug()
        await controller.wait_for("c1", State.AVAILABLE)
        cards.show(UID)
        await controller.wait_for("c1", State.AUTHORISED)
        await point.clock.sleep(61)
        assert controller.status()[0].state is State.AVAILABLE

    play(tmp_path, session)


def test_one_reader_serves_the_connector_where_a_vehicle_waits(tmp_path: Path) -> None:
    async def session(point: Point, cards: Cards) -> None:
        controller = point.controller
        cable(point, 2).plug()
        await controller.wait_for("c2", State.PLUGGED)
        cards.show(UID)
        await controller.wait_for("c2", State.CHARGING)
        assert controller.status()[0].state is State.AVAILABLE
        # two wait: the one that came last
        cable(point, 3).plug()
        await controller.wait_for("c3", State.PLUGGED)
        await point.clock.sleep(5)
        cable(point, 1).plug()
        await controller.wait_for("c1", State.PLUGGED)
        cards.show(OTHER_UID)
        await controller.wait_for("c1", State.CHARGING)
        assert controller.status()[2].state is State.PLUGGED
        # the first card ends its own, wherever it is
        cards.show(UID)
        await controller.wait_for("c2", *RESTING)
        assert controller.status()[0].state is State.CHARGING

    play(tmp_path, session, cables=3)


@pytest.mark.parametrize(
    ("reader", "expected"), [({}, "c1"), ({"connector": "c2"}, "c2"), ({"connectors": ("c2",)}, "c2")]
)
def test_a_card_goes_to_its_usual_connector_when_no_vehicle_waits(
    tmp_path: Path, reader: dict[str, Any], expected: str
) -> None:
    async def session(point: Point, cards: Cards) -> None:
        cards.show(UID)
        await point.controller.wait_for(expected, State.AUTHORISED)

    play(tmp_path, session, cables=2, **reader)


def test_a_card_while_the_backend_thinks_about_another_is_refused(tmp_path: Path) -> None:
    words = Words()
    words.delay_s = 10.0

    async def session(point: Point, cards: Cards) -> None:
        point.cable.plug()
        await point.controller.wait_for("c1", State.PLUGGED)
        cards.show("0A0B0C0D")
        await point.clock.sleep(1)
        cards.show("0A0B0C0D")
        cards.show("0F0F0F0F")
        await point.controller.wait_for("c1", State.CHARGING)
        assert [str(e.data["why"]) for e in point.told("session.refused")] == [
            "connector c1 already asks about another identification"
        ] * 2

    point = play(tmp_path, session, words)
    assert len(words.asked) == 1
    assert user(point)["ID"] == "0A0B0C0D"


def test_a_vehicle_that_comes_while_the_backend_thinks_charges(tmp_path: Path) -> None:
    words = Words()
    words.delay_s = 10.0

    async def session(point: Point, cards: Cards) -> None:
        cards.show("0A0B0C0D")
        await point.clock.sleep(5)
        point.cable.plug()
        await point.controller.wait_for("c1", State.CHARGING)

    play(tmp_path, session, words)


REFUSED: dict[str, tuple[Authorisation | Exception, Level]] = {
    "blocked": (Authorisation(AuthorisationStatus.BLOCKED), Level.INVALID),
    "expired": (Authorisation(AuthorisationStatus.EXPIRED), Level.OUTDATED),
    "unknown": (Authorisation(AuthorisationStatus.UNKNOWN), Level.UNKNOWN),
    "concurrent": (Authorisation(AuthorisationStatus.CONCURRENT), Level.NONE),
    "away": (RigError("not connected"), Level.UNKNOWN),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_card_that_the_backend_refuses_begins_nothing(tmp_path: Path, what: str) -> None:
    word, level = REFUSED[what]

    async def session(point: Point, cards: Cards) -> None:
        point.cable.plug()
        await point.controller.wait_for("c1", State.PLUGGED)
        cards.show("0A0B0C0D")
        await point.clock.sleep(5)
        assert [e.data["level"] for e in point.told("session.refused")] == [level]
        cards.show(UID)  # of the local list: no backend is asked
        await point.controller.wait_for("c1", State.CHARGING)

    play(tmp_path, session, Words(word))


def test_a_reader_that_breaks_down_is_followed_again(tmp_path: Path) -> None:
    async def session(point: Point, cards: Cards) -> None:
        point.cable.plug()
        await point.controller.wait_for("c1", State.PLUGGED)
        cards.break_down()
        await point.clock.sleep(0.5)
        (trouble,) = point.told("session.trouble")
        assert (trouble.source, trouble.data["part"]) == ("reader", "reader")
        await point.clock.sleep(1)
        cards.show(UID)
        await point.controller.wait_for("c1", State.CHARGING)

    play(tmp_path, session)


def test_a_bug_in_a_client_is_told_at_the_end_and_harms_nobody(tmp_path: Path) -> None:
    async def session(point: Point, cards: Cards) -> None:
        point.cable.plug()
        await point.controller.wait_for("c1", State.PLUGGED)
        cards.show("0A0B0C0D")
        await point.clock.sleep(1)
        cards.show(UID)
        await point.controller.wait_for("c1", State.CHARGING)

    with pytest.raises(BaseExceptionGroup, match="bugs"):
        play(tmp_path, session, Words(RuntimeError("a bug")))


def test_a_reader_of_a_connector_that_does_not_exist_is_our_own_fault(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        point = Point(clock, tmp_path)
        await point.start()
        with pytest.raises(LocalError, match="no connector c7"):
            CardDesk(
                ReaderSetup(Cards(), connector="c7"),
                point.controller.by_name,
                point.controller._admission,
                clock,
                point.events.append,
            )
        await point.controller.close()

    run_virtual(main, start=START)


@pytest.mark.parametrize("uid", ["", "04A2B3", "00" * 30])
def test_a_card_that_cannot_stand_in_a_record_charges_nothing(tmp_path: Path, uid: str) -> None:
    async def session(point: Point, cards: Cards) -> None:
        point.cable.plug()
        await point.controller.wait_for("c1", State.PLUGGED)
        cards.show(uid)
        await point.clock.sleep(5)
        state = point.controller.status()[0].state
        assert state is (State.CHARGING if len(uid) in range(1, 41) else State.PLUGGED)

    play(tmp_path, session, Words())
