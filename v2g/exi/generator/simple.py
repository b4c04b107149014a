"""Simple types: from facets to the EXI representation and the limits (EXI 7.1)."""

from __future__ import annotations

from v2g.exi.generator.xsd import Node, Pool, QName, UnknownFeatureError
from v2g.exi.grammar import Simple

XS_URI = "http://www.w3.org/2001/XMLSchema"
# EXI 7.1.9: a bounded range of at most this many values is an n-bit unsigned integer
BOUNDED_RANGE = 4096

BUILTINS: dict[str, Simple] = {
    "boolean": Simple("xs.boolean", "boolean", 1),
    "hexBinary": Simple("xs.hexBinary", "hex"),
    "base64Binary": Simple("xs.base64Binary", "base64"),
    **{name: Simple(f"xs.{name}", "string") for name in ("string", "anyURI", "ID", "IDREF")},
    **{
        name: Simple(f"xs.{name}", "integer", low=low, high=high)
        for name, low, high in (
            ("integer", None, None),
            ("long", -(2**63), 2**63 - 1),
            ("int", -(2**31), 2**31 - 1),
            ("short", -(2**15), 2**15 - 1),
            ("byte", -(2**7), 2**7 - 1),
            ("unsignedLong", 0, 2**64 - 1),
            ("unsignedInt", 0, 2**32 - 1),
            ("unsignedShort", 0, 2**16 - 1),
            ("unsignedByte", 0, 2**8 - 1),
        )
    },
}


def builtin(name: str) -> Simple:
    """A type of XML Schema itself."""
    if name not in BUILTINS:
        raise UnknownFeatureError(f"xs:{name} is not supported")
    return _represented(BUILTINS[name])


def simple_type(pool: Pool, name: str, node: Node) -> Simple:
    """Flatten a simpleType with all its bases."""
    (restriction,) = node.children()
    if restriction.tag != "restriction":
        raise UnknownFeatureError(f"{name}: simpleType with <{restriction.tag}>")
    base = base_type(pool, restriction.qname("base"))
    values: list[str] = []
    for facet in restriction.children():
        value = facet.get("value") or ""
        match facet.tag:
            case "enumeration":
                values.append(value)
            case "length":
                base = base._replace(min_length=int(value), max_length=int(value))
            case "minLength":
                base = base._replace(min_length=int(value))
            case "maxLength":
                base = base._replace(max_length=int(value))
            case "minInclusive":
                base = base._replace(low=int(value))
            case "maxInclusive":
                base = base._replace(high=int(value))
            case other:
                raise UnknownFeatureError(f"{name}: facet {other}")
    if values:
        if base.kind != "string" or base.max_length is not None:
            raise UnknownFeatureError(f"{name}: enumeration of {base.name}")
        return Simple(name, "enumeration", (len(values) - 1).bit_length(), values=tuple(values))
    return _represented(base._replace(name=name))


def base_type(pool: Pool, name: QName) -> Simple:
    """The simple type of this qualified name, without its key."""
    uri, local = name
    if uri == XS_URI:
        return BUILTINS[local] if local in BUILTINS else builtin(local)
    return simple_type(pool, local, pool.types[name])


def _represented(base: Simple) -> Simple:
    """Choose the representation of an integer from its range."""
    if base.kind not in ("integer", "unsigned", "bits"):
        return base
    if base.low is not None and base.high is not None and base.high - base.low < BOUNDED_RANGE:
        return base._replace(kind="bits", width=(base.high - base.low).bit_length())
    return base._replace(kind="unsigned" if base.low is not None and base.low >= 0 else "integer", width=0)
