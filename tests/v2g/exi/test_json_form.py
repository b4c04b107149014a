"""JSON: stable names, and errors that name the place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from v2g.exi import codec
from v2g.exi.errors import EncodeError
from v2g.exi.generated.iso20_acdp import types as acdp
from v2g.exi.generated.iso20_common_types import types as common_types
from v2g.exi.json_form import from_json, to_json

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
