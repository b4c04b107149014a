"""Workers of xdist, each in a network namespace of its own: two of them at the same port, group and interface names."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_rigs.rig_file import rig_of_text
from hil_rigs.wiring.network_namespace import OWN
from hil_rigs.worker_network import cables, wants_own, why_not
from tests.plugbench.test_pytest_plugin import RIG

WHY = why_not()
HERE = str(OWN.readlink())
# unshare(2) wants CAP_SYS_ADMIN: without it there are no namespaces to test; that users are told so is tested below
needs_root = pytest.mark.skipif(bool(WHY), reason=f"no network namespaces here: {WHY}")

TESTS = """\
import os, socket, struct, time
from pathlib import Path

GROUP = bytes.fromhex("ff02" + "0" * 27 + "1")

def test_alone(worker_id):
    index = socket.if_nametoindex("lo")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as station:
        station.bind(("::", 15118))
        station.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                           struct.pack("16sI", GROUP, index))
        Path(f"bound-{worker_id}").write_text(os.readlink("/proc/self/ns/net"))
        until = time.monotonic() + 30
        while len(list(Path().glob("bound-*"))) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as vehicle:
            vehicle.sendto(worker_id.encode(), ("::1", 15118))
        station.settimeout(10)
        assert station.recv(100) == worker_id.encode()
    Path(f"done-{worker_id}").touch()
    while len(list(Path().glob("done-*"))) < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
"""
CABLE = RIG.replace("mode: virtual, start: 2026-11-20T08:00:00+01:00", "mode: real").replace(
    "ev:    {kind: vehicle}", "ev:    {kind: vehicle, protocol: iso2, interface: plug-ev0}"
)
CABLE = CABLE.replace("max_current_a: 32}", "max_current_a: 32, secc: {protocols: [iso2], interface: plug-st0}}")
SESSION = """\
import os
from pathlib import Path

def test_session(rig, worker_id):
    rig.plug()
    rig.card("04A1B2C3D4E5F6")
    rig.until("wire.power contactor closed=true", within="60 s")
    rig.expect("wire.v2g sdp.request")
    Path(f"bound-{worker_id}").write_text(os.readlink("/proc/self/ns/net"))
"""


def run(pytester: pytest.Pytester, tests: str, *options: str, rig: str = "") -> str:
    (pytester.path / "test_them.py").write_text(tests)
    if rig:
        (pytester.path / "rig.yaml").write_text(rig)
        options = ("--rig", "rig.yaml", *options)
    result = pytester.runpytest_subprocess(
        *("-p", "xdist", "-p", "plugbench.pytest_plugin", "-p", "no:cacheprovider"),
        *("-n", "2", "--dist", "each", *options),
        timeout=110,
    )
    return str(result.stdout)


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start sooner so."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def namespaces(place: Path) -> set[str]:
    return {path.read_text() for path in place.glob("bound-*")}


@needs_root
def test_two_workers_have_the_same_port_and_group_at_once(pytester: pytest.Pytester) -> None:
    output = run(pytester, TESTS, "--netns", "always")
    assert "2 passed" in output, output
    assert "plugbench: a network namespace for each worker" in output
    found = namespaces(pytester.path)
    assert len(found) == 2
    assert HERE not in found


@needs_root
@pytest.mark.soak
def test_without_namespaces_they_get_in_each_others_way(pytester: pytest.Pytester) -> None:
    """What the test before could not tell otherwise."""
    output = run(pytester, TESTS.replace("+ 30", "+ 3"))
    assert " failed" in output
    assert "plugbench: " not in output


@needs_root
@pytest.mark.soak
def test_two_workers_charge_over_cables_of_the_same_name(pytester: pytest.Pytester) -> None:
    output = run(pytester, SESSION, rig=CABLE)
    assert "2 passed" in output, output
    assert len(namespaces(pytester.path)) == 2


@pytest.mark.parametrize(
    ("rig", "options"),
    [
        (RIG, ()),
        pytest.param("", (), marks=pytest.mark.soak),
        pytest.param(CABLE, ("--netns", "never"), marks=pytest.mark.soak),
    ],
)
def test_the_suite_of_others_is_left_alone(pytester: pytest.Pytester, rig: str, options: tuple[str, ...]) -> None:
    """Neither with a rig that needs no network, nor without one, nor when it is not wanted."""
    tests = "import os\nfrom pathlib import Path\n"
    tests += "def test_here(worker_id): Path(f'bound-{worker_id}').write_text(os.readlink('/proc/self/ns/net'))\n"
    output = run(pytester, tests, *options, rig=rig)
    assert "2 passed" in output, output
    assert "plugbench:" not in output
    assert namespaces(pytester.path) == {HERE}


UNABLE = """\
import hil_rigs.worker_network as network
from ports.errors import RigError

def _unshare():
    raise RigError("no new network namespace: Operation not permitted (it needs root)")

network._unshare = _unshare
"""


@pytest.mark.soak
def test_without_root_they_share_and_it_is_said(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(UNABLE)
    output = run(pytester, "def test_here(): pass\n", "--netns", "always", "-p", "conftest")
    assert "2 passed" in output, output
    assert "plugbench: workers share one network: no new network namespace: Operation not permitted" in output


def test_one_process_stays_where_it_is(pytester: pytest.Pytester) -> None:
    (pytester.path / "test_them.py").write_text(
        f"import os\ndef test_here(pytestconfig): assert os.readlink('/proc/self/ns/net') == {HERE!r}\n"
    )
    result = pytester.runpytest_subprocess("-p", "plugbench.pytest_plugin", "--netns", "always", timeout=60)
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", [("plug-st0", "plug-ev0")]),
        ("interface: plug-ev0", "interface: plug-ev0, netns: other", []),
        (", interface: plug-ev0", "", []),
    ],
)
def test_whose_cable_is_laid(before: str, after: str, expected: list[tuple[str, str]]) -> None:
    rig = rig_of_text(Path("rig.yaml"), CABLE.replace(before, after)).rig
    assert list(cables(rig)) == expected
    assert wants_own(rig) == bool(expected)


def test_an_interface_that_is_there_is_the_machines() -> None:
    rig = rig_of_text(Path("rig.yaml"), CABLE.replace("plug-st0", "lo")).rig
    assert list(cables(rig)) == [("lo", "plug-ev0")]
    assert not wants_own(rig)
