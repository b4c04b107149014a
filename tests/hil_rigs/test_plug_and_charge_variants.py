"""The same end to end with other parts in between: other versions, other ways, other vehicles."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from hil_rigs.rig_file import load_rig
from hil_rigs.run import RunOutcome, run_rig
from hil_rigs.run_folder import make_folder
from hil_rigs.trace_file import TraceFile

OCPP16_OVER_THE_HUB = """\
rig: variant
clock: {mode: virtual, start: 2026-11-20T08:00:00+01:00}
resources:
  bus:   {kind: serial, port: virtual, baud: 9600}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus}
  key:   {kind: file_key}
  board: {kind: charger}
  due:   {kind: vehicle, protocol: iso2, auth: pnc, tls: true, pki: auto, contract: update_due}
  pools: {kind: pools.opcp}
  csms:  {kind: csms.ocpp, version: "1.6", security_profile: 3, pools: pools, bills_to: [hub]}
  mo:    {kind: operator.mo, pools: pools}
  oem:   {kind: operator.oem, pools: pools}
  hub:   {kind: operator.hub}
gateway:
  serial_number: GW-V
  connectors:
    - id: "1"
      evse_id: "DE*PLB*E0001"
      board: board
      meter: m1
      signer: key
      max_current_a: 32
      secc: {protocols: [iso2], auth: [pnc], tls: required, pki: auto}
  authorisers: [csms]
  contracts: csms
  backends: [csms]
sessions:
  - {connector: "1", vehicle: due, identification: "DEPLBC00000001", until_kwh: 0.2}
"""
DC_AND_CARDS_WITHOUT_CSMS = """\
rig: variant
clock: {mode: virtual, start: 2026-11-20T08:00:00+01:00}
resources:
  bus:    {kind: serial, port: virtual, baud: 9600}
  m1:     {kind: meter, model: eastron_sdm630, bus: bus, unit: 1, serial_number: "1"}
  m2:     {kind: meter, model: eastron_sdm630, bus: bus, unit: 2, serial_number: "2"}
  key:    {kind: file_key}
  dc:     {kind: charger, energy: dc, max_current_a: 125}
  ac:     {kind: charger}
  new:    {kind: vehicle, protocol: iso2, energy: dc, auth: pnc, tls: true, pki: auto, contract: none}
  card:   {kind: vehicle}
  pools:  {kind: pools.opcp}
  mo:     {kind: operator.mo, pools: pools}
  oem:    {kind: operator.oem, pools: pools}
  reader: {kind: reader.simulated, connectors: ["2"]}
  cpo:    {kind: cpo.rest}
gateway:
  serial_number: GW-V
  connectors:
    - id: "1"
      evse_id: "DE*PLB*E0001"
      board: dc
      meter: m1
      signer: key
      max_current_a: 125
      reading_interval_s: 5
      secc: {protocols: [iso2], auth: [pnc, eim], tls: required, pki: auto}
    - {id: "2", evse_id: "DE*PLB*E0002", board: ac, meter: m2, signer: key, max_current_a: 32}
  contracts: pools
  receipts: true
  readers: [reader]
  local_list: [{id: DEPLBC00000001, type: EMAID}, {id: "04A1B2C3D4E5F6"}]
  backends: [cpo]
sessions:
  - {connector: "1", vehicle: new, identification: "DEPLBC00000001", until_kwh: 0.2}
  - {connector: "2", vehicle: card, identification: "04A1B2C3D4E5F6", until_kwh: 0.2}
