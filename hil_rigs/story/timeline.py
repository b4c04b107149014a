"""One order for everything: the events of a run say when the recorded messages came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hil_rigs.evidence.event_hash import Event
from hil_rigs.story.happenings import Happenings
from hil_rigs.story.recorded import Recorded
from hil_rigs.story.step import Step

LOOK_AHEAD = 20
"""So many messages of the station's trace may be missing in a recording (it has a limit), or the other way round."""
_SDP = {"sdp.request": "SDP_REQUEST", "sdp.response": "SDP_RESPONSE"}


@dataclass(frozen=True, slots=True)
class _Seen:
    """A V2G message in the station's trace. place: number of the event."""

    place: int
    at: float
    name: str


@dataclass(slots=True)
class Timeline:
    """Events first, then the recordings: `see` all of the former, `join` each of the latter."""

    _happenings: Happenings
    _placed: list[tuple[int, int, Step]] = field(default_factory=list)
    _seen: dict[str, list[_Seen]] = field(default_factory=dict)
    _count: int = 0

    def see(self, event: Event) -> None:
        """The next event of the run."""
        self._count += 1
        name = _SDP.get(event.kind) or (str(event.data.get("message")) if event.kind in ("v2g.rx", "v2g.tx") else "")
        if name:
            connector, _, end = event.source.rpartition(".")
            if end == "secc":  # both ends tell, one is enough
                self._seen.setdefault(connector, []).append(_Seen(self._count, event.at, name))
        elif (step := self._happenings.tell(event)) is not None:
            self._placed.append((self._count, 0, step))

    def join(self, connector: str, messages: Sequence[Recorded]) -> None:
        """Put the messages of a link where the station saw them; one that it did not see follows the one before it."""
        seen, position = self._seen.get(connector, []), 0
        last = seen[0] if seen else _Seen(self._count, 0.0, "")
        civil = messages[0].step.at if messages else 0.0
        for order, one in enumerate(messages, start=1):
            ahead = range(position, min(position + LOOK_AHEAD, len(seen)))
            found = next((index for index in ahead if seen[index].name == one.frame.name), None)
            if found is not None:
                last, position, civil = seen[found], found + 1, one.step.at
            at = last.at + one.step.at - civil
            self._placed.append((last.place, order, replace(one.step, at=at)))

    def steps(self) -> list[Step]:
        """All of them in order."""
        return [step for _, _, step in sorted(self._placed, key=lambda placed: placed[:2])]
