"""The exact bytes of our payloads, and what the writer refuses."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocmf.container import join, parse
from ocmf.payload import LossCompensation, PayloadError, User, lowest_version, payload_hash, write_payload, write_time
from ocmf.terms import IdType, Tx
from ports.clock import TimeStatus
from ports.meter import Quality


def test_exact_bytes(payload, reading):
    written = write_payload(payload(reading(Tx.BEGIN, "100.000"), previous_hash=""))
    assert written == (
        b'{"FV":"1.0","GI":"Plugbench","GS":"GW-1","GV":"0.1.0","PG":"T1","MV":"Eastron","MM":"SDM630",'
        b'"MS":"12345678","MF":"1.0","IS":true,"IL":"TRUSTED","IF":["RFID_PLAIN","OCPP_RS_TLS"],"IT":"ISO14443",'
        b'"ID":"1F2D3A4F5506C7","CT":"EVSEID","CI":"DE*ABC*E1234*1","ZH":"",'
        b'"RD":[{"TM":"2026-03-01T08:00:00,000+0100 S",'
        b'"TX":"B","RV":100.000,"RI":"1-b:1.8.0","RU":"kWh","RT":"AC","EF":"","ST":"G"}]}'
    )


def test_fiscal_record_has_no_user_and_no_reason(payload, reading):
    fields = json.loads(write_payload(payload(reading(None, "5.00"), page="F3", user=None)))
    assert not {"IS", "IL", "IF", "IT", "ID"} & fields.keys()
    assert "TX" not in fields["RD"][0]


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ({}, "1.0"),
        ({"tariff_text": "001;EUR;0;30;0;0"}, "1.1"),
        ({"loss": LossCompensation(resistance=Decimal("3.5"), unit="mOhm", name="cable", identification=1)}, "1.2"),
        ({"controller_firmware": "1.2.3", "tariff_text": "x"}, "1.3"),
    ],
)
def test_lowest_version_that_covers_the_fields(payload, changes, version):
    content = payload(**changes)
    assert lowest_version(content) == version
    assert json.loads(write_payload(content))["FV"] == version


def test_loss_and_vendor_keys_are_written(payload, reading):
    written = write_payload(
        payload(
            reading(Tx.BEGIN, "1.00", cumulated_loss=Decimal(0)),
            loss=LossCompensation(resistance=Decimal("3.50"), unit="mOhm"),
            vendor={"UX": [1, Decimal("2.50"), {"a": None, "b": False}]},
            previous_hash="ab" * 32,
        )
    )
    assert b'"LC":{"LR":3.50,"LU":"mOhm"}' in written
    assert b'"UX":[1,2.50,{"a":null,"b":false}],"ZH":"' + b"ab" * 32 in written
    assert b'"CL":0,' in written
    assert json.loads(written)["FV"] == "1.2"


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("PG", {"page": "T01"}),
        ("PG", {"page": "X1"}),
        ("PG", {"page": "T-1"}),
        ("GS", {"gateway_serial": ""}),
        ("MS", {"meter_serial": ""}),
        ("CI", {"point_id": ""}),
        ("IS", {"user": None}),
        ("IS", {"page": "F1"}),
        ("TT", {"tariff_text": "x" * 251}),
        ("CF", {"controller_firmware": "x" * 26}),
        ("ZH", {"previous_hash": "abc"}),
        ("ZH", {"vendor": {"ZH": ""}}),
        ("Q", {"vendor": {"Q": 1}}),
        ("UF", {"vendor": {"UF": 1.5}}),
        ("GI", {"gateway_id": "a|b"}),
        ("GI", {"gateway_id": "\ud800"}),
        ("LU", {"loss": LossCompensation(resistance=Decimal(1), unit="Ohm")}),
        ("LN", {"loss": LossCompensation(resistance=Decimal(1), unit="mOhm", name="x" * 21)}),
        ("IF", {"user": User(assigned=True, flags=("RFID_PLAIN", "RFID_PSK"))}),
        ("IF", {"user": User(assigned=True, flags=("RFID_WRONG",))}),
        ("ID", {"user": User(assigned=True, id_type=IdType.ISO14443, id="CARD-1")}),
        ("ID", {"user": User(assigned=True, id_type=IdType.LOCAL, id="x" * 41)}),
        ("ID", {"user": User(assigned=False, id="someone")}),
    ],
)
def test_impossible_content_is_refused_by_key(payload, key, changes):
    with pytest.raises(PayloadError) as error:
        write_payload(payload(**changes))
    assert error.value.key == key


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("RD[0].TX", {"tx": None}),
        ("RD[0].RU", {"unit": "MWh"}),
        ("RD[0].RI", {"register": ""}),
        ("RD[0].RT", {"current_type": "DC1"}),
        ("RD[0].EF", {"error_flags": "x"}),
        ("RD[0].CL", {"cumulated_loss": Decimal(1)}),
        ("RI", {"register": "1-0:2.8.0"}),
        ("RI", {"register": "power"}),
        ("TM", {"time": datetime(2026, 1, 1)}),  # noqa: DTZ001 - the missing zone is the point
        ("TM", {"time": datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=90)))}),
        ("RV", {"value": Decimal("NaN")}),
        ("RV", {"value": Decimal("1E+999")}),
    ],
)
def test_impossible_readings_are_refused(payload, reading, key, changes):
    with pytest.raises(PayloadError) as error:
        write_payload(payload(dataclasses.replace(reading(Tx.BEGIN, "1.00"), **changes)))
    assert error.value.key == key


def test_no_reading_is_refused(payload):
    with pytest.raises(PayloadError, match="no reading"):
        write_payload(dataclasses.replace(payload(), readings=()))


def test_two_registers_of_one_kind_are_refused_mains_and_compensated_not(payload, reading):
    mains, device, other = "01-00:B2.08.00*FF", "01-00:B3.08.00*FF", "01-00:B0.08.00*FF"
    write_payload(payload(reading(Tx.BEGIN, "1.00", register=mains), reading(Tx.BEGIN, "0.98", register=device)))
    with pytest.raises(PayloadError, match="which of"):
        write_payload(payload(reading(Tx.BEGIN, "1.00", register=mains), reading(Tx.BEGIN, "9.00", register=other)))


def test_time_is_cut_to_the_millisecond():
    time = datetime(2026, 7, 1, 23, 59, 59, 999999, tzinfo=UTC)
    assert write_time(time, TimeStatus.RELATIVE) == "2026-07-01T23:59:59,999+0000 R"
    assert write_time(time.astimezone(timezone(-timedelta(hours=3, minutes=30))), TimeStatus.UNKNOWN).endswith(
        "-0330 U"
    )


def test_text_may_be_of_a_type_of_its_own_and_nothing_else(payload):
    class Marked(str):
        """Text that knows its line, as a parser makes it."""

    assert b'"GI":"name"' in write_payload(payload(gateway_id=Marked("name")))
    with pytest.raises(PayloadError, match="object"):
        write_payload(payload(gateway_id=object()))


def test_text_is_written_as_json_writes_it(payload):
    odd = "".join(map(chr, [*range(0x20), *b'"/\\\x7f', 0xE9, 0x2028, 0x1F600]))
    assert f'"GI":{json.dumps(odd, ensure_ascii=False)}' in write_payload(payload(gateway_id=odd)).decode()


_TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="|"), max_size=30)
_VALUES = st.decimals(min_value=0, max_value=10**9, places=4)


@given(gateway=_TEXT, vendor=_TEXT, tariff=st.none() | _TEXT, values=st.lists(_VALUES, min_size=1, max_size=4))
def test_every_payload_survives_the_container(payload, reading, gateway, vendor, tariff, values):
    readings = [reading(Tx.BEGIN if n == 0 else Tx.CHARGING, str(value), n) for n, value in enumerate(values)]
    content = payload(*readings, gateway_id=gateway, meter_vendor=vendor, tariff_text=tariff)
    written = write_payload(content)
    assert b"\n" not in written
    found = parse(join(written, b"0", "secp256r1"))
    assert found.payload == written
    assert found.record_id == payload_hash(written)
    assert found.deviations == ()
    assert found.string("GI") == gateway
    assert [item.value for item in found.readings] == values
    assert [str(item.value) for item in found.readings] == [f"{value:f}" for value in values]
    assert all(item.status == Quality.GOOD for item in found.readings)