"""


def run(text: str, tmp_path: Path) -> tuple[RunOutcome, list[dict[str, object]]]:
    (tmp_path / "rig.yaml").write_text(text, encoding="utf-8")
    rig_file = load_rig(tmp_path / "rig.yaml")
    assert rig_file.warnings == ()
    folder = make_folder(tmp_path / "run")
    with TraceFile(folder / "events.jsonl") as tracer:
        outcome = run_rig(rig_file, folder, tracer, lambda _text: None)
    return outcome, [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.soak
def test_an_update_over_ocpp_16_with_client_certificates_and_a_bill_over_the_hub(tmp_path: Path) -> None:
    outcome, events = run(OCPP16_OVER_THE_HUB, tmp_path)
    assert outcome.result.verdict == "pass", outcome.result
    assert outcome.result.contracts_installed == 1
    (bill,) = outcome.result.bills
    assert bill.kwh == outcome.result.sessions[0].kwh
    (connected,) = [event for event in events if event["kind"] == "csms.connected"]
    assert connected["data"] == {"station": "GW-V", "version": "ocpp1.6", "profile": 3}
    (asked,) = [event["data"] for event in events if event["kind"] == "secc.certificate"]
    assert (asked["action"], asked["outcome"]) == ("update", "answered")  # type: ignore[index]
    assert [event["source"] for event in events if event["kind"] == "hub.cdr.forwarded"] == ["hub"]


def test_dc_with_contracts_from_the_pools_themselves_beside_cards_at_a_reader(tmp_path: Path) -> None:
    outcome, events = run(DC_AND_CARDS_WITHOUT_CSMS, tmp_path)
    assert outcome.result.verdict == "pass", outcome.result
    assert [session.kwh for session in outcome.result.sessions] == [Decimal("0.20"), Decimal("0.20")]
    assert outcome.result.contracts_installed == 1
    assert outcome.result.receipts > 0
    cards = [event for event in events if event["kind"] == "session.card"]
    assert {event["source"] for event in cards} == {"reader"}
    sources = {event["source"] for event in events if event["kind"] == "opcp.answer"}
    assert sources == {"pools"}


def test_charging_that_costs_nothing_asks_nobody(tmp_path: Path) -> None:
    text = DC_AND_CARDS_WITHOUT_CSMS.replace(
        "  contracts: pools\n  receipts: true\n  readers: [reader]\n", "  free: true\n"
    )
    for line in ("  pools:", "  mo:", "  oem:", "  reader:", "  new:", '  - {connector: "1"', "  local_list:"):
        text = "".join(row for row in text.splitlines(keepends=True) if not row.startswith(line))
    text = text.replace("auth: [pnc, eim], tls: required, pki: auto", "auth: [eim]")
    outcome, events = run(text, tmp_path)
    assert outcome.result.verdict == "pass", outcome.result
    assert [session.kwh for session in outcome.result.sessions] == [Decimal("0.20")]
    assert [event["data"]["id_type"] for event in events if event["kind"] == "session.authorised"] == ["NONE"]  # type: ignore[index]


@pytest.mark.soak
def test_a_run_fails_when_the_operator_cannot_verify_its_bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody_told_the_operator(*_arguments: object) -> None:
        """The station's key is not registered."""

    monkeypatch.setattr("hil_rigs.bench.register_at_operators", nobody_told_the_operator)
    text = OCPP16_OVER_THE_HUB.replace("bills_to: [hub]", "bills_to: [mo]").replace(
        "  hub:   {kind: operator.hub}\n", ""
    )
    outcome, _ = run(text.replace("contract: update_due", "contract: none"), tmp_path)
    assert outcome.result.verdict == "fail"
    (problem,) = outcome.result.problems
    assert "mo made no bill: undecidable (key unknown" in problem
    assert outcome.result.sessions[0].verdict == "valid"


@pytest.mark.soak
def test_a_run_fails_when_no_contract_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing_ordered(*_arguments: object) -> None:
        """Neither maker nor operator has done anything."""

    monkeypatch.setattr("hil_rigs.bench.order_contracts", nothing_ordered)
    text = DC_AND_CARDS_WITHOUT_CSMS.replace(
        '  - {connector: "2", vehicle: card, identification: "04A1B2C3D4E5F6"', "  #"
    )
    (tmp_path / "again").mkdir()
    for line in ("  card:", "  reader:", "  readers:"):
        text = "".join(row for row in text.splitlines(keepends=True) if not row.startswith(line))
    text = text.replace(', {id: "04A1B2C3D4E5F6"}', "")
    outcome, _ = run(text, tmp_path / "again")
    assert outcome.result.verdict == "fail"
    said = "\n".join(outcome.result.problems)
    assert "new got a contract 0 times, expected 1" in said
    assert "the pools handed out a contract 0 times, expected 1" in said
    assert "connector 1: no vehicle signed a metering receipt" in said
