"""The JSON Schema of scenario files, for editors; `python -m hil_rigs.scenario.scenario_schema` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from hil_rigs.scenario.format import Scenario
from hil_rigs.typed_yaml import schema_of_path

SCHEMA_FILE = Path(__file__).parents[1] / "schema" / "scenario.schema.json"


def scenario_schema() -> dict[str, Any]:
    """JSON Schema 2020-12, made from the types."""
    schema = msgspec.json.schema(Scenario, schema_hook=schema_of_path)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Plugbench scenario file",
        **schema,
    }


def scenario_schema_text() -> str:
    """The content of `SCHEMA_FILE`."""
    return json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(scenario_schema_text(), encoding="utf-8")
