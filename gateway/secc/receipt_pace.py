"""When a vehicle that pays by contract signs the meter's reading, and which record holds this reading.

A reading that a vehicle signs stands in a signed record of its own: when a receipt falls due the station takes a
sample, shows its reading until the record is signed, and asks for the receipt then.
"""

from __future__ import annotations

from gateway.open_transaction import KeptReading
from gateway.policy import Policy

ASK_AGAIN_S = 5.0  # a sample that has not become a record by then has failed


class ReceiptPace:
    """One session. shown: the reading that is held on the display; the receipt is asked for once it is signed."""

    def __init__(self, policy: Policy, now: float) -> None:
        self.shown: KeptReading | None = None
        self._policy = policy
        self._messages = 0
        self._since = now
        self._newer_than: int | None = None
        self._asked = float("-inf")

    def message(self) -> None:
        """The vehicle has sent a message of the charging loop."""
        self._messages += 1

    def wants_sample(self, now: float, kept: KeptReading | None) -> bool:
        """Whether a record has to be made for the next receipt: said once, and again when none came of it."""
        policy = self._policy
        by_messages = 0 < policy.receipt_messages <= self._messages + 1  # it is signed with the next message
        by_time = 0 < policy.receipt_s <= now - self._since
        if self._newer_than is None and (by_messages or by_time):
            self._newer_than = 0 if kept is None else kept.entry.seq
        if self._newer_than is None or self.shown is not None or now - self._asked < ASK_AGAIN_S:
            return False
        self._asked = now
        return True

    def kept(self, kept: KeptReading | None) -> None:
        """The newest record now: a new one that was waited for, or the same one, signed."""
        if kept is None or self._newer_than is None or kept.entry.seq <= self._newer_than:
            return
        if self.shown is None or self.shown.entry.seq == kept.entry.seq:
            self.shown = kept

    @property
    def is_due(self) -> bool:
        """Whether the vehicle has to sign what is shown."""
        return self.shown is not None and self.shown.entry.is_signed

    def received(self, now: float) -> None:
        """The receipt is there: the next one is counted from here."""
        self._messages, self._since = 0, now
        self._newer_than = self.shown = None
        self._asked = float("-inf")
