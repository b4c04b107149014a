"""Scalars by the core schema of YAML 1.2, and errors with lines."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_rigs.yaml_nodes import ScalarNode, YamlError, compose, scalar_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # YAML 1.2.2, example 10.9 and table in 10.3.2
        ("null", None),
        ("~", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("0o7", 7),
        ("0x3A", 58),
        ("-19", -19),
        ("0.", 0.0),
        ("-0.0", -0.0),
        (".5", 0.5),
        ("+12e03", 12000.0),
        ("-2E+05", -200000.0),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        # what YAML 1.1 made of these
        ("no", "no"),
        ("on", "on"),
        ("012", 12),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("2026-03-29", "2026-03-29"),
        ("'12'", "12"),
        ('"true"', "true"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    node = compose(text)
    assert isinstance(node, ScalarNode)
    found = scalar_value(node)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number() -> None:
    node = compose(".nan")
    assert isinstance(node, ScalarNode)
    value = scalar_value(node)
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3),
        ("a: 1\n\tb: 2\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: *nobody\n", 1),
        ("a: \x01", 1),
    ],
)
def test_broken_yaml_has_a_line(text: str, line: int) -> None:
    with pytest.raises(YamlError) as caught:
        compose(text)
    assert caught.value.line == line


def test_foreign_tags_have_no_meaning() -> None:
    node = compose("!python/object:os.system x")
    assert isinstance(node, ScalarNode)
    with pytest.raises(YamlError, match="has no meaning"):
        scalar_value(node)


@given(st.text(max_size=60))
def test_any_text_is_a_tree_or_an_error_with_a_line(text: str) -> None:
    line = 1
    try:
        compose(text)
    except YamlError as error:
        line = error.line
    assert 1 <= line <= len(text.splitlines()) + 1
