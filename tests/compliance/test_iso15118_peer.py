"""Whole sessions with EcoG-io/iso15118 (PyPI `iso15118` 0.31.2, EXIficient on a JVM) at the other end of a cable.

Each side runs in a network namespace of its own, joined by a veth pair, and finds the other by multicast on a
link-local address. Certificates are those of `plugbench pki`, exported in the layout that the peer reads.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compliance import iso15118_peer as peer
from v2g.tshark import decrypt
from v2g.v2gtp import FrameStream

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(peer.why_not()), reason=f"PyPI iso15118 in network namespaces: {peer.why_not()}"),
]

# the peer's codec needs 5 to 60 ms per message: on a busy machine its answers miss the 0.25 s of the DC loop
PATIENT = ("--timeout", "CurrentDemandReq=2")
# its simulated station shows 1 V in pre-charge, whatever is asked for; see test_the_peers_station_shows_one_volt
ANY_VOLTAGE = ("--pre-charge-tolerance", "500")

LOOPS = 5
START = ["supportedAppProtocol", "SessionSetup", "ServiceDiscovery"]
EIM = ["PaymentServiceSelection", "Authorization"]
PNC = ["PaymentServiceSelection", "PaymentDetails", "Authorization"]
INSTALL = ["ServiceDetail", "PaymentServiceSelection", "CertificateInstallation", "PaymentDetails", "Authorization"]
DIN_EIM = ["ServicePaymentSelection", "ContractAuthentication"]
AC = ["ChargeParameterDiscovery", "PowerDelivery", "ChargingStatus", "PowerDelivery", "SessionStop"]
DC = ["ChargeParameterDiscovery", "CableCheck", "PreCharge", "PowerDelivery", "CurrentDemand", "PowerDelivery"]
DC += ["WeldingDetection", "SessionStop"]


@pytest.fixture
def cable():
    with peer.Cable() as found:
        yield found


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> tuple[Path, Path]:
    """(plain files for us, the layout of the peer) of one PKI."""
    home = tmp_path_factory.mktemp("pki")
    for words in (["init", "x"], ["export", "x", "plain"], ["export", "x", "josev", "--layout", "josev"]):
        subprocess.run([sys.executable, "-m", "plugbench", "pki", *words], cwd=home, check=True, capture_output=True)
    return home / "plain", home / "josev"


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """A working directory for each side: the peer reads `.env` there."""
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    return tmp_path / "ours", tmp_path / "theirs"


def route(process: peer.Process) -> list[str]:
    """Requests in order, loops folded; every one has its answer."""
    names = peer.messages(process)
    requests, answers = names[::2], names[1::2]
    assert [name.removesuffix("Res") for name in answers] == [name.removesuffix("Req") for name in requests]
    kinds = [name.removesuffix("Req") for name in requests]
    return [kind for kind, before in zip(kinds, ["", *kinds], strict=False) if kind != before]


def result(process: peer.Process) -> dict:
    """The one session of ours."""
    (session,) = json.loads(process.lines[-1])["sessions"]
    return session


def deviations(process: peer.Process) -> list[object]:
    events = [json.loads(line) for line in process.lines if line.startswith("{")]
    return [event["deviations"] for event in events if event.get("deviations")]


@pytest.mark.parametrize(
    ("energy", "protocol", "expected"),
    [
        ("ac", "ISO_15118_2", START + EIM + AC),
        ("dc", "ISO_15118_2", START + EIM + DC),
        ("dc", "DIN_SPEC_70121", START + DIN_EIM + DC),
    ],
    ids=["AC EIM", "DC EIM", "DIN DC"],
)
def test_our_station_charges_their_vehicle(cable, folders, energy, protocol, expected):
    ours, theirs = folders
    with peer.our_secc(cable, ours, "--energy", energy, "--sessions", 1) as secc:
        settings = {
            "supportedProtocols": [protocol],
            "supportedEnergyServices": [energy.upper()],
            "energyTransferMode": "DC_extended" if energy == "dc" else "AC_three_phase_core",
            "useTls": False,
            "chargeLoopCycle": LOOPS + 5,  # it stops some turns early
        }
        with peer.peer_evcc(cable, theirs, **settings) as evcc:
            assert evcc.wait() == 0, evcc.tail()
        assert secc.wait() == 0, secc.tail()
    assert route(secc) == expected
    assert result(secc)["outcome"] == "terminated"
    assert deviations(secc) == []
    loop = "ChargingStatusReq" if energy == "ac" else "CurrentDemandReq"
    assert peer.messages(secc).count(loop) >= LOOPS
    assert peer.said("SessionStopRes received")(evcc.lines)


@pytest.mark.parametrize(
    ("energy", "protocol", "words", "expected"),
    [
        ("ac", "ISO_15118_2", (), START + EIM + AC),
        ("dc", "ISO_15118_2", (*PATIENT, *ANY_VOLTAGE), START + EIM + DC),
        ("dc", "DIN_SPEC_70121", (*PATIENT, *ANY_VOLTAGE), START + DIN_EIM + DC),
    ],
    ids=["AC EIM", "DC EIM", "DIN DC"],
)
def test_our_vehicle_charges_at_their_station(cable, folders, energy, protocol, words, expected):
    ours, theirs = folders
    with peer.peer_secc(cable, theirs, PROTOCOLS=protocol, SECC_ENFORCE_TLS="false") as secc:
        with peer.our_evcc(cable, ours, "--energy", energy, "--loops", LOOPS, *words) as evcc:
            assert evcc.wait() == 0, evcc.tail()
        secc.wait_for(peer.said("EV requested to terminate" if protocol != "DIN_SPEC_70121" else "stopped success"),
                      "end of the session")  # fmt: skip
    assert route(evcc) == expected
    assert result(evcc)["outcome"] == "terminated"
    assert deviations(evcc) == []
    assert peer.messages(evcc).count("ChargingStatusReq" if energy == "ac" else "CurrentDemandReq") == LOOPS


def test_plug_and_charge_at_our_station(cable, folders, pki):
    """TLS with our certificates, contract of our PKI; the recording opens in Wireshark, keys included."""
    ours, theirs = folders
    capture = ours / "session.pcapng"
    words = ["--pki", pki[0], "--tls", "required", "--sessions", 1, "--pcap", capture]
    with peer.our_secc(cable, ours, *words) as secc:
        settings = {"supportedProtocols": ["ISO_15118_2"], "useTls": True, "enforceTls": True}
        with peer.peer_evcc(cable, theirs, pki[1], **settings, supportedEnergyServices=["AC"]) as evcc:
            assert evcc.wait() == 0, evcc.tail()
        assert secc.wait() == 0, secc.tail()
    assert route(secc) == START + PNC + AC
    assert result(secc) | {"peer": "", "reason": ""} == {"outcome": "terminated", "tls": True, "peer": "", "reason": ""}
    if shutil.which("tshark"):
        flaws = subprocess.run(
            ["tshark", "-n", "-r", str(capture), "-Y", "_ws.expert.severity >= 0x00600000 || _ws.malformed"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert flaws.stdout == ""
        directions: dict[object, FrameStream] = {}
        frames = [
            f
            for text in decrypt(capture)
            for f in directions.setdefault(text.source, FrameStream()).receive(text.octets)
        ]
        assert len(frames) == len(peer.messages(secc))


@pytest.mark.parametrize(("words", "expected"), [((), PNC), (("--install",), INSTALL)], ids=["contract", "install"])
def test_plug_and_charge_at_their_station(cable, folders, pki, words, expected):
    """With a contract of our PKI, and with one that the peer issues and we unwrap, verify and use."""
    ours, theirs = folders
    with peer.peer_secc(cable, theirs, pki[1], PROTOCOLS="ISO_15118_2", SECC_ENFORCE_TLS="true") as secc:
        more = ["--pki", pki[0], "--tls", "required", "--auth", "pnc", "--loops", 3, *words]
        with peer.our_evcc(cable, ours, *more) as evcc:
            assert evcc.wait() == 0, evcc.tail()
        secc.wait_for(peer.said("EV requested to terminate"), "end of the session")
    assert route(evcc) == START + expected + AC
    assert result(evcc)["tls"] is True


def test_their_vehicle_is_not_served_without_tls_where_it_is_required(cable, folders, pki):
    ours, theirs = folders
    with peer.our_secc(cable, ours, "--pki", pki[0], "--tls", "required") as secc:
        settings = {"supportedProtocols": ["ISO_15118_2"], "useTls": False}
        with peer.peer_evcc(cable, theirs, **settings, supportedEnergyServices=["AC"]) as evcc:
            evcc.wait_for(peer.said("Security mismatch"), "refusal by the vehicle")
        secc.stop(signal.SIGINT)
    events = [json.loads(line) for line in secc.lines if line.startswith("{")]
    answers = [event for event in events if event["event"] == "sdp.response"]
    assert answers
    assert all(event["security"] == "TLS" for event in answers)
    assert peer.messages(secc) == []


def test_our_vehicle_gives_up_where_the_voltage_does_not_come(cable, folders):
    """With the tolerance of IEC 61851-23, against a station that shows 1 V: after the 7 s of ISO 15118-2."""
    ours, theirs = folders
    with peer.peer_secc(cable, theirs, PROTOCOLS="ISO_15118_2", SECC_ENFORCE_TLS="false") as secc:
        with peer.our_evcc(cable, ours, "--energy", "dc", *PATIENT) as evcc:
            assert evcc.wait() == 1, evcc.tail()
        assert secc.process.poll() is None
    assert result(evcc) | {"peer": ""} == {
        "outcome": "timed out",
        "reason": "pre-charge took too long",
        "tls": False,
        "peer": "",
    }


def test_the_peers_station_shows_one_volt(cable, folders):
    """The peer's own two halves: its vehicle closes its contactors on 1 V, since it does not look."""
    ours, theirs = folders
    with peer.peer_secc(cable, ours, PROTOCOLS="ISO_15118_2", SECC_ENFORCE_TLS="false"):
        settings = {"supportedProtocols": ["ISO_15118_2"], "useTls": False, "supportedEnergyServices": ["DC"]}
        with peer.peer_evcc(cable, theirs, energyTransferMode="DC_extended", **settings) as evcc:
            evcc.wait()
    answers = [line for line in evcc.lines if '"PreChargeRes"' in line]
    assert answers
    assert all('"EVSEPresentVoltage":{"Multiplier":0,"Unit":"V","Value":1}' in line for line in answers)
    assert peer.said("PowerDeliveryRes received")(evcc.lines)
