"""Session machines for tests of the shells: one that echoes, one that asks."""

from __future__ import annotations

from datetime import UTC, datetime

from hil_rigs.virtual_clock import run_virtual
from v2g.session.events import Close, Ended, Ignored, Received, Send
from v2g.v2gtp import Frame, FrameStream, HeaderError, PayloadType

START = datetime.now(UTC).replace(microsecond=0)


def run(main, **options):
    return run_virtual(main, start=options.pop("start", START), **options)


def frame(payload: bytes) -> bytes:
    return bytes(Frame(PayloadType.EXI, payload))


class Echo:
    """Answers every frame with itself; `bye` ends the session, `boom` is a bug, silence for a minute closes."""

    def __init__(self, now: float, first: bytes = b"", *, answers: bool = True) -> None:
        self.stream = FrameStream()
        self.deadline = now + 60.0
        self.first = first
        self.answers = answers
        self.heard: list[bytes] = []
        self.over = ""
        self.waiting = False
        self.answer: bytes | None = None

    def start(self, now):
        return self.update(now)

    def update(self, now):
        if self.first:
            first, self.first = self.first, b""
            return [Send(frame(first), "first")]
        if self.waiting and self.answer is not None:
            self.waiting = False
            return [Send(frame(self.answer), "late")]
        if now >= self.deadline and not self.over:
            self.over = "timed out"
            self.deadline = None
            return [Ended("timed out"), Close("silence")]
        return []

    def receive(self, octets, now):
        try:
            frames = self.stream.receive(octets)
        except HeaderError as error:
            return [Ignored(str(error), octets)]
        self.deadline = now + 60.0
        events = []
        for each in frames:
            self.heard.append(each.payload)
            events.append(Received("Ping", None, (), each.payload))
            if each.payload == b"boom":
                raise RuntimeError("a bug in the session")
            if each.payload == b"wait":
                self.waiting = True
            elif each.payload == b"bye":
                self.over, self.deadline = "terminated", None
                events += [Send(bytes(each), "Bye"), Ended("terminated"), Close("done")]
            elif self.answers:
                events.append(Send(frame(each.payload), "Pong"))
        return events

    def closed(self, now):
        if self.over:
            return []
        self.over = "lost"
        return [Ended("lost")]

    def abort(self, reason, now):
        if self.over:
            return []
        self.over = reason
        return [Ended("aborted", reason), Close(reason)]
