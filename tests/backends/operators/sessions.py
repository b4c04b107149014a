"""Finished transactions as a CPO hands them on, for tests of mobility operators and hubs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ocmf.container import join
from ocmf.payload import Payload, PayloadReading, User, payload_hash, write_payload
from ocmf.terms import IdType, Level, Tx
from ports.charge_detail import ChargeDetail, Nature, SignedValue
from ports.clock import TimeStatus

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
NATURES = {Tx.BEGIN: Nature.START, Tx.CHARGING: Nature.INTERMEDIATE, Tx.END: Nature.END}


@dataclass
class Station:
    """One gateway with a meter, a key and a page counter."""

    gateway: str = "GW1"
    meter: str = "METER1"
    evse: str = "DE*PLB*E1*1"
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    page: int = 0
    previous: str = ""
    kwh: Decimal = Decimal("100.000")
    curve: str = "secp256r1"  # of `private`

    @property
    def public_key(self) -> str:
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex().upper()

    def record(
        self,
        tx: Tx,
        *,
        user: str = "DEPLBC00000001",
        id_type: IdType = IdType.EMAID,
        status: TimeStatus = TimeStatus.SYNCHRONISED,
    ) -> str:
        """The next signed record, at the value that `kwh` has now."""
        self.page += 1
        payload = write_payload(
            Payload(
                gateway_id="g",
                gateway_serial=self.gateway,
                gateway_version="1",
                page=f"T{self.page}",
                meter_vendor="v",
                meter_model="m",
                meter_serial=self.meter,
                user=User(assigned=True, level=Level.TRUSTED, flags=("ISO15118_PNC",), id_type=id_type, id=user),
                point_id=self.evse,
                readings=(
                    PayloadReading(
                        time=BEGAN + timedelta(minutes=self.page), time_status=status, tx=tx, value=self.kwh
                    ),
                ),
                previous_hash=self.previous,
            )
        )
        self.previous = payload_hash(payload)
        return join(payload, self.private.sign(payload, ec.ECDSA(hashes.SHA256())), self.curve)

    def charge(
        self,
        number: int = 1,
        *,
        kwh: str = "3.500",
        between: int = 1,
        user: str = "DEPLBC00000001",
        id_type: IdType = IdType.EMAID,
        status: TimeStatus = TimeStatus.SYNCHRONISED,
    ) -> ChargeDetail:
        """A whole transaction. between: records between begin and end."""
        step = Decimal(kwh) / (between + 1)
        first = self.page + 1
        began = self.kwh
        values = []
        for tx in (Tx.BEGIN, *[Tx.CHARGING] * between, Tx.END):
            if tx is Tx.END:
                self.kwh = began + Decimal(kwh)
            elif tx is Tx.CHARGING:
                self.kwh += step.quantize(Decimal("0.001"))
            values.append(SignedValue(NATURES[tx], self.record(tx, user=user, id_type=id_type, status=status)))
        return ChargeDetail(
            id=f"cdr-{number}",
            transaction_id=f"tx-{number}",
            station="CP1",
            evse_id=self.evse,
            connector=1,
            user_id=user,
            id_type=id_type.value,
            began=BEGAN + timedelta(minutes=first),
            ended=BEGAN + timedelta(minutes=self.page),
            energy_kwh=Decimal(kwh),
            time_is_billable=status is TimeStatus.SYNCHRONISED,
            meter=self.meter,
            public_key=self.public_key,
            values=tuple(values),
            stop_reason="EVDisconnected",
        )
