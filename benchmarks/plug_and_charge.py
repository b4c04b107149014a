"""Plug & Charge: a contract installed and paid with; the same next to the PyPI pair; a hundred stations."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import session
from benchmarks.peers.tls_handshake import handshake
from benchmarks.report import Report
from hil_rigs.bench import open_bench
from hil_rigs.rig_file import RigFile, rig_of_text
from hil_rigs.session_run import run_session
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.trace import TraceEvent
from tests.compliance import iso15118_peer as peer

TITLE = "Plug & Charge: contract installation, contract payment, a hundred stations"
RIG = Path(__file__).parents[1] / "rigs" / "plug_and_charge.yaml"
ROUNDS = 5
REST_MS = 300.0
STATIONS, LOOPS = 100, 200

# What a session with installation cannot do without, each operation once: signer and verifier of every signature, every
# certificate of a chain that is met for the first time. TLS comes on top, as a handshake of its own.
SIGNATURES = {
    "CertificateInstallationReq": 1,
    "AuthorizationReq": 1,
    "begin record": 1,
}
VERIFICATIONS = {
    "CertificateInstallationReq at the pool": 1,
    "provisioning chain at the pool": 3,
    "CertificateInstallationRes at the vehicle": 1,
    "provisioning service's chain at the vehicle": 3,
    "AuthorizationReq at the station": 1,
    "contract chain at the station": 3,
    "contract chain at the CSMS": 3,
    "OCSP answer and its signer": 2,
    "begin record, before release and at the CSMS": 2,
}
AGREEMENTS = {"contract key at the vehicle": 2}  # the agreement, and the public key of what was opened


def run(report: Report) -> None:
    """Print the ratios and figures."""
    installation(report)
    rate = stations(report)
    if why := peer.why_not():
        report.progress(f"without the other pair: {why}")
        return
    with peer.Cable() as cable, tempfile.TemporaryDirectory() as folder:
        contract(report, cable, Path(folder), rate)


def installation(report: Report) -> None:
    """In virtual time the meter's line and prescribed waits cost nothing: what is left is what the machine works."""
    report.progress(f"{ROUNDS} installations, each next to its cryptography")
    measured = run_virtual(lambda clock: _sessions(_rig(), clock), start=datetime.fromisoformat("2026-06-01T08:00:00Z"))
    first, rest = measured[0], measured[1:]
    raw = statistics.median(_raw_ms() for _ in range(ROUNDS))
    ours = statistics.median(rest)
    report.ratio(
        "plug to first energy with installation / 1.5 x cryptography + 300 ms",
        ours,
        1.5 * raw + REST_MS,
        ceiling=1,
        detail=f"{ours:.0f} ms; cryptography {raw:.1f} ms; the first one of a process {first:.0f} ms",
    )


def stations(report: Report) -> float:
    """A hundred stations in one process, a vehicle at each, the loop without pauses; messages per second."""
    report.progress(f"{STATIONS} stations in one process")
    with session.Ours(None, "ac", STATIONS) as ours:
        result, _ = session.vehicles(None, ours, "ac", STATIONS, LOOPS, 0.0)
    failed = sum(outcome != "terminated" for outcome in (*result["outcomes"], *ours.outcomes))
    assert failed == 0, f"{failed} sessions failed"
    rate: float = len(result["turns"]) / result["seconds"]
    report.value(f"{STATIONS} stations: messages of the loop", rate, "1/s")
    return rate


