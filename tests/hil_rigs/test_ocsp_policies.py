"""What a rig says about contracts whose status nobody tells: refused, or charged, by its policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_rigs.virtual_clock import VirtualClock, run_virtual
from tests.hil_rigs.plug_and_charge_world import BETWEEN_S, START, Seen, world

RIG = """\
rig: ocsp
clock: {mode: virtual, start: 2026-11-20T08:00:00+01:00}
resources:
  bus:   {kind: serial, port: virtual, baud: 9600}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus}
  key:   {kind: file_key}
  board: {kind: charger}
  ev:    {kind: vehicle, protocol: iso2, auth: pnc, tls: true, pki: auto}
gateway:
  serial_number: GW-O
  connectors:
    - id: "1"
      evse_id: "DE*PLB*E0001"
      board: board
      meter: m1
      signer: key
      max_current_a: 32
      secc: {protocols: [iso2], auth: [pnc], tls: required, pki: auto}
  ocsp: {source: direct, policy: POLICY}
  local_list: [{id: DEPLBC00000001, type: EMAID}]
"""


def charge(policy: str, folder: Path) -> list[Seen]:
    """Two sessions; nobody answers where the certificates say that the responder is."""

    async def main(clock: VirtualClock) -> list[Seen]:
        async with world(RIG.replace("POLICY", policy), folder, clock) as one:
            first = await one.charge("ev")
            await clock.sleep(BETWEEN_S)
            return [first, await one.charge("ev")]

    return run_virtual(main, start=START, seed=17)


@pytest.mark.parametrize(
    ("policy", "decision", "refused"),
    [
        ("hard", "refused", ["AuthorizationReq FAILED"]),
        ("soft", "passes", []),
        ("off", "passes", []),
    ],
)
def test_without_an_answer_the_policy_decides(tmp_path: Path, policy: str, decision: str, refused: list[str]) -> None:
    for seen in charge(policy, tmp_path):
        assert seen.refused == refused
        assert seen.charged is not bool(refused)
        assert seen.data("session.ocsp", "decision") == [decision]
        assert seen.data("session.ocsp", "policy") == [policy]
        (statuses,) = seen.data("session.ocsp", "status")
        assert set(statuses.values()) == {"not asked" if policy == "off" else "no answer"}
