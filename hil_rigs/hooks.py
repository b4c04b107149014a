"""Where a rig may break its own parts on purpose. A production run uses `Hooks()`, which changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.faults import BackendFaults, no_backend_fault
from ports.signer import Signer

if TYPE_CHECKING:  # a rig without a CSMS starts faster
    from backends.operators.cpo.faults import CsmsFaults


def _as_it_is(signer: Signer) -> Signer:
    return signer


def _app_as_it_is(app: Any) -> Any:
    return app


@dataclass(frozen=True, slots=True)
class Hooks:
    """signer: what stands before the signer. cpo: asked at each delivery of a signed value to an embedded CPO.

    csms: asked at each call and connection of a station to an embedded CSMS. pools, mo: what stands before the ASGI
    application of embedded pools, and of each delivery to an embedded mobility operator.
    """

    signer: Callable[[Signer], Signer] = _as_it_is
    cpo: BackendFaults = no_backend_fault
    csms: CsmsFaults | None = None
    pools: Callable[[Any], Any] = _app_as_it_is
    mo: BackendFaults = no_backend_fault