def contract(report: Report, cable: peer.Cable, folder: Path, rate: float) -> None:
    """Payment by contract over TLS, the same certificates for both pairs, by turns."""
    ours: list[float] = []
    theirs: list[float] = []
    rates: list[float] = []
    for words in (["init", "x"], ["export", "x", "plain"], ["export", "x", "josev", "--layout", "josev"]):
        subprocess.run([sys.executable, "-m", "plugbench", "pki", *words], cwd=folder, check=True, capture_output=True)
    for number in range(session.ROUNDS):
        report.progress(f"contract over TLS, round {number + 1} of {session.ROUNDS}")
        with session.Ours(cable, "ac", 1, folder / "plain") as station:
            result, _ = session.vehicles(cable, station, "ac", 1, 5, 0.0, folder / "plain")
        assert result["outcomes"] == ["terminated"], result["outcomes"]
        ours.append(result["reached"][0])
        times, _ = session.their_session(cable, folder, "ac", folder / "josev")
        turns = times.get(session.LOOP["ac"], [])
        if turns:
            theirs.append(turns[0] - times["Sending SDPRequest"][0])
        if len(turns) > 2:
            rates.append((len(turns) - 1) / (turns[-1] - turns[0]))
    if not (theirs and rates):
        report.progress("the other pair did not reach the charging loop on this machine")
        return
    mine, other = statistics.median(ours), statistics.median(theirs)
    detail = f"{mine * 1e3:.0f} ms, {other * 1e3:.0f} ms"
    report.ratio("contract over TLS: SDP to the loop, theirs / ours", other, mine, floor=10, detail=detail)
    detail = f"{rate:.0f}/s, {statistics.median(rates):.1f}/s"
    report.ratio(
        f"{STATIONS} stations in one process / one pair of theirs",
        rate,
        statistics.median(rates),
        floor=20,
        detail=detail,
    )


def _rig() -> RigFile:
    """The rig of `make run` in virtual time, with a vehicle for each round: a contract is installed only once."""
    text = RIG.read_text(encoding="utf-8")
    text = text.replace("clock: {mode: real}", "clock: {mode: virtual, start: 2026-06-01T08:00:00Z}")
    line = next(one for one in text.splitlines() if one.startswith("  ev:"))
    cars = [
        line.replace("  ev:", f"  ev{n}:").replace(
            "contract: none", f'contract: none, emaid: "DEPLBC0000000{n}", pcid: "PLBPROVCERT00000{n}"'
        )
        for n in range(1, ROUNDS + 2)
    ]
    text = text.replace(line, "\n".join(cars))
    head, _, _ = text.partition("sessions:")
    lines = [
        f'  - {{connector: "1", vehicle: ev{n}, identification: "DEPLBC0000000{n}", '
        f"plug_at_s: {n * 600}, charge_for_s: 5}}"
        for n in range(1, ROUNDS + 2)
    ]
    return rig_of_text(RIG, head + "sessions:\n" + "\n".join(lines) + "\n")


async def _sessions(rig: RigFile, clock: VirtualClock) -> list[float]:
    """Milliseconds of this process from each plug to its first energy."""
    plugged, found = 0.0, list[float]()

    def trace(event: TraceEvent) -> None:
        nonlocal plugged
        if event.kind == "pilot.vehicle" and event.data.get("event") == "plug":
            plugged = time.perf_counter()
        elif event.kind == "power.flow" and event.data["watts"] and plugged:  # type: ignore[truthy-bool]
            found.append((time.perf_counter() - plugged) * 1e3)
            plugged = 0.0

    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(rig, clock, Path(folder), trace, lambda _text: None) as bench:
            for one in rig.rig.sessions:
                result = await run_session(bench, one)
                assert not result.problem, result.problem
    return found


def _raw_ms() -> float:
    """The operations themselves, and nothing around them."""
    key, other, octets = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()), b"x" * 1000
    algorithm = ec.ECDSA(hashes.SHA256())
    signature = key.sign(octets, algorithm)
    public = key.public_key()
    begin = time.perf_counter()
    for _ in range(sum(SIGNATURES.values())):
        key.sign(octets, algorithm)
    for _ in range(sum(VERIFICATIONS.values())):
        public.verify(signature, octets, algorithm)
    for _ in range(sum(AGREEMENTS.values())):
        key.exchange(ec.ECDH(), other.public_key())
    passed = time.perf_counter() - begin
    return (passed + handshake()) * 1e3
