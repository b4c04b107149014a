from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.pki.authorities import CertificateAuthorities
from backends.pki.ca_keys import FileKeys, Passphrase
from backends.store.database import Database
from tests.doubles import ManualClock

OCSP_URL = "http://ocsp.test/ocsp"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'pki.db'}", clock)
    yield opened
    await opened.close()


@pytest.fixture
def keys(tmp_path: Path) -> FileKeys:
    file = tmp_path / "passphrase"
    file.write_text("open sesame\n")
    file.chmod(0o600)
    return FileKeys(tmp_path / "private_keys", Passphrase(file))


@pytest.fixture
async def authorities(database: Database, clock: ManualClock, keys: FileKeys) -> AsyncIterator[CertificateAuthorities]:
    made = CertificateAuthorities(database, clock, keys, ocsp_url=OCSP_URL)
    yield made
    await made.close()
