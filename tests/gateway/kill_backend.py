"""The CPO that outlives the gateways: `python -m tests.gateway.kill_backend FOLDER SEED`.

Writes its URL and serves until standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

from backends import cpo_store
from backends.cpo import cpo_app
from backends.cpo_receiver import CpoReceiver, KeyPolicy
from backends.faults import FaultKind, FaultMix
from backends.http_server import serve_asgi
from backends.store.database import Database
from hil_rigs.real_clock import RealClock

SHARES = {FaultKind.ERROR: 0.05, FaultKind.LOST_ACK: 0.05, FaultKind.DUPLICATE: 0.05, FaultKind.SLOW: 0.02}


async def main(folder: Path, seed: int) -> None:
    """Serve until standard input ends."""
    clock = RealClock()
    database = Database(f"sqlite:///{folder / 'cpo.db'}", clock, cpo_store.prepare)
    receiver = CpoReceiver(database, clock, policy=KeyPolicy.FIRST_USE)
    faults = FaultMix(SHARES, Random(seed), slow_s=0.05)
    async with await serve_asgi(cpo_app(receiver, database, clock, faults=faults)) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
