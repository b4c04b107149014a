"""EXIficient core, an EXI implementation we did not write, judges every bit.

Provenance: EXIficient 1.0.x (MIT, github.com/EXIficient/exificient) inside `EXICodec.jar` of the PyPI wheel iso15118
0.31.2, asked through JPype and never through the JSON wrapper of the same jar; schemas from the same wheel. Random
messages are valid by construction, the deviating ones are what EXIficient makes of XML that breaks its schema.
"""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from ports.errors import RigError
from tests.compliance.exificient import HOME, Exificient, tree
from v2g.exi import codec
from v2g.exi.dialects import EXIFICIENT
from v2g.exi.errors import EventError
from v2g.exi.grammar import XSI
from v2g.exi.random_messages import RandomMessages
from v2g.exi.schemas import SchemaSet
from v2g.exi.xml_form import to_xml

CAMPAIGN = int(os.environ.get("EXI_MESSAGES", "20000"))
PROGRESS = 2000
ALL = list(SchemaSet)


@pytest.fixture(scope="module")
def judge() -> Iterator[Exificient]:
    """EXIficient; made by `make compliance`, without which the short tests are skipped by name."""
    if not (HOME / "ready").exists():
        pytest.skip("EXIficient is not prepared here: make compliance does it")
    with Exificient() as found:
        yield found


@pytest.fixture(scope="module")
def prepared_judge() -> Iterator[Exificient]:
    try:
        found = Exificient()
    except (RigError, OSError) as error:
        pytest.skip(f"EXIficient cannot be prepared: {error}")
    with found:
        yield found


def compare(judge: Exificient, schema: SchemaSet, count: int, *, seed: int, progress: bool = False) -> RandomMessages:
    """Random documents: EXIficient's octets are ours, and it reads ours as the same XML."""
    source = RandomMessages(schema, seed)
    waiting: deque[tuple[str, Any, bytes, str]] = deque()

    def requests() -> Iterator[tuple[str, bool, dict[str, str]]]:
        for _ in range(count):
            element, message = source.document()
            octets = codec.encode(message, schema=schema, element=element)
            xml = to_xml(schema, element, message)
            waiting.append((element, message, octets, xml))
            yield schema, False, {"xml": xml, "hex": octets.hex()}

    for number, answer in enumerate(judge.ask_all(requests())):
        element, message, octets, xml = waiting.popleft()
        assert answer.get("xml") == octets.hex(), f"{schema} {element}: {xml} {answer}"
        assert tree(answer["hex"]) == tree(xml), f"{schema} {element}: {octets.hex()}"
        # the octets are EXIficient's as well: they must read as the message they were made of
        assert codec.decode(schema, octets) == message, f"{schema} {element}: {octets.hex()}"
        if progress and number % PROGRESS == 0:
            sys.stderr.write(f"\r{schema}: {number} of {count} agree ")
    return source


def compare_fragments(judge: Exificient, schema: SchemaSet, count: int, *, seed: int) -> None:
    """Random fragments of every element, empty strings and binaries among them, which EXIficient writes as an event."""
    source = RandomMessages(schema, seed, empty=True)
    names = [root.name for root in source.schema.fragments]
    waiting: deque[tuple[str, bytes, str]] = deque()

    def requests() -> Iterator[tuple[str, bool, dict[str, str]]]:
        for _ in range(count):
            root, value = source.fragment()
            element = root.name if names.count(root.name) == 1 else f"{{{root.uri}}}{root.name}"
            octets = codec.encode_fragment(schema, element, value, dialect=EXIFICIENT)
            assert codec.decode_fragment(schema, octets) == (element, value)
            xml = to_xml(schema, element, value, fragment=True)
            waiting.append((element, octets, xml))
            yield schema, True, {"xml": xml, "hex": octets.hex()}

    for answer in judge.ask_all(requests()):
        element, octets, xml = waiting.popleft()
        assert answer.get("xml") == octets.hex(), f"{schema} {element}: {xml} {answer}"
        assert tree(answer["hex"]) == tree(xml), f"{schema} {element}: {octets.hex()}"


