"""What can go wrong with a token, and who can do something about it."""

from __future__ import annotations

from enum import StrEnum

from ports.errors import RigError


class Remedy(StrEnum):
    """What to do: ask again later, have a person look (PIN, another key), or correct the configuration."""

    RETRY = "retry"
    OPERATOR = "operator"
    FATAL = "fatal"


class TokenError(RigError):
    """Nothing was signed. `ckr` is the return value of PKCS#11, where there is one."""

    def __init__(self, remedy: Remedy, message: str, ckr: int | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.ckr = ckr
