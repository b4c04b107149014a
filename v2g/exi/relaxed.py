"""The relaxed element fragment grammar (EXI 8.5.3): one name, several types; in all V2G schemas only eMAID of -2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from v2g.exi.deviations import Memory, Raw
from v2g.exi.errors import EncodeError
from v2g.exi.grammar import Complex
from v2g.exi.schemas import grammar, message_class

if TYPE_CHECKING:
    from v2g.exi.bit_writer import BitWriter
    from v2g.exi.grammar import Root, Schema
    from v2g.exi.reader import Reader


def first_width(schema: Schema) -> int:
    """Attributes, AT(*), elements, SE(*), EE, CH."""
    return (len(schema.attributes) + len(schema.fragments) + 4).bit_length()


def content_width(schema: Schema) -> int:
    """After the content: elements, SE(*), EE, CH."""
    return (len(schema.fragments) + 3).bit_length()


def read_relaxed(reader: Reader, root: Root) -> Any:
    """Attributes, one text, EE; the type with the attributes if there were any, else the simple one."""
    schema = reader.schema
    attributes, elements = len(schema.attributes), len(schema.fragments)
    kind = _complex_type(root)
    values: dict[str, Any] = {}
    memory = Memory()
    while True:
        reader.place = " (relaxed fragment grammar)"
        start = reader.at
        code = reader.bits(first_width(schema))
        if code >= attributes:
            break
        local, uri = schema.attributes[code]
        step = next((step for step in kind.steps if step.members[0][:2] == (local, uri)), None)
        if step is None or step.field in values:
            reader.at = start
            raise reader.bad_event(f"attribute {{{uri}}}{local} in {root.name}")
        values[step.field] = _string(reader, memory, len(values))
    text = ""
    if code == attributes + elements + 3:
        text = _string(reader, memory, len(values))
        start = reader.at
        code = reader.bits(content_width(schema)) + attributes + 1
    else:
        reader.note("empty content", start, "EE instead of a value of length 0")
    if code != attributes + 1 + elements + 1:
        reader.at = start
        raise reader.bad_event(f"{root.name} has more than attributes and one text")
    if not values:
        return text
    missing = {step.field: None for step in kind.steps}
    message = message_class(kind.key)(**{**missing, **values, "value": text})
    if reader.deviations:
        message.__dict__["exi"] = memory
    return message


def _string(reader: Reader, memory: Memory, event: int) -> str:
    start, reader.long_form = reader.at, False
    text = reader.string()
    if reader.long_form:
        reader.note("long form", start, "a value with redundant bits")
        memory.values[event] = Raw(text, *reader.span(start))
    return text


def _write_string(writer: BitWriter, memory: Memory, event: int, text: str) -> None:
    raw = memory.values.get(event)
    if raw is not None and raw.value == text:
        writer.put(raw.width, raw.bits)
    else:
        writer.string(text)


def write_relaxed(writer: BitWriter, root: Root, value: Any) -> None:
    """The inverse."""
    schema = writer.schema
    kind = _complex_type(root)
    text = value if isinstance(value, str) else value.value
    memory: Memory = getattr(value, "__dict__", {}).get("exi") or Memory()
    event = 0
    if not isinstance(value, str):
        for step in kind.steps[: kind.attributes]:
            found = getattr(value, step.field)
            if found is not None:
                code = schema.attributes.index(step.members[0][:2])
                writer.put(first_width(schema), code)
                _write_string(writer, memory, event, found)
                event += 1
    if not isinstance(text, str):
        raise EncodeError(f"{schema.name} {root.name}: {text!r} is no text")
    attributes, elements = len(schema.attributes), len(schema.fragments)
    if not text and writer.empty_event:
        writer.put(first_width(schema), attributes + 1 + elements + 1)
        return
    writer.put(first_width(schema), attributes + elements + 3)
    _write_string(writer, memory, event, text)
    writer.put(content_width(schema), elements + 1)


def _complex_type(root: Root) -> Complex:
    """The one with attributes."""
    kinds = [kind for kind in map(grammar, root.types) if isinstance(kind, Complex)]
    return kinds[-1]
