"""The catalogue as a whole: every entry is documented, typed and checked before it strikes."""

from __future__ import annotations

import pytest

from hil_rigs.fault_catalogue.catalogue import CATALOGUE, LAYERS, find
from hil_rigs.fault_catalogue.entry import Entry, number
from ports.errors import LocalError


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
def test_every_fault_says_what_it_does_and_takes_its_defaults(entry: Entry) -> None:
    assert entry.layer in LAYERS
    assert entry.effect
    assert entry.undo
    required = {one.name: one.default or 1 for one in entry.parameters if one.required}
    checked = entry.checked(required)
    assert set(checked) == {one.name for one in entry.parameters if not one.optional}
    for one in entry.parameters:
        if one.required:
            with pytest.raises(LocalError, match=f"{entry.name} needs {one.name}"):
                entry.checked({name: value for name, value in required.items() if name != one.name})
        if one.choices:
            with pytest.raises(LocalError, match="not one of"):
                entry.checked({**required, one.name: "something else"})
        elif isinstance(one.default, int | float) and not one.required:
            with pytest.raises(LocalError, match=r"not (a number|true or false)"):
                entry.checked({**required, one.name: "much"})
    with pytest.raises(LocalError, match="has no nonsense"):
        entry.checked({**required, "nonsense": 1})


def test_a_fault_at_the_cable_says_as_what_it_is_reported() -> None:
    assert find("cable.CableCheckFault.insulation").effect.endswith("; reported as GroundFailure")
    assert find("cable.UnderVoltage").effect.endswith("; reported as PowerLoss")
    assert "reported as" not in find("cable.OverVoltage").effect


def test_a_name_that_is_nearly_right_gets_a_hint() -> None:
    assert find("line.corrupt").name == "line.corrupt"
    with pytest.raises(LocalError, match=r"did you mean line\.corrupt"):
        find("line.corupt")
    with pytest.raises(LocalError, match="plugbench faults"):
        find("zzz")


def test_a_number_in_quotes_is_that_number_and_a_duration_is_none() -> None:
    assert number({"seconds": "4.6"}, "seconds") == 4.6
    assert number({"seconds": None}, "seconds", 2.0) == number({}, "seconds", 2.0) == 2.0
    with pytest.raises(LocalError, match="seconds is '4 s', not a number"):
        number({"seconds": "4 s"}, "seconds")
