"""Plug & Charge in rig files: every mistake has its line, and what is rarely meant is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_rigs.reality import describe
from hil_rigs.rig_file import RigFileError, load_rig
from hil_rigs.surroundings import surroundings

GOOD = """\
rig: bench
clock: {mode: real}
resources:
  bus:   {kind: serial, port: virtual, baud: 9600}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus}
  key:   {kind: file_key}
  board: {kind: charger}
  ev:    {kind: vehicle, protocol: iso2, auth: pnc, tls: true, pki: auto, contract: none}
  pools: {kind: pools.opcp}
  csms:  {kind: csms.ocpp, pools: pools, bills_to: [mo]}
  mo:    {kind: operator.mo, pools: pools}
  oem:   {kind: operator.oem, pools: pools}
gateway:
  serial_number: GW
  connectors:
    - id: "1"
      evse_id: "DE*PLB*E1"
      board: board
      meter: m1
      signer: key
      max_current_a: 32
      secc: {auth: [pnc], tls: required, pki: auto}
  authorisers: [csms]
  contracts: csms
  ocsp: {source: csms, policy: hard}
  backends: [csms]
sessions:
  - {connector: "1", vehicle: ev, identification: "DEPLBC00000001", charge_for_s: 20}
"""
CSMS, POOLS = "{kind: csms.ocpp, pools: pools, bills_to: [mo]}", "pools: {kind: pools.opcp}"


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    text = GOOD
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    (folder / "bench.yaml").write_text(text, encoding="utf-8")
    return folder / "bench.yaml"


def test_a_good_file_has_neither_problems_nor_warnings(tmp_path: Path) -> None:
    loaded = load_rig(written(tmp_path))
    assert loaded.warnings == ()
    where = {line.name: line.where for line in describe(loaded.rig)}
    assert {where[name] for name in ("pools", "csms", "mo", "oem")} == {"virtual"}


REAL_POOLS = (POOLS, "pools: {kind: pools.opcp, url: 'https://p', client_id: c, secret_file: s}")
MISTAKES = {
    "unknown pools": (("pools: pools, bills", "pools: pols, bills"), "csms", 'did you mean "pools"?'),
    "bills to nobody": (("bills_to: [mo]", "bills_to: [oem]"), "csms", "is of kind operator.oem, expected operator.mo"),
    "CSMS without pools": ((CSMS, "{kind: csms.ocpp, bills_to: [mo]}"), "csms", "expected pools"),
    "no source of contracts": (("  contracts: csms\n", ""), "- {connector", "expected gateway.contracts"),
    "contracts of a meter": (("contracts: csms", "contracts: m1"), "contracts", "expected pools.opcp or csms.ocpp"),
    "authoriser unknown": (("authorisers: [csms]", "authorisers: [csm]"), "authorisers", 'did you mean "csms"?'),
    "OCSP from the pools": (("source: csms", "source: pools"), "ocsp", "expected csms.ocpp"),
    "OCSP policy": (("policy: hard", "policy: strict"), "ocsp", "expected one of hard, off, soft"),
    "two pools": (("  mo:", "  other: {kind: pools.opcp}\n  mo:"), "other", "pools is embedded already"),
    "two CSMS": (("  mo:", "  other: {kind: csms.ocpp}\n  mo:"), "other", "csms is embedded already"),
    "unknown variant": (("contract: none", "bad_contract: rotten"), "ev", 'unknown variant "rotten"'),
    "a variant of somebody else's PKI": (
        ("pki: auto, contract: none", "pki: /tmp, bad_contract: expired"),
        "ev",
        "needs pki: auto",
    ),
    "a contract without Plug & Charge": (
        ("auth: pnc, tls: true, pki: auto, contract: none", "contract: none"),
        "ev",
        "goes with auth: pnc",
    ),
    "a password in the URL": ((CSMS, "{kind: csms.ocpp, url: 'ws://a:b@c/'}"), "csms", "never stand in a rig file"),
    "a password in the file": (
        (CSMS, "{kind: csms.ocpp, url: 'ws://c/', password: x}"),
        "csms",
        "use password_file or password_env",
    ),
    "profile without TLS": (
        (CSMS, "{kind: csms.ocpp, url: 'ws://c/', security_profile: 2, password_env: P}"),
        "csms",
        "2 does not go with ws:",
    ),
    "profile without password": (
        (CSMS, "{kind: csms.ocpp, url: 'wss://c/', security_profile: 2}"),
        "csms",
        "profiles 1 and 2 need a password",
    ),
    "profile without key": (
        (CSMS, "{kind: csms.ocpp, url: 'wss://c/', security_profile: 3, certificate_file: c}"),
        "csms",
        "profile 3 needs them",
    ),
    "key for the embedded one": ((CSMS, "{kind: csms.ocpp, key_file: k}"), "csms", "the embedded one needs none"),
    "pools of another CSMS": (
        (CSMS, "{kind: csms.ocpp, url: 'ws://c/', password_env: P, pools: pools}"),
        "csms",
        "goes with url: embedded only",
    ),
    "real pools without client": (
        (POOLS, "pools: {kind: pools.opcp, url: 'https://p'}"),
        "pools",
        "known clients only",
    ),
    "operator without client": (REAL_POOLS, "mo", "expected client_id and secret_file, for the tokens of pools"),
    "client of embedded pools": (
        ("{kind: operator.mo, pools: pools}", "{kind: operator.mo, pools: pools, client_id: c, secret_file: s}"),
        "mo",
        "knows its clients",
    ),
    "OCPI without token": (("{kind: operator.mo,", "{kind: operator.mo, url: 'https://m',"), "mo", "needs a token"),
    "reader that nobody declared real": (
        ("  mo:", "  reader: {kind: reader.pcsc}\n  mo:"),
        "reader",
        "say real: true",
    ),
    "virtual time with a real CSMS": (
        ("clock: {mode: real}", "clock: {mode: virtual, start: 2026-11-20T08:00:00+01:00}"),
        "clock",
        "csms is external",
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_has_its_line(tmp_path: Path, what: str) -> None:
    change, line, message = MISTAKES[what]
    changes = [change]
    if what == "virtual time with a real CSMS":
        changes.append((CSMS, "{kind: csms.ocpp, url: 'ws://c/', password_env: P}"))
    file = written(tmp_path, *changes)
    with pytest.raises(RigFileError) as caught:
        load_rig(file)
    numbered = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    (expected,) = [number for number, text in numbered if text.split(":")[0].strip() == line]
    assert any(message in str(one) and one.line == expected for one in caught.value.problems), str(caught.value)


def test_two_vehicles_do_not_share_a_contract(tmp_path: Path) -> None:
    second = "  ev2: {kind: vehicle, protocol: iso2, auth: pnc, tls: true, pki: auto}\n  pools:"
    with pytest.raises(RigFileError) as caught:
        load_rig(written(tmp_path, ("  pools:", second)))
    assert [one.message for one in caught.value.problems] == [
        "DEPLBC00000001 is taken, as ev",
        "PLBPROVCERT000001 is taken, as ev",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("  oem:   {kind: operator.oem, pools: pools}\n", ""), "nobody publishes ev"),
        (("{kind: operator.mo, pools: pools}", "{kind: operator.mo}"), "nobody has a contract made for ev"),
        (('identification: "DEPLBC00000001"', 'identification: "04AABBCC"'), "is not the EMAID of ev"),
        (("  mo:", "  hub: {kind: operator.hub}\n  mo:"), "nobody uses it"),
    ],
)
def test_what_is_rarely_meant_is_said(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert [message in warning.message for warning in load_rig(written(tmp_path, change)).warnings] == [True]


def test_a_real_one_is_external(tmp_path: Path) -> None:
    real = (CSMS, "{kind: csms.ocpp, url: 'wss://c/ocpp', security_profile: 2, password_env: P}")
    rig = load_rig(written(tmp_path, real)).rig
    (line,) = [line for line in describe(rig) if line.name == "csms"]
    assert (line.where, line.why) == ("external", "the server at wss://c/ocpp")


def test_what_the_machine_lacks_for_real_parts_is_said_at_once(tmp_path: Path) -> None:
    changes = (
        REAL_POOLS,
        ("{kind: operator.mo, pools: pools}", "{kind: operator.mo, pools: pools, client_id: c, secret_file: s}"),
        ("{kind: operator.oem, pools: pools}", "{kind: operator.oem, pools: pools, client_id: c, secret_file: s}"),
        ("pki: auto, contract: none", f"pki: {tmp_path}/nowhere, contract: none, interface: none0"),
        ("pki: auto}\n  authorisers", "pki: auto, interface: none1}\n  authorisers"),
    )
    found = [str(one).partition(": ")[2] for one in surroundings(load_rig(written(tmp_path, *changes)))]
    assert [one.partition(": ")[0] for one in found] == [
        "resources.ev.interface",
        "resources.ev.pki",
        "resources.pools.secret_file",
        "resources.mo.secret_file",
        "resources.oem.secret_file",
        "gateway.connectors[0].secc.interface",
    ]
    assert "there is no network interface none0; there are: " in found[0]
    (tmp_path / "s").write_text("secret")
    (tmp_path / "s").chmod(0o644)
    found = [one.message for one in surroundings(load_rig(written(tmp_path, *changes)))]
    assert found.count("the file that it names can be read by others: chmod 600") == 3
