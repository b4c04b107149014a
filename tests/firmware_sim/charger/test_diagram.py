"""The committed page is what the tables say."""

from __future__ import annotations

from pathlib import Path

from firmware_sim.charger.diagram import page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "diagrams" / "pilot.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run: python -m firmware_sim.charger.diagram > docs/diagrams/pilot.md"
    )


def test_no_arrow_twice() -> None:
    arrows = [line for line in page().splitlines() if "-->" in line]
    assert len(arrows) == len(set(arrows)) > 40
