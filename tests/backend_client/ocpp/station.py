"""A station as a link sees it, and its signed records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ocmf.container import join
from ocmf.payload import Payload, PayloadReading, User, payload_hash, write_payload
from ocmf.terms import TX_ENDS, IdType, Tx
from ports.backend import SignedRecord
from ports.clock import TimeStatus
from ports.station import Availability, ChargingState, ConnectorNews, RemoteAnswer, StationIdentity

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def connector(number: int, availability: Availability = Availability.AVAILABLE) -> ConnectorNews:
    return ConnectorNews(number, f"c{number}", f"DE*PLG*E{number}", availability, ChargingState.IDLE)


class FakeStation:
    """`ports.station.Station` with two connectors; says what it was asked."""

    def __init__(self) -> None:
        self.identity = StationIdentity("Plugbench", "Bench", "GW1", "1.2.3")
        self.now = {1: connector(1), 2: connector(2)}
        self.listeners: list[Callable[[ConnectorNews], None]] = []
        self.started: list[tuple[int | None, str, str, str]] = []
        self.stopped: list[str] = []
        self.reasons: list[str] = []
        self.answer = RemoteAnswer(True)

    def connectors(self) -> Sequence[ConnectorNews]:
        return tuple(self.now.values())

    def subscribe(self, listener: Callable[[ConnectorNews], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def tell(self, news: ConnectorNews) -> None:
        self.now[news.number] = news
        for listener in self.listeners:
            listener(news)

    async def request_start(self, number: int | None, id: str, id_type: str, flag: str) -> RemoteAnswer:  # noqa: A002
        self.started.append((number, id, id_type, flag))
        return self.answer

    async def request_stop(self, transaction_id: str, why: str = "") -> RemoteAnswer:
        self.reasons.append(why)
        self.stopped.append(transaction_id)
        return self.answer


@dataclass
class Maker:
    """Records of one meter, page after page; `transaction` is the one that is open."""

    connector: int = 1
    time: datetime = START
    user: User = field(
        default_factory=lambda: User(
            assigned=True, flags=("RFID_PLAIN", "OCPP_AUTH"), id_type=IdType.ISO14443, id="04A1B2C3D4E5F6"
        )
    )
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    page: int = 0
    transaction: str = ""
    serial: str = "M1"
    tariff: str | None = None

    def make(self, tx: Tx, kwh: str = "100.000", *, after_s: float = 60.0, context: str = "") -> SignedRecord:
        self.page += 1
        self.time += timedelta(seconds=after_s)
        if tx is Tx.BEGIN:
            self.transaction = f"GW1-{self.serial}-T{self.page}"
        payload = write_payload(
            Payload(
                gateway_id="g",
                gateway_serial="GW1",
                gateway_version="1",
                page=f"T{self.page}",
                meter_vendor="v",
                meter_model="m",
                meter_serial=self.serial,
                user=self.user,
                point_id=f"DE*PLG*E{self.connector}",
                tariff_text=self.tariff,
                readings=(
                    PayloadReading(
                        time=self.time,
                        time_status=TimeStatus.SYNCHRONISED,
                        tx=tx,
                        value=Decimal(kwh),
                    ),
                ),
            )
        )
        default = {Tx.BEGIN: "Transaction.Begin"} | dict.fromkeys(TX_ENDS, "Transaction.End")
        return SignedRecord(
            record_id=payload_hash(payload),
            gateway="GW1",
            meter=self.serial,
            page=f"T{self.page}",
            transaction_id=self.transaction,
            context=context or default.get(tx, "Sample.Periodic"),
            ocmf=join(payload, self.private.sign(payload, ec.ECDSA(hashes.SHA256())), "secp256r1"),
            public_key=self.public_key,
        )

    @property
    def public_key(self) -> str:
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex().upper()

    def session(self) -> list[SignedRecord]:
        return [self.make(Tx.BEGIN, "100.000"), self.make(Tx.CHARGING, "101.2500"), self.make(Tx.END, "103.500")]
