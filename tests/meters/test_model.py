"""Model files: what they can say, and that every mistake is named with its line."""

from __future__ import annotations

import contextlib
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meters.model import MeterModel, exact_limit, load_model, model_names, parse_model
from meters.yaml_lines import PlacedYaml
from ports.errors import RigError

BASE = """\
model: test
vendor: Maker
name: M1
sources:
  - {title: manual, trust: documented}
serial: {baud: 9600, format: 8N1, device: 1}
limits: {max_registers: 50, max_response_ms: 100, late_window_ms: 100}
rating: {max_power_w: 22000}
points:
  - {name: energy_import, fc: 4, addr: 0x34, type: i32, exp: -1, unit: kWh, kind: total, monotonic: true, billing: true}
"""


def model(extra: str = "", base: str = BASE) -> MeterModel:
    return parse_model(PlacedYaml(base + textwrap.dedent(extra), "m.yaml"))


def changed(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)


@pytest.mark.parametrize("name", model_names())
def test_shipped_models(name: str) -> None:
    shipped = load_model(name)
    assert shipped.model == name
    assert shipped.billing_point.name == "energy_import"
    assert shipped.billing_point.obis == "1-b:1.8.0"
    assert shipped.identify.serial is not None
    assert {source.trust for source in shipped.sources} <= {"documented", "field", "bench"}
    for variant in shipped.variants:
        assert load_model(name, variant.name).points


def test_the_float_counter_states_its_exact_limit() -> None:
    assert exact_limit(load_model("eastron_sdm630").billing_point) == 131_072
    assert exact_limit(load_model("eastron_sdm630", "thousandths").billing_point) == 16_384
    assert exact_limit(load_model("abb_b23").billing_point) is None
    notes = load_model("eastron_sdm630").notes
    assert "131 072" in notes
    assert "16 384" in notes


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (changed("vendor: Maker", "vendr: Maker"), 2, "unknown key 'vendr'"),
        (changed("trust: documented", "trust: gossip"), 5, "expected documented (the maker's manual)"),
        (changed("format: 8N1", "format: 9N1"), 6, "expected data bits, parity and stop bits"),
        (changed("baud: 9600", "baud: fast"), 6, "expected `int`"),
        (changed("max_registers: 50", "max_registers: 500"), 7, "<= 125"),
        (changed("rating: {max_power_w: 22000}\n", ""), 1, "missing required field `rating`"),
        (changed("type: i32", "type: i33"), 10, "expected one of u16, i16, u32"),
        (changed("unit: kWh", "unit: MWh"), 10, "expected one of kWh, Wh, W"),
        (changed("fc: 4, ", ""), 10, "expected fc: 3 or 4"),
        (changed("fc: 4", "fc: 5"), 10, "expected 3 (holding registers) or 4"),
        (changed("addr: 0x34, ", ""), 10, "expected either addr or parts"),
        (changed("addr: 0x34", "addr: 0x10000"), 10, "outside of 0-65535"),
        (changed("kind: total", "kind: instant"), 10, "kind: total or partial"),
        (changed("kind: total", "kind: partial"), 10, "only a total in kWh or Wh can be billed"),
        (changed(", billing: true", ""), 9, "exactly one point with billing: true"),
        (changed("exp: -1", "exp: -1, digit: -2"), 10, "digit is for floats"),
        (changed("exp: -1", "exp: -1, exp: -2"), 10, "key 'exp' stands twice"),
        (changed("max_registers: 50", "max_registers: 1"), 10, "longer than limits.max_registers"),
        (BASE + "  - {name: energy_import, fc: 4, addr: 1, type: u16, unit: V}\n", 11, "stands twice"),
        (BASE + "identify:\n  serial: {fc: 4, addr: 1, type: text}\n", 12, "type text needs words"),
        (BASE + "variants:\n  - {name: v, when: {}, points: [{name: x}]}\n", 12, "variant 'v'"),
        (changed("points:", "points: ["), 10, "no YAML"),
        ("- 1\n- 2\n", 1, "a meter model is a mapping"),
        ("", 1, "a meter model is a mapping"),
    ],
)
def test_mistakes_are_named_with_their_line(text: str, line: int, says: str) -> None:
    with pytest.raises(RigError) as caught:
        model(base=text)
    assert str(caught.value).startswith(f"m.yaml:{line}: ")
    assert says in str(caught.value)


