"""Metering receipts: readings that a vehicle has signed with its contract's key, and their proof without any network.

A receipt binds three signatures: the vehicle's over the reading, the station's over the record that holds this
reading, and the issuers' over the contract certificate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ocmf.curves import curve_of_spelling
from ocmf.der import decode_signature
from ocmf.verify import verify_record
from ports.backend import SignedRecord
from ports.errors import PeerError
from v2g.certificate_profiles import Role
from v2g.certificates import check_chain, load, public_key
from v2g.exi.codec import decode
from v2g.session.contract import FIELD
from v2g.signature_suites import ISO2_SUITES
from v2g.xmldsig import verify_message

SIGNATURE_OCTETS = 64  # ISO 15118-2, sigMeterReadingType
METER_ID_LIMIT = 32  # meterIDType
_WH = {"kWh": 1000, "Wh": 1}


class ReceiptError(PeerError):
    """A receipt that proves nothing: says what does not fit; its octets are in `received`."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a vehicle signed.

    seq: of the record in the journal. record: it. session_id: of the V2G session.
    exi: MeteringReceiptReq, octet by octet. certificates: DER, the contract's first.
    boot_id, boottime: when it came.
    """

    seq: int
    session_id: bytes
    exi: bytes = field(repr=False)
    certificates: tuple[bytes, ...] = field(repr=False)
    boot_id: str = ""
    boottime: float = 0.0
    record: SignedRecord | None = None

    @property
    def transaction_id(self) -> str:
        """Of its record; "" while it is not joined with one."""
        return self.record.transaction_id if self.record is not None else ""

    @property
    def page(self) -> str:
        """PG of its record."""
        return self.record.page if self.record is not None else ""


def meter_signature(section: str) -> bytes | None:
    """The signature of a record as SigMeterReading holds it: r and s with 32 octets each; None for other curves."""
    fields: dict[str, Any] = json.loads(section)
    curve = curve_of_spelling(str(fields.get("SA", "")).removeprefix("ECDSA-").removesuffix("-SHA256"))
    numbers = decode_signature(bytes.fromhex(fields["SD"]))
    if curve is None or curve.name != "secp256r1" or numbers is None:
        return None
    return b"".join(number.to_bytes(SIGNATURE_OCTETS // 2, "big") for number in numbers)


def verify_receipt(
    receipt: Receipt,
    public_key_of_meter: str | bytes | None = None,
    roots: Iterable[Any] | None = None,
    at: datetime | None = None,
) -> None:
    """Verify a receipt offline. Raises ReceiptError.

    public_key_of_meter: the station's signing key as it is known for itself; None takes the one kept with the record.
    roots, at: also judge the contract's chain, as it was at a moment with time zone.
    """
    record = receipt.record
    if record is None:
        raise ReceiptError("the receipt is not joined with its record", receipt.exi)
    try:
        _verify(receipt, record, public_key_of_meter or record.public_key, roots, at)
    except PeerError as error:
        raise ReceiptError(f"receipt for page {record.page}: {error}", receipt.exi) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # something else, or less, than was expected
        raise ReceiptError(f"receipt for page {record.page} cannot be read: {error!r}", receipt.exi) from error


def _verify(
    receipt: Receipt, record: SignedRecord, key: str | bytes, roots: Iterable[Any] | None, at: datetime | None
) -> None:
    message: Any = decode("iso2", receipt.exi)
    body = message.Body.BodyElement
    leaf, *others = [load(one) for one in receipt.certificates]
    verify_message(message, public_key(leaf), ISO2_SUITES)  # type: ignore[arg-type]
    if roots is not None and at is not None:
        check_chain(leaf, others, roots, role=Role.CONTRACT, profile=FIELD, at=at)
    signed = verify_record(record.ocmf, key).record
    (reading,) = signed.readings
    wh = None if reading.value is None else int(reading.value * _WH[reading.unit])
    expected = {
        "SessionID": (body.SessionID, receipt.session_id),
        "MeterID": (body.MeterInfo.MeterID, signed.string("MS")[:METER_ID_LIMIT]),
        "MeterReading": (body.MeterInfo.MeterReading, wh),
        "SigMeterReading": (body.MeterInfo.SigMeterReading, meter_signature(record.ocmf.rpartition("|")[2])),
    }
    for name, (found, wanted) in expected.items():
        if found != wanted:
            raise ReceiptError(f"{name} is {found!r}, the record has {wanted!r}")
