"""The signer whose key lives in a PKCS#11 token: asyncio on this side, a worker process on the other."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsm.async_worker import AsyncWorker
from hsm.errors import Remedy, TokenError
from hsm.pin import PinSource
from hsm.token_keys import public_key_of
from hsm.worker_process import WorkerProcess, result_of
from ocmf.der import encode_signature
from ocmf.keys import PublicKey
from ocmf.verify import InvalidSignatureError, verify_signature
from ports.clock import Clock
from ports.signer import SignerIdentity
from ports.trace import TraceEvent, Tracer, no_trace

# logins that were sent and never answered: tokens lock at three wrong PINs and more, and this one may be wrong
_UNANSWERED_LOGINS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """Which key, and how long to wait for it.

    module: the PKCS#11 library. token, key: labels. key_id: CKA_ID, needed when labels repeat.
    environment: variables that the module wants (SOFTHSM2_CONF ...).
    sign_s: real seconds for one signature; a smart card takes 0.1 s. open_s: for load, login and key search.
    """

    module: Path
    token: str
    key: str
    pin: PinSource
    key_id: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)
    sign_s: float = 5.0
    open_s: float = 20.0


@dataclass(frozen=True, slots=True)
class TokenHealth:
    """The state of a token as far as known.

    present: the last request reached it. logged_in: key and session are open.
    fingerprint: SHA-256 of its public key, "" before the first opening.
    signature_age_s: since the last good signature, None before it. workers: processes started so far.
    latched: why it is not asked again before a person has looked, "" normally.
    """

    present: bool
    logged_in: bool
    fingerprint: str
    signature_age_s: float | None
    workers: int
    worker_pid: int | None
    latched: str


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the first opening found; later ones must find the same key."""

    public: PublicKey
    point: str
    description: str


