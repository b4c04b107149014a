"""What a seeded defect is, and two ways of putting one in: an impostor for a part, a patch for what is made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hil_rigs.fault_catalogue.breakable import Breakable
from hil_rigs.fault_catalogue.entry import Parameter, Undo

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seed:
    """meaning: what is wrong with the device. plant: puts it in; returns what takes it out where the bench does not.

    parameters: what `with` may hold; `plant` gets all of them.
    """

    meaning: str
    plant: Callable[[Breakable, Values], Undo | None]
    parameters: tuple[Parameter, ...] = ()


class Impostor:
    """Stands in for a part of the device: some of its attributes are others, the rest is the part's own."""

    def __init__(self, part: object, **others: object) -> None:
        object.__setattr__(self, "_part", part)
        object.__setattr__(self, "_others", others)

    def __getattr__(self, name: str) -> Any:
        others = object.__getattribute__(self, "_others")
        return others[name] if name in others else getattr(object.__getattribute__(self, "_part"), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(object.__getattribute__(self, "_part"), name, value)


def replace(owner: object, attribute: str, **others: object) -> None:
    """Put an impostor in the place of a part."""
    setattr(owner, attribute, Impostor(getattr(owner, attribute), **others))


def patched(owner: Any, name: str, value: object) -> Undo:
    """Something that is made anew in every session is replaced where it is made."""
    before = owner.__dict__[name]
    setattr(owner, name, value)
    return lambda: setattr(owner, name, before)
