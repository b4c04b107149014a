"""Signed records as a gateway makes them, for tests of backends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ocmf.container import join
from ocmf.payload import Payload, PayloadReading, User, payload_hash, write_payload
from ocmf.terms import Tx
from ports.backend import SignedRecord
from ports.clock import TimeStatus

CONTEXT = {Tx.BEGIN: "Transaction.Begin", Tx.CHARGING: "Sample.Periodic", Tx.END: "Transaction.End"}


@dataclass
class RecordMaker:
    """One gateway with one meter and one key."""

    gateway: str = "GW1"
    meter: str = "METER1"
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    page: int = 0
    previous: str = ""

    @property
    def public_key(self) -> str:
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex().upper()

    def make(
        self, tx: Tx = Tx.BEGIN, kwh: str = "100.000", transaction: str = "t1", page: int | None = None
    ) -> SignedRecord:
        if page is None:
            self.page = page = self.page + 1
        payload = write_payload(
            Payload(
                gateway_id="g",
                gateway_serial=self.gateway,
                gateway_version="1",
                page=f"T{page}",
                meter_vendor="v",
                meter_model="m",
                meter_serial=self.meter,
                user=User(assigned=True),
                point_id="DE*PLG*E1",
                readings=(
                    PayloadReading(
                        time=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=page),
                        time_status=TimeStatus.SYNCHRONISED,
                        tx=tx,
                        value=Decimal(kwh),
                    ),
                ),
                previous_hash=self.previous,
            )
        )
        self.previous = payload_hash(payload)
        return SignedRecord(
            record_id=self.previous,
            gateway=self.gateway,
            meter=self.meter,
            page=f"T{page}",
            transaction_id=transaction,
            context=CONTEXT[tx],
            ocmf=self.sign(payload),
            public_key=self.public_key,
        )

    def sign(self, payload: bytes) -> str:
        return join(payload, self.private.sign(payload, ec.ECDSA(hashes.SHA256())), "secp256r1")

    def session(self, transaction: str = "t1") -> list[SignedRecord]:
        return [
            self.make(Tx.BEGIN, "100.000", transaction),
            self.make(Tx.CHARGING, "101.250", transaction),
            self.make(Tx.END, "103.500", transaction),
        ]
