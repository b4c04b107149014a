"""The judge: what is seen counts by its own time, and nothing passes that was never looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil_rigs.scenario.format import Assertion
from hil_rigs.scenario.judge import Judge, Judged
from hil_rigs.scenario.observer import Observer
from hil_rigs.scenario.remains import Remains
from ocmf.keys import decode_public_key

KEY = decode_public_key(
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
Seen = tuple[float, str, str, dict[str, Any]]
PERIODIC: Seen = (12.0, "store", "Sample.Periodic", {"ST": "G"})
CHARGE: tuple[Seen, ...] = (
    (1.0, "wire.power", "contactor", {"closed": True}),
    (2.0, "wire.power", "flow", {"watts": 3680, "milliamperes": [16000, 0, 0]}),
    (100.0, "fault", "begun", {"fault": "line.drop"}),
    (120.0, "fault", "over", {"fault": "line.drop"}),
    (300.0, "wire.power", "contactor", {"closed": False}),
)


def judged(*seen: Seen, **assertion: Any) -> Judged:
    """One assertion about a run in which these were told in this order."""
    observer = Observer()
    for at, channel, name, fields in seen:
        observer.add(at, channel, name, "1", fields)
    return Judge(Remains(Path(), KEY, (), None, observer), 0.0).one(Assertion(**assertion), "then[0]", "x.yaml:1")


def test_a_record_that_is_told_at_the_end_counts_at_its_own_time() -> None:
    told = (*CHARGE, PERIODIC)
    assert judged(*told, expect="store Sample.Periodic ST=G", after="fault over").verdict == "fail"
    assert judged(*told, never="store Sample.Periodic", after="wire.power contactor closed=false").verdict == "pass"
    assert judged(*told, never="store Sample.Periodic", before="wire.power contactor closed=false").verdict == "fail"
    assert judged(*told, count="store Sample.Periodic", exactly=1, before="fault begun").verdict == "pass"
    ordered = ["wire.power contactor closed=true", "store Sample.Periodic", "fault begun"]
    assert judged(*told, order=ordered).verdict == "pass"
    assert judged(*told, order=[ordered[0], ordered[2], ordered[1]]).verdict == "fail"
    found = judged(*told, expect="store Sample.Periodic", after="wire.power contactor closed=true", within="12 s")
    assert (found.verdict, found.at) == ("pass", 12.0)


def test_what_happened_at_once_keeps_the_order_in_which_it_was_told() -> None:
    close = ((5.0000000002, "fault", "begun", {}), (5.0, "fault", "over", {}))
    assert judged(*close, order=["fault begun", "fault over"]).verdict == "pass"
