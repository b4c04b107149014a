"""The trace of a run: one JSON object a line, in the order things happened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec

from ports.trace import TraceEvent


class TraceFile:
    """A `ports.trace.Tracer` that writes a file; listeners see each event too."""

    def __init__(self, path: Path, listeners: list[Callable[[TraceEvent], None]] | None = None) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._encoder = msgspec.json.Encoder(enc_hook=_plain, decimal_format="string")
        self._listeners = listeners or []
        self.events = 0

    def __call__(self, event: TraceEvent) -> None:
        """Write the event."""
        line: dict[str, object] = {
            "at": round(event.at, 6),
            "layer": event.layer,
            "kind": event.kind,
            "source": event.source,
            **({"data": dict(event.data)} if event.data else {}),
            **({"raw": event.raw.hex()} if event.raw else {}),
        }
        self._file.write(self._encoder.encode(line) + b"\n")
        self.events += 1
        for listener in self._listeners:
            listener(event)

    def flush(self) -> None:
        """What was written so far is in the file."""
        self._file.flush()

    def __enter__(self) -> TraceFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _plain(value: Any) -> object:
    if isinstance(value, Decimal | datetime):
        return str(value)
    return repr(value)
