"""Our station and our vehicle on a link of the kernel: multicast, link-local addresses, scopes. Needs root."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.compliance import iso15118_peer as peer

pytestmark = pytest.mark.skipif(
    bool(peer.why_no_namespaces()), reason=f"a link between namespaces: {peer.why_no_namespaces()}"
)


@pytest.fixture
def cable():
    with peer.Cable() as found:
        yield found


def events(process) -> list[dict]:
    return [json.loads(line) for line in process.lines if line.startswith("{")]


def test_a_session_by_multicast(cable, tmp_path):
    with peer.our_secc(cable, tmp_path, "--sessions", 1) as secc:
        with peer.our_evcc(cable, tmp_path, "--loops", 1) as evcc:
            assert evcc.wait() == 0, evcc.tail()
        assert secc.wait() == 0, secc.tail()
    assert peer.messages(evcc) == peer.messages(secc)
    (answer,) = [event for event in events(evcc) if event["event"] == "sdp.response"]
    assert answer["problems"] == []
    assert answer["source"].startswith("[fe80::")


def test_two_stations_on_one_link(cable, tmp_path):
    with peer.our_secc(cable, tmp_path), peer.our_secc(cable, tmp_path):
        with peer.our_evcc(cable, tmp_path) as evcc:
            assert evcc.wait() == 2
    assert peer.said("2 stations answer on v2g0")(evcc.lines)
    assert peer.messages(evcc) == []


def test_a_cable_that_is_pulled_ends_the_session(cable, tmp_path):
    """The vehicle notices by its message time-out, the station by its own; neither hangs."""
    with peer.our_secc(cable, tmp_path) as secc:
        with peer.our_evcc(cable, tmp_path, "--loops", 0) as evcc:
            evcc.wait_for(peer.said("ChargingStatusRes"), "charging loop")
            subprocess.run(["ip", "-n", cable.se, "link", "set", cable.interface, "down"], check=True)
            assert evcc.wait() == 1
        secc.stop(2)
    (outcome,) = json.loads(evcc.lines[-1])["sessions"]
    assert outcome["outcome"] in ("timed out", "lost")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["sysctl", "-qw", "net.ipv6.conf.v2g0.disable_ipv6=1"], "v2g0: IPv6 is disabled; enable it with: sysctl -w"),
        (["ip", "link", "set", "v2g0", "down"], "v2g0: no link-local IPv6 address; is the interface up"),
    ],
    ids=["IPv6 disabled", "interface down"],
)
def test_a_link_that_cannot_be_used_says_why(cable, tmp_path, command, text):
    subprocess.run(["ip", "netns", "exec", cable.se, *command], check=True)
    with peer.Process(
        cable.se,
        *peer.PLUGBENCH,
        "secc",
        "--interface",
        cable.interface,
        folder=tmp_path,
        PYTHONPATH=str(peer.REPOSITORY),
    ) as secc:
        assert secc.wait() == 2
    assert peer.said(text)(secc.lines)
