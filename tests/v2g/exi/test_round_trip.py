"""Every type of every schema set: random values survive both codecs, octet for octet, and JSON."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.v2g.exi.fuzzing import INTERPRETED
from v2g.exi import codec
from v2g.exi.deviations import deviations
from v2g.exi.grammar import Complex
from v2g.exi.json_form import from_json, to_json
from v2g.exi.random_messages import RandomMessages
from v2g.exi.schemas import SchemaSet, grammar, schema

ALL = list(SchemaSet)


@cache
def elements(name: SchemaSet) -> dict[str, str]:
    """One element for every type that an element of a schema set can have: type -> element."""
    roots = schema(name).fragments
    names = [root.name for root in roots]
    found: dict[str, str] = {}
    source = RandomMessages(name, 0)
    for root in roots:
        if source.can_be_valid(root.types[-1]):
            element = root.name if names.count(root.name) == 1 else f"{{{root.uri}}}{root.name}"
            found.setdefault(root.types[-1], element)
    return found


def types() -> list[tuple[SchemaSet, str]]:
    """Every type once, with a schema set that has it."""
    found: dict[str, SchemaSet] = {}
    for name in ALL:
        for key in elements(name):
            found.setdefault(key, name)
    return [(name, key) for key, name in sorted(found.items())]


@pytest.mark.parametrize(("name", "key"), types())
@settings(max_examples=6, deadline=None, database=None)
@given(seed=st.integers(0, 2**32))
def test_every_type(name: SchemaSet, key: str, seed: int) -> None:
    """As a fragment: straight-line code and interpreter write the same octets and read the same value."""
    element = elements(name)[key]
    value = RandomMessages(name, seed, empty=True).value(key)
    octets = codec.encode_fragment(name, element, value)
    assert codec.encode_fragment(name, element, value, dialect=INTERPRETED) == octets
    assert codec.decode_fragment(name, octets, strict=True) == (element, value)
    assert codec.decode_fragment(name, octets, strict=True, dialect=INTERPRETED) == (element, value)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=60, deadline=None, database=None)
@given(seed=st.integers(0, 2**32))
def test_documents_and_json(name: SchemaSet, seed: int) -> None:
    element, message = RandomMessages(name, seed, empty=True).document()
    octets = codec.encode(message, schema=name, element=element)
    found = codec.decode(name, octets, strict=True)
    assert found == message
    assert not deviations(found)
    shown = to_json(found, element)
    again = from_json(name, shown)
    assert again == message
    assert codec.encode(again, schema=name, element=element) == octets


def test_every_type_is_reached() -> None:
    """The types of the two tests above are all types that a valid message can have."""
    for name in ALL:
        source = RandomMessages(name, 0)
        reachable = {key for key in elements(name) if isinstance(grammar(key), Complex)}
        assert set(source.reachable()) <= reachable | {"iso2.EMAIDType"}


def long_message(name: SchemaSet, key: str, seed: int) -> None:
    value = RandomMessages(name, seed).full(key)
    element = elements(name)[key]
    octets = codec.encode_fragment(name, element, value)
    assert len(octets) > 3000
    assert codec.encode_fragment(name, element, value, dialect=INTERPRETED) == octets
    assert codec.decode_fragment(name, octets) == (element, value)


LONG = ("iso2.PMaxScheduleType", "iso2.SalesTariffType", "iso2.ServiceParameterListType")


@pytest.mark.parametrize("key", LONG)
def test_long_messages(key: str) -> None:
    """Lists at maxOccurs and values of many kilobytes cross the window and the flushed octets everywhere."""
    long_message(SchemaSet.ISO2, key, 0)


@pytest.mark.fuzz
@pytest.mark.parametrize("key", LONG)
def test_many_long_messages(key: str) -> None:
    for seed in range(1, 20):
        long_message(SchemaSet.ISO2, key, seed)


@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 9000])
@pytest.mark.parametrize("text", ["a", "\u00e4", "\U0001f600"])
def test_long_values(size: int, text: str) -> None:
    """Through the straight-line code: octets and text around the size of the window."""
    value = text * size
    octets = codec.encode_fragment("xmldsig", "KeyName", value)
    assert codec.decode_fragment("xmldsig", octets) == ("KeyName", value)
    from v2g.exi.generated.xmldsig.types import SignatureValueType, TransformType

    signature = SignatureValueType(Id=value, value=bytes(size))
    octets = codec.encode_fragment("xmldsig", "SignatureValue", signature)
    assert codec.decode_fragment("xmldsig", octets) == ("SignatureValue", signature)
    transform = TransformType(Algorithm="x", XPath=[value, "y", value])
    octets = codec.encode_fragment("xmldsig", "Transform", transform)
    assert codec.encode_fragment("xmldsig", "Transform", transform, dialect=INTERPRETED) == octets
    assert codec.decode_fragment("xmldsig", octets) == ("Transform", transform)


@pytest.mark.parametrize("name", ALL)
def test_straight_line_code_serves_all_regular_messages(name: SchemaSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter must not be what makes a round trip succeed."""

    def forbidden(*arguments: object, **options: object) -> None:
        raise AssertionError(f"left to the interpreter: {arguments}")

    for place in ("reader.read_document", "writer.write_document"):
        monkeypatch.setattr(f"v2g.exi.{place}", forbidden)
    source = RandomMessages(name, 5, empty=True)
    for _ in range(150):
        element, message = source.document()
        if "PGPData" in repr(message):  # a name in two places: the interpreter's
            continue
        octets = codec.encode(message, schema=name, element=element)
        assert codec.decode(name, octets) == message
