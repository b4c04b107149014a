"""What a Modbus meter needs of the line it hangs on; RTU and TCP offer the same."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from ports.errors import PeerError, RigError
from wire.modbus_pdu import ReadRegisters, Request


class AmbiguousAnswerError(PeerError):
    """More answers than requests: two devices share an id, or something repeats frames."""


class Priority(IntEnum):
    """Who goes first on a shared line."""

    BILLING = 0
    LIVE = 1
    SETTING = 2


@dataclass(frozen=True, slots=True)
class Timing:
    """How a device times its answers, seconds (from its model file).

    max_response_s: from the end of the request to the first octet of the answer.
    late_window_s: after a timeout, how long a late answer is waited for before anything else is sent.
    min_gap_s: silence that the device wants before a request, when that is more than t3.5.
    """

    max_response_s: float
    late_window_s: float
    min_gap_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """How one request is to be treated.

    max_skip: octets of noise accepted before the answer; None = any.
    settle: believe the answer only when silence follows it (billing).
    sync: a harmless read whose answer has another size than the request's: sent first when the device may still
    owe an answer to an earlier request of the same size.
    """

    priority: Priority = Priority.LIVE
    max_skip: int | None = None
    settle: bool = False
    sync: tuple[ReadRegisters, ...] = ()


class Bus(Protocol):
    """Carries requests to devices and brings back exactly their answers."""

    @property
    def name(self) -> str:
        """The line or the address, for messages."""

    async def transact(
        self, device: int, request: Request, timing: Timing, call: Call | None = None
    ) -> tuple[int, ...]:
        """Registers read (or () for a write).

        Raises DeviceRefusedError (exception answer), PeerError (no answer or a wrong one), RigError (no line).
        """

    async def close(self) -> None:
        """Release the line; harmless when closed."""


@dataclass(slots=True)
class Backoff:
    """When a lost line may be tried again: pauses double from `first_s` to `longest_s`."""

    first_s: float = 0.25
    longest_s: float = 5.0
    next_try: float = 0.0
    _pause: float = 0.0

    def check(self, now: float, name: str) -> None:
        """Raises RigError while it is too early to try again."""
        if now < self.next_try:
            raise RigError(f"{name} is away; next try in {self.next_try - now:.2f} s")

    def failed(self, now: float) -> None:
        """Wait longer than the last time."""
        self._pause = min(max(2 * self._pause, self.first_s), self.longest_s)
        self.next_try = now + self._pause

    def succeeded(self) -> None:
        """Begin anew."""
        self._pause = 0.0
        self.next_try = 0.0
