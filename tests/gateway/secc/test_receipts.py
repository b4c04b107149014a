"""Readings that a vehicle signs: the meter's own, in a signed record, kept and provable without anybody's help."""

from __future__ import annotations

import base64
import sqlite3
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.journal_entry import JournalFullError
from gateway.journal_store import JournalStore
from gateway.policy import OnTrouble, Policy
from gateway.receipt import Receipt, ReceiptError, verify_receipt
from ocmf.container import parse
from ocmf.keys import PublicKey, decode_public_key
from ocmf.verify import verify_signature
from ports.errors import PeerError
from tests.gateway.backend_doubles import Words
from tests.gateway.secc.bench import Bench, find, on_bench
from tests.gateway.secc.test_contract import NOW, plug_and_wait
from tests.gateway.secc.test_contract_backends import fault, settings
from tests.v2g.session.pki import make_pki
from v2g.exi.codec import decode, encode

EVERY_FIFTH = Policy(sample_s=600.0, receipt_messages=5)


def shown(bench: Bench, name: str = "ChargingStatusRes") -> list[tuple[dict[str, Any], bool]]:
    """(MeterInfo, ReceiptRequired) of the station's answers."""
    answers = [e.data["decoded"] for e in bench.told("v2g.tx") if e.data["message"] == name]
    return [(find(one, "MeterInfo"), bool(find(one, "ReceiptRequired"))) for one in answers]


async def kept(bench: Bench) -> list[Receipt]:
    return await bench.controller.receipts(bench.backend.records[0].transaction_id)


def test_every_fifth_reading_is_signed_by_the_vehicle_and_proven_offline(tmp_path: Path) -> None:
    async def main(bench: Bench) -> list[Receipt]:
        await plug_and_wait(bench)
        assert bench.outcomes() == ["terminated"]
        infos = shown(bench)
        asked = [number for number, (_, required) in enumerate(infos, 1) if required]
        assert asked == list(range(5, len(infos) + 1, 5))
        assert set(bench.codes("MeteringReceiptRes")) == {"OK"}
        receipts = await kept(bench)
        assert len(receipts) == len(asked) == len(bench.told("secc.receipt"))
        readings = [info["MeterReading"] for info, _ in infos]
        assert readings == sorted(readings)
        by_page = {record.page: parse(record.ocmf) for record in bench.backend.records}
        for number, receipt in zip(asked, receipts, strict=True):
            info, record = infos[number - 1][0], by_page[receipt.page]
            (reading,) = record.readings
            assert reading.value is not None
            assert reading.time is not None
            assert info["MeterReading"] == reading.value * 1000
            assert (info["MeterID"], info["MeterStatus"]) == ("METER1", 0)
            assert info["TMeter"] == int(reading.time.timestamp())
            raw = base64.b64decode(info["SigMeterReading"])
            assert len(raw) == 64
            der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            verify_signature(record.payload, der, bench_key(bench))
            assert receipt.certificates == make_pki().credentials().certificates
            verify_receipt(receipt, None, make_pki().mo_roots, NOW)
        # what is read from the file afterwards says the same
        with JournalStore.open_read_only(bench.folder / "journal.db") as store:
            assert store.receipts(receipts[0].transaction_id) == receipts
            assert store.receipts() == receipts
            assert store.receipts("another") == []
        return receipts

    assert len(on_bench(main, **settings(tmp_path, Words(), policy=EVERY_FIFTH))) >= 3


def bench_key(bench: Bench) -> PublicKey:
    return decode_public_key(bytes.fromhex(bench.backend.records[0].public_key))


@pytest.mark.parametrize(("policy", "gap"), [({"receipt_messages": 1}, 1), ({"receipt_s": 7.0}, None)])
def test_receipts_by_messages_and_by_seconds(tmp_path: Path, policy: dict[str, Any], gap: int | None) -> None:
    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        asked = [number for number, (_, required) in enumerate(shown(bench), 1) if required]
        assert len(await kept(bench)) == len(asked) >= 3
        if gap is not None:
            assert asked == list(range(2, len(shown(bench)) + 1))  # the first has nothing to wait for yet
        else:
            times = [e.at for e in bench.told("secc.receipt")]
            assert all(7.0 <= later - earlier <= 9.0 for earlier, later in pairwise(times))

    on_bench(main, **settings(tmp_path, Words(), policy=Policy(sample_s=600.0, **policy)))


