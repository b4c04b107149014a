"""Identifiers of contracts, vehicles and stations: EMAID, PCID, EVSEID, SECCID.

One spelling for comparing: capitals without separators. A 15th character of an EMAID (check digit or a longer number)
is kept: cutting it off would merge contracts.
"""

from __future__ import annotations

import re

EMAID = re.compile(r"[A-Z]{2}-?[A-Z0-9]{3}-?[A-Z0-9]{9}(-?[A-Z0-9])?", re.IGNORECASE)  # ISO 15118-2 annex H.1
PCID = re.compile(r"[A-Z0-9]{17,18}", re.IGNORECASE)  # OPCP 1.0.0, path parameter pcid
EVSEID = re.compile(r"[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}", re.IGNORECASE)  # ISO 15118-2 annex H.2
SECCID = re.compile(r"[A-Z]{2}-?[A-Z0-9]{3}-?S-?[A-Z0-9-]{1,40}", re.IGNORECASE)  # ISO 15118-20 annex C.3


def normalise(identifier: str) -> str:
    """Capitals, without "-", "*" and spaces: "DE-ABC-C123ABC56" and "deabcc123abc56" are the same contract."""
    return identifier.translate({ord(c): None for c in "-* "}).upper()


def same(one: str, other: str) -> bool:
    """Whether two spellings name the same thing."""
    return normalise(one) == normalise(other)
