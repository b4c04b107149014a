from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.pki.authorities import CertificateAuthorities, Issued
from backends.pki.build_realm import build_realm
from backends.pki.ca_keys import FileKeys, Passphrase
from backends.store.database import Database
from tests.doubles import ManualClock

OCSP_URL = "http://ocsp.test/ocsp"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@dataclass(frozen=True)
class Template:
    """A store and its keys with the realm "p256" in it; tests that want it get a copy."""

    folder: Path
    issued: dict[str, Issued]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    folder = tmp_path_factory.mktemp("realm")

    async def make() -> dict[str, Issued]:
        database = Database(f"sqlite:///{folder / 'pki.db'}", ManualClock())
        authorities = CertificateAuthorities(database, ManualClock(), file_keys(folder), ocsp_url=OCSP_URL)
        issued = await build_realm(authorities, "p256", "iso2-strict")
        await authorities.close()
        await database.close()
        return issued

    return Template(folder, asyncio.run(make()))


def file_keys(folder: Path) -> FileKeys:
    """Keys behind a passphrase."""
    file = folder / "passphrase"
    file.write_text("open sesame\n")
    file.chmod(0o600)
    return FileKeys(folder / "private_keys", Passphrase(file))


@pytest.fixture
async def issued(template: Template) -> dict[str, Issued]:
    """What is in the realm; `database` and `keys` are copies of the template's when a test asks for this."""
    return template.issued


@pytest.fixture
async def database(tmp_path: Path, clock: ManualClock, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    if "issued" in request.fixturenames:
        template: Template = request.getfixturevalue("template")
        shutil.copytree(template.folder, tmp_path, dirs_exist_ok=True)
    opened = Database(f"sqlite:///{tmp_path / 'pki.db'}", clock)
    yield opened
    await opened.close()


@pytest.fixture
def keys(tmp_path: Path, database: Database) -> FileKeys:
    return file_keys(tmp_path)


@pytest.fixture
async def authorities(database: Database, clock: ManualClock, keys: FileKeys) -> AsyncIterator[CertificateAuthorities]:
    made = CertificateAuthorities(database, clock, keys, ocsp_url=OCSP_URL)
    yield made
    await made.close()
