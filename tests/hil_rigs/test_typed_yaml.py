"""Structs from YAML: what fits, and what is said of what does not."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct, field

from hil_rigs.typed_yaml import TypedYaml, path_unless


class Cat(Struct, tag_field="kind", tag="cat", frozen=True):
    lives: Annotated[int, Meta(ge=1, le=9, description="how many")] = 9


class Dog(Struct, tag_field="kind", tag="dog", frozen=True):
    name: str
    weight: Annotated[Decimal, Meta(description="kg")] = Decimal(1)

    def __post_init__(self) -> None:
        if self.name == "Cerberus":
            raise ValueError("name: one head is enough")
        if self.weight > 90:
            raise ValueError("that is a calf")


class Home(Struct, frozen=True):
    pets: dict[str, Cat | Dog]
    rooms: Annotated[list[str], Meta(min_length=1)] = field(default_factory=lambda: ["hall"])
    heating: Literal["gas", "heat pump"] | None = None
    warm: bool = True
    plan: Annotated[Path, Meta(description="a drawing")] | None = None
    store: Annotated[str, Meta(extra=path_unless("none"))] = "none"
    nap: Annotated[str, Meta(pattern=r"^[0-9.]+ (s|min)$", examples=["5 min"])] | None = None
    door_pin_file: Path | None = None
    door_pin_env: str | None = None


HERE = Path("/homes/home.yaml")


def build(text: str) -> Home:
    document = TypedYaml(HERE, text)
    home = document.build(Home)
    assert document.problems == []
    assert home is not None
    return home


def problems(text: str) -> list[str]:
    document = TypedYaml(HERE, text)
    assert document.build(Home) is None
    return [str(problem).removeprefix("/homes/home.yaml:") for problem in document.problems]


def test_what_fits_becomes_structs() -> None:
    home = build(
        "pets: {tom: {kind: cat}, rex: {kind: dog, name: Rex, weight: 30.10}}\n"
        "rooms: [hall, bath]\nheating: heat pump\nplan: plans/a.svg\nstore: x.db\n"
    )
    assert home.pets == {"tom": Cat(), "rex": Dog("Rex", Decimal("30.10"))}
    assert str(home.pets["rex"].weight) == "30.10"  # type: ignore[union-attr]
    assert home.rooms == ["hall", "bath"]
    assert home.plan == Path("/homes/plans/a.svg")
    assert home.store == "/homes/x.db"


def test_words_instead_of_paths_and_absolute_paths_stay() -> None:
    assert build("pets: {}\nstore: none").store == "none"
    assert build("pets: {}\nstore: /var/x.db").store == "/var/x.db"


def test_anchors_may_be_used() -> None:
    assert build("pets: {a: &a {kind: cat, lives: 3}, b: *a}").pets["b"] == Cat(3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pets: {}\nroms: []", '2: roms: unknown key: did you mean "rooms"?'),
        ("pets: {}\nzzz: 1", "2: zzz: unknown key: known: pets, rooms, heating"),
        ("pets: {}\npets: {}", "2: pets: stands here twice, first in line 1"),
        ("rooms: [a]", '1: "pets" is missing: expected a mapping'),
        ("- 1", "1: expected a mapping (key: value), found a list"),
        ("", "1: the file is empty"),
        ("# only this\n", "1: the file is empty"),
        ("pets: {}\nrooms: hall", '2: rooms: expected a list, found the text "hall"'),
        ("pets: {}\nrooms: []", "2: rooms: expected a list with at least one entry, found an empty one"),
        ("pets: {}\nrooms: [hall, 7]", '2: rooms[1]: expected text, found the number 7; write it in quotes: "7"'),
        ("pets: {}\nnap: 30", "2: nap: expected text like 5 min, found the number 30; write 30 min"),
        ("pets: {}\nwarm: no", '2: warm: expected true or false, found the text "no"'),
        ("pets: {}\nwarm:", "2: warm: expected true or false, found nothing"),
        ("pets: {}\nheating: coal", '2: heating: expected one of gas, heat pump, found the text "coal"'),
        ("pets: {}\nplan: 5", "2: plan: expected the path of a file (a drawing), found the number 5"),
        ("pets: {}\n7: x", "2: ?: expected text as key, found the number 7; write it in quotes"),
        ("pets: {tom: {lives: 3}}", '1: pets.tom: "kind" is missing; known: cat, dog'),
        ("pets: {tom: {kind: cta}}", '1: pets.tom.kind: unknown kind "cta": did you mean "cat"?'),
        (
            "pets:\n  tom:\n    kind: cat\n    lives: 10",
            "4: pets.tom.lives: expected a whole number from 1 to 9 (how many), found the number 10",
        ),
        ("pets: {tom: {kind: cat, lives: 2.5}}", "1: pets.tom.lives: expected a whole number from 1 to 9"),
        ("pets: {rex: {kind: dog, name: Cerberus}}", "1: pets.rex.name: one head is enough"),
        ("pets:\n  rex: {kind: dog, name: Rex, weight: 99}", "2: pets.rex: that is a calf"),
        (
            "pets: {rex: {kind: dog, name: Rex, weight: heavy}}",
            '1: pets.rex.weight: expected a decimal number (kg), found the text "heavy"',
        ),
        ("pets: {}\nwarm: !!binary aa", "2: warm: the tag tag:yaml.org,2002:binary has no meaning here"),
        ("pets: {a: [", "1: not YAML: while parsing a flow"),
        ("pets: &p {a: *p}", "1: pets.a: "),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(text: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in problems(text)), problems(text)


def test_all_problems_come_at_once() -> None:
    found = problems("pets: {tom: {kind: cat, lives: x}}\nwarm: 7\nrooms: 8\n")
    assert [line.partition(":")[0] for line in found] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "text",
    [
        "door_pin: 4711",
        'door_pin: "4711"',
        "door_pin: [4711]",
        "door_pin_file: 4711",
        "door_pin_env: 4711",
    ],
)
def test_a_secret_is_refused_and_not_shown(text: str) -> None:
    found = problems(f"pets: {{}}\n{text}")
    assert len(found) == 1
    assert "4711" not in found[0]


def test_a_secret_names_what_to_use_instead() -> None:
    (found,) = problems("pets: {}\ndoor_pin: 4711")
    assert found.startswith("2: door_pin: a secret never stands in a rig file")
    assert found.endswith("use door_pin_file or door_pin_env")


def test_lines_of_places_that_are_not_in_the_file() -> None:
    document = TypedYaml(HERE, "\npets:\n  tom: {kind: cat}\n")
    document.build(Home)
    assert document.line(("pets", "tom", "lives")) == 3
    assert document.line(("rooms", 0)) == 2  # the mapping begins there


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["pets", "rooms", "kind", "name", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_any_tree_is_built_or_refused(tree: object) -> None:
    document = TypedYaml(HERE, msgspec.json.encode(tree).decode())
    home = document.build(Home)
    assert (home is None) == bool(document.problems)
    if home is not None:
        assert isinstance(tree, dict)
        assert home.pets.keys() == tree["pets"].keys()
