"""The published JSON Schema is the one of the types."""

from __future__ import annotations

import json

from hil_rigs.resources import Resource
from hil_rigs.rig_schema import SCHEMA_FILE, rig_schema, rig_schema_text


def test_the_published_file_is_in_step() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == rig_schema_text(), "run: python -m hil_rigs.rig_schema"


def test_it_knows_every_kind_and_refuses_unknown_keys() -> None:
    definitions = rig_schema()["$defs"]
    for kind in Resource.__args__:
        definition = definitions[kind.__name__]
        assert definition["properties"]["kind"]["enum"] == [kind.__struct_config__.tag]
        assert definition["additionalProperties"] is False
    assert definitions["MeterResource"]["properties"]["start_kwh"]["type"] == ["number", "string"]


def test_every_key_is_explained_or_plain() -> None:
    text = json.dumps(rig_schema())
    assert text.count('"description"') > 50


def test_the_reference_has_every_key() -> None:
    reference = (SCHEMA_FILE.parents[2] / "docs/rig-file.md").read_text(encoding="utf-8")
    for definition in rig_schema()["$defs"].values():
        for key in definition["properties"].keys() - {"kind"}:
            assert f"`{key}`" in reference or f"{key}}}" in reference or f"{{{key}," in reference, key
        for tag in definition["properties"].get("kind", {}).get("enum", ()):
            assert f"### `kind: {tag}`" in reference
