"""A signer that fails on purpose: what a token does when it is pulled, locked, slow or wrong, at the port `Signer`.

The faults of real libraries (crashes, hangs, codes) are those of `tests/hsm`; here their outcome is what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ports.clock import Clock
from ports.errors import LocalError, RigError
from ports.signer import Signer, SignerIdentity


@dataclass(frozen=True, slots=True)
class FaultKind:
    """message: of the error, None when there is none. slow_s: default of `seconds`."""

    name: str
    effect: str
    undo: str
    message: str | None = None
    slow_s: float = 0.0


FAULTS: Mapping[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind(
            "removed",
            "no signature until it is back; nothing is signed elsewhere",
            "it is plugged in again",
            "CKR_DEVICE_REMOVED: the token was pulled",
        ),
        FaultKind(
            "pin_locked",
            "no signature until an operator has unlocked it",
            "unlocked",
            "CKR_PIN_LOCKED: the PIN is locked",
        ),
        FaultKind(
            "session_invalid",
            "one signature fails, the next is tried with a new session",
            "a new session",
            "CKR_SESSION_HANDLE_INVALID: the session is gone",
        ),
        FaultKind(
            "mechanism",
            "no signature: the token lost its firmware's ECDSA",
            "the token knows it again",
            "CKR_MECHANISM_INVALID: no CKM_ECDSA",
        ),
        FaultKind(
            "key_missing",
            "no signature: nothing has the key's label",
            "the key is there again",
            "CKR_KEY_HANDLE_INVALID: no key of that label",
        ),
        FaultKind(
            "full",
            "no signature: the token has no memory for a session",
            "there is room",
            "CKR_DEVICE_MEMORY: the token is full",
        ),
        FaultKind("slow", "signatures come late", "they come at once", slow_s=3.0),
        FaultKind("garbled", "a signature of other octets: refused by the check before release", "right signatures"),
    )
}


@dataclass(slots=True)
class _Active:
    kind: FaultKind
    seconds: float
    left: int | None


class BreakableSigner:
    """Another signer, with faults in front. Those that are on strike in the order in which they were injected."""

    def __init__(self, signer: Signer, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock
        self._active: list[_Active] = []

    def inject(self, name: str, *, seconds: float | None = None, times: int | None = None) -> Callable[[], None]:
        """Switch a fault on; returns the undo. times: how many signatures it strikes, None = all. Raises LocalError."""
        kind = FAULTS.get(name)
        if kind is None:
            raise LocalError(f"no token fault {name!r}; there are {', '.join(FAULTS)}")
        one = _Active(kind, kind.slow_s if seconds is None else seconds, times)
        self._active.append(one)
        return lambda: self._active.remove(one) if one in self._active else None

    async def identity(self) -> SignerIdentity:
        """Of the signer behind."""
        return await self._signer.identity()

    async def sign(self, message: bytes) -> bytes:
        """As `ports.signer.Signer`, with what is wrong now."""
        for one in list(self._active):
            if one.left is not None:
                one.left -= 1
                if one.left <= 0:
                    self._active.remove(one)
            if one.seconds:
                await self._clock.sleep(one.seconds)
            if one.kind.message is not None:
                raise RigError(one.kind.message)
            if one.kind.name == "garbled":
                return await self._signer.sign(message + b"\0")
        return await self._signer.sign(message)

    async def close(self) -> None:
        """Close the signer behind."""
        await self._signer.close()
