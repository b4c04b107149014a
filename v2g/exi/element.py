"""What every message class is: a msgspec Struct that can remember how it stood on the wire."""

from __future__ import annotations

import msgspec


class Element(msgspec.Struct, kw_only=True, dict=True):
    """Base of all generated classes; fields are named as in the schema.

    Equality, repr and copies concern the fields only. What a decoder met beyond them (see `v2g.exi.deviations`) is kept
    aside, so that encoding the same object gives the same bits again.
    """
