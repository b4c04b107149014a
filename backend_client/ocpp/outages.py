"""When the link was down: what was signed meanwhile goes out marked as offline."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

KEPT = 1000
BEFORE_US = datetime.min.replace(tzinfo=UTC)


class Outages:
    """Civil times, as the records carry them; before this process the link counts as down."""

    def __init__(self) -> None:
        self._past: deque[tuple[datetime, datetime]] = deque(maxlen=KEPT)
        self._down_since: datetime | None = BEFORE_US

    def went_down(self, at: datetime) -> None:
        """Harmless when it is down."""
        if self._down_since is None:
            self._down_since = at

    def came_up(self, at: datetime) -> None:
        """Harmless when it is up."""
        if self._down_since is not None:
            self._past.append((self._down_since, at))
            self._down_since = None

    def cover(self, time: datetime) -> bool:
        """Whether the link was down at that time."""
        if self._down_since is not None and time >= self._down_since:
            return True
        forgotten = len(self._past) == KEPT and time < self._past[0][0]
        return forgotten or any(begin <= time < end for begin, end in self._past)
