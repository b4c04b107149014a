"""Where a PIN comes from: a file or an environment variable of this process, never a rig file or an argument."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from hsm.errors import Remedy, TokenError


@dataclass(frozen=True, slots=True)
class PinSource:
    """Exactly one of the two is set. The PIN itself is never kept here."""

    file: Path | None = None
    variable: str = ""

    def __post_init__(self) -> None:
        if (self.file is None) == (not self.variable):
            raise TokenError(Remedy.FATAL, "a PIN comes from one file or one environment variable")

    def read(self) -> str:
        """The PIN, without the newline at its end. Raises TokenError (fatal); the text never shows the PIN."""
        if self.file is None:
            pin = os.environ.get(self.variable)
            place = f"environment variable {self.variable}"
            if pin is None:
                raise TokenError(Remedy.FATAL, f"{place} is not set: it should hold the PIN of the token")
        else:
            place = f"PIN file {self.file}"
            pin = _read_private(self.file, place)
        pin = pin.rstrip("\r\n")
        if not pin:
            raise TokenError(Remedy.FATAL, f"{place} is empty")
        return pin


def _read_private(path: Path, place: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise TokenError(Remedy.FATAL, f"{place} can be read by others (mode {mode:04o}): chmod 600 {path}")
            return file.read(1024)
    except OSError as error:
        raise TokenError(Remedy.FATAL, f"{place}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TokenError(Remedy.FATAL, f"{place} is not UTF-8") from None
