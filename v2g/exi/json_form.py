"""Messages as JSON-compatible values and back, with field names that stay.

Elements and attributes stand under their local names (a substitute under its own, not the head's), simple content under
"value", repeatable elements are lists, hexBinary is upper-case hex, base64Binary is base64, absent fields are left out.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from v2g.exi.codec import element_name
from v2g.exi.deviations import remember_element
from v2g.exi.errors import EncodeError
from v2g.exi.grammar import Complex, Simple
from v2g.exi.schemas import SchemaSet, complex_grammar, grammar, message_class, schema, schema_set, type_key

if TYPE_CHECKING:
    from v2g.exi.element import Element
    from v2g.exi.grammar import Step

Json = dict[str, Any]


def to_json(message: Element, element: str | None = None) -> Json:
    """{name of the element: its content}. element: for fragments; otherwise the global element of the class."""
    kind = complex_grammar(type_key(type(message)))
    return {element or element_name(message): _complex(kind, message)}


def from_json(schema_name: SchemaSet | str | int, document: Json, *, fragment: bool = False) -> Element:
    """The inverse of `to_json`; raises EncodeError with the path of what does not fit.

    fragment: the element may be any of the schema, not only a global one.
    """
    name = schema_set(schema_name)
    if len(document) != 1:
        raise EncodeError(f"{name}: one root element wanted, got {', '.join(document) or 'none'}")
    ((element, content),) = document.items()
    table = schema(name)
    for root in table.fragments if fragment else table.documents:
        if root.name == element:
            kinds = [kind for kind in map(grammar, root.types) if isinstance(kind, Complex)]
            if kinds:
                message = _message(kinds[-1], content, element)
                if not fragment and element != element_name(message, name):
                    remember_element(message, element)
                return message
    raise EncodeError(f"{name} has no message {element!r}")


def value_to_json(simple: Simple, value: Any) -> Any:
    """A simple value; text that stands for something else (Untyped) stays text."""
    if isinstance(value, bytes):
        return value.hex().upper() if simple.kind == "hex" else b64encode(value).decode()
    return str(value) if isinstance(value, str) else value


def _complex(kind: Complex, message: object) -> Json:
    found: Json = {}
    for step in kind.steps:
        value = getattr(message, step.field, None) if step.field else None
        if value is None or (step.many and not value):
            continue
        if step.many:
            for item in value:
                found.setdefault(_name(step, item), []).append(_member(step, item))
        else:
            found[_name(step, value)] = _member(step, value)
    return found


def _name(step: Step, value: object) -> str:
    if len(step.members) == 1:
        return step.field
    memory = getattr(value, "__dict__", {}).get("exi")
    if memory and memory.element:
        return str(memory.element)
    key = type_key(type(value))
    return next((member.name for member in step.members if member.type == key), step.field)


def _member(step: Step, value: Any) -> Any:
    kind = grammar(step.members[0].type)
    if isinstance(kind, Simple):
        return value_to_json(kind, value)
    return _complex(complex_grammar(type_key(type(value))), value)


def _message(kind: Complex, content: Any, path: str) -> Element:
    if not isinstance(content, dict):
        raise EncodeError(f"{path}: an object wanted, got {content!r}")
    values: Json = {step.field: [] if step.many else None for step in kind.steps if step.field}
    places = {member.name or step.field: (step, member.type) for step in kind.steps for member in step.members}
    for name, item in content.items():
        if name not in places:
            raise EncodeError(f"{path}: {kind.name} has no {name!r}, only {', '.join(places) or 'nothing'}")
        step, key = places[name]
        if not step.many:
            values[step.field] = _value(key, item, f"{path}/{name}")
        elif isinstance(item, list):
            values[step.field] += [_value(key, one, f"{path}/{name}[{number}]") for number, one in enumerate(item)]
        else:
            raise EncodeError(f"{path}/{name}: a list wanted, got {item!r}")
    return message_class(kind.key)(**values)


def _value(key: str, item: Any, path: str) -> Any:
    kind = grammar(key)
    if isinstance(kind, Complex):
        return _message(kind, item, path)
    wanted: Any = {"boolean": bool, "bits": int, "unsigned": int, "integer": int}.get(kind.kind, str)
    if not isinstance(item, wanted) or (wanted is int and isinstance(item, bool)):
        raise EncodeError(f"{path}: {kind.name} wants {wanted.__name__}, got {item!r}")
    try:
        if kind.kind == "hex":
            return bytes.fromhex(item)
        return b64decode(item, validate=True) if kind.kind == "base64" else item
    except ValueError as error:
        raise EncodeError(f"{path}: {item!r} is no {kind.kind}: {error}") from None
