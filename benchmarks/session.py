"""Charging sessions against the PyPI `iso15118` pair (JVM codec), and 200 sessions at once in one station process."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.report import Report
from tests.compliance import iso15118_peer as peer

TITLE = "charging sessions: SDP to the loop, round trips of the loop, memory, 200 at once"
ROOT = Path(__file__).parents[1]
SCRIPTS = Path(__file__).parent / "peers"
ROUNDS = 3
OUR_LOOPS, THEIR_LOOPS = 2000, 40
VEHICLES, LOOPS, PERIOD_S = 200, 60, 0.25
DEADLINE_S = 0.25  # V2G_EVCC_Msg_Timeout of CurrentDemandReq, ISO 15118-2 table 109
PERFORMANCE_S = 0.02
_SENT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}).* (Sending SDPRequest|Sent \w+)")
LOOP = {"ac": "Sent ChargingStatusReq", "dc": "Sent CurrentDemandReq"}


def run(report: Report) -> None:
    """Print the ratios and figures."""
    at_once(report)
    if why := peer.why_not():
        report.progress(f"without the other pair: {why}")
        return
    with peer.Cable() as cable, tempfile.TemporaryDirectory() as folder:
        for energy in ("ac", "dc"):
            compare(report, cable, Path(folder), energy)


def compare(report: Report, cable: peer.Cable, folder: Path, energy: str) -> None:
    """Rounds of both pairs by turns; every station and every vehicle is a new process."""
    setup: dict[str, list[float]] = {"ours": [], "theirs": []}
    rate: dict[str, list[float]] = {"ours": [], "theirs": []}
    memory: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(ROUNDS):
        report.progress(f"{energy.upper()} EIM, round {number + 1} of {ROUNDS}")
        with Ours(cable, energy) as station:
            result, octets = our_session(cable, energy, station)
        setup["ours"].append(result["reached"][0])
        rate["ours"].append(len(result["turns"]) / sum(result["turns"]))
        memory["ours"].append(octets)
        times, octets = their_session(cable, folder, energy)
        turns = times.get(LOOP[energy], [])
        if turns:
            setup["theirs"].append(turns[0] - times["Sending SDPRequest"][0])
        if len(turns) > 2:
            rate["theirs"].append((len(turns) - 1) / (turns[-1] - turns[0]))
        memory["theirs"].append(octets)
    name = f"{energy.upper()} EIM"
    if not (setup["theirs"] and rate["theirs"]):
        report.progress(f"{name}: the other pair did not reach the charging loop on this machine")
        return
    ours, theirs = statistics.median(setup["ours"]), statistics.median(setup["theirs"])
    detail = f"{ours * 1e3:.0f} ms, {theirs * 1e3:.0f} ms"
    report.ratio(f"{name}: SDP to the first loop message, theirs / ours", theirs, ours, floor=10, detail=detail)
    ours, theirs = statistics.median(rate["ours"]), statistics.median(rate["theirs"])
    detail = f"{ours:.0f}/s, {theirs:.1f}/s"
    report.ratio(f"{name}: round trips of the loop over TCP, ours / theirs", ours, theirs, floor=20, detail=detail)
    ours, theirs = statistics.median(memory["ours"]), statistics.median(memory["theirs"])
    detail = f"{ours / 2**20:.0f} MiB, {theirs / 2**20:.0f} MiB, both ends, its JVMs bounded to 128 MiB of heap"
    report.ratio(f"{name}: memory of the process trees, ours / theirs", ours, theirs, ceiling=1 / 3, detail=detail)


class Ours:
    """Our station(s) in its namespace (or on the loopback); a context manager. ports: of SDP."""

    def __init__(self, cable: peer.Cable | None, energy: str, stations: int = 1, pki: Path | None = None) -> None:
        command = [sys.executable, str(SCRIPTS / "our_station.py"), cable.interface if cable else "lo", energy]
        command += [str(stations), *([str(pki)] if pki else [])]
        self.process = subprocess.Popen(
            _inside(cable.se if cable else None, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            env=_environment(), start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        self.ports = ",".join(map(str, json.loads(self.process.stdout.readline())["ports"]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outcomes: list[str] = json.loads(self.process.communicate(timeout=60)[0] or b'{"outcomes": []}')[
            "outcomes"
        ]


def vehicles(cable: peer.Cable | None, station: Ours, *words: object) -> tuple[dict[str, Any], float]:
    """Our vehicles in their process: what they measured, and its memory with the station's."""
    command = [sys.executable, str(SCRIPTS / "our_vehicle.py"), cable.interface if cable else "lo", station.ports]
    with subprocess.Popen(
        _inside(cable.ev if cable else None, [*command, *map(str, words)]), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, cwd=ROOT, env=_environment(), start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        result: dict[str, Any] = json.loads(process.stdout.readline())
        octets = memory_of(process.pid) + memory_of(station.process.pid)
        process.communicate(timeout=60)
    return result, octets


def our_session(cable: peer.Cable, energy: str, station: Ours) -> tuple[dict[str, Any], float]:
    """One session of our pair; the loop without pauses."""
    result, octets = vehicles(cable, station, energy, 1, OUR_LOOPS, 0.0)
    assert result["outcomes"] == ["terminated"]
    return result, octets


def their_session(
    cable: peer.Cable, folder: Path, energy: str, pki: Path | None = None
) -> tuple[dict[str, list[float]], float]:
    """One session of the other pair: seconds of everything its vehicle sent, and the memory of both trees.

    pki: certificates in its own layout; then it pays by contract over TLS.
    """
    tls = "false" if pki is None else "true"
    quiet: dict[str, str] = {"MESSAGE_LOG_JSON": "false", "PROTOCOLS": "ISO_15118_2", "SECC_ENFORCE_TLS": tls}
    with peer.peer_secc(cable, folder, pki, **quiet) as secc:
        settings: dict[str, object] = {
            "supportedProtocols": ["ISO_15118_2"],
            "supportedEnergyServices": [energy.upper()],
            "energyTransferMode": "DC_extended" if energy == "dc" else "AC_three_phase_core",
            "useTls": pki is not None,
            "enforceTls": pki is not None,
            "chargeLoopCycle": THEIR_LOOPS,
        }
        with peer.peer_evcc(cable, folder, pki, **settings) as evcc:
            evcc.wait_for(peer.said("the TCP connection will close in"), "end of the session")
            octets = memory_of(evcc.process.pid) + memory_of(secc.process.pid)
            evcc.stop()
    times: dict[str, list[float]] = {}
    for line in evcc.lines:
        if found := _SENT.search(line):
            at = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S,%f").timestamp()  # noqa: DTZ007 - differences only
            times.setdefault(found[2], []).append(at)
    return times, octets


def at_once(report: Report) -> None:
    """Many vehicles in one process, one station process, over the loopback."""
    report.progress(f"{VEHICLES} sessions at once for {2 + LOOPS * PERIOD_S:.0f} s")
    with Ours(None, "dc") as station:
        result, _ = vehicles(None, station, "dc", VEHICLES, LOOPS, PERIOD_S)
    turns = sorted(result["turns"])
    late = sum(turn > DEADLINE_S for turn in turns)
    lost = sum(outcome != "terminated" for outcome in (*result["outcomes"], *station.outcomes))
    p99 = turns[int(len(turns) * 0.99)]
    detail = f"{len(turns)} round trips, {late} missed their 250 ms, {lost} sessions failed"
    report.ratio(
        f"{VEHICLES} sessions at once: missed deadlines per round trip",
        late + lost,
        len(turns),
        ceiling=0,
        detail=detail,
    )
    report.ratio(f"{VEHICLES} sessions at once: slowest round trip / deadline", turns[-1], DEADLINE_S, ceiling=1)
    detail = f"aim {PERFORMANCE_S * 1e3:.0f} ms; median {statistics.median(turns) * 1e3:.1f} ms"
    report.value(f"{VEHICLES} sessions at once: p99 of CurrentDemand", p99 * 1e3, "ms", detail)


def memory_of(group: int) -> float:
    """Resident octets of every process of a process group."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                total += int((folder / "statm").read_text().split()[1]) * 4096
        except (OSError, IndexError):
            continue  # it has just ended
    return float(total)


def _inside(namespace: str | None, command: list[str]) -> list[str]:
    return command if namespace is None else ["ip", "netns", "exec", namespace, *command]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}
