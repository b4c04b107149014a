from pathlib import Path

from hil_rigs.evidence.event_hash import Event
from hil_rigs.evidence.serial_text import SerialText


def test_frames_of_each_line_both_ways(tmp_path: Path) -> None:
    text = SerialText()
    for kind, source, raw, data in (
        ("line.request", "bus", "0103fc000002f45b", {"device": 1}),
        ("line.answer", "bus", "01030400bc614e9273", {"device": 1}),
        ("line.late", "other/../bus\n", "ff", {"device": 2}),
        ("line.lost", "bus", "", {"error": "gone"}),
        ("v2g.tx", "1.secc", "01fe", {}),
    ):
        text.add(Event(1000.5, kind.partition(".")[0], kind, source, dict(data), raw))
    text.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["serial-bus.txt", "serial-other_.._bus_.txt"]
    assert (tmp_path / "serial-bus.txt").read_text().splitlines()[2:] == [
        "  1000.500000 > 01 03 fc 00 00 02 f4 5b  device=1",
        "  1000.500000 < 01 03 04 00 bc 61 4e 92 73  device=1",
    ]
    assert (tmp_path / "serial-other_.._bus_.txt").read_text().splitlines()[-1] == "  1000.500000 ! ff  late device=2"


def test_a_real_run(sealed_once: Path) -> None:
    lines = (sealed_once / "serial-bus.txt").read_text(encoding="utf-8").splitlines()
    assert sum(" > " in line for line in lines[2:]) == sum(" < " in line for line in lines[2:]) > 5
