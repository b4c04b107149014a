"""Frames of real cars and stations and of other encoders: each is read as the reference read it, and written back.

Provenance: captures of tux-evse/iso15118-simulator-rs (Apache-2.0), vectors of the unit tests of EVerest/everest-core
(Apache-2.0), pairs recorded from sessions of EcoG-io/iso15118 0.31.2, whose codec is EXIficient.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from v2g.exi import codec
from v2g.exi.deviations import deviations
from v2g.exi.json_form import from_json, to_json
from v2g.exi.schemas import SchemaSet, schema_set

DATA = Path(__file__).parents[3] / "shared" / "data" / "v2g"
SCHEMAS = {
    "SAP": SchemaSet.SAP,
    "sap": SchemaSet.SAP,
    "iso2": SchemaSet.ISO2,
    "din": SchemaSet.DIN,
    "ac": SchemaSet.ISO20_AC,
    "dc": SchemaSet.ISO20_DC,
    "cm": SchemaSet.ISO20_COMMON,
}
# captures and how many of their frames carry EXI
FRAMES = {"audi-dc-iso2": 1492, "vw-ac-iso2": 18, "tesla-3-din": 4428, "everest-vectors": 53}
# the frames whose senders appended an octet
TRAILING = {"tesla-3-din": {56, 59, 63}}
PAIRS = 595
EVEREST_FRAGMENTS = 2


def rows(name: str) -> list[dict[str, Any]]:
    path = DATA / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"public test data {path} is absent")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def payload(row: dict[str, Any]) -> bytes:
    octets = bytes.fromhex(row["hex"])
    return octets[8:] if octets.startswith(b"\x01\xfe") else octets


@pytest.mark.parametrize("name", FRAMES)
def test_frames(name: str) -> None:
    met, deviating = 0, set()
    for row in rows(name):
        if row["protocol"] in ("SDP", "?"):
            continue
        schema, octets = SCHEMAS[row["protocol"]], payload(row)
        message = codec.decode(schema, octets)
        met += 1
        assert to_json(message) == row["decoded"]
        assert codec.encode(message) == octets
        found = deviations(message)
        canonical = codec.encode(from_json(schema, row["decoded"]))
        if found:
            deviating.add(row["frame"])
            assert [deviation.kind for deviation in found] == ["trailing"]
            assert canonical + b"\x00" == octets
        else:
            assert canonical == octets
    assert met == FRAMES[name]
    assert deviating == TRAILING.get(name, set())


def test_exificient_pairs() -> None:
    documents = fragments = 0
    for row in rows("exificient-pairs"):
        schema, octets = schema_set(row["protocol"]), payload(row)
        ((element, _),) = row["decoded"].items()
        if is_fragment(schema, element, row["decoded"][element]):
            found, value = codec.decode_fragment(schema, octets)
            assert found == element
            assert to_json(value, element) == row["decoded"]
            assert codec.encode_fragment(schema, element, value) == octets
            assert codec.encode_fragment(schema, element, from_json(schema, row["decoded"], fragment=True)) == octets
            fragments += 1
        else:
            message = codec.decode(schema, octets, strict=True)
            assert to_json(message) == row["decoded"]
            assert codec.encode(message) == octets
            assert codec.encode(from_json(schema, row["decoded"])) == octets
            documents += 1
    assert (documents + fragments, fragments) == (PAIRS, 25)


def is_fragment(schema: SchemaSet, element: str, content: dict[str, Any]) -> bool:
    """Signed elements: all but V2G_Message in -2, what has no header in -20, SignedInfo."""
    if schema in (SchemaSet.SAP, SchemaSet.DIN):
        return False
    return element != "V2G_Message" if schema is SchemaSet.ISO2 else "Header" not in content


def test_everest_fragments() -> None:
    """The SignedInfo fragments among EVerest's vectors, of the stand-alone xmldsig schema."""
    met = 0
    for row in rows("everest-vectors"):
        if row["protocol"] == "?":
            schema = SchemaSet.XMLDSIG if row["hex"].startswith("8081") else SchemaSet.ISO2
            element, value = codec.decode_fragment(schema, payload(row))
            assert codec.encode_fragment(schema, element, value) == payload(row)
            met += 1
    assert met == EVEREST_FRAGMENTS
