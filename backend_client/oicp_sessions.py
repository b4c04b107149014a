"""The hub's SessionIDs of authorised charging processes: CDRs need them, also after a restart."""

from __future__ import annotations

import os
from collections import deque
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from ports.charge_detail import ChargeDetail
from ports.errors import RigError

REMEMBERED = 10_000
LATE = timedelta(minutes=5)  # a transaction may begin before the answer of its authorisation is noted


class HubSession(msgspec.Struct, frozen=True):
    """What the hub called a process. at: civil time of its answer."""

    uid: str
    evse_id: str
    at: datetime
    session_id: str
    provider_id: str


class HubSessions:
    """The newest of them; with a file they outlive the process."""

    def __init__(self, file: Path | None = None) -> None:
        """file: one JSON object in a line, readable by its owner alone. Raises RigError."""
        self._file = file
        self._known: deque[HubSession] = deque(maxlen=REMEMBERED)
        if file is not None:
            self._load(file)

    def add(self, session: HubSession) -> None:
        """Remember it. Raises RigError: then nobody may be let in on it, its CDR would find no provider."""
        if self._file is not None:
            try:
                with self._file.open("ab") as file:
                    file.write(msgspec.json.encode(session) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise RigError(f"{self._file}: {error.strerror}") from error
        self._known.append(session)

    def of(self, detail: ChargeDetail) -> str:
        """The SessionID of the last authorisation of its token at its EVSE before its begin; "" when there is none."""
        for one in reversed(self._known):
            if (one.uid, one.evse_id) == (detail.user_id, detail.evse_id) and one.at <= detail.began + LATE:
                return one.session_id
        return ""

    def _load(self, path: Path) -> None:
        """The newest lines; a line that a crash has cut is left out. The file is written anew without the old ones."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            for line in path.read_bytes().splitlines():
                try:
                    self._known.append(msgspec.json.decode(line, type=HubSession))
                except msgspec.DecodeError:
                    continue
            shorter = path.with_name(f"{path.name}.new")
            with os.fdopen(os.open(shorter, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
                file.write(b"".join(msgspec.json.encode(one) + b"\n" for one in self._known))
                file.flush()
                os.fsync(file.fileno())
            shorter.replace(path)
        except OSError as error:
            raise RigError(f"{path}: {error.strerror}") from error
