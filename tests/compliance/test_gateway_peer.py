"""EcoG-io/iso15118 (PyPI `iso15118` 0.31.2, Apache-2.0, EXIficient on a JVM) as the vehicle at a whole gateway.

The vehicle lives in a network namespace of its own. It pays by contract, installs one through the station's pool, and
signs the meter readings that the station asks for; what it signed is proven from the journal afterwards.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compliance import iso15118_peer as peer

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(peer.why_not()), reason=f"PyPI iso15118 in network namespaces: {peer.why_not()}"),
]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(plain files for us, the layout of the peer) of one PKI."""
    home = tmp_path_factory.mktemp("pki")
    for words in (["init", "x"], ["export", "x", "plain"], ["export", "x", "josev", "--layout", "josev"]):
        subprocess.run([sys.executable, "-m", "plugbench", "pki", *words], cwd=home, check=True, capture_output=True)
    return home / "plain", home / "josev"


@pytest.mark.parametrize("install", [False, True], ids=["contract", "installation"])
def test_their_vehicle_pays_by_contract_and_signs_readings(
    tmp_path: Path, pki: tuple[Path, Path], install: bool
) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    with peer.Cable() as cable:
        words = [cable.interface, str(pki[0]), str(tmp_path / "ours"), *(["--pool"] if install else [])]
        command = [sys.executable, "-m", "tests.compliance.gateway_process", *words]
        environment = {"PYTHONPATH": str(peer.REPOSITORY)}
        with peer.Process(cable.se, *command, folder=peer.REPOSITORY, **environment) as gateway:
            gateway.wait_for(peer.said("ready"), "start of the gateway", peer.READY_S)
            settings: dict[str, Any] = {
                "supportedProtocols": ["ISO_15118_2"],
                "useTls": True,
                "enforceTls": True,
                "supportedEnergyServices": ["AC"],
                "isCertInstallNeeded": install,
                "chargeLoopCycle": 20,
            }
            with peer.peer_evcc(cable, tmp_path / "theirs", pki[1], **settings) as vehicle:
                assert vehicle.wait() == 0, vehicle.tail() + gateway.tail()
            gateway.wait_for(peer.said('"event": "end"'), "end of the gateway")
        events = [json.loads(line) for line in gateway.lines if line.startswith("{")]
    requests = [event["message"] for event in events if event["event"] == "v2g.rx"]
    end = events[-1]
    assert ("CertificateInstallationReq" in requests) is install
    assert end["asked"] == [[end["emaid"], 3]]
    assert end["user"] == ["RFID_NONE", "OCPP_AUTH", "ISO15118_PNC"]
    assert end["receipts"] == requests.count("MeteringReceiptReq") >= 2
    assert end["records"] >= 2 + end["receipts"]
    codes = {json.dumps(event["decoded"]) for event in events if event["event"] == "v2g.tx"}
    assert not any("FAILED" in code for code in codes)
