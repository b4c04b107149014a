"""SAFE XML: what we write comes back, hostile files are refused."""

import base64
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocmf import safe_xml
from ocmf.safe_xml import SafeXmlError, read_safe_xml, write_safe_xml
from ports.errors import LocalError


def test_written_files_have_the_form_of_the_public_readers(record, key):
    text = write_safe_xml([(1, "Transaction.Begin", record()), (1, "Transaction.End", record(page="T2"))], key.public)
    tree = ElementTree.fromstring(text)
    assert tree.tag == "values"
    assert [value.attrib for value in tree] == [
        {"transactionId": "1", "context": "Transaction.Begin"},
        {"transactionId": "1", "context": "Transaction.End"},
    ]
    data, public = tree[0]
    assert (data.tag, data.attrib) == ("signedData", {"format": "OCMF", "encoding": "plain"})
    assert (public.tag, public.attrib, public.text) == ("publicKey", {"encoding": "plain"}, key.public.hex())


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="|\ufffe\uffff"), max_size=20))
def test_records_come_back_unchanged(record, key, tariff):
    text = record(tariff_text=tariff)
    (value,) = read_safe_xml(write_safe_xml([(7, "", text)], key.public).encode())
    assert (value.data, value.public_key) == (text, key.public.hex())
    assert (value.transaction_id, value.context, value.format) == ("7", "", "OCMF")


@pytest.mark.parametrize("broken", [(-1, "", "OCMF|"), (1, "Begin", "OCMF|"), (1, "", "OCMF|\x00"), (1, "", " OCMF|")])
def test_what_verifiers_would_refuse_is_not_written(key, broken):
    with pytest.raises(LocalError):
        write_safe_xml([broken], key.public)


def wrapped(data, attributes=""):
    return f"<values><value><signedData {attributes}>{data}</signedData></value></values>".encode()


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("plain", str), ("hex", lambda t: t.encode().hex()), ("base64", lambda t: base64.b64encode(t.encode()).decode())],
)
def test_encodings(encoding, encode):
    (value,) = read_safe_xml(wrapped(encode("OCMF|{}|{}"), f'encoding="{encoding}"'))
    assert value.data == "OCMF|{}|{}"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'<!DOCTYPE v [<!ENTITY a "x">]><values/>', "document type"),
        (b'<!DOCTYPE v SYSTEM "file:///etc/passwd"><values/>', "document type"),
        (b'<!DOCTYPE v [<!ENTITY a SYSTEM "file:///etc/passwd">]><values>&a;</values>', "document type"),
        (b"<values>&undefined;</values>", "undefined entity"),
        (b"<values><value>", "line 1: not well-formed"),
        (b"", "not well-formed"),
        (b"\x00\x01", "not well-formed"),
        (b"<html/>", "<html> where <values>"),
        (b"<values/>", "no <value>"),
        (b"<values>\n<value/></values>", "line 2: a <value> without"),
        (b"<values>" + b"<a>" * 20, "too deeply"),
        (wrapped("zz", 'encoding="hex"'), "not hex"),
        (wrapped("*", 'encoding="base64"'), "not base64"),
        (wrapped("ff", 'encoding="hex"'), "not hex"),
        (wrapped("x", 'encoding="rot13"'), "'rot13' is not"),
        (b'<?xml version="1.0" encoding="martian"?><values/>', "encoding"),
    ],
)
def test_hostile_and_broken_files_are_refused_with_the_line(content, match):
    with pytest.raises(SafeXmlError, match=match):
        read_safe_xml(content)


def test_size_and_number_are_limited(monkeypatch):
    monkeypatch.setattr(safe_xml, "MAX_FILE", 1000)
    with pytest.raises(SafeXmlError, match="more than 1000"):
        read_safe_xml(b" " * 1001)
    monkeypatch.setattr(safe_xml, "MAX_VALUES", 2)
    value = b"<value><signedData>x</signedData></value>"
    assert len(read_safe_xml(b"<values>" + value * 2 + b"</values>")) == 2
    with pytest.raises(SafeXmlError, match="more than 2"):
        read_safe_xml(b"<values>" + value * 3 + b"</values>")


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_rubbish_is_refused(content):
    for text in (content, b"<values>" + content, b"<values><value>" + content + b"</value></values>"):
        with pytest.raises(SafeXmlError):
            read_safe_xml(text)
