"""JSON: stable names, and errors that name the place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g.exi import codec
from v2g.exi.errors import EncodeError
from v2g.exi.generated.iso20_acdp import types as acdp
from v2g.exi.generated.iso20_common_types import types as common_types
from v2g.exi.json_form import from_json, to_json
from v2g.exi.random_messages import RandomMessages
from v2g.exi.schemas import SchemaSet

DOCUMENT: dict[str, Any] = {
    "V2G_Message": {
        "Header": {"SessionID": "0A1B"},
        "Body": {"AuthorizationReq": {"Id": "id1", "GenChallenge": "AAECAwQFBgcICQoLDA0ODw=="}},
    }
}


def test_names_and_forms() -> None:
    message = from_json("iso2", DOCUMENT)
    assert to_json(message) == DOCUMENT
    assert to_json(codec.decode("iso2", codec.encode(message))) == DOCUMENT
    assert json.loads(json.dumps(to_json(message))) == DOCUMENT


def changed(path: str, value: Any) -> dict[str, Any]:
    document = json.loads(json.dumps(DOCUMENT))
    at = document
    *parents, last = path.split("/")
    for name in parents:
        at = at[name]
    at[last] = value
    return dict(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (changed("V2G_Message/Header/SessionID", "XY"), "V2G_Message/Header/SessionID: 'XY' is no hex"),
        (changed("V2G_Message/Header/SessionID", 5), "wants str, got 5"),
        (changed("V2G_Message/Header/Nothing", 5), "V2G_Message/Header: MessageHeaderType has no 'Nothing'"),
        (changed("V2G_Message/Body/AuthorizationReq/GenChallenge", "%"), "is no base64"),
        (changed("V2G_Message/Body", []), "V2G_Message/Body: an object wanted"),
        ({"Nothing": {}}, "no message 'Nothing'"),
        ({}, "one root element wanted"),
    ],
)
def test_errors(document: dict[str, Any], message: str) -> None:
    with pytest.raises(EncodeError, match=message):
        from_json("iso2", document)


def test_lists_and_numbers() -> None:
    with pytest.raises(EncodeError, match=r"Service\[0\]/ServiceID: .* wants int, got True"):
        from_json("iso2", {"ServiceList": {"Service": [{"ServiceID": True}]}}, fragment=True)
    with pytest.raises(EncodeError, match="Service: a list wanted"):
        from_json("iso2", {"ServiceList": {"Service": {}}}, fragment=True)


def test_elements_that_share_a_class() -> None:
    header = common_types.MessageHeaderType(SessionID=bytes(8), TimeStamp=1)
    request = acdp.ACDP_ConnectReqType(Header=header, EVElectricalChargingDeviceStatus="State_B")
    octets = codec.encode(request, element="ACDP_DisconnectReq")
    shown = to_json(codec.decode("iso20_acdp", octets))
    assert list(shown) == ["ACDP_DisconnectReq"]
    assert codec.encode(from_json("iso20_acdp", shown)) == octets


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner), max_leaves=5
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all nodes of a JSON value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        found += places(inner, (*path, name))
    return found


@pytest.mark.parametrize("name", list(SchemaSet))
@settings(max_examples=40, deadline=None, database=None)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_any_json_gives_a_message_or_a_documented_error(name: SchemaSet, data: st.DataObject, seed: int) -> None:
    """A valid message with one node changed to something else."""
    element, message = RandomMessages(name, seed).document()
    document = to_json(message, element)
    path = data.draw(st.sampled_from(places(document)))
    value = data.draw(JSON)
    if path:
        *parents, last = path
        at: Any = document
        for part in parents:
            at = at[part]
        at[last] = value
    else:
        document = value if isinstance(value, dict) else {"x": value}
    for check in (True, False):
        try:
            octets = codec.encode(from_json(name, document), schema=name, check=check)
        except EncodeError:
            continue
        codec.decode(name, octets)