def deviate(xml: str, random: Random) -> str:
    """Break the schema in a way that EXIficient writes with second-level events."""
    root = ET.fromstring(xml)
    for _ in range(random.randint(1, 3)):
        elements = list(root.iter())
        parents = [element for element in elements if len(element)] or [root]
        element, parent = random.choice(elements), random.choice(parents)
        match random.choice(("child", "last child", "new child", "value", "attribute", "text", "nil")):
            case "child" if len(parent):
                parent.remove(random.choice(list(parent)))
            case "new child":
                child = ET.Element(random.choice(("foo", element.tag, parent.tag)), {"foo": "2"})
                child.text = "bar"
                if random.random() < 0.3:
                    ET.SubElement(child, "deep").text = "x"
                element.insert(random.randint(0, len(element)), child)
            case "last child" if len(parent):
                parent.remove(parent[-1])
            case "value" if not len(element):
                element.text = "X?"
            case "attribute":
                element.set(random.choice(("foo", "{urn:nobody}bar")), "1")
            case "text":
                parent.text = "abc"
            case "nil" if element is not root:
                for child in list(element):
                    element.remove(child)
                element.text = None
                element.set(f"{{{XSI}}}nil", "true")
    return ET.tostring(root, encoding="unicode")


def compare_deviating(judge: Exificient, schema: SchemaSet, count: int, *, seed: int) -> tuple[int, int]:
    """What EXIficient writes off the schema is read with deviations and written again bit by bit: (read, refused)."""
    source, random = RandomMessages(schema, seed), Random(seed)
    read = refused = 0

    def requests() -> Iterator[tuple[str, bool, dict[str, str]]]:
        for _ in range(count):
            yield schema, False, {"xml": deviate(to_xml(schema, *source.document()), random)}

    for answer in judge.ask_all(requests()):
        if "xml" not in answer:  # what EXIficient itself cannot write
            continue
        octets = bytes.fromhex(answer["xml"])
        try:
            message = codec.decode(schema, octets)
        except EventError as error:
            assert "wildcard" in str(error)  # noqa: PT017 - only that is refused
            refused += 1
            continue
        assert codec.encode(message, schema=schema, check=False) == octets, answer["xml"]
        read += 1
    return read, refused


@pytest.mark.parametrize("schema", ALL)
def test_slice_of_documents(judge: Exificient, schema: SchemaSet) -> None:
    compare(judge, schema, 30, seed=1)


@pytest.mark.parametrize("schema", ALL)
def test_slice_of_fragments(judge: Exificient, schema: SchemaSet) -> None:
    compare_fragments(judge, schema, 30, seed=2)


@pytest.mark.parametrize("schema", ALL)
def test_slice_off_the_schema(judge: Exificient, schema: SchemaSet) -> None:
    compare_deviating(judge, schema, 30, seed=3)


@pytest.mark.foreign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("schema", ALL)
def test_campaign(prepared_judge: Exificient, schema: SchemaSet) -> None:
    """At least 20 000 documents of every schema set, both directions; prints what they covered."""
    source = compare(prepared_judge, schema, CAMPAIGN, seed=20, progress=True)
    coverage = source.coverage()
    text = ", ".join(f"{name} {reached}/{possible}" for name, (reached, possible) in coverage.items())
    sys.stderr.write(f"\r{schema}: {CAMPAIGN} agree both ways; covered: {text}\n")
    assert coverage["types"][0] == coverage["types"][1]
    if CAMPAIGN >= 20000:
        assert all(reached == possible for reached, possible in coverage.values()), coverage


@pytest.mark.foreign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("schema", ALL)
def test_campaign_of_fragments_and_deviations(prepared_judge: Exificient, schema: SchemaSet) -> None:
    compare_fragments(prepared_judge, schema, CAMPAIGN // 10, seed=21)
    read, refused = compare_deviating(prepared_judge, schema, CAMPAIGN // 10, seed=22)
    sys.stderr.write(f"\r{schema}: fragments agree; off the schema: {read} read and written again, {refused} refused\n")
