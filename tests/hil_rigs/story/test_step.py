"""Folding: what repeats is told once, and nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hil_rigs.story.diagram import MAX_ARROWS, sequence_diagram
from hil_rigs.story.step import Lane, Passage, Step, folded


def step(text: str, at: float = 0.0, remark: str = "") -> Step:
    sender, receiver = (Lane.VEHICLE, Lane.STATION) if text.islower() else (Lane.STATION, Lane.VEHICLE)
    return Step(at, "1", sender, receiver, text, "test", remark)


def unfolded(passages: tuple[Passage, ...]) -> list[str]:
    return [one.text for passage in passages for _ in range(passage.count) for one in passage.steps]


@given(st.lists(st.sampled_from("aAbBcC"), max_size=60))
def test_folding_loses_nothing(texts: list[str]) -> None:
    assert unfolded(folded([step(text) for text in texts])) == texts


def test_a_request_with_its_answer_is_one_loop() -> None:
    steps = [step(text, at) for at, text in enumerate("xaAaAaAy")]
    passages = folded(steps)
    assert [(len(one.steps), one.count, one.until) for one in passages] == [(1, 1, 0.0), (2, 3, 6.0), (1, 1, 7.0)]


def test_another_remark_is_another_message() -> None:
    assert [one.count for one in folded([step("a"), step("a", remark="FAILED"), step("a")])] == [1, 1, 1]


def test_the_diagram_names_who_takes_part_and_escapes() -> None:
    text = sequence_diagram(folded([step("a; b"), step("A", remark="#1\nend")] * 2))
    assert text == (
        "sequenceDiagram\n"
        "    participant VEHICLE as Vehicle\n"
        "    participant STATION as Station\n"
        "    loop 2 times\n"
        "        VEHICLE->>STATION: a#59; b\n"
        "        STATION-->>VEHICLE: A\n"
        "        Note over VEHICLE,STATION: #35;1 end\n"
        "    end\n"
    )


def test_a_happening_is_a_note() -> None:
    note = Step(0.0, "1", Lane.CPO, Lane.CPO, "billed", "CSMS", "at last")
    assert sequence_diagram(folded([note])).splitlines()[-1] == "    Note over CPO: billed: at last"


def test_a_long_story_says_that_its_diagram_is_cut() -> None:
    text = sequence_diagram(folded([step(f"a{number}") for number in range(MAX_ARROWS + 5)]))
    assert text.splitlines()[-1] == "    Note over VEHICLE: the rest is in the list below"
