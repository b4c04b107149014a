"""Our records before foreign judges: pyocmf (PyPI, MIT) and ocmf-js (npm @road-labs/ocmf, MIT).

pyocmf 0.6.0 is `paul-ww/pyocmf`, a development dependency. ocmf-js 0.0.9 is `road-labs/ocmf-js` with its "noble"
backend, installed into .peers/ocmf-js by the fixture; without node and npm its tests are skipped by name.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyocmf import OCMF, OcmfContainer, SpecWarning, check_eichrecht_transaction

from ocmf.container import join
from ocmf.keys import PublicKey, decode_public_key
from ocmf.payload import LossCompensation, Payload, PayloadReading, User, write_payload
from ocmf.safe_xml import write_safe_xml
from ocmf.terms import IdType, Level, Tx
from ports.clock import TimeStatus


class Signer:
    """A key in memory that signs payloads."""

    def __init__(self, curve: ec.EllipticCurve) -> None:
        self.private = ec.generate_private_key(curve)
        self.public: PublicKey = decode_public_key(
            self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )

    def sign(self, payload: Payload) -> str:
        written = write_payload(payload)
        return join(written, self.private.sign(written, ec.ECDSA(hashes.SHA256())), self.public.curve)


def reading(tx: Tx | None, value: str, minute: int) -> PayloadReading:
    time = datetime(2026, 3, 1, 8, 0, tzinfo=UTC) + timedelta(minutes=minute)
    return PayloadReading(time=time, time_status=TimeStatus.SYNCHRONISED, tx=tx, value=Decimal(value))


BASE = Payload(
    gateway_id="Plugbench",
    gateway_serial="GW-1",
    gateway_version="0.1.0",
    page="T1",
    meter_vendor="Eastron",
    meter_model="SDM630",
    meter_serial="12345678",
    meter_firmware="1.0",
    user=User(
        assigned=True,
        level=Level.TRUSTED,
        flags=("RFID_PLAIN", "OCPP_NONE", "ISO15118_NONE", "PLMN_NONE"),
        id_type=IdType.ISO14443,
        id="1F2D3A4F5506C7",
    ),
    point_id="DE*ABC*E1234*1",
    previous_hash="",
    readings=(reading(Tx.BEGIN, "100.000", 0), reading(Tx.END, "129.500", 60)),
)
BEGIN = dataclasses.replace(BASE, page="T10", readings=BASE.readings[:1])
END = dataclasses.replace(BASE, page="T11", readings=BASE.readings[1:], previous_hash="ab" * 32)
PAYLOADS = {
    "begin and end": BASE,
    "begin": BEGIN,
    "end": END,
    "with intermediate": dataclasses.replace(
        BASE, readings=(BASE.readings[0], reading(Tx.CHARGING, "110.000", 30), BASE.readings[1])
    ),
    "tariff": dataclasses.replace(BASE, tariff_text="001;EUR;0;30;0;0 ä€"),
    "loss": dataclasses.replace(BASE, loss=LossCompensation(resistance=Decimal("3.5"), unit="mOhm", name="cable")),
    "firmware": dataclasses.replace(BASE, controller_firmware="1.2.3"),
    "fiscal": dataclasses.replace(BASE, page="F1", user=None, readings=(reading(None, "5.000", 0),)),
}
# as far as the judges go: pyocmf lacks the brainpool spelling of table 22, which ocmf-js reads
PYOCMF_CURVES = [ec.SECP192R1, ec.SECP256R1, ec.SECP256K1, ec.SECP384R1]
JS_CURVES = [*PYOCMF_CURVES, ec.BrainpoolP256R1, ec.BrainpoolP384R1]


@pytest.mark.parametrize("curve", PYOCMF_CURVES)
@pytest.mark.parametrize("name", PAYLOADS)
def test_pyocmf_accepts_our_records(curve: type[ec.EllipticCurve], name: str) -> None:
    signer = Signer(curve())
    text = signer.sign(PAYLOADS[name])
    if name == "fiscal":  # pyocmf asks for IS and IT here too; OCMF 1.4.1 (User Assignment) leaves them out
        with pytest.warns(SpecWarning, match=r"\(IS\)|\(IT\)"):
            parsed = OCMF.from_string(text)
    else:
        parsed = OCMF.from_string(text, strict=True)
    assert parsed.verify_signature(signer.public.hex())
    changed = text.replace("Eastron", "Westron")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpecWarning)
        assert not OCMF.from_string(changed).verify_signature(signer.public.hex())


def test_pyocmf_accepts_our_transaction_and_our_xml(tmp_path: Path) -> None:
    signer = Signer(ec.SECP256R1())
    texts = [signer.sign(BEGIN), signer.sign(END)]
    begin, end = (OCMF.from_string(text) for text in texts)
    result = check_eichrecht_transaction(begin.payload, end.payload)
    assert not [issue for issue in getattr(result, "issues", result) if "ERROR" in str(issue.severity).upper()]
    file = tmp_path / "transaction.xml"
    file.write_text(
        write_safe_xml([(1, "Transaction.Begin", texts[0]), (1, "Transaction.End", texts[1])], signer.public),
        encoding="utf-8",
    )
    container = OcmfContainer.from_xml(file)
    assert len(list(container)) == 2
    assert all(record.ocmf.verify_signature(signer.public.hex()) for record in container)


def test_ocmf_js_accepts_our_records(judge_js: Callable[[list[tuple[str, str]]], list[object]]) -> None:
    cases = [
        (signer.sign(payload), signer)
        for signer in map(Signer, (c() for c in JS_CURVES))
        for payload in PAYLOADS.values()
    ]
    assert judge_js([(text, signer.public.hex()) for text, signer in cases]) == [True] * len(cases)
    changed = [(text.replace("Eastron", "Westron"), signer.public.hex()) for text, signer in cases]
    assert judge_js(changed) == [False] * len(cases)
