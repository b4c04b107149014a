"""Whose fault is it: every error of Plugbench is one of three kinds.

PlugbenchError
├── LocalError      our own code or its caller broke a rule
├── PeerError       the other end did: carries what was received
└── RigError        the rig did: a file, a port, a token, a missing package
"""

from __future__ import annotations


class PlugbenchError(Exception):
    """Base of all errors raised on purpose; never raised itself."""


class LocalError(PlugbenchError):
    """Our own side broke a rule: a bug here, or a call with impossible arguments."""


class PeerError(PlugbenchError):
    """The other end broke a rule.

    `received` holds the octets (or the text) that show it, as evidence.
    """

    def __init__(self, message: str, received: bytes | str = b"") -> None:
        super().__init__(message)
        self.received = received


class RigError(PlugbenchError):
    """The rig is not as it should be: file, wiring, token, package. The message says what to do."""
