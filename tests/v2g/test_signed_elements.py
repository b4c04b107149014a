"""Which elements of which messages are signed."""

from __future__ import annotations

import pytest

from v2g.exi.codec import decode
from v2g.exi.schemas import SchemaSet, complex_grammar, schema
from v2g.signed_elements import SIGNED, body_of, elements_of, message_name, required_elements, schema_of

XSI_TYPE = bytes.fromhex("80980200000000000000001028600e20300089119a22a800")  # BodyElement with xsi:type
EMPTY_BODY = bytes.fromhex("8098020000000000000000" + "1230")


@pytest.mark.parametrize("name", list(SIGNED))
def test_every_signed_element_exists_and_has_an_id(name):
    roots = {root.name: root for root in schema(SchemaSet(name)).fragments}
    for message, elements in SIGNED[name].items():
        assert message in roots
        for element in elements:
            fields = {step.field for step in complex_grammar(roots[element].types[-1]).steps}
            assert "Id" in fields, element


def test_an_abstract_body_element_is_named_by_its_type():
    message = decode("iso2", XSI_TYPE)
    assert message_name(message) == "SessionSetupReq"
    assert schema_of(message) == "iso2"


def test_an_empty_body_holds_nothing():
    message = decode("iso2", EMPTY_BODY)
    assert body_of(message) is None
    assert message_name(message) == "V2G_Message with empty Body"
    assert list(elements_of(message)) == required_elements(message) == []


def test_the_name_of_a_message_is_that_of_its_element_not_of_its_type(v2g_rows):
    """The type of DIN's SessionStopReq is SessionStopType."""
    row = next(row for row in v2g_rows("tesla-3-din") if "'SessionStopReq'" in str(row.get("decoded")))
    assert message_name(decode("din", bytes.fromhex(row["hex"])[8:])) == "SessionStopReq"
