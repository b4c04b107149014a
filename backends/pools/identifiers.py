"""Identifiers as the pools take and compare them: the published forms first, then one key for all spellings."""

from __future__ import annotations

import re

from backends.refusals import Refusal, Refused
from v2g.check_digit import LENGTH, check_digit_holds

# OPCP 1.0.0, path parameters pcid and emaid
PCID_FORM = re.compile(r"[a-zA-Z0-9]{17,18}", re.ASCII)
EMAID_FORM = re.compile(r"[A-Za-z]{2}[-]?\w{3}[-]?\w{9}[-]?(\w{1})?", re.ASCII)


def pcid_key(pcid: str) -> str:
    """The key under which a PCID is found: capitals. Raises Refused (PCID_FORMAT)."""
    if not PCID_FORM.fullmatch(pcid):
        raise Refused(Refusal.PCID_FORMAT, received=pcid[:64])
    return pcid.upper()


def normalised_emaid(emaid: str) -> str:
    """Capitals without hyphens, 14 or 15 characters. Raises Refused (EMAID_FORMAT).

    The published form lets "_" through, which no EMAID may have.
    """
    if not EMAID_FORM.fullmatch(emaid) or "_" in emaid:
        raise Refused(Refusal.EMAID_FORMAT, received=emaid[:64])
    return emaid.replace("-", "").upper()


def emaid_key(emaid: str) -> str:
    """The key under which a contract is found: a 15th character counts, unless it is the right check digit.

    So EMP99CQATEST001 and EMP99CQATEST002 stay two contracts. Raises Refused (EMAID_FORMAT).
    """
    normalised = normalised_emaid(emaid)
    return normalised[: LENGTH - 1] if check_digit_holds(normalised) else normalised
