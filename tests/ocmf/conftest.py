"""Signed records made on the spot: keys of `cryptography`, payloads of our writer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ocmf.container import join
from ocmf.keys import PublicKey, decode_public_key
from ocmf.payload import Payload, PayloadReading, User, write_payload
from ocmf.terms import IdType, Level, Tx
from ports.clock import TimeStatus

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ocmf"
ZONE = timezone(timedelta(hours=1))


@dataclasses.dataclass(frozen=True)
class TestKey:
    """A key pair in memory."""

    __test__ = False
    private: ec.EllipticCurvePrivateKey
    public: PublicKey

    def sign(self, payload: bytes) -> str:
        return join(payload, self.private.sign(payload, ec.ECDSA(hashes.SHA256())), self.public.curve)

    def sign_text(self, payload: str) -> str:
        """As it stands, also what `join` refuses."""
        signature = self.private.sign(payload.encode(), ec.ECDSA(hashes.SHA256())).hex().upper()
        return f'OCMF|{payload}|{{"SA":"{self.public.curve.algorithm}","SD":"{signature}"}}'


def make_key(curve: ec.EllipticCurve | None = None) -> TestKey:
    private = ec.generate_private_key(curve or ec.SECP256R1())
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return TestKey(private, decode_public_key(spki))


@pytest.fixture(scope="session")
def key() -> TestKey:
    return make_key()


@pytest.fixture(scope="session")
def other_key() -> TestKey:
    return make_key()


@pytest.fixture(scope="session")
def new_key() -> Callable[..., TestKey]:
    return make_key


def make_reading(tx: Tx | None, value: str, minute: int = 0, **changes: Any) -> PayloadReading:
    reading = PayloadReading(
        time=datetime(2026, 3, 1, 8, 0, tzinfo=ZONE) + timedelta(minutes=minute),
        time_status=TimeStatus.SYNCHRONISED,
        tx=tx,
        value=Decimal(value),
    )
    return dataclasses.replace(reading, **changes)


def make_payload(*readings: PayloadReading, **changes: Any) -> Payload:
    payload = Payload(
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
            flags=("RFID_PLAIN", "OCPP_RS_TLS"),
            id_type=IdType.ISO14443,
            id="1F2D3A4F5506C7",
        ),
        point_id="DE*ABC*E1234*1",
        readings=readings or (make_reading(Tx.BEGIN, "100.000"), make_reading(Tx.END, "129.500", 60)),
    )
    return dataclasses.replace(payload, **changes)


@pytest.fixture(scope="session")
def reading() -> Callable[..., PayloadReading]:
    return make_reading


@pytest.fixture(scope="session")
def payload() -> Callable[..., Payload]:
    return make_payload


@pytest.fixture(scope="session")
def record(key: TestKey) -> Callable[..., str]:
    def make(*readings: PayloadReading, **changes: Any) -> str:
        return key.sign(write_payload(make_payload(*readings, **changes)))

    return make


@pytest.fixture(scope="session")
def samples() -> Path:
    if not SAMPLES.is_dir():
        pytest.skip("public OCMF samples (../shared/data/ocmf) are not here")
    return SAMPLES
