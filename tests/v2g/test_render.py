"""Messages for people."""

from __future__ import annotations

import pytest

from v2g.exi.codec import decode
from v2g.render import physical_value, plain, scalar, tree_lines


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"Multiplier": 0, "Unit": "V", "Value": 400}, "400 V"),
        ({"Multiplier": -1, "Unit": "A", "Value": 1234}, "123.4 A (1234 x 10^-1)"),
        ({"Multiplier": 3, "Unit": "W", "Value": -5}, "-5000 W (-5 x 10^3)"),
        ({"Exponent": 2, "Value": 15}, "1500 (15 x 10^2)"),
        ({"Multiplier": 0, "Value": 7}, "7"),
        ({"Value": 7}, ""),
        ({"Multiplier": 0, "Value": 7, "Other": 1}, ""),
        ({"Multiplier": 0, "Unit": "V", "Value": "12"}, ""),
    ],
)
def test_physical_values_are_shown_in_their_unit(value, text):
    assert physical_value(value) == text


def test_octets_are_hex_with_their_text_when_they_are_text():
    assert scalar("EVSEID", b"DE*P1") == '44452A5031 "DE*P1"'
    assert scalar("SessionID", b"\x01\x02\x03") == "010203"
    assert scalar("SessionID", b"") == "(empty)"
    assert scalar("x", bytes(65)) == "00" * 64 + "... (65 octets)"
    assert (scalar("x", True), scalar("x", 5), scalar("x", "a")) == ("true", "5", "a")


def test_certificates_are_shown_by_their_subject(opcp_data):
    der = (opcp_data / "items/opcp-ccp-req-hubjectopenpnc0001/oem_leaf.der").read_bytes()
    text = scalar("OEMProvisioningCert", der)
    assert text.startswith("CN=hubjectopenpnc0001, O=hubject.com")
    assert text.endswith("valid until 2023-09-06 (613 octets)")
    assert scalar("Certificate", b"no cert") == '6E6F2063657274 "no cert"'


def test_a_tree_has_one_line_per_field_and_substitutes_under_their_own_names():
    message = decode("iso2", bytes.fromhex("809802000000000000000011d018004488cd115400"))
    assert list(tree_lines(plain(message))) == [
        "  Header",
        "    SessionID 0000000000000000",
        "  Body",
        "    SessionSetupReq",
        "      EVCCID 001122334455",
    ]


def test_lists_are_numbered():
    lines = list(tree_lines({"a": [{"b": 1}, {"b": 2}], "c": []}, 0))
    assert lines == ["a[0]", "  b 1", "a[1]", "  b 2", "c (empty list)"]
