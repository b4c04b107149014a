"""A mosquitto of one's own: starts, stops, starts again on the same port with the same memory."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path

import pytest

from backend_client.mqtt_session import Broker


class Mosquitto:
    """One broker process."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            pytest.skip("mosquitto is not installed (Debian package mosquitto)")
        self._program = program
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.broker = Broker("127.0.0.1", port)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nautosave_interval 1\nautosave_on_changes true\n"
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until it accepts connections."""
        self._process = await asyncio.create_subprocess_exec(
            self._program, "-c", str(self._config), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if b"running" in line:
                return
        raise AssertionError("mosquitto ended while it was starting")

    async def stop(self) -> None:
        """End the process; harmless when ended."""
        if self._process is not None:
            process, self._process = self._process, None
            process.terminate()
            await process.communicate()
