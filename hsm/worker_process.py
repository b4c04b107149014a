"""Starting, asking and ending a worker process (see worker.py)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hsm.errors import Remedy, TokenError

MAX_PACKET = 1 << 16
SIGN = 0x53  # as in worker.py, which cannot be imported here
FINISH_S = 3.0  # how long an orderly end may take before it is SIGKILL
_WORKER = Path(__file__).with_name("worker.py")
_STDERR_KEPT = 2000


class WorkerProcess:
    """A running worker: `channel` is our end of its socket, non-blocking.

    The PIN goes through a pipe: neither arguments nor environment of the worker show it.
    environment: added to ours. withheld: the variable of ours that holds the PIN, if one does.
    """

    def __init__(self, pin: str, environment: Mapping[str, str], withheld: str = "") -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pin_end, pin_write = os.pipe()
        self.stderr, stderr_write = os.pipe()
        try:
            os.write(pin_write, pin.encode())
            os.close(pin_write)
            self.process = subprocess.Popen(  # noqa: S603 - our own file, spawned, never forked
                [sys.executable, "-I", str(_WORKER), str(theirs.fileno()), str(pin_end)],
                pass_fds=(theirs.fileno(), pin_end),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr_write,
                env={name: value for name, value in {**os.environ, **environment}.items() if name != withheld},
                start_new_session=True,  # Ctrl-C at the terminal is for the parent, which ends us in order
            )
        finally:
            theirs.close()
            os.close(pin_end)
            os.close(stderr_write)
        self.pidfd = os.pidfd_open(self.process.pid)
        self.channel.setblocking(False)
        os.set_blocking(self.stderr, False)
        self._kept = b""

    def kill(self) -> None:
        """SIGKILL: the only cure for a C call that never returns."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)

    def finish(self) -> None:
        """Let it release the token, or kill it when that takes too long; blocking."""
        with contextlib.suppress(OSError):  # gone already
            self.channel.shutdown(socket.SHUT_WR)
        try:
            self.process.wait(FINISH_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self.release()

    def drain_stderr(self) -> str:
        """The last lines that it wrote, the vendor's module included."""
        try:
            while chunk := os.read(self.stderr, 65536):
                self._kept = (self._kept + chunk)[-_STDERR_KEPT:]
        except OSError:  # nothing more at the moment, or closed
            pass
        return self._kept.decode(errors="replace").strip()

    def release(self) -> None:
        """Close our descriptors, once the process has ended; harmless when done."""
        self.process.wait()
        self.channel.close()
        for descriptor in (self.pidfd, self.stderr):
            if descriptor >= 0:
                os.close(descriptor)
        self.pidfd = self.stderr = -1


def encode_request(number: int, operation: str, arguments: Mapping[str, Any]) -> bytes:
    """One packet for the worker."""
    return json.dumps({"id": number, "op": operation, "args": arguments}).encode()


def encode_signing(number: int, digests: Sequence[bytes]) -> bytes:
    """One packet that asks for signatures over digests of up to 255 octets."""
    return b"".join([bytes((SIGN,)), number.to_bytes(4, "big"), *(bytes((len(one),)) + one for one in digests)])


def decode_signatures(packet: bytes) -> tuple[int, list[bytes]]:
    """The number of the request that a packet of signatures answers, and r || s of the next digests in order."""
    signatures, at = [], 5
    while at < len(packet):
        end = at + 1 + packet[at]
        signatures.append(packet[at + 1 : end])
        at = end
    return int.from_bytes(packet[1:5], "big"), signatures


def result_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What the worker answered. Raises TokenError for an error answer."""
    error = answer.get("error")
    if error is not None:
        raise TokenError(Remedy(error["kind"]), error["text"], error["ckr"])
    result: dict[str, Any] = answer["result"]
    return result


def ask_once(
    operation: str,
    arguments: Mapping[str, Any],
    *,
    pin: str = "",
    environment: Mapping[str, str] | None = None,
    withheld: str = "",
    timeout_s: float = 60.0,
) -> dict[str, Any]:
    """Start a worker for one request, blocking; for commands that make or list keys. Raises TokenError."""
    worker = WorkerProcess(pin, environment or {}, withheld)
    try:
        worker.channel.settimeout(timeout_s)
        worker.channel.send(encode_request(1, operation, arguments))
        while True:
            packet = worker.channel.recv(MAX_PACKET)
            if not packet:
                raise TokenError(
                    Remedy.RETRY, f"the token worker ended during {operation}: {worker.drain_stderr() or 'no message'}"
                )
            answer = json.loads(packet)
            if "event" not in answer:
                return result_of(answer)
    except TimeoutError:
        raise TokenError(Remedy.RETRY, f"the token did not answer {operation} within {timeout_s:g} s") from None
    finally:
        worker.finish()
