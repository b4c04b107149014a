"""Rigs whose cable is a real one: two interfaces of this machine (a veth pair in a namespace), real multicast."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hil_rigs.rig_file import RigFileError, load_rig
from hil_rigs.wiring.network_namespace import NetworkNamespace, Within
from plugbench.__main__ import main
from ports.errors import RigError

RIG = """\
rig: cable
clock: {mode: real}
resources:
  bus:   {kind: serial, port: virtual, baud: 9600}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus}
  key:   {kind: file_key}
  board: {kind: charger}
  ev:    {kind: vehicle, protocol: iso2, auth: pnc, tls: true, pki: auto, interface: ev0}
  cpo:   {kind: cpo.rest}
gateway:
  serial_number: GW-C
  connectors:
    - id: "1"
      evse_id: "DE*PLB*E0001"
      board: board
      meter: m1
      signer: key
      max_current_a: 32
      secc: {protocols: [iso2], auth: [pnc], tls: required, pki: auto, interface: st0}
  local_list: [{id: DEPLBC00000001, type: EMAID}]
  backends: [cpo]
sessions:
  - {connector: "1", vehicle: ev, identification: "DEPLBC00000001", charge_for_s: 1}
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Two network namespaces: the station's with st0, the vehicle's with ev0, and a cable between them."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and ip (package iproute2)")
    station, vehicle = f"rig-st-{os.getpid()}", f"rig-ev-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", station], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no network namespaces")
    subprocess.run(["ip", "netns", "add", vehicle], check=True)
    try:
        for command in (
            f"-n {station} link set lo up",
            f"-n {station} link add st0 type veth peer name ev0 netns {vehicle}",
            f"-n {station} link set st0 up",
            f"-n {vehicle} link set ev0 up",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        yield station, vehicle
    finally:
        for name in (station, vehicle):
            subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.foreign  # makes network namespaces
def test_a_session_over_a_real_link(namespaces: tuple[str, str], tmp_path: Path) -> None:
    station, vehicle = namespaces
    (tmp_path / "rig.yaml").write_text(
        RIG.replace("interface: ev0", f"interface: ev0, netns: {vehicle}"), encoding="utf-8"
    )
    command = ["ip", "netns", "exec", station, sys.executable, "-m", "plugbench", "run", "rig.yaml", "--out", "run"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    (request,) = [event for event in events if event["kind"] == "sdp.request" and event["source"] == "1.secc"]
    assert request["data"]["vehicle"].startswith("[fe80::")
    assert [event["data"]["version"] for event in events if event["kind"] == "tls.established"] == ["TLSv1.2"] * 2
    counted = subprocess.run(
        ["ip", "-n", vehicle, "-json", "-s", "link", "show", "ev0"], capture_output=True, text=True, check=True
    )
    assert json.loads(counted.stdout)[0]["stats64"]["tx"]["packets"] > 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((", interface: ev0}", "}"), "expected interface of ev, too"),
        ((", interface: st0}", "}"), "expected interface of connector 1, too"),
        (("{mode: real}", "{mode: virtual, start: 2026-11-20T08:00:00Z}"), "a network interface is real"),
        (("interface: ev0", "interface: a/b"), "network interface"),
        (("interface: ev0", "netns: far"), "expected with netns"),
    ],
)
def test_a_cable_has_two_ends_and_is_real(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in RIG
    (tmp_path / "rig.yaml").write_text(RIG.replace(*change), encoding="utf-8")
    with pytest.raises(RigFileError, match=message):
        load_rig(tmp_path / "rig.yaml")


def test_an_interface_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rig.yaml").write_text(RIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "rig.yaml", "--out", "run"]) == 2
    assert "there is no network interface st0" in capsys.readouterr().err


def test_a_namespace_that_is_not_there_is_said() -> None:
    with pytest.raises(RigError, match="there is no network namespace 'nowhere'"):
        NetworkNamespace("nowhere")


async def test_a_coroutine_is_driven_inside_and_everything_else_is_not() -> None:
    inside: list[bool] = []

    class Marked(NetworkNamespace):
        def __init__(self) -> None:
            self.name, self.now = "marked", False

        @contextmanager
        def entered(self) -> Iterator[None]:
            self.now = True
            try:
                yield
            finally:
                self.now = False

    marked = Marked()

    async def work() -> str:
        inside.append(marked.now)
        await asyncio.sleep(0)
        inside.append(marked.now)
        with pytest.raises(ZeroDivisionError):
            await failing
        return "done"

    async def others() -> None:
        for _ in range(3):
            inside.append(marked.now)
            await asyncio.sleep(0)

    failing = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, failing.set_exception, ZeroDivisionError())
    beside = asyncio.create_task(others())
    assert await Within(work(), marked) == "done"
    await beside
    assert inside.count(True) == 2
    assert inside.count(False) == 3


async def test_what_is_cancelled_ends_inside() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("yes")

    class Here(NetworkNamespace):
        def __init__(self) -> None:
            self.name = "here"

        @contextmanager
        def entered(self) -> Iterator[None]:
            yield

    async def task() -> None:
        await Within(work(), Here())

    running = asyncio.create_task(task())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == ["yes"]
