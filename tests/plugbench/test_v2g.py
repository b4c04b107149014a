"""`plugbench v2g`: what users type and read."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path

import pytest

from plugbench.__main__ import main
from v2g.capture_writer import CaptureWriter

PAIRS = Path(__file__).parents[3] / "shared/data/v2g/exificient-pairs.jsonl.gz"
SAP_REQ = "01fe8001000000248000ebab9371d34b9b79d189a98989c1d191d191818999d26b9b3a232b30020000040040"
SAP_RES = "01fe80010000000480400040"
SETUP = "01fe800100000015809802000000000000000011d018004488cd115400"
SETUP_EXI = SETUP[16:]
EMAID = "80EC0202B4B21A40041111505090D0CC4C8CD05090CD4DBD3D00"


def session_file(tmp_path: Path) -> str:
    path = tmp_path / "session.txt"
    path.write_text(f"{SAP_REQ}\n{SAP_RES}\n{SETUP}")
    return str(path)


def run(capsys, *words: str) -> tuple[int, str]:
    code = main(["v2g", *words])
    return code, capsys.readouterr().out


def test_decode_shows_a_session(capsys, tmp_path):
    code, out = run(capsys, "decode", session_file(tmp_path))
    assert code == 0
    assert out.splitlines()[0] == "vehicle  sap    supportedAppProtocolReq"
    assert out.splitlines()[-1] == "      EVCCID 001122334455"
    code, out = run(capsys, "decode", session_file(tmp_path), "--summary")
    assert out.splitlines() == [
        "vehicle  sap    supportedAppProtocolReq",
        "station  sap    supportedAppProtocolRes",
        "vehicle  iso2   SessionSetupReq",
    ]


def test_decode_as_diagram(capsys, tmp_path):
    _, out = run(capsys, "decode", session_file(tmp_path), "--mermaid")
    assert out.splitlines()[3:] == [
        "    V->>S: supportedAppProtocolReq",
        "    S-->>V: supportedAppProtocolRes",
        "    V->>S: SessionSetupReq",
    ]


def test_decode_reads_stdin_and_captures(capsys, tmp_path, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(bytes.fromhex(SAP_REQ + SAP_RES + SETUP)))
    monkeypatch.setattr("sys.stdin", stdin)
    code, out = run(capsys, "decode", "-", "--json")
    assert code == 0
    assert [json.loads(line)["name"] for line in out.splitlines()][-1] == "SessionSetupReq"
    writer = CaptureWriter()
    for time, frame in enumerate((SAP_REQ, SAP_RES, SETUP)):
        writer.tcp(1_700_000_000 + time, frame != SAP_RES, bytes.fromhex(frame))
    path = tmp_path / "session.pcapng"
    path.write_bytes(writer.octets())
    code, out = run(capsys, "decode", str(path), "--summary")
    assert out.splitlines() == [
        "#4  22:13:20.000  vehicle  sap    supportedAppProtocolReq",
        "#5  22:13:21.000  station  sap    supportedAppProtocolRes",
        "#6  22:13:22.000  vehicle  iso2   SessionSetupReq",
    ]


def test_deviations_and_errors_are_shown(capsys):
    code, out = run(capsys, "decode", SETUP_EXI + "00", "--protocol", "iso2")
    assert code == 0
    assert "  ! trailing at V2G_Message, bit 168: 1 octets after the end: 00" in out.splitlines()
    code, out = run(capsys, "decode", SETUP_EXI + "00", "--protocol", "iso2", "--strict", "--summary")
    assert code == 1
    code, out = run(capsys, "decode", SETUP)
    assert code == 1
    assert "name the protocol" in out
    assert f"  octets {SETUP_EXI}" in out.splitlines()


def test_a_refusal_is_seen_in_the_summary(capsys):
    refusal = {"V2G_Message": {"Header": {"SessionID": "00"}, "Body": {"SessionSetupRes": {}}}}
    refusal["V2G_Message"]["Body"]["SessionSetupRes"] = {"ResponseCode": "FAILED", "EVSEID": "ZZ00000"}
    _, octets = run(capsys, "encode", json.dumps(refusal), "--protocol", "iso2", "--bare")
    _, out = run(capsys, "decode", octets.strip(), "--protocol", "iso2", "--summary")
    assert out == "station  iso2   SessionSetupRes  FAILED\n"


def test_what_decode_writes_encode_reads(capsys, tmp_path):
    _, out = run(capsys, "decode", session_file(tmp_path), "--json")
    path = tmp_path / "session.jsonl"
    path.write_text(out)
    code, out = run(capsys, "encode", str(path))
    assert code == 0
    assert out.split() == [SAP_REQ, SAP_RES, SETUP]
    code, out = run(capsys, "encode", str(path), "--json")
    assert json.loads(out.splitlines()[0]) == {"protocol": "sap", "octets": SAP_REQ}


def test_fragments(capsys):
    code, out = run(capsys, "decode", EMAID, "--protocol", "iso2", "--fragment", "--json")
    assert code == 0
    assert json.loads(out)["message"] == {"eMAID": {"Id": "id4", "value": "DEABCC123ABC56"}}
    _, again = run(capsys, "encode", out, "--fragment")
    assert again.strip().upper() == EMAID
    _, other = run(capsys, "encode", out, "--fragment", "--dialect", "libcbv2g")
    assert other.strip().upper() == "80EC02B4B21A041111505090D0CC4C8CD05090CD4D9E80"


def test_values_outside_the_schema_only_when_asked_for(capsys):
    message = {"V2G_Message": {"Header": {"SessionID": "00" * 9}, "Body": {"SessionSetupReq": {"EVCCID": "00"}}}}
    assert main(["v2g", "encode", json.dumps(message), "--protocol", "iso2"]) == 2
    assert "SessionID" in capsys.readouterr().err
    code, _ = run(capsys, "encode", json.dumps(message), "--protocol", "iso2", "--any-value")
    assert code == 0


def test_diff(capsys):
    assert run(capsys, "diff", SETUP_EXI, SETUP_EXI, "--protocol", "iso2") == (0, "no difference\n")
    other = SETUP_EXI.replace("4488", "4489")
    code, out = run(capsys, "diff", SETUP_EXI, other, "--protocol", "iso2")
    assert (code, out) == (1, "frame 1, SessionSetupReq/Body/SessionSetupReq/EVCCID: 001122334455 | 001122734455\n")
    code, out = run(capsys, "diff", SETUP_EXI, other, "--protocol", "iso2", "--json")
    assert json.loads(out)["one"] == "001122334455"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["decode", "no/such.pcap"], "no such file"),
        (["decode", SETUP_EXI], "name the protocol"),
        (["decode", EMAID, "--fragment", "--protocol", "iso20"], "does not say its schema"),
        (["encode", "no/such.json"], "No such file"),
        (["encode", "{"], "no JSON"),
        (["encode", "[1]"], "expected JSON objects, found int"),
        (["encode", "{}"], "names no protocol"),
        (["encode", '{"Nonsense": {}}', "--protocol", "iso2"], "iso2 has no message 'Nonsense'"),
    ],
)
def test_usage_errors_say_what_to_do(capsys, words, complaint):
    assert main(["v2g", *words]) == 2
    assert complaint in capsys.readouterr().err


def test_signatures_are_part_of_the_verdict(capsys):
    if not PAIRS.is_file():
        pytest.skip(f"public test data {PAIRS} is absent")
    with gzip.open(PAIRS, "rt", encoding="utf-8") as file:
        row = next(row for row in map(json.loads, file) if "'CertificateInstallationRes': {" in str(row["decoded"]))
    code, out = run(capsys, "decode", row["hex"], "--protocol", "iso2")
    assert code == 0
    assert "signature verifies with CN=CPS Leaf, DC=CPS, O=Switch, C=UK, covers ContractSignatureCertChain" in out
    octets = bytearray(bytes.fromhex(row["hex"]))
    octets[-4] ^= 1
    code, out = run(capsys, "decode", octets.hex(), "--protocol", "iso2", "--summary")
    assert code == 1
    assert "signature DOES NOT VERIFY: CertificateInstallationRes: reference '#id4' (eMAID)" in out


@pytest.mark.parametrize("seed", range(4))
def test_changed_octets_end_in_output_and_an_exit_code(capsys, tmp_path, seed):
    """Messages with flipped bits, a hundred in a file: no traceback, one line of JSON each."""
    if not PAIRS.is_file():
        pytest.skip(f"public test data {PAIRS} is absent")
    with gzip.open(PAIRS, "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["protocol"] == "urn:iso:15118:2:2013:MsgDef"]
    rng = random.Random(seed)
    lines = []
    for row in rng.sample(rows, 100):
        octets = bytearray(bytes.fromhex(row["hex"]))
        for _ in range(rng.randrange(4)):
            bit = rng.randrange(8, len(octets) * 8)
            octets[bit // 8] ^= 1 << bit % 8
        lines.append(octets.hex())
    path = tmp_path / "changed.txt"
    path.write_text("\n".join(lines))
    code, out = run(capsys, "decode", str(path), "--protocol", "iso2", "--json")
    assert code in (0, 1)
    assert [json.loads(line)["octets"] for line in out.splitlines()] == lines
    assert run(capsys, "diff", str(path), str(path), "--protocol", "iso2") == (0, "no difference\n")