def test_unknown_model_and_variant_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        RigError, match="no meter model 'sdm631'; there are abb_b23, carlo_gavazzi_em340, eastron_sdm630"
    ):
        load_model("sdm631")
    with pytest.raises(RigError, match="no variant 'x'"):
        load_model("eastron_sdm630", "x")
    with pytest.raises(RigError, match=r"nothing\.yaml: cannot read"):
        load_model(tmp_path / "nothing.yaml")
    own = tmp_path / "own.yaml"
    own.write_text(BASE, encoding="utf-8")
    assert load_model(own).vendor == "Maker"


@pytest.mark.parametrize(
    ("numbering", "point", "function", "address"),
    [
        ("pdu", "fc: 4, addr: 52", 4, 52),
        ("one_based", "fc: 3, addr: 53", 3, 52),
        ("5digit", "addr: 30053", 4, 52),
        ("5digit", "addr: 40053", 3, 52),
        ("6digit", "addr: 300053", 4, 52),
        ("6digit", "fc: 3, addr: 465536", 3, 65535),
    ],
)
def test_numbering_of_the_manual(numbering: str, point: str, function: int, address: int) -> None:
    text = changed("fc: 4, addr: 0x34", point) + f"numbering: {numbering}\n"
    found = model(base=text).billing_point
    assert (found.function, found.addr) == (function, address)


@pytest.mark.parametrize("point", ["fc: 3, addr: 30053", "addr: 53", "addr: 50053"])
def test_five_digits_that_contradict(point: str) -> None:
    with pytest.raises(RigError, match=r"m.yaml:10: .* is no 5digit number"):
        model(base=changed("fc: 4, addr: 0x34", point) + "numbering: 5digit\n")


def test_everything_that_real_meters_need_can_be_said() -> None:
    """One of each trap: word order, exponent registers, sentinels, T5, tariffs, two powers, bits, writes."""
    said = model("""\
      - {name: a, fc: 3, addr: 1, type: u32, order: lsw, unit: V, nan: [0xFFFFFFFF]}
      - {name: b, fc: 3, addr: 418, type: u32, unit: Wh, kind: total, exp_from: {addr: 414}}
      - {name: c, fc: 3, addr: 0, type: i16, unit: W, exp_from: {addr: 1, type: u16, add: -3}}
      - {name: d, fc: 3, addr: 107, type: t5, unit: V}
      - {name: e, fc: 3, parts: [{addr: 801}, {addr: 805}], type: f64, unit: Wh, kind: total, digit: 0}
      - {name: f, fc: 3, parts: [{addr: 0}, {addr: 2, sign: -1}], type: u32, unit: W, exp: -1}
      - {name: g, fc: 3, addr: 9, type: u16, unit: "", bits: [4, 3], optional: true}
      - {name: h, fc: 4, addr: 10, type: f32, unit: kW}
      - {name: i, fc: 4, addr: 12, type: u32, unit: kWh, kind: partial}
    identify:
      serial: {fc: 3, addr: 0x5000, type: text, words: 7}
      code: {fc: 4, addr: 11, type: u16, expect: {340: EM340}}
    writes:
      - {name: tariff, addr: 0x6900, words: 126, type: text, pad: "null", whole: true}
    variants:
      - {name: old, when: {firmware: "1."}, without: [g], limits: {max_registers: 11}}
      - {name: big, when: {code: [341]}, points: [{name: energy_import, exp: -2}]}
    """)
    assert said.point("e").summands[1].addr == 805
    assert said.point("h").si_unit == "W"
    assert said.point("h").si_exponent == 3
    assert said.variants[0].without == ("g",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &x 1\nb: *x\n", "m.yaml:1: anchors and aliases"),
        ("a: &x [*x]\n", "m.yaml:1: anchors and aliases"),
        ("\x1f", "m.yaml:1: no YAML: unacceptable character"),
        ("a: 2026-13-01\n", "m.yaml:1: '2026-13-01': month must be in 1..12"),
        ("[1]: 2\n", "m.yaml:1: expected a plain word or number"),
        ("a: !!python/object:os.system x\n", "m.yaml:1: no YAML"),
    ],
)
def test_yaml_that_is_not_wanted(text: str, says: str) -> None:
    with pytest.raises(RigError) as caught:
        model(base=text)
    assert str(caught.value).startswith(says)


@given(st.text(max_size=200))
def test_any_text_is_a_model_or_a_rig_error(text: str) -> None:
    with contextlib.suppress(RigError):
        parse_model(PlacedYaml(text, "m.yaml"))


@given(st.integers(0, len(BASE) - 1), st.characters(codec="utf-8"))
def test_any_changed_character_is_a_model_or_a_rig_error(place: int, char: str) -> None:
    with contextlib.suppress(RigError):
        parse_model(PlacedYaml(BASE[:place] + char + BASE[place + 1 :], "m.yaml"))
