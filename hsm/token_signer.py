"""The signer whose key lives in a PKCS#11 token: asyncio on this side, a worker process on the other."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hsm.async_worker import Answer, AsyncWorker
from hsm.errors import Remedy, TokenError
from hsm.pin import PinSource
from hsm.token_keys import public_key_of
from hsm.worker_process import WorkerProcess
from ocmf.der import encode_signature
from ocmf.keys import PublicKey
from ocmf.verify import InvalidSignatureError, verify_signature
from ports.clock import Clock
from ports.errors import LocalError
from ports.signer import SignerIdentity
from ports.trace import TraceEvent, Tracer, no_trace

# logins that were sent and never answered: tokens lock at three wrong PINs and more, and this one may be wrong
_UNANSWERED_LOGINS = 2

# digests that go to the worker together: a worker that is lost fails them all
_MOST_AT_ONCE = 32
_LONGEST_DIGEST = 64  # SHA-512


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


class _Request(NamedTuple):
    """Who waits for the signature over a digest, or, without one, for the token to be open."""

    digest: bytes | None
    done: asyncio.Future[bytes]


class TokenSigner:
    """`ports.signer.Signer` over a token. Requests are served in order; those that wait go to the worker together.

    A request that runs into its deadline, or whose worker dies, raises TokenError and is never repeated by itself;
    the next request starts a new worker. A refused PIN is latched: only a new TokenSigner tries again.
    """

    def __init__(self, key: TokenKey, clock: Clock, tracer: Tracer = no_trace, *, self_check: bool = False) -> None:
        self._key = key
        self._clock = clock
        self._tracer = tracer
        self._self_check = self_check
        self._waiting: deque[_Request] = deque()
        self._under_way: deque[_Request] = deque()
        self._opening: asyncio.Task[None] | None = None
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
        await self._serve(None)
        opened = self._opened
        assert opened is not None  # noqa: S101 - that is what was waited for
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
        if len(digest) > _LONGEST_DIGEST:
            raise LocalError(f"{len(digest)} octets are no digest")
        raw = await self._serve(digest)  # r || s, of one width
        assert self._opened is not None  # noqa: S101 - it has signed
        half = len(raw) // 2
        r, s = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
        return encode_signature(r, min(s, self._opened.public.curve.order - s))  # the twin with the low s

    async def _serve(self, digest: bytes | None) -> bytes:
        """Wait for one's turn and for the answer."""
        request = _Request(digest, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        with self._clock.hold():
            self._next()
            return await request.done

    def _next(self) -> None:
        """Serve what is waiting, once the worker is free; a token that is not open is opened first."""
        if self._under_way or self._opening is not None or not self._waiting:
            return
        if self._latched is None and self._logged_in and self._worker is not None and self._worker.is_alive():
            self._send_waiting(self._worker)
        else:
            self._opening = asyncio.create_task(self._open_for_first(), name=f"open token {self._key.token}")

    def _send_waiting(self, worker: AsyncWorker) -> None:
        while self._waiting and len(self._under_way) < _MOST_AT_ONCE:
            request = self._waiting.popleft()
            if request.done.done():  # its caller was cancelled
                continue
            if request.digest is None:
                request.done.set_result(b"")
            else:
                self._under_way.append(request)
        if self._under_way:
            digests = [request.digest or b"" for request in self._under_way]
            worker.sign(digests, self._key.sign_s, partial(self._on_answer, worker))

    def _on_answer(self, worker: AsyncWorker, answer: Answer) -> None:
        """Signatures come in order; an error is that of the next request alone; a lost worker fails all under way."""
        self._count_login(answered=answer is not None)
        if isinstance(answer, list):
            self._present = True
            for signature in answer:
                _settle(self._under_way.popleft(), signature)
        elif answer is None:
            text = str(self._unanswered(worker, "sign", self._key.sign_s))
            for request in self._under_way:
                _settle(request, TokenError(Remedy.RETRY, text))
            self._under_way.clear()
        else:
            _settle(self._under_way.popleft(), self._refused("sign", answer["error"]))
            self._waiting.extendleft(reversed(self._under_way))
            self._under_way.clear()
        self._next()

    async def _open_for_first(self) -> None:
        """Open the token for the request whose turn it is; it gets the error, and others try again for themselves."""
        first = self._waiting.popleft()
        worker = None
        try:
            with self._clock.hold():
                worker = await self._open()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it
            _settle(first, error)
        self._opening = None
        if worker is None:
            self._next()
        else:
            self._waiting.appendleft(first)
            self._send_waiting(worker)

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
            while self._opening is not None and not self._opening.done():
                await asyncio.wait([self._opening])

    async def _open(self) -> AsyncWorker:
        """A worker with its token open."""
        if self._latched is not None:
            raise self._latched
        if self._worker is not None and not self._worker.is_alive():
            self._lose(self._worker, "ended between two requests")
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
        worker = self._worker
        answer = await worker.ask("open", {"config": config}, self._key.open_s)
        self._count_login(answered=answer is not None)
        if answer is None:
            raise self._unanswered(worker, "open", self._key.open_s)
        if "error" in answer:
            raise self._refused("open", answer["error"])
        found = answer["result"]
        public = public_key_of(bytes.fromhex(found["params"]), bytes.fromhex(found["point"]))
        token = found["token"]
        self._opened = _Opened(
            public,
            found["point"],
            f"key {self._key.key!r} on token {token['label']!r} "
            f"({token['manufacturer']}, {token['model']}, serial {token['serial']}) through {self._key.module.name}",
        )
        self._logged_in = self._present = True
        self._trace("token.opened", fingerprint=public.fingerprint, curve=public.curve.name, library=found["library"])
        return worker

    def _count_login(self, *, answered: bool) -> None:
        """What an answer, or none, says about the login that was under way."""
        if self._login_under_way:
            self._unanswered_logins = 0 if answered else self._unanswered_logins + 1
        self._login_under_way = False

    def _unanswered(self, worker: AsyncWorker, operation: str, seconds: float) -> TokenError:
        said = worker.last_words()
        self._lose(worker, f"{operation} not answered")
        text = f"token {self._key.token!r}, {operation}: the worker gave no answer within {seconds:g} s or ended"
        return TokenError(Remedy.RETRY, text + (f" ({said})" if said else ""))

    def _refused(self, operation: str, answer: Mapping[str, Any]) -> TokenError:
        """An error that the worker answered; a session is not used again after it, unless the request was at fault."""
        remedy = Remedy(answer["kind"])
        self._present = remedy is Remedy.FATAL
        self._logged_in = self._logged_in and self._present
        self._trace("token.error", operation=operation, remedy=str(remedy), text=answer["text"])
        error = TokenError(remedy, f"token {self._key.token!r}, {operation}: {answer['text']}", answer["ckr"])
        return self._latch(error) if answer["latched"] else error

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


def _settle(request: _Request, result: bytes | Exception) -> None:
    if request.done.done():  # its caller was cancelled
        return
    if isinstance(result, Exception):
        request.done.set_exception(result)
    else:
        request.done.set_result(result)
