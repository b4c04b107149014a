"""A network in memory: TCP and UDP within one virtual event loop, over links that can be slow, lossy or down."""

from __future__ import annotations

from hil_rigs.virtual_net.link import Link
from hil_rigs.virtual_net.network import VirtualNet

__all__ = ["Link", "VirtualNet"]
