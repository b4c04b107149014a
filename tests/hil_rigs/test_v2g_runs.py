"""Rigs whose vehicles talk: the examples, every combination, faults from the file, and what a file may not say."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from hil_rigs.evidence.event_hash import Event, canonical
from hil_rigs.rig_file import RigFileError, load_rig
from hil_rigs.run import RunOutcome, run_rig
from hil_rigs.run_folder import make_folder
from hil_rigs.trace_file import TraceFile

EXAMPLES = Path(__file__).parents[2] / "rigs"
TEXT = """\
rig: test
clock: {mode: virtual, start: 2026-11-20T08:00:00+01:00, zone: Europe/Berlin}
seed: 17
resources:
  bus:   {kind: serial, port: virtual, baud: 9600, format: 8N1}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus, unit: 1, serial_number: "12345678"}
  key:   {kind: file_key, curve: secp256r1}
  board: {kind: charger, max_current_a: 32}
  ev:    {kind: vehicle, protocol: iso2}
  cpo:   {kind: cpo.rest, url: embedded}
gateway:
  serial_number: GW-T
  connectors:
    - {id: "1", evse_id: "DE*PLB*E0001", board: board, meter: m1, signer: key, max_current_a: 32, secc: {}}
  local_list: [{id: "04A1B2C3D4E5F6", type: ISO14443}, {id: "DEPLBC00000001", type: EMAID}]
  backends: [cpo]
sessions:
  - {connector: "1", vehicle: ev, identification: "04A1B2C3D4E5F6", charge_for_s: 100}
