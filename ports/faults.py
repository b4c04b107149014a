"""The fault hook: the one place where a rig may break a layer on purpose."""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T")


class FaultHook(Protocol):
    """Sees a unit of a layer's work (a frame, a message, a command) before it goes on."""

    def __call__(self, point: str, unit: T) -> list[T]:
        """Return what goes on instead: [unit] unchanged, [] to drop it, several to repeat or add.

        point: stable name of the place, e.g. "line.to_master", "v2g.tx.CurrentDemandRes".
        """


def no_fault(point: str, unit: T) -> list[T]:  # noqa: ARG001 - the signature of the hook
    """The hook of production: everything goes on as it is."""
    return [unit]
