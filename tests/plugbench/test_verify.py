"""`plugbench verify` from outside: text, JSON and exit codes."""

import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ocmf.container import join
from ocmf.keys import decode_public_key
from ocmf.safe_xml import write_safe_xml
from plugbench.__main__ import main

READING = (
    '{{"TM":"2026-03-01T{hour:02d}:00:00,000+0100 S","TX":"{tx}","RV":{value},"RI":"1-b:1.8.0","RU":"kWh","RT":"AC",'
    '"EF":"","ST":"G"}}'
)


class Meter:
    """Signs payloads of a meter with one key."""

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.key = decode_public_key(
            self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )

    def record(self, page, *readings, meter="M1"):
        rows = ",".join(READING.format(tx=tx, value=value, hour=hour) for tx, value, hour in readings)
        user = '"IS":true,"IL":"TRUSTED","IF":[],"IT":"LOCAL","ID":"me",'
        payload = f'{{"FV":"1.0","GS":"GW","PG":"{page}","MS":"{meter}",{user}"CT":"EVSEID","CI":"E1","RD":[{rows}]}}'
        octets = payload.encode()
        return join(octets, self.private.sign(octets, ec.ECDSA(hashes.SHA256())), self.key.curve)


@pytest.fixture
def meter():
    return Meter()


@pytest.fixture
def begin(meter):
    return meter.record("T1", ("B", "100.000", 8))


@pytest.fixture
def end(meter):
    return meter.record("T2", ("E", "129.500", 9))


