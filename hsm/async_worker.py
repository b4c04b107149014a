"""A worker process asked from an event loop, with a deadline in real time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any

from hsm.worker_process import FINISH_S, MAX_PACKET, WorkerProcess, encode_request
from ports.clock import Clock


class AsyncWorker:
    """One worker process. One request at a time; `on_login` is called when it is about to log in."""

    def __init__(self, process: WorkerProcess, clock: Clock, on_login: Callable[[], object]) -> None:
        self._process = process
        self._clock = clock
        self._on_login = on_login
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._reply: asyncio.Future[dict[str, Any] | None] | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.pid = process.process.pid
        self._loop.add_reader(process.channel, self._receive)
        self._loop.add_reader(process.stderr, process.drain_stderr)
        self._loop.add_reader(process.pidfd, self._reap)

    def is_alive(self) -> bool:
        """Whether it can take a request: its end may not have been noticed by the loop yet."""
        if self.ended.done():
            return False
        try:
            return bool(self._process.channel.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    async def ask(self, operation: str, arguments: Mapping[str, Any], seconds: float) -> dict[str, Any] | None:
        """The answer to one request; None when the worker ended, or did not answer in time and was killed."""
        if self.ended.done():
            return None
        self._number += 1
        self._reply = self._loop.create_future()
        watchdog = self._clock.watchdog(seconds, self.kill)
        try:
            self._process.channel.send(encode_request(self._number, operation, arguments))
            return await self._reply
        except OSError:  # it ended before it took the request
            return None
        finally:
            watchdog.cancel()
            self._reply = None

    def kill(self) -> None:
        """SIGKILL; its end answers the request under way with None."""
        if not self.ended.done():
            self._process.kill()

    async def finish(self) -> None:
        """Let it release the token and wait until it is gone."""
        if not self.ended.done():
            watchdog = self._clock.watchdog(FINISH_S, self.kill)
            with contextlib.suppress(OSError):  # gone already
                self._process.channel.shutdown(socket.SHUT_WR)
            await asyncio.wait([self.ended])
            watchdog.cancel()

    def last_words(self) -> str:
        """What it, or the module in it, wrote to stderr last."""
        return self._process.drain_stderr()[-200:]

    def _receive(self) -> None:
        try:
            packet = self._process.channel.recv(MAX_PACKET)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._loop.remove_reader(self._process.channel)
            self._answer(None)
            return
        answer: dict[str, Any] = json.loads(packet.decode())
        if answer.get("event") == "login":
            self._on_login()
        elif answer["id"] == self._number:  # else late, to a request whose caller was cancelled
            self._answer(answer)

    def _answer(self, answer: dict[str, Any] | None) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(answer)

    def _reap(self) -> None:
        for descriptor in (self._process.channel, self._process.stderr, self._process.pidfd):
            self._loop.remove_reader(descriptor)
        self._process.drain_stderr()
        self._process.release()
        self.ended.set_result(None)
        self._answer(None)
