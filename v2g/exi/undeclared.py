"""Elements that the schema does not have at their place: SE(*) of the second level.

A global element of the schema goes by its own grammar. Anything else starts in a built-in grammar (EXI 8.4.3), which
the V2G options keep empty, so that it must say xsi:type="xs:anyType" first (EXI profile 4.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from v2g.exi.deviations import Memory
from v2g.exi.grammar import Complex
from v2g.exi.qnames import XSD, XSI
from v2g.exi.schemas import grammar

if TYPE_CHECKING:
    from v2g.exi.reader import Reader

# built-in grammar, first state: EE, AT(*), SE(*), CH
BUILT_IN_WIDTH, BUILT_IN_ATTRIBUTE = 2, 1
# anyType, first state: AT(*), SE(*), EE, CH and the escape; afterwards the same without AT(*)
ANY_TYPE = (("attribute", "element", "end", "text"), 3)
ANY_CONTENT = (("element", "end", "text"), 2)


def skip_undeclared(reader: Reader) -> tuple[str, str]:
    """Read an element from its qualified name to its end; returns the name."""
    uri, local = reader.qname()
    reader.enter(local)
    root = next((root for root in reader.schema.documents if (root.uri, root.name) == (uri, local)), None)
    if root is None:
        _any_type(reader, (uri, local))
    elif isinstance(kind := grammar(root.types[0]), Complex):
        reader.complex(kind, local)
    else:
        reader.simple_element(kind, Memory(), 0)
    reader.path.pop()
    return uri, local


def _any_type(reader: Reader, name: tuple[str, str]) -> None:
    reader.place = " (undeclared element)"
    # once used, the built-in grammar of a name has AT(xsi:type) on its first level (EXI 8.4.3)
    learnt = name in reader.built_in and reader.bits(1) == 0
    reader.built_in.add(name)
    if not learnt:
        learnt = reader.bits(BUILT_IN_WIDTH) == BUILT_IN_ATTRIBUTE and reader.qname() == (XSI, "type")
    if not learnt or reader.qname() != (XSD, "anyType"):
        raise reader.bad_event("an undeclared element without xsi:type xs:anyType")
    events: tuple[str, ...]
    events, width = ANY_TYPE
    while True:
        code = reader.bits(width)
        if code >= len(events):
            raise reader.bad_event("the second level inside xs:anyType")
        match events[code]:
            case "end":
                return
            case "attribute":
                reader.qname()
                reader.string()
                continue
            case "element":
                skip_undeclared(reader)
            case "text":
                reader.string()
        events, width = ANY_CONTENT
