"""What the worker process costs beside signing inside one process, and what keeping the session open is worth."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.report import Report
from hil_rigs.real_clock import RealClock
from hsm.errors import TokenError
from hsm.pin import PinSource
from hsm.provision import Module
from hsm.softhsm import find_module, token_folder
from hsm.token_signer import TokenKey, TokenSigner
from ocmf.curves import CURVES

TITLE = "Signing through the token's worker process (SoftHSM, P-256)"

ROUNDS = 101
WORKER, POOLED, EACH = 20, 40, 2  # per round: all sides take about 2 ms, so that other load strikes them alike
MESSAGE = bytes(800)  # a payload of usual size

# The other side: the same token in a process that does nothing else. It signs rounds on request.
INLINE = """
import hashlib, json, sys, time, pkcs11
from pkcs11 import KeyType, Mechanism, ObjectClass
module, label, pin = json.loads(sys.stdin.readline())
token = pkcs11.lib(module).get_token(token_label=label)
def find(session):
    return session.get_key(ObjectClass.PRIVATE_KEY, KeyType.EC, label="billing")
def pooled():
    key.sign(hashlib.sha256(message).digest(), mechanism=Mechanism.ECDSA)
def each():
    with token.open(user_pin=pin) as session:
        find(session).sign(hashlib.sha256(message).digest(), mechanism=Mechanism.ECDSA)
message, session = bytes(800), None
for line in sys.stdin:
    way, repeat = json.loads(line)
    if way == "pooled" and session is None:
        session = token.open(user_pin=pin)
        key = find(session)
    if way == "each" and session is not None:
        session.close()
        session = None
    begin = time.perf_counter()
    for _ in range(repeat):
        {"pooled": pooled, "each": each}[way]()
    print((time.perf_counter() - begin) / repeat, flush=True)
"""


def run(report: Report) -> None:
    """Measure, or say that there is no SoftHSM."""
    path = find_module()
    if path is None:
        report.progress("skipped: SoftHSM (Debian package softhsm2) is not installed")
        return
    with undisturbed(report), tempfile.TemporaryDirectory() as folder:
        environment = token_folder(Path(folder))
        secret = Path(folder) / "pin"
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

            def measure_inline(way: str, repeat: int) -> float:
                ask([way, repeat])
                return float(from_inline.readline())

            ask([str(path), "bench", "648219"])
            asyncio.run(_measure(report, key, measure_inline))
            to_inline.close()


async def _measure(report: Report, key: TokenKey, inline: Callable[[str, int], float]) -> None:
    signer = TokenSigner(key, RealClock())
    await signer.sign(MESSAGE)
    times: dict[str, list[float]] = {"worker": [], "pooled": [], "each": []}
    report.progress(f"{ROUNDS} rounds of all sides")
    for _ in range(ROUNDS):
        times["worker"].append(await _worker(signer, WORKER))
        times["pooled"].append(inline("pooled", POOLED))
        times["each"].append(inline("each", EACH))
    took = {name: quiet(values) for name, values in times.items()}
    median = {name: statistics.median(values) for name, values in times.items()}
    report.ratio("worker / one process, pooled session, per signature", took["worker"], took["pooled"], ceiling=3.0)
    report.value("the same by medians (with what else runs here)", median["worker"] / median["pooled"], "x")
    report.ratio("session per signature / pooled, one process", took["each"], took["pooled"], floor=15.0)
    report.value("the same by medians", median["each"] / median["pooled"], "x")
    report.value("signatures through the worker", 1 / took["worker"], "1/s")
    report.value("signatures in one process", 1 / took["pooled"], "1/s")
    report.progress("a frozen token: how long the event loop stands, how soon the next signature comes")
    gap, recovery = await _frozen(signer)
    report.ratio("longest event loop gap while the worker is replaced / 10 ms", gap, 0.010, ceiling=1.0)
    report.value("worker killed to next good signature", recovery * 1e3, "ms")
    await signer.close()


@contextlib.contextmanager
def undisturbed(report: Report) -> Iterator[None]:
    """Both sides with real-time priority, where that is allowed: what else runs here strikes several processes harder.

    The folders of a benchmark that is told to end are removed as well.
    """
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    terminate = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        report.progress("no real-time priority for this user: what else runs on the machine counts")
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)
        signal.signal(signal.SIGTERM, terminate)


def quiet(seconds: list[float]) -> float:
    """The lower quartile of the rounds: what else runs on the machine only adds."""
    return statistics.quantiles(seconds, n=4)[0]


async def _worker(signer: TokenSigner, repeat: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeat):
        await signer.sign(MESSAGE)
    return (time.perf_counter() - begin) / repeat


async def _frozen(signer: TokenSigner) -> tuple[float, float]:
    """Longest time between two turns of the loop, and time from the kill to the next signature.

    The best of the rounds: other load on the machine only adds, and a call that blocks the loop would do so each time.
    """
    gaps, recoveries = [], []
    for _ in range(7):
        pid = signer.health().worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        stop = asyncio.Event()
        watching = asyncio.create_task(_longest_gap(stop))
        request = asyncio.ensure_future(signer.sign(MESSAGE))
        await asyncio.sleep(0.05)
        begin = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(TokenError):
            await request
        await signer.sign(MESSAGE)
        recoveries.append(time.perf_counter() - begin)
        stop.set()
        gaps.append(await watching)
    return min(gaps), min(recoveries)


async def _longest_gap(stop: asyncio.Event) -> float:
    longest, before = 0.0, time.perf_counter()
    while not stop.is_set():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    return longest
