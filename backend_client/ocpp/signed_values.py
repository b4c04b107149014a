"""A signed record as OCPP carries it: four keys, base64, and the limit that a version sets."""

from __future__ import annotations

import base64
from typing import Any

from ports.backend import SignedRecord
from ports.errors import PeerError

DATA_LIMIT = 2500  # characters of signedMeterData, OCPP 2.0.1 SignedMeterValueType: 1875 octets of OCMF
KEY_LIMIT = 2500


class SignedValueTooLongError(PeerError):
    """It does not fit: nobody may shorten it, and a strict CSMS refuses the whole message."""


def signed_data(ocmf: str) -> str:
    """signedMeterData."""
    return base64.b64encode(ocmf.encode()).decode()


def public_key(spki_hex: str) -> str:
    """publicKey: the key with its encoding in front (OCA note on signed meter values, publicKey)."""
    return base64.b64encode(f"oca:base16:asn1:{spki_hex}".encode()).decode()


def signed_value(ocmf: str, spki_hex: str) -> dict[str, Any]:
    """SignedMeterValueType; spki_hex "" leaves the key out. The algorithm stands in OCMF's SA."""
    return {
        "signedMeterData": signed_data(ocmf),
        "signingMethod": "",
        "encodingMethod": "OCMF",
        "publicKey": public_key(spki_hex) if spki_hex else "",
    }


def fits(ocmf: str) -> bool:
    """Whether 2.0.1 can carry it."""
    return 4 * -(-len(ocmf.encode()) // 3) <= DATA_LIMIT


def refuse_too_long(record: SignedRecord) -> None:
    """Raises SignedValueTooLongError when 2.0.1 cannot carry it."""
    if not fits(record.ocmf):
        raise SignedValueTooLongError(
            f"page {record.page}: the signed value has {len(signed_data(record.ocmf))} characters in base64, OCPP "
            f"2.0.1 allows {DATA_LIMIT} ({DATA_LIMIT * 3 // 4} octets of OCMF, not {len(record.ocmf.encode())}); "
            'shorten the record, use OCPP 1.6, or set too_long: "vendor" if the CSMS knows it'
        )


def chunks(ocmf: str) -> list[str]:
    """signedMeterData in pieces that fit."""
    data = signed_data(ocmf)
    return [data[at : at + DATA_LIMIT] for at in range(0, len(data), DATA_LIMIT)]
