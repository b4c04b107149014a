"""Reads an XSD and everything it imports into one pool; raises on features the generator does not know."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET  # the schemas are the developer's own files
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ports.errors import LocalError, RigError

XS = "{http://www.w3.org/2001/XMLSchema}"
QName = tuple[str, str]  # (namespace URI, local name)

FACETS = ("enumeration", "length", "minLength", "maxLength", "minInclusive", "maxInclusive")
# the tags and attributes that the generator understands; everything else stops it
KNOWN: dict[str, set[str]] = {
    "schema": {"targetNamespace", "elementFormDefault", "attributeFormDefault", "version"},
    "import": {"namespace", "schemaLocation"},
    "element": {"name", "ref", "type", "minOccurs", "maxOccurs", "abstract", "substitutionGroup"},
    "attribute": {"name", "type", "use"},
    "complexType": {"name", "abstract", "mixed"},
    "simpleType": {"name"},
    "sequence": {"minOccurs", "maxOccurs"},
    "choice": {"minOccurs", "maxOccurs"},
    "any": {"namespace", "processContents", "minOccurs", "maxOccurs"},
    "complexContent": set(),
    "simpleContent": set(),
    "extension": {"base"},
    "restriction": {"base"},
    "annotation": set(),
    "documentation": {"source"},
    **{tag: {"value"} for tag in FACETS},
}


class UnknownFeatureError(LocalError):
    """The schema uses something that this generator would get wrong."""


class Node(NamedTuple):
    """An XML element of a schema together with the file whose prefixes and form defaults it uses."""

    xml: ET.Element
    file: SchemaFile

    @property
    def tag(self) -> str:
        return self.xml.tag.removeprefix(XS)

    def get(self, name: str) -> str | None:
        return self.xml.get(name)

    def children(self) -> list[Node]:
        return [Node(child, self.file) for child in self.xml if child.tag != XS + "annotation"]

    def qname(self, name: str) -> QName:
        """The qualified name that the attribute `name` refers to."""
        prefix, _, local = (self.xml.get(name) or "").rpartition(":")
        return self.file.prefixes[prefix], local


class SchemaFile:
    """One XSD: its prefixes, its form defaults, and the tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.text = path.read_bytes()
        except OSError as error:
            raise RigError(f"schema {path}: {error.strerror}; --schemas names the folder of the XSDs") from None
        # xmldsig-core-schema.xsd declares a DTD on w3.org: not fetched, not needed
        text = re.sub(rb"<!DOCTYPE.*?\]>", b"", self.text, flags=re.DOTALL)
        self.prefixes: dict[str, str] = {"": ""}
        for _, (prefix, uri) in ET.iterparse(io.BytesIO(text), events=("start-ns",)):  # noqa: S314 - see below
            if self.prefixes.get(prefix, uri) not in (uri, ""):
                raise UnknownFeatureError(f"{path}: prefix {prefix!r} declared twice")
            self.prefixes[prefix] = uri
        self.root = ET.fromstring(text)  # noqa: S314 - the developer's own file
        self.target = self.root.get("targetNamespace", "")
        self.elements_qualified = self.root.get("elementFormDefault") == "qualified"
        self.attributes_qualified = self.root.get("attributeFormDefault") == "qualified"
        for xml in self.root.iter():
            tag = str(xml.tag).removeprefix(XS)
            unknown = set(xml.attrib) - KNOWN[tag] if tag in KNOWN else {"the tag itself"}
            if unknown:
                raise UnknownFeatureError(f"{path}: <{tag}> uses {', '.join(sorted(unknown))}, which is not supported")


class Pool:
    """All components of a schema set by qualified name, and a count of the features met."""

    def __init__(self, root: Path) -> None:
        self.files: dict[Path, SchemaFile] = {}
        self.elements: dict[QName, Node] = {}
        self.types: dict[QName, Node] = {}
        self.features: Counter[str] = Counter()
        self._load(root)
        self.substitutes: dict[QName, list[QName]] = {}
        for name, node in self.elements.items():
            if node.get("substitutionGroup"):
                self.substitutes.setdefault(node.qname("substitutionGroup"), []).append(name)

    def _load(self, path: Path) -> None:
        if path in self.files:
            return
        file = self.files[path] = SchemaFile(path)
        for xml in file.root.iter():
            self.features[str(xml.tag).removeprefix(XS)] += 1
        for xml in file.root:
            tag, name = str(xml.tag).removeprefix(XS), (file.target, xml.get("name", ""))
            if tag == "import":
                self._load(_locate(path, xml.get("schemaLocation", "")))
            elif tag == "element":
                self.elements[name] = Node(xml, file)
            elif tag in ("complexType", "simpleType"):
                self.types[name] = Node(xml, file)
            elif tag != "annotation":
                raise UnknownFeatureError(f"{path}: global <{tag}> is not supported")

    def group(self, head: QName) -> list[QName]:
        """The head and all that may stand for it, in the order of their event codes (EXI 8.5.4.1.6)."""
        found, todo = [head], [head]
        while todo:
            members = self.substitutes.get(todo.pop(), [])
            found += members
            todo += members
        return sorted(found, key=lambda name: (name[1], name[0]))

    def namespaces(self) -> list[str]:
        return sorted({file.target for file in self.files.values()})


def _locate(importer: Path, location: str) -> Path:
    """DIN and -20 import xmldsig from their own folder, where the wheel does not have it: look one folder up too."""
    for folder in (importer.parent, importer.parent.parent):
        if (folder / location).is_file():
            return (folder / location).resolve()
    raise LocalError(f"{importer} imports {location}, which lies neither beside it nor one folder up")