def test_receipts_of_a_dc_session(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.outcomes() == ["terminated"]
        receipts = await kept(bench)
        assert len(receipts) >= 2
        for receipt in receipts:
            verify_receipt(receipt)
        readings = [info["MeterReading"] for info, _ in shown(bench, "CurrentDemandRes") if info]
        assert readings == sorted(readings)

    found = settings(tmp_path, Words(), policy=Policy(sample_s=600.0, receipt_s=5.0), dc=True)
    found["evcc"] |= {"dc": True}
    on_bench(main, **found)


def test_nobody_signs_who_pays_at_the_station() -> None:
    async def main(bench: Bench) -> None:
        await bench.session()
        assert not any(required for _, required in shown(bench))
        assert await kept(bench) == []

    on_bench(main, policy=EVERY_FIFTH)


def test_a_tampered_reading_is_refused_and_not_kept(tmp_path: Path) -> None:
    words = Words()
    tampered = fault(
        fault="replace field",
        message="MeteringReceiptReq",
        field="Body.BodyElement.MeterInfo.MeterReading",
        value=1_000_000_000,
    )
    found = settings(tmp_path, words, policy=EVERY_FIFTH)
    found["evcc"] |= tampered

    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        await plug_and_wait(bench)
        assert bench.codes("MeteringReceiptRes") == ["FAILED_MeteringSignatureNotValid"]
        assert await kept(bench) == []
        assert not bench.told("secc.receipt")
        assert [row[2] for row in await bench.records()][-1] == "A"
        bench.verified_kwh()
        bench.evcc.setup = replace(bench.evcc.setup, hook=lambda: lambda point, unit: [unit])
        bench.evcc.try_again()
        await bench.charging()

    on_bench(main, **found)


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.SECP384R1()], ids=lambda curve: curve.name)
def test_a_signature_that_has_no_place_is_left_out(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        receipts = await kept(bench)
        assert receipts
        assert all("SigMeterReading" not in info or info["SigMeterReading"] is None for info, _ in shown(bench))
        verify_receipt(receipts[0])

    on_bench(main, signer_curve=curve, **settings(tmp_path, Words(), policy=EVERY_FIFTH))


def test_no_receipt_is_asked_for_while_the_token_is_away(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await bench.plug()
        await bench.charging()
        bench.signer.away = True
        await bench.clock.sleep(20)
        before = len(bench.told("secc.receipt"))
        await bench.clock.sleep(10)
        assert len(bench.told("secc.receipt")) == before
        bench.signer.away = False
        await bench.clock.sleep(10)
        assert len(bench.told("secc.receipt")) > before
        readings = [info["MeterReading"] for info, _ in shown(bench)]
        assert readings == sorted(readings)

    on_bench(main, **settings(tmp_path, Words(), policy=replace(EVERY_FIFTH, token_s=300.0)))


def test_a_receipt_is_confirmed_when_it_is_kept_and_not_before(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        keep, slow = bench.journal.keep_receipt, 0.4

        async def slowly(receipt: Receipt) -> None:
            await bench.clock.sleep(slow)
            await keep(receipt)

        bench.journal.keep_receipt = slowly  # type: ignore[method-assign]
        await bench.plug()
        await bench.charging()
        await bench.clock.sleep(8)
        stored = bench.told("secc.receipt")[0].at
        asked = next(e.at for e in bench.told("v2g.rx") if e.data["message"] == "MeteringReceiptReq")
        answered = next(e.at for e in bench.told("v2g.tx") if e.data["message"] == "MeteringReceiptRes")
        assert stored - asked == pytest.approx(slow, abs=0.01)
        assert answered >= stored

    on_bench(main, **settings(tmp_path, Words(), policy=EVERY_FIFTH))


def test_a_full_disk_confirms_no_receipt_and_the_next_session_works(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        keep = bench.journal.keep_receipt

        async def full(receipt: Receipt) -> None:
            raise JournalFullError("no room")

        bench.journal.keep_receipt = full  # type: ignore[method-assign]
        await plug_and_wait(bench)
        assert bench.codes("MeteringReceiptRes") == ["FAILED"]
        assert await kept(bench) == []
        assert [row[2] for row in await bench.records()][-1] == "A"
        bench.journal.keep_receipt = keep  # type: ignore[method-assign]
        bench.evcc.try_again()
        await bench.charging()
        await bench.clock.sleep(20)
        assert set(bench.codes("MeteringReceiptRes")[1:]) == {"OK"}

    on_bench(main, **settings(tmp_path, Words(), policy=EVERY_FIFTH))


def forged(receipt: Receipt, **fields: Any) -> Receipt:
    """With another MeterInfo, signed by nobody."""
    message: Any = decode("iso2", receipt.exi)
    for name, value in fields.items():
        setattr(message.Body.BodyElement.MeterInfo, name, value)
    return replace(receipt, exi=encode(message))


def test_a_receipt_that_was_touched_proves_nothing(tmp_path: Path) -> None:
    async def main(bench: Bench) -> list[Receipt]:
        await plug_and_wait(bench)
        return await kept(bench)

    first, second, *_ = on_bench(main, **settings(tmp_path, Words(), policy=EVERY_FIFTH))
    assert first.record is not None
    payload, signature = first.record.ocmf.split("|")[1:]
    pki = make_pki()
    bad = {
        "signature value does not": replace(first, certificates=(pki.new_contract.der,)),
        "digest": forged(first, MeterReading=5),
        "MeterReading": replace(first, record=second.record),
        "no MeteringReceiptReq": replace(first, exi=b"\x80\x00"),
        "SessionID": replace(first, session_id=bytes(8)),
        "record": replace(
            first, record=replace(first.record, ocmf=f"OCMF|{payload.replace('METER1', 'METER2')}|{signature}")
        ),
        "not joined": replace(first, record=None),
    }
    verify_receipt(first)
    for text, receipt in bad.items():
        with pytest.raises(ReceiptError, match=text if text != "no MeteringReceiptReq" else "receipt for page"):
            verify_receipt(receipt)
    with pytest.raises(ReceiptError, match="no path to a trusted root"):
        verify_receipt(first, None, [pki.v2g_root.certificate], NOW)


def test_the_meters_state_is_shown(tmp_path: Path) -> None:
    """MeterStatus: 0, or the letter of what is wrong; the reading stands meanwhile."""

    async def main(bench: Bench) -> None:
        await bench.plug()
        await bench.charging()
        await bench.clock.sleep(5)
        meter: Any = bench.setup.meter
        usual = meter.read_energy

        async def broken() -> Any:
            raise PeerError("no answer")

        meter.read_energy = broken
        await bench.clock.sleep(15)
        meter.read_energy = usual
        await bench.clock.sleep(15)
        statuses = [info["MeterStatus"] for info, _ in shown(bench)]
        assert set(statuses) == {0, ord("T")}
        assert statuses[-1] == 0
        reading = Decimal(shown(bench)[-1][0]["MeterReading"])
        assert 0 <= 1_000_000 + bench.point.electrical().energy_import_wh - reading < 10

    on_bench(main, **settings(tmp_path, Words(), policy=Policy(meter_lost=OnTrouble.CONTINUE)))


def test_a_receipt_never_changes_and_never_goes(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert await kept(bench)
        connection = sqlite3.connect(bench.folder / "journal.db")
        for statement in (
            "UPDATE receipt SET exi = x'00'",
            "DELETE FROM receipt",
            "INSERT OR REPLACE INTO receipt SELECT * FROM receipt",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
        connection.close()

    on_bench(main, **settings(tmp_path, Words(), policy=EVERY_FIFTH))
