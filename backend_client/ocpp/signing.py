"""Which values of a transaction go out signed, and which of them with the public key."""

from __future__ import annotations

import re
from dataclasses import replace

from backend_client.ocpp.record_facts import BEGIN, RecordFacts
from backend_client.ocpp.settings import PublicKeyPolicy, SignPolicy
from backend_client.ocpp.state_file import KnownTransaction, StateFile


async def known_transaction(state: StateFile, facts: RecordFacts, signed: bool) -> KnownTransaction:
    """What is known of a record's transaction, with this record noted. Raises RigError."""
    record = facts.record
    known = state.transactions.get(record.transaction_id) or KnownTransaction(record.transaction_id)
    if record.context == BEGIN and not known.begin_ocmf:
        start = state.remote_starts.get(plain_id(facts.user_id)) if _is_remote(facts) else None
        known = replace(known, begin_ocmf=record.ocmf, begin_key=record.public_key, remote_start_id=start)
    if signed and not known.key_record:
        known = replace(known, key_record=record.record_id)
    await state.keep(known)
    if known.remote_start_id is not None:
        await state.forget_start(plain_id(facts.user_id))
    return known


def key_for(facts: RecordFacts, known: KnownTransaction, policy: PublicKeyPolicy) -> str:
    """The public key in hex when the message about this record carries it, else ""."""
    once = policy is PublicKeyPolicy.ONCE and known.key_record in {"", facts.record.record_id}
    return facts.record.public_key if once or policy is PublicKeyPolicy.EVERY else ""


def is_signed(facts: RecordFacts, signing: SignPolicy) -> bool:
    """Whether the value of this record goes out signed; records outside of transactions always do."""
    return signing.signs(facts.record.context) or not facts.record.transaction_id


def _is_remote(facts: RecordFacts) -> bool:
    return any(flag in {"OCPP_RS", "OCPP_RS_TLS"} for flag in facts.flags)


def plain_id(id: str) -> str:  # noqa: A002 - the standard's name
    """An identification as it is compared: capitals, no separators."""
    return re.sub(r"[\s:*-]", "", id).upper()
