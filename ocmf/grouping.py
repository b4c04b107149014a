"""Which records belong to one charging transaction, where nobody says so: by source, page, begin and end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ocmf.terms import TX_ENDS, Tx
from ocmf.verify import VerifiedRecord


def group_transactions(records: Sequence[VerifiedRecord]) -> tuple[tuple[VerifiedRecord, ...], ...]:
    """Records of any number of sources as transactions, each in the order of its pages.

    A transaction starts at a begin reading and goes on to the next end; fiscal records and strays stand alone. The
    same payload given twice counts once: it is one record in two places.
    """
    sources: dict[tuple[str, ...], list[VerifiedRecord]] = defaultdict(list)
    unique = {verified.record.record_id: verified for verified in records}
    for verified in unique.values():
        record = verified.record
        context = record.page[0] if record.page else ""
        sources[(*record.source, record.string("CI"), context)].append(verified)
    groups: list[tuple[VerifiedRecord, ...]] = []
    for stream in sources.values():
        stream.sort(key=lambda verified: verified.record.page or ("", 0))
        under_way: list[VerifiedRecord] = []
        for verified in stream:
            reasons = {reading.tx for reading in verified.record.readings}
            if Tx.BEGIN in reasons and under_way:
                groups.append(tuple(under_way))
                under_way = []
            if not (Tx.BEGIN in reasons or under_way):
                groups.append((verified,))
                continue
            under_way.append(verified)
            if reasons & TX_ENDS:
                groups.append(tuple(under_way))
                under_way = []
        if under_way:
            groups.append(tuple(under_way))
    return tuple(groups)
