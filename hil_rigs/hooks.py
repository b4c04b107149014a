"""Where a rig may break its own parts on purpose. A production run uses `Hooks()`, which changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backends.faults import BackendFaults, no_backend_fault
from ports.signer import Signer


def _as_it_is(signer: Signer) -> Signer:
    return signer


@dataclass(frozen=True, slots=True)
class Hooks:
    """signer: what stands before the signer. cpo: asked at each delivery of a signed value to an embedded CPO."""

    signer: Callable[[Signer], Signer] = _as_it_is
    cpo: BackendFaults = no_backend_fault
