"""How fast records are signed and kept, beside what the same token signs in a process that does nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from benchmarks.report import Report
from benchmarks.signing import INLINE, quiet, undisturbed
from gateway.journal import Draft, Journal, Place
from gateway.journal_entry import Stream
from gateway.plausibility import JudgedReading
from gateway.record import Source, build_payload
from gateway.record_time import Stamp
from hil_rigs.real_clock import RealClock
from hsm.pin import PinSource
from hsm.provision import Module
from hsm.softhsm import find_module, token_folder
from hsm.token_signer import TokenKey, TokenSigner
from ocmf.curves import CURVES
from ocmf.payload import User
from ocmf.terms import IdType, Level, Tx
from ports.clock import TimeStatus
from ports.meter import MeterIdentity, Reading

TITLE = "Records signed, verified and durable, 16 under way (SoftHSM, P-256, SQLite WAL with full synchronisation)"

UNDER_WAY = 16
ROUNDS = 31
# per round: both sides take about 80 ms, so that other load strikes them alike
GROUPS, SINGLES, SIGNATURES, WORKER = 32, 60, 1600, 400

READING = JudgedReading(
    Reading(
        "energy",
        Decimal("2935.600"),
        "kWh",
        "1-b:1.8.0",
        datetime(2026, 1, 1, tzinfo=UTC),
        TimeStatus.SYNCHRONISED,
        1.0,
    )
)
USER = User(assigned=True, level=Level.TRUSTED, flags=("RFID_PLAIN",), id_type=IdType.ISO14443, id="04A2B3C4")
STAMP = Stamp(READING.reading.time, READING.reading.time_status)


def run(report: Report) -> None:
    """Measure, or say that there is no SoftHSM."""
    path = find_module()
    if path is None:
        report.progress("skipped: SoftHSM (Debian package softhsm2) is not installed")
        return
    # not in /tmp, which may be memory: the disk's own synchronisation belongs to the figure
    with undisturbed(report), tempfile.TemporaryDirectory(dir="/var/tmp", prefix="plugbench-benchmark-") as name:
        folder = Path(name)
        environment = token_folder(folder)
        secret = folder / "pin"
        secret.write_text("648219", encoding="utf-8")
        secret.chmod(0o600)
        pin = PinSource(secret)
        module = Module(path, environment)
        report.progress("making a token")
        module.init_token("bench", pin)
        module.generate_key("bench", "billing", CURVES["secp256r1"], pin)
        key = TokenKey(module=path, token="bench", key="billing", pin=pin, environment=environment)
        with subprocess.Popen(
            [sys.executable, "-c", INLINE],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as inline:
            assert inline.stdin is not None
            assert inline.stdout is not None
            to_inline, from_inline = inline.stdin, inline.stdout

            def ask(line: object) -> None:
                to_inline.write(json.dumps(line) + "\n")
                to_inline.flush()

            def token_alone() -> float:
                ask(["pooled", SIGNATURES])
                return float(from_inline.readline())

            ask([str(path), "bench", "648219"])
            asyncio.run(_measure(report, folder, key, token_alone))
            to_inline.close()


async def _measure(report: Report, folder: Path, key: TokenKey, token_alone: Callable[[], float]) -> None:
    clock = RealClock()
    signer = TokenSigner(key, clock)
    journal = await Journal.open(folder / "journal.db", signer, clock)
    meters = [MeterIdentity("Maker", "Model", f"M{number}") for number in range(UNDER_WAY)]
    await _keep(journal, meters[0], 1)
    times: dict[str, list[float]] = {"token": [], "worker": [], "group": [], "single": []}
    report.progress(f"{ROUNDS} rounds")
    for _ in range(ROUNDS):
        times["token"].append(token_alone())
        begin = time.perf_counter()
        await asyncio.gather(*(_keep(journal, meter, GROUPS) for meter in meters))
        times["group"].append((time.perf_counter() - begin) / (GROUPS * UNDER_WAY))
        begin = time.perf_counter()
        await _keep(journal, meters[0], SINGLES)
        times["single"].append((time.perf_counter() - begin) / SINGLES)
        begin = time.perf_counter()
        for _ in range(WORKER):
            await signer.sign(bytes(800))
        times["worker"].append((time.perf_counter() - begin) / WORKER)
    await journal.close()
    await signer.close()
    rate = {name: 1 / quiet(values) for name, values in times.items()}
    median = {name: statistics.median(values) for name, values in times.items()}
    report.ratio("16 records under way / token alone, per second", rate["group"], rate["token"], floor=0.25)
    report.value("the same by medians (with what else runs here)", median["token"] / median["group"], "x")
    report.ratio("one record after the other / token alone, per second", rate["single"], rate["token"])
    report.ratio("16 records under way / the same signer without a journal", rate["group"], rate["worker"])
    for name, text in (("group", "records, 16 under way"), ("single", "records, one after the other")):
        report.value(text, rate[name], "1/s")
    report.value("signatures of the token alone", rate["token"], "1/s")


async def _keep(journal: Journal, meter: MeterIdentity, count: int) -> None:
    """So many records of one meter, one after the other, each released before the next."""
    source = Source(
        gateway_id="plugbench", gateway_serial="GW1", gateway_version="1", meter=meter, point_id="DE*PLG*E1"
    )

    def build(place: Place) -> bytes:
        return build_payload(source, USER, READING, Tx.CHARGING, STAMP, place)

    draft = Draft(stream=Stream("GW1", meter.serial), kind="Sample.Periodic", transaction_id="t", build=build)
    for _ in range(count):
        await (await journal.store(draft)).signed
