"""An MQTT broker for one run: mosquitto on a free port of the loopback, ended with the run."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from contextlib import AsyncExitStack
from pathlib import Path

from backend_client.mqtt_session import Broker
from ports.clock import Clock
from ports.errors import RigError

START_TRIES = 5
START_S = 10.0
LOOK_EVERY_S = 0.02


async def spawn_broker(folder: Path, clock: Clock, stack: AsyncExitStack) -> Broker:
    """Start mosquitto; its state and log stay in `folder`. Raises RigError when it is missing or does not start."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise RigError("no mosquitto on this machine (apt-get install mosquitto), or name a broker: mqtt://host")
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - once, before anything runs
    log = folder / "mosquitto.log"
    for _ in range(START_TRIES):
        port = _free_port()
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\n", encoding="utf-8")
        # as root it drops its privileges first: it could not open a log of its own in our folder
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                program, "-c", str(config), stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
            )
        if await _listens(process, port, clock):
            stack.push_async_callback(_end, process)
            return Broker("127.0.0.1", port)
        await _end(process)
    text = log.read_text(encoding="utf-8", errors="replace")[-500:] if log.exists() else "no log"
    raise RigError(f"mosquitto did not start: {text}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listens(process: asyncio.subprocess.Process, port: int, clock: Clock) -> bool:
    deadline = clock.monotonic() + START_S
    while process.returncode is None and clock.monotonic() < deadline:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        await clock.sleep(LOOK_EVERY_S)
    return False


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await process.wait()
