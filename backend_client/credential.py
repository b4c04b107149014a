"""Where a credential comes from: a file or an environment variable, never a rig file, an argument or a log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ports.errors import LocalError, RigError


@dataclass(frozen=True, slots=True)
class Credential:
    """Exactly one of the two is set. The secret itself is never kept here."""

    file: Path | None = None
    variable: str = ""

    def __post_init__(self) -> None:
        if (self.file is None) == (not self.variable):
            raise LocalError("a credential comes from one file or one environment variable")

    def read(self) -> str:
        """The secret, without white space around it. Raises RigError; the text never shows the secret."""
        if self.file is None:
            secret = os.environ.get(self.variable, "").strip()
            place = f"environment variable {self.variable}"
        else:
            place = f"credential file {self.file}"
            try:
                secret = self.file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise RigError(f"the {place} cannot be read: {error}") from error
        if not secret or not secret.isprintable():
            raise RigError(f"the {place} is {'not printable' if secret else 'empty or not set'}")
        return secret
