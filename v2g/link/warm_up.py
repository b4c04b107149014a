"""Loads what the first session would load in between its messages, whose time is short (0.25 s in the DC loop)."""

from __future__ import annotations

import gc
import importlib
from functools import cache

from v2g.exi.schemas import GENERATED, SchemaSet, roots, schema

SESSION_SETS = (SchemaSet.SAP, SchemaSet.DIN, SchemaSet.ISO2)


@cache
def warm_up() -> None:
    """Import the codecs of all sessions; a quarter of a second on a PC, once in a process."""
    importlib.import_module("v2g.exi.reader")
    for name in SESSION_SETS:
        roots(name)
        schema(name)
        importlib.import_module(f"{GENERATED}.{name}.grammar")
    # what is loaded now stays: a full collection over it took 24 ms, in the middle of somebody's loop
    gc.collect()
    gc.freeze()
