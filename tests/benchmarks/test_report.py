import json

import pytest

from benchmarks.report import Line, Report, interleaved


@pytest.mark.parametrize(
    ("value", "floor", "ceiling", "kept"),
    [
        (1.0, None, None, None),
        (2.0, 2.0, None, True),
        (1.9, 2.0, None, False),
        (3.0, None, 3.0, True),
        (3.1, None, 3.0, False),
    ],
)
def test_a_promise_is_kept_up_to_its_edge(
    value: float, floor: float | None, ceiling: float | None, kept: bool | None
) -> None:
    assert Line("x", value, "x", floor, ceiling).kept is kept


def test_json_lines_carry_the_promise(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(as_json=True)
    report.ratio("a", 4.0, 2.0, floor=3.0)
    assert json.loads(capsys.readouterr().out)["kept"] is False


def test_interleaved_calls_every_side_equally() -> None:
    calls: list[str] = []
    interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, repeat=2)
    assert calls == ["a", "a", "b", "b"] * 3
