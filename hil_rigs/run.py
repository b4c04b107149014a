"""A run: a rig comes up, its sessions happen, and what the backend then holds is checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from hil_rigs.bench import Bench, BootClock, open_bench
from hil_rigs.bill_check import CheckedBill, bills_delivered, check_bills
from hil_rigs.evidence.plant_sampler import sampled
from hil_rigs.real_clock import RealClock
from hil_rigs.reality import ResourceLine, describe
from hil_rigs.receipt_check import check_receipts
from hil_rigs.rig import VirtualClockSettings
from hil_rigs.rig_file import RigFile
from hil_rigs.run_check import check_pages, check_transaction
from hil_rigs.session_run import SessionResult, run_session
from hil_rigs.virtual_clock import run_virtual
from hil_rigs.witness import Witness
from meters.registers import last_digit
from ocmf.keys import PublicKey, decode_public_key
from ports.backend import SignedRecord
from ports.trace import Tracer

DELIVERY_S = 30.0  # for the last records to reach the backends


@dataclass(frozen=True, slots=True)
class CheckedSession:
    """A session with its verdict. plant_wh: exact energy of the plant; difference_wh: plant minus record."""

    connector: str
    vehicle: str
    transaction_id: str
    verdict: str
    kwh: Decimal | None
    pages: tuple[str, ...]
    plant_wh: Decimal
    difference_wh: Decimal | None
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run. verdict: "pass", "fail" or "inconclusive"; problems, and the findings of sessions, say why.

    bills: of embedded mobility operators. contracts_installed: also updated ones. receipts: that vehicles signed,
    verified offline.
    """

    rig: str
    verdict: str
    clock: str
    seed: int
    signer: str
    is_hsm: bool
    resources: list[ResourceLine]
    sessions: tuple[CheckedSession, ...]
    problems: tuple[str, ...]
    bills: tuple[CheckedBill, ...] = ()
    contracts_installed: int = 0
    receipts: int = 0


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """A result, and what it was judged by."""

    result: RunResult
    records: tuple[SignedRecord, ...]
    public_key: PublicKey


def run_rig(rig_file: RigFile, folder: Path, tracer: Tracer, say: Callable[[str], None]) -> RunOutcome:
    """Run all sessions of a rig file on its clock, and check. Raises RigError when the rig does not come up."""
    settings = rig_file.rig.clock
    zone = ZoneInfo(settings.zone) if settings.zone else None
    if isinstance(settings, VirtualClockSettings):
        return run_virtual(
            lambda clock: _run(rig_file, clock, folder, tracer, say),
            start=settings.start,
            seed=rig_file.rig.seed,
            zone=zone,
            drift_ppm=settings.drift_ppm,
        )
    return asyncio.run(_run(rig_file, RealClock(zone), folder, tracer, say))


async def _run(
    rig_file: RigFile, clock: BootClock, folder: Path, tracer: Tracer, say: Callable[[str], None]
) -> RunOutcome:
    witness = Witness(tracer)
    async with open_bench(rig_file, clock, folder, witness, say) as bench, sampled(bench, tracer):
        identity = await bench.signer.identity()
        say(f"signing with {identity.description}{'' if identity.is_hsm else ': NOT AN HSM'}")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run_session(bench, session)) for session in bench.rig.sessions]
        sessions = [task.result() for task in tasks]
        problems = [f"connector {one.connector}: {one.problem}" for one in sessions if one.problem]
        try:
            async with asyncio.timeout(DELIVERY_S):
                await asyncio.gather(*(asyncio.shield(pending.signed) for pending in bench.journal.unsigned()))
                await bench.forwarder.drained()
                await bills_delivered(bench)
        except TimeoutError:
            waiting = ", ".join(f"{name}: {count}" for name, count in bench.forwarder.waiting().items() if count)
            what = f"records that did not reach their backend: {waiting}" if waiting else "bills that were not taken"
            problems.append(f"after {DELIVERY_S:g} s there are {what}")
        records = await delivered(bench)
        key = decode_public_key(identity.public_key)
        problems += check_pages(records, key) if records else []
        checked = tuple(_check(bench, one, records, key) for one in sessions)
        bills = await check_bills(bench, [(one, own.kwh) for one, own in zip(sessions, checked, strict=True)], records)
        problems += [f"{bill.transaction_id}: {problem}" for bill in bills for problem in bill.problems]
        receipts, bad_receipts = await check_receipts(bench, sessions, key, folder)
        problems += [*bad_receipts, *witness.problems(bench.rig)]
        result = RunResult(
            rig=bench.rig.rig,
            verdict=_verdict(checked, problems),
            clock="virtual" if clock.is_virtual else "real",
            seed=bench.rig.seed,
            signer=identity.description,
            is_hsm=identity.is_hsm,
            resources=describe(bench.rig),
            sessions=checked,
            problems=tuple(problems),
            bills=bills,
            contracts_installed=witness.contracts.total(),
            receipts=receipts,
        )
    return RunOutcome(result, tuple(records), key)


async def delivered(bench: Bench) -> list[SignedRecord]:
    """What the embedded CPO holds, with the station's names of transactions; without one, what the journal released."""
    released = [entry.record() for entry in await bench.journal.entries() if entry.is_signed]
    for cpo in bench.backends.embedded:
        names = {record.record_id: record.transaction_id for record in released}
        held = await cpo.records()
        return [replace(one, transaction_id=names.get(one.record_id, one.transaction_id)) for one in held]
    return released


def _check(bench: Bench, session: SessionResult, records: list[SignedRecord], key: PublicKey) -> CheckedSession:
    own = [record for record in records if record.transaction_id == session.transaction_id]
    check = check_transaction(session.transaction_id, own, key)
    findings = list(check.findings)
    difference = None
    if check.kwh is not None:
        difference = session.plant_wh - check.kwh * 1000
        if (digit := _digit_wh(bench, session.connector)) is not None and abs(difference) >= digit:
            findings.append(f"the plant delivered {session.plant_wh} Wh, the record says {check.kwh} kWh")
    return CheckedSession(
        session.connector,
        session.vehicle,
        session.transaction_id,
        "invalid" if len(findings) > len(check.findings) else check.verdict,
        check.kwh,
        check.pages,
        session.plant_wh,
        difference,
        tuple(findings),
    )


def _digit_wh(bench: Bench, connector: str) -> Decimal | None:
    """The last digit of the meter's register in Wh; None for a real meter, which no simulated plant feeds."""
    name = next(one.meter for one in bench.rig.gateway.connectors if one.id == connector)
    meter = bench.metering.simulated.get(name)
    if meter is None:
        return None
    point = meter.model.billing_point
    return last_digit(point) * (1000 if point.unit == "kWh" else 1)


def _verdict(sessions: tuple[CheckedSession, ...], problems: list[str]) -> str:
    verdicts = {one.verdict for one in sessions}
    if "invalid" in verdicts or problems:
        return "fail"
    return "pass" if verdicts == {"valid"} else "inconclusive"