def check(capsys, *arguments):
    code = main(["verify", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_valid_pair_in_xml(tmp_path, capsys, meter, begin, end):
    file = tmp_path / "bill.xml"
    file.write_text(write_safe_xml([(1, "Transaction.Begin", begin), (1, "Transaction.End", end)], meter.key))
    assert main(["verify", str(file)]) == 0
    out = capsys.readouterr().out
    assert "VALID        transaction 1 (T1 to T2): 29.500 kWh" in out
    assert "compare it with the meter's label" in out
    code, found = check(capsys, file, "--key", meter.key.hex())
    assert (code, found["verdict"]) == (0, "valid")
    (result,) = found["results"]
    assert (result["energy_kwh"], result["status"], result["time_billable"]) == ("29.500", "OK", True)
    assert result["key"] == {"fingerprint": meter.key.fingerprint, "curve": "secp256r1", "origin": "given"}
    assert result["pages"] == ["T1", "T2"]


def test_run_folder_with_records_and_key(tmp_path, capsys, meter, begin, end):
    (tmp_path / "records").mkdir()
    (tmp_path / "public_key.pem").write_text(meter.key.pem())
    (tmp_path / "records" / "T1.ocmf").write_text(begin)
    (tmp_path / "records" / "T2.ocmf").write_text(end)
    (tmp_path / "records" / "1.xml").write_text(write_safe_xml([(1, "", begin), (1, "", end)], meter.key))
    code, found = check(capsys, tmp_path, "--stream")
    assert code == 0
    (result,) = found["results"]  # .ocmf and XML hold the same transaction: it is said once
    assert result["energy_kwh"] == "29.500"
    assert len(result["files"]) == 3
    assert found["stream"] == {"status": "CONTINUOUS", "findings": []}


def test_several_records_in_one_file_and_a_key_file(tmp_path, capsys, meter, begin, end):
    file, key = tmp_path / "all.ocmf", tmp_path / "key"
    file.write_text(f"{begin}\n{end}\n")
    key.write_text(meter.key.base64())
    assert check(capsys, file, "--key-file", key)[0] == 0


def test_changed_record_is_invalid(tmp_path, capsys, meter, begin, end):
    file = tmp_path / "changed.ocmf"
    file.write_text(f"{begin}\n{end.replace('129.500', '999.500')}\n")
    code, found = check(capsys, file, "--key", meter.key.hex())
    assert (code, found["verdict"]) == (1, "invalid")
    assert {result["verdict"] for result in found["results"]} == {"invalid", "undecidable"}


def test_broken_rules_are_invalid_and_named(tmp_path, capsys, meter, begin):
    file = tmp_path / "gap.ocmf"
    file.write_text(f"{begin}\n{meter.record('T3', ('E', '129.500', 9))}\n")
    assert main(["verify", str(file), "--key", meter.key.hex()]) == 1
    assert "error: pagination (record 2, PG): T3 does not follow T1" in capsys.readouterr().out


def test_undecidable_without_key_or_end_and_for_other_formats(tmp_path, capsys, meter, begin):
    record, other = tmp_path / "begin.ocmf", tmp_path / "other.txt"
    record.write_text(begin)
    other.write_text("AP;0;3;rubbish")
    for arguments in ([record], [record, "--key", meter.key.hex()], [other]):
        code, found = check(capsys, *arguments)
        assert (code, found["verdict"]) == (3, "undecidable")


def test_fiscal_record_is_valid_by_its_signature(tmp_path, capsys, meter):
    file = tmp_path / "fiscal.ocmf"
    payload = (
        b'{"FV":"1.0","GS":"GW","PG":"F1","MS":"M1","RD":[{"TM":"2026-03-01T08:00:00,000+0100 S","RV":5.00,'
        b'"RI":"1-b:1.8.0","RU":"kWh","ST":"G"}]}'
    )
    file.write_text(join(payload, meter.private.sign(payload, ec.ECDSA(hashes.SHA256())), meter.key.curve))
    code, found = check(capsys, file, "--key", meter.key.hex())
    assert code == 0
    assert found["results"][0]["fiscal"]


def test_record_replayed_as_a_second_transaction(tmp_path, capsys, meter, begin, end):
    file = tmp_path / "bills.xml"
    file.write_text(write_safe_xml([(1, "", begin), (1, "", end), (2, "", begin), (2, "", end)], meter.key))
    code, found = check(capsys, file)
    assert code == 1
    assert [result["verdict"] for result in found["results"]] == ["valid", "invalid"]
    assert {finding["rule"] for finding in found["results"][1]["findings"] if finding["severity"] == "error"} == {
        "billed twice"
    }


def test_other_key_than_carried_is_noted_and_decides(tmp_path, capsys, meter, begin, end):
    file = tmp_path / "bill.xml"
    stranger = Meter()
    file.write_text(write_safe_xml([(1, "", begin), (1, "", end)], stranger.key))
    assert check(capsys, file)[0] == 1
    code, found = check(capsys, file, "--key", meter.key.hex())
    assert code == 0
    assert "carries another key" in found["results"][0]["notes"][0]


def test_stream_gap(tmp_path, capsys, meter):
    file = tmp_path / "day.ocmf"
    records = [meter.record(f"T{n}", ("B", f"{n}.000", n), ("E", f"{n}.500", n)) for n in (1, 2, 4)]
    file.write_text("\n".join(records))
    assert check(capsys, file, "--key", meter.key.hex())[0] == 0
    code, found = check(capsys, file, "--key", meter.key.hex(), "--stream")
    assert (code, found["stream"]["status"]) == (1, "GAP")
    assert main(["verify", str(file), "--key", meter.key.hex(), "--stream"]) == 1
    assert "GAP at GW/M1 T4: missing: T3" in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["<values", "<!DOCTYPE v><values/>", "<values/>"])
def test_broken_xml_is_undecidable_with_its_reason(tmp_path, capsys, broken):
    file = tmp_path / "broken.xml"
    file.write_text(broken)
    code, found = check(capsys, file)
    assert code == 3
    assert "SAFE XML" in found["results"][0]["text"]


def test_usage_errors(tmp_path, capsys, begin):
    file = tmp_path / "begin.ocmf"
    file.write_text(begin)
    assert main(["verify", str(tmp_path / "none")]) == 2
    assert main(["verify", str(file), "--key", "no key"]) == 2
    assert main(["verify", str(file), "--key-file", str(tmp_path / "none")]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["verify", str(tmp_path / "empty")]) == 2
    assert "no .ocmf or .xml file" in capsys.readouterr().err


def test_hostile_text_does_not_reach_the_terminal(tmp_path, capsys):
    file = tmp_path / "hostile.ocmf"
    file.write_text('OCMF|{"PG":"\x1b[2J"}|{"SD":"00"}')
    main(["verify", str(file)])
    assert "\x1b" not in capsys.readouterr().out
