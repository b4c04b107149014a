"""What an element of a message is called: the field's name, or that of the element that substitutes for it."""

from __future__ import annotations

from functools import cache

from v2g.exi.deviations import memory
from v2g.exi.element import Element
from v2g.exi.schemas import complex_grammar, type_key


def name_in(owner: Element, field: str, value: object) -> str:
    """The name of a field's value: "SessionStopReq" in the field BodyElement, "SAScheduleList" in SASchedules.

    A peer may send the abstract head with xsi:type: the type tells what it is.
    """
    if not isinstance(value, Element):
        return field
    names = _substitutes(type(owner), field, type(value))
    remembered = memory(value)
    if remembered is not None and remembered.element in names:
        return remembered.element
    return names[0] if names else field


def element_name(element: Element) -> str:
    """The name of a document element from its class: "AuthorizationReq" of AuthorizationReqType."""
    return type(element).__name__.removesuffix("Type")


@cache
def _substitutes(owner: type, field: str, value: type) -> list[str]:
    """The elements of a field whose type is this class."""
    step = next(step for step in complex_grammar(type_key(owner)).steps if step.field == field)
    return [member.name for member in step.members if member.name and member.type == type_key(value)]
