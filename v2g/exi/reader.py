"""The interpreter that reads: every event of a non-strict grammar, with the bit of every deviation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from v2g.exi.content import Content
from v2g.exi.deviations import Memory, remember_element
from v2g.exi.dialects import STANDARD, Dialect
from v2g.exi.errors import ExiError, TruncatedError
from v2g.exi.grammar import Complex, Simple
from v2g.exi.relaxed import read_relaxed
from v2g.exi.schemas import SchemaSet, complex_grammar, grammar
from v2g.exi.schemas import roots as schema_roots
from v2g.exi.undeclared import skip_undeclared
from v2g.exi.value_reader import BitNote, ValueReader
from v2g.exi.wire_order import document_order

if TYPE_CHECKING:
    from v2g.exi.element import Element
    from v2g.exi.grammar import Root

HEADER = 0x80
# the deepest V2G message has 12 levels; only xsi:type can nest without end
MAX_DEPTH = 32


def read_document(name: SchemaSet, payload: bytes, *, strict: bool, check: bool, dialect: Dialect) -> Element:
    """Read a message; see `codec.decode`."""
    return _document(Reader(name, payload, strict=strict, check=check, dialect=dialect))


def _document(reader: Reader) -> Element:
    roots = document_order(reader.schema, reader.dialect)
    reader.header()
    root = reader.root(roots, len(roots).bit_length())
    if isinstance(grammar(root.types[0]), Simple):
        raise reader.bad_event(f"{root.name} has a simple type and is no message")
    reader.path.append(root.name)
    message: Element = reader.complex(complex_grammar(root.types[0]), root.name)
    reader.finish(message)
    if schema_roots(SchemaSet(reader.schema.name)).ELEMENTS.get(type(message)) != root.name:
        remember_element(message, root.name)
    return message


def read_fragment(name: SchemaSet, payload: bytes, *, strict: bool, check: bool, dialect: Dialect) -> tuple[str, Any]:
    """Read a fragment; see `codec.decode_fragment`."""
    return _fragment(Reader(name, payload, strict=strict, check=check, dialect=dialect))


def _fragment(reader: Reader) -> tuple[str, Any]:
    roots, dialect = reader.schema.fragments, reader.dialect
    width = (len(roots) + 1).bit_length()
    reader.header()
    root = reader.root(roots, width)
    reader.path.append(root.name)
    memory = Memory()
    kinds = [grammar(key) for key in root.types]
    value: Any
    if len(kinds) > 1 and not dialect.plain_emaid:
        value = read_relaxed(reader, root)
    elif isinstance(kinds[-1], Simple):
        value = reader.simple_element(kinds[-1], memory, 0)
    else:
        value = reader.complex(kinds[-1], root.name)
    reader.place = ", after the element"
    start = reader.at
    code = reader.bits(width)
    if code != len(roots) + 1:
        reader.at = start
        raise reader.bad_event(f"event code {code}, the end of the fragment is {len(roots) + 1}")
    reader.mark(start, "end of the fragment")
    reader.finish(value)
    names = [other.name for other in roots]
    return (root.name if names.count(root.name) == 1 else f"{{{root.uri}}}{root.name}"), value


def annotate(
    name: SchemaSet, payload: bytes, *, fragment: bool = False, dialect: Dialect = STANDARD
) -> tuple[list[BitNote], ExiError | None]:
    """What every bit of a stream is, as far as it can be read, and the error that stopped the reader, if any."""
    reader = Reader(name, payload, strict=False, check=True, dialect=dialect)
    reader.annotating = True
    error: ExiError | None = None
    try:
        if fragment:
            _fragment(reader)
        else:
            _document(reader)
    except ExiError as found:
        error = found
    return reader.bit_notes, error


class Reader(ValueReader):
    """Reads whole streams."""

    def header(self) -> None:
        if not self.data:
            raise TruncatedError("no octets at all", self.data, 0, self.where())
        if self.bits(8) != HEADER:
            self.at = 0
            raise self.bad_event(f"header octet {self.data[0]:#04x}, V2G uses {HEADER:#04x}: EXI 1.0, no options")
        self.mark(0, "header: EXI 1.0, no options")

    def root(self, roots: tuple[Root, ...], width: int) -> Root:
        start = self.at
        code = self.bits(width)
        if code < len(roots):
            self.mark(start, f"event code {code}: {roots[code].name}")
            return roots[code]
        self.at = start
        raise self.bad_event(f"event code {code}: there are {len(roots)} elements")

    def finish(self, message: object) -> None:
        """What stands behind the end: zero bits up to the octet, perhaps one octet more."""
        start = self.at
        rest = self.end - start
        tail = self.bits(rest)
        if rest:
            self.mark(start, "padding")
        self.place = ", after the end"
        if tail >> (rest & ~7):
            self.note("padding", start, f"bits {tail >> (rest & ~7):0{rest & 7}b} after the end")
        if rest > 7:
            octets = self.data[(start + 7) >> 3 :]
            self.note("trailing", (start + 7) & ~7, f"{len(octets)} octets after the end: {octets[:8].hex()}")
        if self.deviations and hasattr(message, "__dict__"):
            memory = message.__dict__.setdefault("exi", Memory())
            memory.deviations = tuple(self.deviations)
            if tail or rest > 7:
                memory.tail = (tail, rest)

    def complex(self, kind: Complex, element: str) -> Any:
        """Read an element of a complex type, up to and including its EE."""
        self._check_depth()
        content = Content(self, kind, element)
        content.read()
        return content.build()

    def enter(self, element: str) -> None:
        """Go into an element that the schema does not have at its place."""
        self._check_depth()
        self.path.append(element)

    def undeclared(self, start: int) -> None:
        uri, local = skip_undeclared(self)
        self.note("element", start, f"undeclared element {{{uri}}}{local}")

    def _check_depth(self) -> None:
        if len(self.path) > MAX_DEPTH:
            raise self.bad_event(f"more than {MAX_DEPTH} elements inside each other")
