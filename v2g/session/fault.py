"""What all faults of a session have in common: which message they strike, and where."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec

from ports.errors import LocalError
from v2g.exi.deviations import Undefined, Untyped
from v2g.exi.element import Element
from v2g.session.channel import Outgoing


class Fault(msgspec.Struct, kw_only=True, frozen=True, tag_field="fault", forbid_unknown_fields=True):
    """message: name, or "*". nth: the first one it strikes, from 1. times: how many; 0 = all from there on."""

    message: str
    nth: int = 1
    times: int = 1

    def strikes(self, count: int) -> bool:
        """Whether it strikes the message of this number."""
        return count >= self.nth and (self.times == 0 or count < self.nth + self.times)

    def on_unsigned(self, message: Element) -> list[Element]:
        """Point 0, vehicle only: the message object before it is signed."""
        return [message]

    def on_message(self, message: Element) -> list[Element]:
        """Point 1: the message object."""
        return [message]

    def on_exi(self, schema: str, exi: bytes) -> list[bytes]:  # noqa: ARG002
        """Points 2 and 3: values and event codes."""
        return [exi]

    def on_frame(self, out: Outgoing) -> list[Outgoing]:
        """Point 4: the frame."""
        return [out]


class FieldFault(Fault, frozen=True):
    """Changes a field of the message object."""

    field: str
    sign: bool = False

    def on_unsigned(self, message: Element) -> list[Element]:
        return [self.changed(message)] if self.sign else [message]

    def on_message(self, message: Element) -> list[Element]:
        return [message] if self.sign else [self.changed(message)]

    def changed(self, message: Element) -> Element:
        """A copy of the message with the field changed. Raises LocalError when it has no such field."""
        changed = copy.deepcopy(message)
        *path, last = self.field.split(".")
        owner: Any = changed
        for part in path:
            owner = _part(owner, part)
        if isinstance(owner, list) and last.isdigit() and int(last) < len(owner):
            owner[int(last)] = self.value_for(owner[int(last)])
        elif last in getattr(owner, "__struct_fields__", ()):
            setattr(owner, last, self.value_for(getattr(owner, last)))
        else:
            raise LocalError(f"fault on {self.message}: the message has no field {self.field!r}")
        return changed

    def value_for(self, old: Any) -> Any:
        """What the field becomes."""
        raise NotImplementedError


class ReplaceField(FieldFault, frozen=True, tag="replace field"):
    """A field has another value.

    field: path from the message, e.g. "Body.BodyElement.EVTargetCurrent.Value", list items by number.
    value: what it becomes; None leaves it out, also a mandatory one if nothing follows it. Octets as "hex:00ff".
    how: "value"; "untyped" writes text through the second level of EXI; "undefined" an enumeration index ("#29").
    sign: a vehicle signs the new value (its signed messages only); else a signature stays as it was.
    """

    value: bool | int | str | None = None
    how: str = "value"

    def value_for(self, old: Any) -> Any:  # noqa: ARG002
        make: dict[str, Callable[[Any], Any]] = {"untyped": Untyped, "undefined": Undefined}
        if self.how in make:
            return make[self.how](self.value)
        if isinstance(self.value, str) and self.value.startswith("hex:"):
            return bytes.fromhex(self.value[4:])
        return self.value


class ReverseList(FieldFault, frozen=True, tag="reverse list"):
    """A list goes out in the opposite order: a chain of certificates, tariffs.

    field: path of the list, e.g. "Body.BodyElement.ContractSignatureCertChain.SubCertificates.Certificate".
    sign: a vehicle signs the new order (its signed messages only); else a signature stays as it was.
    """

    def value_for(self, old: Any) -> Any:
        if not isinstance(old, list):
            raise LocalError(f"fault on {self.message}: {self.field!r} is no list")
        return old[::-1]


def _part(owner: Any, part: str) -> Any:
    if isinstance(owner, list):
        return owner[int(part)] if part.isdigit() and int(part) < len(owner) else None
    return getattr(owner, part, None)
