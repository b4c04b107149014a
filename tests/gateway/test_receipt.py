"""Receipts as data: octets of strangers, files of older versions, and records that are not signed."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import journal_schema
from gateway.journal_entry import Entry, JournalError, Signed, Stream
from gateway.journal_store import JournalStore
from gateway.receipt import Receipt, ReceiptError, meter_signature, verify_receipt
from ocmf.container import join
from ocmf.payload import payload_hash, write_payload
from ocmf.terms import Tx
from ports.backend import SignedRecord
from tests.ocmf.conftest import make_payload, make_reading
from tests.v2g.session.pki import make_pki
from v2g.exi.codec import decode, encode
from v2g.exi.generated.iso2 import types as t
from v2g.signature_suites import P256, signer
from v2g.xmldsig import sign_message

PAYLOAD = b"{}"
ENTRY = Entry(1, Stream("g", "m"), "T", 1, "Transaction.Begin", "t1", "c1", "", 0.0, "", payload_hash(PAYLOAD), PAYLOAD)
RECEIPT = Receipt(1, bytes(range(8)), b"\x80\x9a", (b"leaf", b"sub-CA"), "boot", 12.5)


KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()


def good() -> Receipt:
    """A reading of 1234.567 kWh, signed by station and vehicle."""
    payload = write_payload(make_payload(make_reading(Tx.CHARGING, "1234.567")))
    der = KEY.sign(payload, ec.ECDSA(hashes.SHA256()))
    record = SignedRecord("", "g", "m", "T1", "t1", "Sample.Periodic", join(payload, der, "secp256r1"), PUBLIC)
    info = t.MeterInfoType(
        MeterID=json.loads(payload)["MS"],
        MeterReading=1_234_567,
        SigMeterReading=meter_signature(record.ocmf.rpartition("|")[2]),
    )
    body = t.MeteringReceiptReqType(Id="id1", SessionID=bytes(8), SAScheduleTupleID=1, MeterInfo=info)
    message = t.V2G_Message(Header=t.MessageHeaderType(SessionID=bytes(8)), Body=t.BodyType(BodyElement=body))
    sign_message(message, signer(make_pki().contract.key), P256)
    return Receipt(1, bytes(8), encode(message), (make_pki().contract.der,), record=record)


GOOD = good()


def test_a_good_one_is_proven_and_by_its_own_key_only() -> None:
    verify_receipt(GOOD)
    verify_receipt(GOOD, PUBLIC)
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(ReceiptError, match="record"):
        verify_receipt(GOOD, other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@settings(max_examples=60)
@given(st.binary(max_size=600), st.lists(st.binary(max_size=80), max_size=3).map(tuple))
def test_octets_of_strangers_are_an_error_with_a_name(exi: bytes, chain: tuple[bytes, ...]) -> None:
    with pytest.raises(ReceiptError):
        verify_receipt(replace(GOOD, exi=exi))
    with pytest.raises(ReceiptError):
        verify_receipt(replace(GOOD, certificates=chain))


@settings(max_examples=60)
@given(st.integers(0, len(GOOD.exi) - 1), st.integers(0, 7))
def test_no_bit_of_what_is_signed_can_be_changed(place: int, bit: int) -> None:
    octets = bytearray(GOOD.exi)
    octets[place] ^= 1 << bit
    try:
        verify_receipt(replace(GOOD, exi=bytes(octets)))
    except ReceiptError:
        return
    # what passes says the same: only the header and the filling bits at the end are signed by nobody
    changed: Any = decode("iso2", bytes(octets))
    original: Any = decode("iso2", GOOD.exi)
    assert changed.Body.BodyElement == original.Body.BodyElement


@settings(max_examples=25)
@given(st.text(max_size=60))
def test_records_of_strangers_are_an_error_with_a_name(text: str) -> None:
    assert GOOD.record is not None
    for ocmf in (text, f"OCMF|{text}|{{}}", f"OCMF|{{}}|{text}"):
        with pytest.raises(ReceiptError):
            verify_receipt(replace(GOOD, record=replace(GOOD.record, ocmf=ocmf)))


@settings(max_examples=50)
@given(st.integers(1, 2**256 - 1), st.integers(1, 2**256 - 1))
def test_the_signature_of_a_record_has_64_octets(r: int, s: int) -> None:
    section = join(PAYLOAD, encode_dss_signature(r, s), "secp256r1").rpartition("|")[2]
    assert meter_signature(section) == r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize("curve", ["secp256k1", "brainpoolP256r1", "secp384r1"])
def test_other_curves_have_no_place_in_sig_meter_reading(curve: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.sign(PAYLOAD, ec.ECDSA(hashes.SHA256()))
    assert meter_signature(join(PAYLOAD, der, curve).rpartition("|")[2]) is None


def test_receipts_are_kept_for_signed_records_only(tmp_path: Path) -> None:
    with JournalStore.open(tmp_path / "j.db") as store:
        for entries in ((), (ENTRY,)):
            store.write(entries)
            with pytest.raises(JournalError):
                store.keep_receipt(RECEIPT)
        store.write((), [Signed(1, "00", "{}")])
        store.keep_receipt(RECEIPT)
        store.keep_receipt(RECEIPT)  # a second one is no other's end
        (first, second) = store.receipts("t1")
        assert first == second
        assert (first.page, first.transaction_id, first.certificates) == ("T1", "t1", RECEIPT.certificates)
        assert (first.exi, first.session_id, first.boot_id, first.boottime) == (
            b"\x80\x9a",
            bytes(range(8)),
            "boot",
            12.5,
        )


def test_a_journal_of_the_first_version_is_read_as_it_is_and_gets_its_place_when_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    with monkeypatch.context() as patch:
        patch.setattr(journal_schema, "VERSION", 1)
        patch.setattr(journal_schema, "_RECEIPT", "")
        patch.setattr(journal_schema, "_TABLES", ("intent", "signature", "delivery"))
        with JournalStore.open(path) as store:
            store.write([ENTRY], [Signed(1, "00", "{}")])
    with JournalStore.open_read_only(path) as store:
        assert store.receipts() == []
        assert len(list(store.entries())) == 1
    with JournalStore.open(path) as store:
        assert [entry.page for entry in store.entries()] == ["T1"]
        store.keep_receipt(RECEIPT)
    with JournalStore.open_read_only(path) as store:
        assert len(store.receipts("t1")) == 1
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("DELETE FROM receipt")
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert json.loads(connection.execute("SELECT chain FROM receipt").fetchone()[0]) == ["6c656166", "7375622d4341"]
    connection.close()
