"""The order of document roots, which one dialect gets wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from v2g.exi.dialects import Dialect
    from v2g.exi.grammar import Root, Schema


def document_order(schema: Schema, dialect: Dialect) -> tuple[Root, ...]:
    """The roots of documents in the order of their event codes."""
    if dialect.swapped_acdp and schema.name == "iso20_acdp":
        # libcbv2g lib/cbv2g/iso_20/iso20_ACDP_Encoder.c: code 1 is DisconnectReq, 2 is ConnectRes
        swap = {"ACDP_ConnectRes": 2, "ACDP_DisconnectReq": 1}
        numbered = [(swap.get(root.name, number), root) for number, root in enumerate(schema.documents)]
        return tuple(root for _, root in sorted(numbered, key=lambda item: item[0]))
    return schema.documents
