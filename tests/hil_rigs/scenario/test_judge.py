"""The judge: what is seen counts by its own time, and nothing passes that was never looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil_rigs.scenario.checks import CHECKS
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


def judged(*seen: Seen, sources: tuple[str, ...] = (), **assertion: Any) -> Judged:
    """One assertion about a run in which these were told in this order."""
    observer = Observer()
    for at, channel, name, fields in seen:
        observer.add(at, channel, name, "1", fields)
    return Judge(Remains(Path(), KEY, (), None, observer), 0.0, sources).one(
        Assertion(**assertion), "then[0]", "x.yaml:1"
    )


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


def test_an_absence_that_was_looked_at_passes() -> None:
    assert judged(*CHARGE[1:4], never="wire.power contactor closed=true").verdict == "pass"
    assert judged(never="wire.power flow watts>16000").verdict == "pass"
    assert judged(*CHARGE, never="wire.power flow watts>16000").verdict == "pass"
    assert judged(*CHARGE, count="wire.power flow milliamperes.0>16000", exactly=0).verdict == "pass"
    assert judged(*CHARGE, never="wire.power contactor @2", sources=("1", "2")).verdict == "pass"
    assert judged(*CHARGE, never="fault begun fault=line.drop bits=3").verdict == "pass"  # a fault can have it


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("wire.power flow milliampere>16000", "no flow of this run has milliampere; they have milliamperes, watts"),
        ("wire.power flow milliamperes>16000", "milliamperes is never a number; the last is [16000, 0, 0]"),
        ("wire.power flow milliamperes=16000", "milliamperes is no single value: say what of it, as milliamperes.0"),
        ("wire.power contactor closed>1", "closed is never a number; the last is False"),
        ("wire.power contactor closed=true @2", "nothing came from @2; on wire.power came 1"),
    ],
)
def test_an_absence_that_was_not_looked_at_is_inconclusive(pattern: str, why: str) -> None:
    for assertion in ({"never": pattern}, {"count": pattern, "exactly": 0}, {"count": pattern, "at_most": 3}):
        found = judged(*CHARGE, **assertion)
        assert found.verdict == "inconclusive"
        assert why in found.observed


def test_a_presence_that_is_only_a_missing_field_is_inconclusive() -> None:
    found = judged(*CHARGE, expect="wire.power flow milliampere!=16000")
    assert found.verdict == "inconclusive"
    assert "milliampere" in found.observed


def test_what_was_asked_for_is_shown_first_and_nothing_else_is_hidden() -> None:
    fields = {"FV": "1.3", **{f"X{number}": "x" * 40 for number in range(20)}, "TX": "E", "ST": "G"}
    found = judged(
        (9.0, "store", "Transaction.End", fields), expect="store Transaction.End TX=L ST=G", says="it is lost"
    )
    assert found.observed.startswith('not seen; 1 times Transaction.End, the last: TX=E, ST=G in {"FV":"1.3",')
    assert found.expected == "it is lost: store Transaction.End TX=L ST=G"
    found = judged((9.0, "store", "Transaction.End", fields), never="store Transaction.End TX=E")
    assert found.observed.startswith('store Transaction.End @1 at 9.000 s: TX=E in {"FV"')


@pytest.mark.parametrize("name", [name for name in CHECKS if name.startswith(("store.", "ocpp.", "wire.", "backend."))])
def test_no_check_passes_when_there_is_nothing(name: str) -> None:
    found = judged(check=name)
    assert found.verdict in ("fail", "error")
    assert found.observed
