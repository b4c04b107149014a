"""The JSON Schema of rig files, for editors; `python -m hil_rigs.rig_schema` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from hil_rigs.rig import Rig
from hil_rigs.typed_yaml import schema_of_path

SCHEMA_FILE = Path(__file__).parent / "schema" / "rig.schema.json"


def rig_schema() -> dict[str, Any]:
    """JSON Schema 2020-12, made from the types."""
    schema = msgspec.json.schema(Rig, schema_hook=schema_of_path)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Plugbench rig file",
        **_decimals_as_numbers(schema),
    }


def _decimals_as_numbers(schema: Any) -> Any:
    """A Decimal may be written as number or text."""
    if isinstance(schema, list):
        return [_decimals_as_numbers(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        schema = {**schema, "type": ["number", "string"]}
    return {key: _decimals_as_numbers(value) for key, value in schema.items()}


def rig_schema_text() -> str:
    """The content of `SCHEMA_FILE`."""
    return json.dumps(rig_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(rig_schema_text(), encoding="utf-8")
