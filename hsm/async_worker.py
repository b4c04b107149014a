"""A worker process asked from an event loop, with a deadline in real time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from hsm.worker_process import (
    FINISH_S,
    MAX_PACKET,
    SIGN,
    WorkerProcess,
    decode_signatures,
    encode_request,
    encode_signing,
)
from ports.clock import Cancellable, Clock

# the next signatures (r || s) of a batch; an answer in JSON; None: the worker is no more
Answer: TypeAlias = "list[bytes] | dict[str, Any] | None"


class AsyncWorker:
    """One worker process. One request at a time; `on_login` is called when it is about to log in."""

    def __init__(self, process: WorkerProcess, clock: Clock, on_login: Callable[[], object]) -> None:
        self._process = process
        self._clock = clock
        self._on_login = on_login
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._on_answer: Callable[[Answer], object] | None = None
        self._unanswered = 0
        self._seconds = 0.0
        self._watchdog: Cancellable | None = None
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
        reply: asyncio.Future[dict[str, Any] | None] = self._loop.create_future()

        def set_reply(answer: Answer) -> None:
            if not reply.done():
                reply.set_result(None if isinstance(answer, list) else answer)

        self._number += 1
        self._send(encode_request(self._number, operation, arguments), 1, seconds, set_reply)
        return await reply

    def sign(self, digests: Sequence[bytes], seconds: float, on_answer: Callable[[Answer], object]) -> None:
        """Have digests signed in order; `on_answer` is called until all have their answer, or with an error or None.

        seconds: how long each answer may take before the worker is killed.
        """
        self._number += 1
        self._send(encode_signing(self._number, digests), len(digests), seconds, on_answer)

    def _send(self, packet: bytes, answers: int, seconds: float, on_answer: Callable[[Answer], object]) -> None:
        self._on_answer, self._unanswered, self._seconds = on_answer, answers, seconds
        try:
            self._process.channel.send(packet)
        except OSError:  # it ended before it took the request
            self._loop.call_soon(self._answer, None)
            return
        self._watchdog = self._clock.watchdog(seconds, self.kill)

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
        if packet[0] == SIGN:
            number, signatures = decode_signatures(packet)
            self._answer(signatures, number)
            return
        answer: dict[str, Any] = json.loads(packet)
        if answer.get("event") == "login":
            self._on_login()
        else:
            self._answer(answer, answer["id"])

    def _answer(self, answer: Answer, number: int | None = None) -> None:
        """Hand on an answer, unless it is late: to a request whose caller was cancelled."""
        if self._on_answer is None or number not in (None, self._number):
            return
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._unanswered -= len(answer) if isinstance(answer, list) else self._unanswered
        on_answer = self._on_answer
        if self._unanswered:
            self._watchdog = self._clock.watchdog(self._seconds, self.kill)
        else:
            self._on_answer = self._watchdog = None
        on_answer(answer)

    def _reap(self) -> None:
        for descriptor in (self._process.channel, self._process.stderr, self._process.pidfd):
            self._loop.remove_reader(descriptor)
        self._process.drain_stderr()
        self._process.release()
        self.ended.set_result(None)
        self._answer(None)
