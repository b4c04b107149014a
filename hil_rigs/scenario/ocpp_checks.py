"""What OCPP asks of a station's calls, judged on the frames that its end of the link has seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from hil_rigs.scenario.channels import CALL
from hil_rigs.scenario.remains import Remains


def repeats(remains: Remains, values: Mapping[str, object]) -> list[str]:
    """A TransactionEvent that is sent again has its message id again. at_least: so many were."""
    ids: dict[tuple[str, int], list[str]] = defaultdict(list)
    for number, payload in _events(remains):
        ids[payload["transactionInfo"]["transactionId"], payload["seqNo"]].append(number)
    wrong = [f"seqNo {seq} of {name} went out as {', '.join(set(sent))}" for (name, seq), sent in ids.items()
             if len(set(sent)) > 1]  # fmt: skip
    again = sum(len(sent) - 1 for sent in ids.values())
    if not ids:
        return [NO_EVENT]
    wanted = values.get("at_least", 0)
    if isinstance(wanted, int) and again < wanted:
        wrong.append(f"{again} were sent again")
    return wrong


def numbers(remains: Remains, _values: Mapping[str, object]) -> list[str]:
    """seqNo of each transaction begins at 0, has no gap, and never goes back but in a repeat."""
    seen: dict[str, list[int]] = defaultdict(list)
    for _, payload in _events(remains):
        mine = seen[payload["transactionInfo"]["transactionId"]]
        if not mine or payload["seqNo"] != mine[-1]:
            mine.append(payload["seqNo"])
    if not seen:
        return [NO_EVENT]
    return [f"{name}: {found}" for name, found in seen.items() if found != list(range(len(found)))]


def one_in_flight(remains: Remains, _values: Mapping[str, object]) -> list[str]:
    """No call goes out while another one waits for its answer, unless that was given up."""
    wrong, waiting, since, calls = [], "", 0.0, 0
    for one in remains.observer.seen:
        message = one.fields.get("message")
        if one.channel != "ocpp" or not isinstance(message, list):
            continue
        sent = one.fields["direction"] == "sent"
        if sent and message[0] == CALL:
            if waiting and one.at - since < CALL_TIMEOUT_S:
                wrong.append(f"{message[2]} at {one.at - remains.start:.3f} s while {waiting} waited")
            waiting, since, calls = str(message[2]), one.at, calls + 1
        elif not sent and message[0] != CALL:
            waiting = ""
    return wrong if calls else ["no call went out"]


NO_EVENT = "no TransactionEvent went out"
CALL_TIMEOUT_S = 30.0  # OCPP 2.0.1 part 2, MessageTimeout of this station


def _events(remains: Remains) -> Iterator[tuple[str, Any]]:
    """Message id and payload of each TransactionEvent that went out."""
    for one in remains.observer.seen:
        if one.channel == "ocpp" and one.name == "TransactionEvent" and one.fields["direction"] == "sent":
            yield one.fields["message"][1], one.fields["message"][3]
