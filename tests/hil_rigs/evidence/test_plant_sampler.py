import json
from decimal import Decimal
from pathlib import Path


def test_samples_say_what_the_plant_did(sealed_once: Path) -> None:
    lines = (sealed_once / "events.jsonl").read_text(encoding="utf-8").splitlines()
    samples = [event for event in map(json.loads, lines) if event["kind"] == "plant.sample"]
    said = [event["data"] for event in samples]
    assert [event["at"] for event in samples] == sorted(event["at"] for event in samples)
    assert len(samples) < 40
    charging = next(one for one in said if one["power_w"])
    assert charging["contactor"]
    assert charging["current_a"] == [32.0, 32.0, 32.0]
    assert charging["duty"] == 53.333
    assert charging["pilot_v"][1] == -12.0
    [session] = json.loads((sealed_once / "report.json").read_bytes())["sessions"]
    assert Decimal(said[-1]["energy_wh"]) - Decimal(said[0]["energy_wh"]) == Decimal(session["plant_wh"])
    assert not said[-1]["contactor"]
