"""Requests of the CSMS: held to their schemas, answered by a table, never by silence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from backend_client.ocpp.connection import Reply
from backend_client.ocpp.frames import Call, Payload, Refusal, Result
from backend_client.ocpp.schemas import SchemaError, check, code_of, is_known
from backend_client.ocpp.settings import Version
from ports.errors import PlugbenchError

Later = Callable[[], Coroutine[Any, Any, object]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A payload, and what is done after it was sent."""

    payload: Payload
    then: Later | None = None


Handler = Callable[[Payload], Awaitable[Answer]]


class RequestError(PlugbenchError):
    """A handler refuses with CALLERROR; `code` as in 2.0.1."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def status(word: str, reason: str = "", detail: str = "", **more: Any) -> Answer:
    """The usual answer; reason and detail become a StatusInfoType."""
    info = {"reasonCode": reason[:20]} | ({"additionalInfo": detail[:512]} if detail else {})
    return Answer({"status": word, **({"statusInfo": info} if reason else {}), **more})


async def answer(version: Version, handlers: Mapping[str, Handler], call: Call) -> Reply:
    """CALLRESULT or CALLERROR; never raises for what a CSMS sends."""
    handler = handlers.get(call.action)
    if handler is None:
        code = "NotSupported" if is_known(version, call.action) else "NotImplemented"
        return Reply(Refusal(call.id, code, f"{call.action} is not offered by this station"))
    try:
        check(version, call.action, call.payload)
        given = await handler(call.payload)
        check(version, call.action, given.payload, answer=True)
    except SchemaError as error:
        return Reply(Refusal(call.id, error.code, str(error)))
    except RequestError as error:
        return Reply(Refusal(call.id, code_of(version, error.code), str(error)))
    except PlugbenchError as error:
        return Reply(Refusal(call.id, "InternalError", str(error)))
    return Reply(Result(call.id, given.payload), given.then)
