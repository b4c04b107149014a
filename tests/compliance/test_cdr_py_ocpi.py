"""CDRs and authorisation at an eMSP that we did not write, and our messages in its schemas.

py_ocpi is PyPI `extrawest-ocpi` 2025.7.16 (MIT), FastAPI and pydantic 1, in .peers/py_ocpi. Known of it: single objects
come inside of a list, CiStrings come back in lower case, the location of a CDR has no evse_uid.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import IO

import pytest

from backend_client.credential import Credential
from backend_client.ocpi_authoriser import OcpiAuthoriser
from backend_client.ocpi_cdrs import OcpiCdrs, cdr_of
from backend_client.ocpi_session import OcpiSession, Party
from backend_client.ocpi_types import encode
from ocmf.terms import IdType
from ports.authorisation import AuthorisationRequest, AuthorisationStatus
from ports.errors import RigError
from tests.backends.operators.mo.bench import CARD, EMAID, SITE
from tests.backends.operators.sessions import Station
from tests.peers import python_packages

pytestmark = pytest.mark.foreign
PACKAGES = ("extrawest-ocpi==2025.7.16", "uvicorn==0.54.0")
CPO = Party("DE", "CPO")
NOW = datetime(2026, 1, 1, 13, tzinfo=UTC)
JUDGE = """
import json, sys
from py_ocpi.modules.cdrs.v_2_2_1.schemas import Cdr
verdicts = []
for text in json.load(sys.stdin):
    try:
        Cdr.parse_raw(text)
        verdicts.append("")
    except Exception as error:
        verdicts.append(str(error))
print(json.dumps(verdicts))
"""


@pytest.fixture(scope="session")
def python() -> Path:
    """Its interpreter."""
    return python_packages("py_ocpi", *PACKAGES) / "python"


@dataclass
class Emsp:
    """The running peer."""

    session: OcpiSession
    kept: Path

    def cdrs(self) -> list[dict[str, object]]:
        """What it has taken."""
        return [json.loads(line) for line in self.kept.read_text().splitlines()]


def started(command: list[str], log: IO[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=log, stderr=log)


@pytest.fixture
async def emsp(python: Path, tmp_path: Path) -> AsyncIterator[Emsp]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    script, kept = Path(__file__).with_name("py_ocpi_emsp.py"), tmp_path / "cdrs.jsonl"
    kept.touch()
    (tmp_path / "token").write_text("token-of-the-cpo")
    with (tmp_path / "log").open("w") as log:
        process = started([str(python), str(script), str(port), str(kept)], log)
        try:
            url = f"http://127.0.0.1:{port}/ocpi/versions"
            async with OcpiSession(url, Credential(tmp_path / "token"), Random(1)) as session:
                async with asyncio.timeout(60):
                    while True:
                        assert process.poll() is None, (tmp_path / "log").read_text()
                        try:
                            await session.endpoint("cdrs", "RECEIVER")
                            break
                        except RigError:
                            await asyncio.sleep(0.1)
                yield Emsp(session, kept)
        finally:
            process.terminate()
            process.wait(30)


async def test_cdrs_reach_it_with_every_signed_byte(emsp: Emsp) -> None:
    details = [Station().charge(1, between=3), Station().charge(2, user=CARD, id_type=IdType.ISO14443)]
    authoriser = OcpiAuthoriser(emsp.session, SITE.location_id)
    found = await authoriser.authorise(AuthorisationRequest("1", "DE*PLB*E1*1", CARD, "ISO14443"))
    assert found.is_accepted
    sink = OcpiCdrs(emsp.session, CPO, SITE, lambda: NOW, authoriser.info)
    for detail in details:
        await sink.push(detail)
    for kept, detail in zip(emsp.cdrs(), details, strict=True):
        signed = kept["signed_data"]
        assert isinstance(signed, dict)
        records = [base64.b64decode(value["signed_data"]).decode() for value in signed["signed_values"]]
        assert records == [value.ocmf for value in detail.values]
    card = emsp.cdrs()[1]
    assert isinstance(card["cdr_token"], dict)
    assert card["cdr_token"]["contract_id"].upper() == EMAID
    assert card["authorization_reference"] == "ref-1"


async def test_what_it_does_not_know_is_unknown(emsp: Emsp) -> None:
    authoriser = OcpiAuthoriser(emsp.session, SITE.location_id)
    found = await authoriser.authorise(AuthorisationRequest("1", "DE*PLB*E1*1", "04FFFFFFFFFFFF", "ISO14443"))
    assert found.status is AuthorisationStatus.UNKNOWN


def test_its_schemas_draw_the_same_limits(python: Path) -> None:
    """The longest values pass there, too, and one character more does not."""
    good = json.loads(encode(cdr_of(Station().charge(), CPO, SITE, NOW)))
    value = good["signed_data"]["signed_values"][0]
    texts, expected = [json.dumps(good)], [True]
    for name, longest in (("signed_data", 5000), ("plain_data", 512), ("nature", 32)):
        for extra in (0, 1):
            kept = value[name]
            value[name] = "A" * (longest + extra)
            texts.append(json.dumps(good))
            expected.append(not extra)
            value[name] = kept
    for extra in (0, 1):
        texts.append(json.dumps(good | {"id": "A" * (39 + extra)}))
        expected.append(not extra)
    run = subprocess.run(
        [str(python), "-c", JUDGE], input=json.dumps(texts), capture_output=True, text=True, timeout=60, check=True
    )
    assert [not verdict for verdict in json.loads(run.stdout)] == expected