"""
CODE = "Body.BodyElement.ResponseCode"
DC_BOARD = ("{kind: charger, max_current_a: 32}", "{kind: charger, energy: dc, max_current_a: 32}")


def written(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = TEXT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (tmp_path / "rig.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "rig.yaml"


def run(file: Path, tmp_path: Path) -> tuple[RunOutcome, list[dict[str, object]]]:
    """A run and its trace."""
    folder = make_folder(tmp_path / "run")
    with TraceFile(folder / "trace.jsonl") as tracer:
        outcome = run_rig(load_rig(file), folder, tracer, lambda _text: None)
    return outcome, [json.loads(line) for line in (folder / "trace.jsonl").read_text(encoding="utf-8").splitlines()]


def codes(trace: list[dict[str, object]], kind: str, key: str) -> list[object]:
    return [event["data"][key] for event in trace if event["kind"] == kind]  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "kwh"),
    [
        ("iso15118_ac", ["9.18", "2.00"]),
        pytest.param("din_dc", ["6.66"], marks=pytest.mark.soak),  # 1 100 messages; in short below: "DC, DIN"
    ],
)
def test_the_examples_pass(tmp_path: Path, name: str, kwh: list[str]) -> None:
    outcome, trace = run(EXAMPLES / f"{name}.yaml", tmp_path)
    assert outcome.result.verdict == "pass", outcome.result
    assert [session.kwh for session in outcome.result.sessions] == [Decimal(one) for one in kwh]
    assert all(s.difference_wh is not None and 0 <= s.difference_wh < 10 for s in outcome.result.sessions)
    assert codes(trace, "secc.session", "outcome")[-1] == "terminated"
    assert (tmp_path / "run" / "v2g-1.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"


COMBINATIONS = {
    "AC by card": (),
    "DC by card": (DC_BOARD, ("protocol: iso2", "protocol: iso2, energy: dc")),
    "DC, DIN": (DC_BOARD, ("protocol: iso2", "protocol: din, energy: dc")),
    "AC by contract": (
        ("protocol: iso2", "protocol: iso2, auth: pnc, tls: true, pki: auto"),
        ("secc: {}", "secc: {auth: [pnc], tls: required, pki: auto}"),
    ),
    "DC by contract": (
        DC_BOARD,
        ("protocol: iso2", "protocol: iso2, energy: dc, auth: pnc, tls: true, pki: auto"),
        ("secc: {}", "secc: {auth: [pnc, eim], tls: offered, pki: auto}"),
    ),
    "AC by card over TLS": (
        ("protocol: iso2", "protocol: iso2, tls: true, pki: auto"),
        ("secc: {}", "secc: {tls: offered, pki: auto}"),
    ),
    "a vehicle that cannot talk": (("protocol: iso2", "protocol: none"),),
    "a station that cannot talk": ((", secc: {}", ""),),
    "single phase": (("protocol: iso2", "protocol: iso2, phases: 1"),),
    "with a pause": (("charge_for_s: 100", "until_kwh: 1, pause_after_s: 60, pause_s: 600"),),
    "negotiated anew": (("charge_for_s: 100", "charge_for_s: 100, renegotiate_after_s: 40"),),
}


@pytest.mark.parametrize("what", COMBINATIONS)
def test_combinations_end_with_a_valid_bill(tmp_path: Path, what: str) -> None:
    outcome, _ = run(written(tmp_path, *COMBINATIONS[what]), tmp_path)
    assert outcome.result.verdict == "pass", outcome.result
    (session,) = outcome.result.sessions
    assert session.kwh is not None
    assert session.kwh > Decimal("0.15")


def test_real_time_over_the_loopback(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        ("{mode: virtual, start: 2026-11-20T08:00:00+01:00, zone: Europe/Berlin}", "{mode: real}"),
        ("charge_for_s: 100", "charge_for_s: 2"),
    )
    outcome, trace = run(file, tmp_path)
    assert outcome.result.verdict == "pass", outcome.result
    assert codes(trace, "secc.session", "outcome") == ["begun", "terminated"]


def test_two_connectors_have_a_cable_each(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        ("  key:", '  m2: {kind: meter, model: eastron_sdm630, bus: bus, unit: 2, serial_number: "2"}\n  key:'),
        ("  ev: ", "  board2: {kind: charger}\n  ev2: {kind: vehicle, protocol: iso2}\n  ev: "),
        (
            "  local_list:",
            (
                '    - {id: "2", evse_id: "DE*PLB*E0002", board: board2, meter: m2, signer: key, max_current_a: 16, '
                "secc: {}}\n  local_list:"
            ),
        ),
        ("type: EMAID}", 'type: EMAID}, {id: "04FF", type: KEY_CODE}'),
        (
            "charge_for_s: 100}",
            'charge_for_s: 100}\n  - {connector: "2", vehicle: ev2, identification: "04FF", charge_for_s: 100}',
        ),
    )
    outcome, trace = run(file, tmp_path)
    assert outcome.result.verdict == "pass", outcome.result
    assert [session.kwh for session in outcome.result.sessions] == [Decimal("0.61"), Decimal("0.30")]
    assert codes(trace, "secc.session", "outcome").count("terminated") == 2


def test_the_same_seed_gives_the_same_messages(tmp_path: Path) -> None:
    def frames(folder: Path) -> list[object]:
        folder.mkdir()
        _, trace = run(written(folder), folder)
        # the station signs the readings in its messages, and no two ECDSA signatures are alike
        messages = (event for event in trace if event["kind"] in ("v2g.rx", "v2g.tx"))
        return [canonical(msgspec.convert(event, Event)) for event in messages]

    first, second = frames(tmp_path / "a"), frames(tmp_path / "b")
    assert first == second
    assert len(first) > 400


@pytest.mark.parametrize(
    ("fault", "kind", "key", "expected"),
    [
        (
            "vehicle_faults: [{fault: wrong session, message: PowerDeliveryReq}]",
            "v2g.Refused",
            "code",
            "UnknownSession",
        ),
        ("vehicle_faults: [{fault: drop, message: ChargingStatusReq, nth: 5}]", "v2g.Ended", "outcome", "timed out"),
        ("station_faults: [{fault: silence, message: ChargingStatusRes, nth: 5}]", "v2g.Ended", "outcome", "timed out"),
        (
            f"station_faults: [{{fault: replace field, message: PowerDeliveryRes, field: {CODE}, value: FAILED}}]",
            "v2g.Refused",
            "code",
            "FAILED",
        ),
    ],
    ids=["wrong session", "drop", "silence", "replace field"],
)
def test_faults_of_the_file_strike_and_the_record_is_closed(
    tmp_path: Path, fault: str, kind: str, key: str, expected: str
) -> None:
    outcome, trace = run(written(tmp_path, ("charge_for_s: 100", f"charge_for_s: 100, {fault}")), tmp_path)
    assert outcome.result.verdict == "fail"
    assert any("V2G session failed" in problem for problem in outcome.result.problems)
    assert any(str(code).endswith(expected) for code in codes(trace, kind, key))
    (session,) = outcome.result.sessions
    assert session.verdict == "valid"  # what flowed is billed
    assert not [p for p in outcome.result.problems if "V2G" not in p]


WRONG = {
    "pnc without TLS": (("protocol: iso2", "protocol: iso2, auth: pnc"), "tls: expected true with auth: pnc"),
    "TLS without certificates": (("protocol: iso2", "protocol: iso2, tls: true"), "pki: expected auto or a folder"),
    "din with AC": (("protocol: iso2", "protocol: din"), "protocol: din is for energy: dc"),
    "unknown protocol": (("protocol: iso2", "protocol: iso20"), "expected one of din, iso2, none"),
    "station: pnc without TLS": (("secc: {}", "secc: {auth: [pnc]}"), "tls: expected offered or required"),
    "station: only contracts": (
        ("secc: {}", "secc: {auth: [pnc], tls: offered, pki: auto}"),
        "tls: expected required where only pnc is taken",
    ),
    "DC without secc": (("{kind: charger, max_current_a: 32}", "{kind: charger, energy: dc}"), "takes AC"),
    "AC above 80 A": (("{kind: charger, max_current_a: 32}", "{kind: charger, max_current_a: 125}"), "6 to 80 A"),
    "unknown fault": (
        ("charge_for_s: 100", "charge_for_s: 100, vehicle_faults: [{fault: explode, message: X}]"),
        'unknown fault "explode"',
    ),
    "unknown key of a fault": (
        ("charge_for_s: 100", "charge_for_s: 100, vehicle_faults: [{fault: drop, message: X, nht: 1}]"),
        'did you mean "nth"?',
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_said_with_its_line(tmp_path: Path, what: str) -> None:
    change, message = WRONG[what]
    with pytest.raises(RigFileError) as caught:
        load_rig(written(tmp_path, change))
    assert message in str(caught.value)
    assert "rig.yaml:" in str(caught.value)


def test_what_only_v2g_can_do_needs_a_vehicle_that_talks(tmp_path: Path) -> None:
    file = written(
        tmp_path, ("protocol: iso2", "protocol: none"), ("charge_for_s: 100", "charge_for_s: 100, pause_after_s: 9")
    )
    with pytest.raises(RigFileError, match="needs a vehicle with protocol din or iso2"):
        load_rig(file)
    file = written(tmp_path, DC_BOARD, (", secc: {}", ""), ("protocol: iso2", "protocol: iso2, energy: dc"))
    with pytest.raises(RigFileError, match="DC needs V2G"):
        load_rig(file)
