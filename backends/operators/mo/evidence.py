"""What proves a bill: its signed records with our own key, as the transparency software opens them (IF_MO_TS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import sqlalchemy as sa

from backends.operators.mo.billing import Bill
from backends.operators.mo.received import Channel, ReceivedCdr, from_body
from backends.operators.mo.tables import BILLS, CDRS
from ocmf.keys import PublicKey, decode_public_key
from ocmf.safe_xml import write_safe_xml
from ports.charge_detail import Nature
from ports.errors import PeerError


class NoSuchBillError(PeerError):
    """There is none, or it is somebody else's."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A bill, the charge detail record that it rests on, and the key that verified it: ours, not the carried one."""

    bill: Bill
    cdr: ReceivedCdr
    key: PublicKey
    credited: str

    def safe_xml(self) -> str:
        """SAFE XML of begin and end, which is what verifiers take (one key, one transaction)."""
        values = self.cdr.values
        if len(values) == 1:
            return write_safe_xml([(1, "", values[0].ocmf)], self.key)
        contexts: dict[Nature, Literal["Transaction.Begin", "Transaction.End"]] = {
            Nature.START: "Transaction.Begin",
            Nature.END: "Transaction.End",
        }
        ends = [(1, contexts[one.nature], one.ocmf) for one in values if one.nature in contexts]
        return write_safe_xml(ends, self.key)

    def ocmf(self) -> str:
        """Every signed record, one in a line, byte for byte as signed."""
        return "".join(f"{one.ocmf}\n" for one in self.cdr.values)


def evidence(connection: sa.Connection, bill_id: str, customer: str | None = None) -> Evidence:
    """customer: whose bill it must be, None = anybody's. Raises NoSuchBillError."""
    query = (
        sa.select(BILLS.c.bill, BILLS.c.credited, CDRS.c.channel, CDRS.c.operator, CDRS.c.body, CDRS.c.public_key)
        .join(CDRS, BILLS.c.cdr == CDRS.c.seq)
        .where(BILLS.c.id == bill_id)
    )
    if customer is not None:
        query = query.where(BILLS.c.customer == customer)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NoSuchBillError("there is no such bill")
    return Evidence(
        bill=msgspec.convert(row.bill, Bill),
        cdr=from_body(Channel(row.channel), row.operator, row.body),
        key=decode_public_key(row.public_key),
        credited=row.credited or "",
    )
