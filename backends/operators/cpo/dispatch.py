"""From a call to its handler, by version and action."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backends.operators.cpo import handlers_16, handlers_201
from backends.operators.cpo.csms import Csms
from backends.operators.cpo.faults import CsmsFaults, NoCsmsFaults, with_faults
from backends.operators.cpo.frames import Call, ErrorCode, Frame, FrameError, Result, Version
from backends.operators.cpo.handlers_201 import Handler
from backends.operators.cpo.link import Handle, StationLink

HANDLERS: Mapping[Version, Mapping[str, Handler]] = MappingProxyType(
    {Version.V16: handlers_16.HANDLERS, Version.V201: handlers_201.HANDLERS}
)


def dispatcher(csms: Csms, faults: CsmsFaults) -> Handle:
    """What answers the calls of all stations."""

    async def handle(link: StationLink, call: Call) -> Frame | None:
        handler = HANDLERS[link.version].get(call.action)
        if handler is None:
            raise FrameError(ErrorCode.NOT_SUPPORTED, f"{call.action} is nothing that a station asks", call.message_id)
        return Result(call.message_id, await handler(csms, link, call.payload))

    return handle if isinstance(faults, NoCsmsFaults) else with_faults(handle, faults, csms.clock)
