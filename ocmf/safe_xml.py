"""The XML file that the transparency software opens: signed data and public key of one or more records.

No namespace, `format` and `encoding` always written, one key per file, transactionId a number: what the public
verifiers need (S.A.F.E. Transparenzsoftware, XML_Format.md). Reading refuses document types, entities and large files.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from ocmf.keys import PublicKey
from ports.errors import LocalError, PeerError

MAX_FILE = 16 << 20
MAX_VALUES = 10_000
_MAX_DEPTH = 8
CONTEXTS = ("Transaction.Begin", "Transaction.End")


class SafeXmlError(PeerError):
    """Not a readable SAFE XML file; `line` is where it fails."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"SAFE XML, line {line}: {message}" if line else f"SAFE XML: {message}")
        self.line = line


@dataclass(frozen=True, slots=True)
class SafeValue:
    """One <value>. transaction_id and context are "" when absent; format as written, "" when absent.

    data: the signed data, decoded. public_key: as written (see keys.decode_public_key); "" when absent.
    """

    transaction_id: str
    context: str
    data: str
    public_key: str
    format: str = "OCMF"


def write_safe_xml(
    records: Iterable[tuple[int, Literal["Transaction.Begin", "Transaction.End", ""], str]], key: PublicKey
) -> str:
    """A file of OCMF records (transaction number, context, record), all signed with one key.

    A record that holds begin and end has the context "". Raises LocalError for what verifiers would refuse.
    """
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<values>"]
    for transaction, context, record in records:
        if transaction < 0 or context not in (*CONTEXTS, ""):
            raise LocalError(f"SAFE XML: transaction {transaction}, context {context!r}")
        if re.search(r"[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", record) or record != record.strip():
            raise LocalError("SAFE XML: the record holds control characters or white space around it")
        attributes = f" transactionId={quoteattr(str(transaction))}" + (
            f" context={quoteattr(context)}" if context else ""
        )
        lines += [
            f" <value{attributes}>",
            f'  <signedData format="OCMF" encoding="plain">{escape(record)}</signedData>',
            f'  <publicKey encoding="plain">{key.hex()}</publicKey>',
            " </value>",
        ]
    return "\n".join([*lines, "</values>", ""])


def read_safe_xml(content: bytes) -> tuple[SafeValue, ...]:
    """Read a file. Raises SafeXmlError: hostile, malformed or empty."""
    if len(content) > MAX_FILE:
        raise SafeXmlError(f"{len(content)} octets, more than {MAX_FILE}")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    parser.EntityDeclHandler = reader.refuse_entity
    reader.parser = parser
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise SafeXmlError(
            f"not well-formed ({expat.errors.messages.get(error.code, error.code)})", error.lineno
        ) from None
    except (LookupError, ValueError) as error:  # an unknown or impossible encoding
        raise SafeXmlError(str(error), 1) from None
    if not reader.values:
        raise SafeXmlError("there is no <value>")
    return tuple(reader.values)


@dataclass
class _Reader:
    """Collects values from parser events."""

    values: list[SafeValue] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    value: dict[str, str] = field(default_factory=dict)
    data: tuple[str, str, str] | None = None
    key: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    parser: expat.XMLParserType | None = None

    @property
    def line(self) -> int:
        return self.parser.CurrentLineNumber if self.parser else 0

    def refuse_doctype(self, *_: object) -> None:
        raise SafeXmlError("a document type is not allowed", self.line)

    def refuse_entity(self, *_: object) -> None:
        raise SafeXmlError("entities are not allowed", self.line)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self.path.append(name)
        if len(self.path) > _MAX_DEPTH:
            raise SafeXmlError("nested too deeply", self.line)
        if len(self.path) == 1 and name != "values":
            raise SafeXmlError(f"<{name}> where <values> is expected", self.line)
        if name == "value":
            self.value, self.data, self.key = attributes, None, ""
        elif name in {"signedData", "publicKey"}:
            self.attributes = attributes
        self.text = []

    def characters(self, text: str) -> None:
        self.text.append(text)

    def end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        self.path.pop()
        text = "".join(self.text).strip()
        if name == "signedData":
            self.data = (self.attributes.get("format", ""), self.attributes.get("encoding", "plain"), text)
        elif name == "publicKey":
            self.key = text
        elif name == "value":
            self._finish()
        self.text = []

    def _finish(self) -> None:
        if self.data is None:
            raise SafeXmlError("a <value> without <signedData>", self.line)
        if len(self.values) >= MAX_VALUES:
            raise SafeXmlError(f"more than {MAX_VALUES} values", self.line)
        form, encoding, text = self.data
        self.values.append(
            SafeValue(
                self.value.get("transactionId", ""),
                self.value.get("context", ""),
                self._decoded(text, encoding),
                self.key,
                form,
            )
        )

    def _decoded(self, text: str, encoding: str) -> str:
        try:
            if encoding == "plain":
                return text
            if encoding == "hex":
                return bytes.fromhex(text).decode()
            if encoding == "base64":
                return base64.b64decode("".join(text.split()), validate=True).decode()
        except (ValueError, binascii.Error):
            raise SafeXmlError(f"signedData is not {encoding}", self.line) from None
        raise SafeXmlError(f"encoding {encoding!r} is not plain, hex or base64", self.line)
