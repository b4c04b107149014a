"""What the messages of a protocol answer with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from v2g.session.events import PausedSession
from v2g.session.state_table import OK


class Refusal(Exception):
    """A request is answered with a FAILED code; caught inside the machine, the session ends with it."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. outcome: the column of the state table. signature: for the header.

    exi: the whole message as somebody else encoded it, sent octet by octet; b"" when it is ours.
    """

    name: str
    body: Any = field(repr=False)
    outcome: str = OK
    signature: Any = field(default=None, repr=False)
    paused: PausedSession | None = None
    exi: bytes = field(default=b"", repr=False)
