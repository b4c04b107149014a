"""Why nobody charges: refusals and ends of transactions, for whoever waits for energy in vain."""

from __future__ import annotations

from collections.abc import Iterable

from hil_rigs.scenario.pattern import Observation


def endings(seen: Iterable[Observation], start: float) -> str:
    """The newest refusal or end at each connector since its last authorisation, and the no of a CSMS; "" without.

    start: boot-time seconds from which times are counted.
    """
    told: dict[str, str] = {}
    said: dict[str, str] = {}
    for one in seen:
        if (one.channel, one.name) == ("csms", "authorised"):
            accepted = one.fields["status"] == "Accepted"
            said[one.source] = "" if accepted else f"{one.source} said {one.fields['status']}: {one.fields['detail']}"
        elif one.channel != "session":
            continue
        elif one.name == "authorised":
            told.pop(one.source, None)
        elif one.name == "refused":
            told[one.source] = f"refused at {one.at - start:.3f} s: {one.fields['why']}"
        elif one.name == "state" and one.fields["phase"] == "STOP":
            told.setdefault(one.source, f"transaction ended at {one.at - start:.3f} s: {one.fields['why']}")
    return "".join(f"; {text}" for text in (*told.values(), *(said.values() if told else ())) if text)
