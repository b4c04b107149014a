"""The published JSON Schema of rig files, judged by jsonschema-rs (PyPI, the Rust validator of Stranger6667)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "hil_rigs/schema/rig.schema.json").read_text(encoding="utf-8"))
EXAMPLES = sorted((ROOT / "rigs").glob("*.yaml"))


def example(path: Path) -> dict[str, Any]:
    loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return _scalars(loaded)  # type: ignore[no-any-return]


def _scalars(value: Any) -> Any:
    """Numbers and booleans as editors see them (BaseLoader reads all as text, times included)."""
    if isinstance(value, dict):
        texts = {"id", "serial_number", "connector", "identification"}  # in quotes in the files
        return {key: item if key in texts else _scalars(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_scalars(item) for item in value]
    if value in ("true", "false"):
        return value == "true"
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return value


def test_the_schema_itself_is_valid() -> None:
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_fit_the_schema(path: Path) -> None:
    jsonschema_rs.validator_for(SCHEMA).validate(example(path))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("resources", "bus", "fromat"), "8N1"),
        (("resources", "bus", "baud"), "9600"),
        (("resources", "m1", "unit"), 256),
        (("resources", "hsm", "pin"), "1234"),
        (("resources", "cpo", "kind"), "cpo"),
        (("gateway", "connectors"), []),
        (("sessions",), {}),
        (("clock", "mode"), "fast"),
    ],
)
def test_mistakes_do_not_fit(where: tuple[str, ...], value: object) -> None:
    rig: Any = example(ROOT / "rigs/first_session.yaml")
    place = rig
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    assert not jsonschema_rs.validator_for(SCHEMA).is_valid(rig)
