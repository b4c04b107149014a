"""Messages as XML, the form that other EXI tools read."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from v2g.exi.grammar import Complex, Simple
from v2g.exi.schemas import SchemaSet, complex_grammar, grammar, schema, type_key

if TYPE_CHECKING:
    from v2g.exi.grammar import Step


def to_xml(schema_set: SchemaSet, element: str, value: Any, *, fragment: bool = False) -> str:
    """The XML of a message, or of any element of a schema set if `fragment`.

    element: local name, "{namespace}name" where two elements share it.
    """
    table = schema(schema_set)
    roots = table.fragments if fragment else table.documents
    root = next(root for root in roots if element in (root.name, f"{{{root.uri}}}{root.name}"))
    uris = table.uris[4:]  # without "", xml, xsi and xsd
    prefixes = {uri: f"n{number}:" for number, uri in enumerate(uris)} | {"": ""}
    declarations = "".join(f' xmlns:n{number}="{uri}"' for number, uri in enumerate(uris))
    text = "".join(_element(prefixes, root.name, root.uri, root.types[0], value))
    head = f"<{prefixes[root.uri]}{root.name}"
    return head + declarations + text.removeprefix(head)


def _element(prefixes: dict[str, str], name: str, uri: str, key: str, value: Any) -> list[str]:
    tag = prefixes[uri] + name
    kind = complex_grammar(type_key(type(value))) if hasattr(value, "__struct_fields__") else grammar(key)
    if isinstance(kind, Simple):
        return [f"<{tag}>", escape(_text(kind, value)), f"</{tag}>"]
    attributes, content = _content(prefixes, kind, value)
    return [f"<{tag}{attributes}>", *content, f"</{tag}>"]


def _content(prefixes: dict[str, str], kind: Complex, message: Any) -> tuple[str, list[str]]:
    attributes, content = "", []
    # a field that stands in two places (PGPData) is written once
    for step in {step.field: step for step in kind.steps if step.field}.values():
        value = getattr(message, step.field)
        if value is None:
            continue
        member = step.members[0]
        simple = grammar(member.type)
        if step.kind == "attribute" and isinstance(simple, Simple):
            attributes += f" {prefixes[member.uri]}{member.name}={quoteattr(_text(simple, value))}"
        elif step.kind == "text" and isinstance(simple, Simple):
            content.append(escape(_text(simple, value)))
        else:
            for item in value if step.many else [value]:
                content += _member(prefixes, step, item)
    return attributes, content


def _member(prefixes: dict[str, str], step: Step, value: Any) -> list[str]:
    member = step.members[0]
    if len(step.members) > 1:
        key = type_key(type(value))
        member = next(member for member in step.members if member.type == key)
    return _element(prefixes, member.name, member.uri, member.type, value)


def _text(simple: Simple, value: Any) -> str:
    if simple.kind == "hex":
        return str(value.hex().upper())
    if simple.kind == "base64":
        return b64encode(value).decode()
    return str(value).lower() if simple.kind == "boolean" else str(value)