class TokenSigner:
    """`ports.signer.Signer` over a token. One request at a time; others wait in order.

    A request that runs into its deadline, or whose worker dies, raises TokenError and is never repeated by itself;
    the next request starts a new worker. A refused PIN is latched: only a new TokenSigner tries again.
    """

    def __init__(self, key: TokenKey, clock: Clock, tracer: Tracer = no_trace, *, self_check: bool = False) -> None:
        self._key = key
        self._clock = clock
        self._tracer = tracer
        self._self_check = self_check
        self._turn = asyncio.Lock()
        self._worker: AsyncWorker | None = None
        self._lost: list[AsyncWorker] = []
        self._workers = 0
        self._opened: _Opened | None = None
        self._logged_in = False
        self._present = False
        self._login_under_way = False
        self._unanswered_logins = 0
        self._latched: TokenError | None = None
        self._signed_at: float | None = None

    async def identity(self) -> SignerIdentity:
        """The key. Raises TokenError when token or key are missing."""
        with self._clock.hold():
            async with self._turn:
                opened = await self._open()
        curve, spki = opened.public.curve.name, opened.public.spki
        return SignerIdentity(self._key.key, curve, spki, is_hsm=True, description=opened.description)

    async def sign(self, message: bytes) -> bytes:
        """Sign SHA-256(message): DER, low s. Raises TokenError: nothing was signed that anybody will see."""
        signature = await self.sign_digest(hashlib.sha256(message).digest())
        if self._self_check and self._opened is not None:
            try:
                verify_signature(message, signature, self._opened.public)
            except InvalidSignatureError:
                raise TokenError(Remedy.FATAL, "the token's signature does not fit its own public key") from None
        self._signed_at = self._clock.monotonic()
        return signature

    async def sign_digest(self, digest: bytes) -> bytes:
        """Sign octets that are a digest already, for certificates: DER, low s. Raises TokenError as `sign` does."""
        with self._clock.hold():
            async with self._turn:
                opened = await self._open()
                answer = await self._ask("sign", {"digest": digest.hex()}, self._key.sign_s)
        raw = answer["signature"]  # r || s in hex, of one width
        r, s = int(raw[: len(raw) // 2], 16), int(raw[len(raw) // 2 :], 16)
        return encode_signature(r, min(s, opened.public.curve.order - s))  # the twin with the low s

    def health(self) -> TokenHealth:
        """What is known without asking the token."""
        return TokenHealth(
            present=self._present,
            logged_in=self._logged_in,
            fingerprint=self._opened.public.fingerprint if self._opened else "",
            signature_age_s=None if self._signed_at is None else self._clock.monotonic() - self._signed_at,
            workers=self._workers,
            worker_pid=self._worker.pid if self._worker else None,
            latched=str(self._latched or ""),
        )

    async def close(self) -> None:
        """End the worker; harmless when closed. A request under way ends with an error."""
        self._latched = self._latched or TokenError(Remedy.FATAL, f"the signer of token {self._key.token!r} is closed")
        worker, self._worker, self._logged_in = self._worker, None, False
        with self._clock.hold():
            for ending in (*self._lost, *([worker] if worker else [])):
                await ending.finish()

    async def _open(self) -> _Opened:
        """See to it that there is a worker with its token open."""
        if self._latched is not None:
            raise self._latched
        if self._worker is not None and not self._worker.is_alive():
            self._lose(self._worker, "ended between two requests")
        if self._worker is not None and self._logged_in and self._opened is not None:
            return self._opened
        if self._unanswered_logins >= _UNANSWERED_LOGINS:
            error = TokenError(
                Remedy.OPERATOR, f"token {self._key.token!r} left {_UNANSWERED_LOGINS} logins unanswered"
            )
            raise self._latch(error)
        if self._worker is None:
            process = WorkerProcess(self._key.pin.read(), self._key.environment, self._key.pin.variable)
            self._worker = AsyncWorker(process, self._clock, self._on_login)
            self._workers += 1
            self._trace("worker.started", pid=self._worker.pid)
        config = {
            "module": str(self._key.module),
            "token": self._key.token,
            "key": self._key.key,
            "key_id": self._key.key_id.hex(),
            "expect": self._opened.point if self._opened else "",
        }
        found = await self._ask("open", {"config": config}, self._key.open_s)
        public = public_key_of(bytes.fromhex(found["params"]), bytes.fromhex(found["point"]))
        token = found["token"]
        self._opened = _Opened(
            public,
            found["point"],
            f"key {self._key.key!r} on token {token['label']!r} "
            f"({token['manufacturer']}, {token['model']}, serial {token['serial']}) through {self._key.module.name}",
        )
        self._logged_in = True
        self._trace("token.opened", fingerprint=public.fingerprint, curve=public.curve.name, library=found["library"])
        return self._opened

    async def _ask(self, operation: str, arguments: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """One request to the worker that is there, and what follows from its answer."""
        worker = self._worker
        assert worker is not None  # noqa: S101 - _open started it
        name = f"token {self._key.token!r}, {operation}"
        answer = await worker.ask(operation, arguments, seconds)
        login_under_way, self._login_under_way = self._login_under_way, False
        if answer is None:
            self._unanswered_logins += login_under_way
            said = worker.last_words()
            self._lose(worker, f"{operation} not answered")
            text = f"{name}: the worker gave no answer within {seconds:g} s or ended" + (f" ({said})" if said else "")
            raise TokenError(Remedy.RETRY, text)
        if login_under_way:
            self._unanswered_logins = 0
        try:
            result = result_of(answer)
        except TokenError as error:
            self._present = error.remedy is Remedy.FATAL
            self._logged_in = self._logged_in and self._present
            named = TokenError(error.remedy, f"{name}: {error}", error.ckr)
            self._trace("token.error", operation=operation, remedy=str(error.remedy), text=str(error))
            raise (self._latch(named) if answer["error"]["latched"] else named) from None
        self._present = True
        return result

    def _lose(self, worker: AsyncWorker, why: str) -> None:
        worker.kill()
        self._logged_in = self._present = False
        self._lost = [*(lost for lost in self._lost if not lost.ended.done()), worker]
        if self._worker is worker:  # else closed meanwhile
            self._worker = None
        self._trace("worker.lost", pid=worker.pid, why=why, stderr=worker.last_words())

    def _on_login(self) -> None:
        self._login_under_way = True

    def _latch(self, error: TokenError) -> TokenError:
        self._latched = error
        self._trace("token.latched", text=str(error))
        return error

    def _trace(self, kind: str, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "token", kind, self._key.token, data))
