"""A vehicle's request for a contract on its way to the pools and back, in the time that the vehicle waits."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from gateway.patience import done_within
from ports.clock import Clock
from ports.contracts import ContractAction, ContractAnswer, ContractSource
from ports.errors import PeerError, RigError
from v2g.exi.codec import decode
from v2g.exi.errors import ExiError
from v2g.session.events import CertificateWanted
from v2g.session.station_side import CertificateAnswer

NAMESPACE = "urn:iso:15118:2:2013:MsgDef"
SENDING_S = 0.05  # of the 4.5 s (ISO 15118-2 table 109): the answer is on its way by then
NONE_AVAILABLE = "FAILED_NoCertificateAvailable"
Trace = Callable[..., None]


class CertificateRequest:
    """One request, sent once when this is made; what comes too late is dropped, and said in the trace.

    Traces tell hashes, times and outcomes, never what is in request or answer. asking: the task that waits for the
    source; it may outlive the answer.
    """

    def __init__(self, source: ContractSource, wanted: CertificateWanted, clock: Clock, trace: Trace) -> None:
        self._source = source
        self._wanted = wanted
        self._clock = clock
        self._trace = trace
        self._began = clock.monotonic()
        self._seconds = wanted.deadline - SENDING_S - self._began
        action = ContractAction.INSTALL if wanted.action == "install" else ContractAction.UPDATE
        fetch = source.fetch(action, wanted.exi, NAMESPACE, self._seconds)
        self.asking: asyncio.Task[ContractAnswer] = asyncio.create_task(fetch)

    async def answer(self) -> CertificateAnswer:
        """What the vehicle is to be told, in time."""
        try:
            if await done_within(self.asking, self._clock, self._seconds):
                return self._judge(self.asking.result())
        except (PeerError, RigError) as error:
            self._say("failed", why=str(error))
            return CertificateAnswer()
        self._say("late", why=f"no answer within {self._seconds:.2f} s")
        self.asking.add_done_callback(self._drop)
        return CertificateAnswer()

    def _judge(self, found: ContractAnswer) -> CertificateAnswer:
        if found.accepted:
            self._say("answered", found.exi, detail=found.detail)
            return CertificateAnswer(found.exi)
        code = _code_in(found.exi)
        self._say("none", found.exi, code=code, detail=found.detail)
        return CertificateAnswer(code=code)

    def _drop(self, asking: asyncio.Task[ContractAnswer]) -> None:
        if asking.cancelled():
            return
        error = asking.exception()
        if error is None:
            self._say("dropped", asking.result().exi, why="the vehicle has been refused already")
        else:
            self._say("dropped", why=str(error))

    def _say(self, outcome: str, answer: bytes = b"", **data: object) -> None:
        self._trace(
            "secc.certificate",
            outcome=outcome,
            action=self._wanted.action,
            source=self._source.name,
            latency_s=round(self._clock.monotonic() - self._began, 3),
            request_sha256=hashlib.sha256(self._wanted.exi).hexdigest(),
            answer_sha256=hashlib.sha256(answer).hexdigest() if answer else "",
            **data,
        )


def _code_in(exi: bytes) -> str:
    """The FAILED code of the backend's own message, if it sent one."""
    if not exi:
        return NONE_AVAILABLE
    try:
        message: object = decode("iso2", exi)
    except ExiError:
        return NONE_AVAILABLE
    body = getattr(getattr(message, "Body", None), "BodyElement", None)
    code = str(getattr(body, "ResponseCode", ""))
    return code if code.startswith("FAILED_") else NONE_AVAILABLE
