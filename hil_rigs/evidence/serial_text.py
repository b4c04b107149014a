"""What went over the serial lines, both ways, as text: one frame a line."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from hil_rigs.evidence.event_hash import Event

_SIGNS = {"line.request": ">", "line.answer": "<"}
_HEADER = """\
# Serial line {source}: boot-time seconds, direction, octets in hex, what it was.
# > to the meter   < from the meter   ! anything else that was on the line
"""


class SerialText:
    """Collects the frames of every line of a rig."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = defaultdict(list)

    def add(self, event: Event) -> None:
        """Take the event when it shows octets of a line."""
        if event.layer != "line" or not event.raw:
            return
        octets = " ".join(event.raw[at : at + 2] for at in range(0, len(event.raw), 2))
        more = " ".join(f"{key}={value}" for key, value in event.data.items())
        sign = _SIGNS.get(event.kind, "!")
        text = f"{event.at:13.6f} {sign} {octets}  {'' if sign != '!' else event.kind.partition('.')[2] + ' '}{more}"
        self._lines[event.source].append(_one_line(text))

    def write(self, folder: Path) -> None:
        """One file a line: serial-<line>.txt."""
        for source, lines in self._lines.items():
            safe = "".join(char if char.isalnum() or char in "-_." else "_" for char in source)
            content = _HEADER.format(source=_one_line(source)) + "\n".join([*lines, ""])
            (folder / f"serial-{safe}.txt").write_text(content, encoding="utf-8")


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
