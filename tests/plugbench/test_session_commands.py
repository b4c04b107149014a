"""`plugbench secc` and `plugbench evcc`, each in a process of its own, over the loopback."""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from hil_rigs.real_clock import RealClock
from plugbench.__main__ import main
from plugbench.session_show import Show
from tests.v2g.link.chains import write_chain
from v2g.session.events import Ended

PLUGBENCH = [sys.executable, "-m", "plugbench"]


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.bind(("::1", 0))
        return one.getsockname()[1]


class Secc:
    """The station's process; ready when it says so."""

    def __init__(self, *words):
        self.port = free_port()
        command = [*PLUGBENCH, "secc", "--interface", "lo", "--sdp-port", str(self.port), "--json", *map(str, words)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if "stop it" in str(self.lines[-1].get("text", "")):
                return
        raise AssertionError(self.process.stderr.read())

    def finish(self, signal_number=None):
        if signal_number is not None:
            self.process.send_signal(signal_number)
        out, err = self.process.communicate(timeout=60)
        self.lines += map(json.loads, out.splitlines())
        assert err == ""
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def evcc(port, *words):
    command = [*PLUGBENCH, "evcc", "--interface", "lo", "--sdp-port", str(port), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("energy", ["ac", "dc"])
def test_a_session_with_progress_by_message(energy):
    with Secc("--energy", energy, "--sessions", "1") as secc:
        # a busy machine may stall for more than the 0.25 s of the DC loop
        vehicle = evcc(secc.port, "--energy", energy, "--loops", "1", "--timeout", "CurrentDemandReq=10")
        code = secc.finish()
    assert vehicle.returncode == 0, vehicle.stdout + vehicle.stderr
    assert code == 0
    assert "EV     SessionSetupReq" in vehicle.stdout
    assert "SECC SessionSetupRes  OK_NewSessionEstablished" in vehicle.stdout
    assert "terminated [::1]:" in vehicle.stdout
    names = [line["message"] for line in secc.lines if line["event"] in ("v2g.rx", "v2g.tx")]
    assert names[-1] == "SessionStopRes"
    assert secc.lines[-1]["event"] == "result"
    assert [one["outcome"] for one in secc.lines[-1]["sessions"]] == ["terminated"]


def test_tls_with_a_capture_and_a_trace(tmp_path):
    chain = write_chain(tmp_path, "A")
    pcap, trace = tmp_path / "session.pcapng", tmp_path / "trace.jsonl"
    files = ["--certificates", chain.certificates, "--key", chain.key, "--root", chain.root]
    with Secc(*files, "--tls", "required", "--sessions", 1, "--pcap", pcap, "--trace", trace) as secc:
        vehicle = evcc(secc.port, "--root", chain.root, "--tls", "required", "--loops", 1, "--json")
        assert secc.finish() == 0
    assert vehicle.returncode == 0, vehicle.stdout + vehicle.stderr
    assert pcap.stat().st_mode & 0o777 == 0o600
    assert b"CLIENT_RANDOM" in pcap.read_bytes()
    assert any(json.loads(line)["kind"] == "v2g.rx" for line in trace.read_text().splitlines())
    assert "CLIENT_RANDOM" not in trace.read_text()
    assert any("static ECDH" in str(line.get("text")) for line in secc.lines)
    assert any(json.loads(line)["event"] == "tls.established" for line in vehicle.stdout.splitlines())


def test_a_certificate_that_the_vehicle_does_not_trust(tmp_path):
    ours, other = write_chain(tmp_path, "A"), write_chain(tmp_path, "B")
    with Secc("--certificates", ours.certificates, "--key", ours.key) as secc:
        vehicle = evcc(secc.port, "--root", other.root, "--tls", "required")
        code = secc.finish(signal.SIGINT)
    assert vehicle.returncode == 1
    assert "unknown_ca" in vehicle.stdout
    assert code == 3
    assert any(line["event"] == "tls.failed" for line in secc.lines)


@pytest.mark.soak
def test_interrupted_in_the_middle_both_sides_say_so():
    with Secc() as secc:
        command = [*PLUGBENCH, "evcc", "--interface", "lo", "--sdp-port", str(secc.port), "--json", "--loops", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as vehicle:
            for line in vehicle.stdout:
                if json.loads(line).get("message") == "ChargingStatusRes":
                    break
            vehicle.send_signal(signal.SIGINT)
            rest = [json.loads(line) for line in vehicle.stdout]
        code = secc.finish(signal.SIGTERM)
    assert vehicle.returncode == 1
    assert rest[-1]["sessions"][0]["reason"] == "interrupted"
    assert code == 1
    assert secc.lines[-1]["sessions"][0]["outcome"] == "lost"


@pytest.mark.soak
def test_a_paused_session_is_joined_again():
    with Secc("--sessions", 2) as secc:
        vehicle = evcc(secc.port, "--loops", 1, "--resume-after", "0.1")
        assert secc.finish() == 0
    assert vehicle.returncode == 0, vehicle.stdout + vehicle.stderr
    assert "SECC SessionSetupRes  OK_OldSessionJoined" in vehicle.stdout
    assert [one["outcome"] for one in secc.lines[-1]["sessions"]] == ["paused", "terminated"]


def test_a_crash_is_no_pass(capsys):
    args = argparse.Namespace(json=True, pcap=None, key_log=None, trace=None)
    connection = SimpleNamespace(crash=KeyError("bug"), peer_name="[::1]:5", is_tls=False, tls_error=None)
    with Show(args, RealClock()) as show:
        show.closed(connection, Ended("terminated"))
        assert show.finish() == 1
    assert json.loads(capsys.readouterr().out)["sessions"][0]["reason"] == "KeyError: 'bug'"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["secc", "--interface", "eth99"], "no network interface 'eth99'"),
        (["evcc", "--interface", "eth99"], "no network interface 'eth99'"),
        (["secc", "--interface", "lo", "--tls", "required"], "no certificate chain"),
        (["evcc", "--interface", "lo", "--tls", "required"], "no V2G roots"),
        (["evcc", "--interface", "lo", "--evcc-id", "xyz"], "12 hex digits"),
        (["evcc", "--interface", "lo", "--auth", "pnc"], "pnc needs --contract"),
        (["evcc", "--interface", "lo", "--install"], "--install needs --provisioning"),
        (["secc", "--interface", "lo", "--protocols", "iso3"], "expected a list of iso2, din"),
        (["secc", "--interface", "lo", "--certificates", "/nowhere"], "needs both --certificates and --key"),
        (["secc", "--interface", "lo", "--pcap", "/nowhere/x"], "/nowhere/x: No such file"),
    ],
)
def test_what_is_wrong_is_said(capsys, words, text):
    assert main(words) == 2
    assert text in capsys.readouterr().err


def test_a_vehicle_without_a_station():
    process = subprocess.Popen(
        [*PLUGBENCH, "evcc", "--interface", "lo", "--sdp-port", str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "sdp.request" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "interrupted" in out
