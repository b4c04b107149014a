"""Messages from XML."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.exi.codec import decode
from v2g.exi.schemas import SchemaSet
from v2g.exi.xml_form import to_xml
from v2g.message_xml import XmlError, from_xml

SAP = b"""<?xml version="1.0" encoding="UTF-8"?>
<a:supportedAppProtocolReq xmlns:a="urn:iso:15118:2:2010:AppProtocol">
  <AppProtocol><ProtocolNamespace>urn:din:70121:2012:MsgDef</ProtocolNamespace><VersionNumberMajor>2</VersionNumberMajor>
  <VersionNumberMinor>0</VersionNumberMinor><SchemaID>1</SchemaID><Priority>1</Priority></AppProtocol>
</a:supportedAppProtocolReq>"""
BODY = "urn:iso:15118:2:2013:MsgBody"
MESSAGE = (
    '<d:V2G_Message xmlns:d="urn:iso:15118:2:2013:MsgDef" xmlns:h="urn:iso:15118:2:2013:MsgHeader" xmlns:b="%s">'
    "<d:Header><h:SessionID>00</h:SessionID></d:Header><d:Body>%s</d:Body></d:V2G_Message>"
)
SERVICE = "<b:ServiceID>1</b:ServiceID>"


def message(body: str) -> bytes:
    return (MESSAGE % (BODY, body)).encode()


def test_a_document_becomes_a_message():
    read = from_xml(SAP, "sap")
    assert read.AppProtocol[0].ProtocolNamespace == "urn:din:70121:2012:MsgDef"
    assert read.AppProtocol[0].Priority == 1


def test_substitutes_and_values_of_every_kind():
    read = from_xml(message(f"<b:ServiceDetailReq>{SERVICE}</b:ServiceDetailReq>"), "iso2")
    assert read.Header.SessionID == b"\0"
    assert read.Body.BodyElement.ServiceID == 1
    read = from_xml(message("<b:PreChargeRes><b:ResponseCode> OK </b:ResponseCode></b:PreChargeRes>"), "iso2")
    assert read.Body.BodyElement.ResponseCode == "OK"
    assert read.Body.BodyElement.EVSEPresentVoltage is None


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"\xff", "not UTF-8"),
        (b"<a", "not well-formed"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "DOCTYPE is refused"),
        (b"<a/>", "{}a is no document element of iso2"),
        (SAP, "supportedAppProtocolReq is no document element of iso2"),
        (message("<b:Nonsense/>"), "V2G_Message/Body: element .*Nonsense is unknown"),
        (message("<b:ServiceDetailReq x='1'/>"), "ServiceDetailReq: attribute x is unknown"),
        (message("<b:ServiceDetailReq>text</b:ServiceDetailReq>"), "text 'text' where only elements"),
        (message("<b:ServiceDetailReq><b:ServiceID>x</b:ServiceID></b:ServiceDetailReq>"), "ServiceID: 'x' is no"),
        (
            message("<b:PreChargeRes><b:ResponseCode>NO</b:ResponseCode></b:PreChargeRes>"),
            "'NO' is no responseCodeType",
        ),
        (message(f"<b:ServiceDetailReq>{2 * SERVICE}</b:ServiceDetailReq>"), "ServiceID stands twice"),
    ],
)
def test_what_does_not_fit_is_named(octets, complaint):
    with pytest.raises(XmlError, match=complaint):
        from_xml(octets, "iso2")


@given(st.binary(max_size=60))
def test_any_octets_are_a_message_or_a_documented_error(octets):
    with contextlib.suppress(XmlError):
        from_xml(octets, "sap")


@pytest.mark.parametrize("name", ["audi-dc-iso2", "exificient-pairs"])
def test_messages_survive_the_way_through_xml(v2g_rows, name):
    seen: set[str] = set()
    for row in v2g_rows(name):
        if row["protocol"] not in ("iso2", "urn:iso:15118:2:2013:MsgDef") or "V2G_Message" not in row["decoded"]:
            continue
        octets = bytes.fromhex(row["hex"])
        decoded = decode("iso2", octets[8:] if octets[:2] == b"\x01\xfe" else octets)
        assert from_xml(to_xml(SchemaSet.ISO2, "V2G_Message", decoded).encode(), "iso2") == decoded
        seen |= row["decoded"]["V2G_Message"]["Body"].keys()
    assert len(seen) > 15
