"""What OCPP asks of a station's calls: the checks find what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil_rigs.scenario import ocpp_checks
from hil_rigs.scenario.observer import Observer
from hil_rigs.scenario.remains import Remains
from ocmf.keys import decode_public_key
from ports.trace import TraceEvent

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


def call(number: str, seq: int) -> list[Any]:
    return [2, number, "TransactionEvent", {"seqNo": seq, "transactionInfo": {"transactionId": "T1"}}]


def seen(*frames: tuple[float, str, list[Any]]) -> Remains:
    observer = Observer()
    for at, direction, message in frames:
        observer(TraceEvent(at, "backend", f"ocpp.{direction}", "csms", {"message": message}))
    key = decode_public_key(KEY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return Remains(Path(), key, (), None, observer)


GOOD = seen(
    (1.0, "sent", call("a", 0)),
    (31.0, "sent", call("a", 0)),
    (31.1, "received", [3, "a", {}]),
    (32.0, "sent", call("b", 1)),
    (32.5, "received", [2, "x", "TriggerMessage", {}]),
    (32.6, "sent", [3, "x", {}]),
    (33.0, "received", [3, "b", {}]),
)


def test_a_good_station() -> None:
    assert ocpp_checks.repeats(GOOD, {"at_least": 1}) == []
    assert ocpp_checks.numbers(GOOD, {}) == []
    assert ocpp_checks.one_in_flight(GOOD, {}) == []


def test_too_few_repeats() -> None:
    assert ocpp_checks.repeats(GOOD, {"at_least": 2}) == ["1 were sent again"]


def test_a_repeat_under_another_id() -> None:
    (wrong,) = ocpp_checks.repeats(seen((1.0, "sent", call("a", 0)), (2.0, "sent", call("b", 0))), {})
    assert wrong.startswith("seqNo 0 of T1 went out as ")


def test_a_gap_and_an_older_number_after_a_newer_one() -> None:
    assert ocpp_checks.numbers(seen((1.0, "sent", call("a", 0)), (2.0, "sent", call("b", 2))), {}) == ["T1: [0, 2]"]
    back = seen((1.0, "sent", call("a", 0)), (2.0, "sent", call("b", 1)), (3.0, "sent", call("a", 0)))
    assert ocpp_checks.numbers(back, {}) == ["T1: [0, 1, 0]"]


def test_two_calls_in_flight() -> None:
    both = seen((1.0, "sent", call("a", 0)), (2.0, "sent", call("b", 1)))
    assert ocpp_checks.one_in_flight(both, {}) == ["TransactionEvent at 2.000 s while TransactionEvent waited"]
