"""The codec's promises: arguments, errors with their place, limits both ways, deviations remembered, dialects."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from ports.errors import LocalError, PeerError
from v2g.exi import codec
from v2g.exi.deviations import Undefined, Untyped, deviations
from v2g.exi.dialects import DIALECTS, EXICODEC_JAR, EXIFICIENT, LIBCBV2G, STANDARD
from v2g.exi.errors import (
    EncodeError,
    EventError,
    ExiError,
    LimitError,
    StrictError,
    TruncatedError,
    UnknownSchemaError,
    ValueEncodingError,
)
from v2g.exi.generated.iso2 import types as iso2
from v2g.exi.generated.iso20_acdp import types as acdp
from v2g.exi.generated.iso20_common_types import types as common_types
from v2g.exi.generated.sap.types import AppProtocolType, supportedAppProtocolReq
from v2g.exi.reader import annotate
from v2g.exi.schemas import SchemaSet, schema_set

HEADER = iso2.MessageHeaderType(SessionID=bytes(8))
VOLT = iso2.PhysicalValueType(Multiplier=0, Unit="V", Value=400)
AMPERE = iso2.PhysicalValueType(Multiplier=0, Unit="A", Value=-1)


def message(body: iso2.BodyBaseType | None) -> iso2.V2G_Message:
    return iso2.V2G_Message(Header=HEADER, Body=iso2.BodyType(BodyElement=body))


def demand(soc: int = 50, multiplier: int = 0) -> iso2.V2G_Message:
    status = iso2.DC_EVStatusType(EVReady=True, EVErrorCode="NO_ERROR", EVRESSSOC=soc)
    volt = iso2.PhysicalValueType(Multiplier=multiplier, Unit="V", Value=400)
    return message(
        iso2.CurrentDemandReqType(
            DC_EVStatus=status, EVTargetCurrent=AMPERE, ChargingComplete=False, EVTargetVoltage=volt
        )
    )


class TestSchemas:
    def test_by_name_namespace_and_payload_type(self) -> None:
        assert schema_set("iso2") is SchemaSet.ISO2
        assert schema_set("urn:iso:std:iso:15118:-20:DC") is SchemaSet.ISO20_DC
        assert schema_set(0x8002) is SchemaSet.ISO20_COMMON
        assert schema_set(0x8006) is SchemaSet.ISO20_WPT

    def test_0x8001_names_three(self) -> None:
        with pytest.raises(UnknownSchemaError, match="SAP, DIN and -2"):
            schema_set(0x8001)

    @pytest.mark.parametrize("name", ["iso3", 0x8007, 0x9000])
    def test_unknown(self, name: str | int) -> None:
        with pytest.raises(UnknownSchemaError):
            schema_set(name)

    def test_shared_class_needs_a_schema(self) -> None:
        header = common_types.MessageHeaderType(SessionID=bytes(8), TimeStamp=1)
        with pytest.raises(UnknownSchemaError, match="several"):
            codec.encode(header)

    def test_foreign_class(self) -> None:
        class Other(msgspec.Struct, dict=True):
            pass

        with pytest.raises(UnknownSchemaError, match="Other"):
            codec.encode(Other())  # type: ignore[arg-type]

    def test_no_root(self) -> None:
        with pytest.raises(EncodeError, match="PhysicalValueType"):
            codec.encode(VOLT)

    def test_no_document_of_that_name(self) -> None:
        with pytest.raises(UnknownSchemaError, match="Nothing"):
            codec.encode(demand(), element="Nothing")

    def test_only_what_is_used_is_imported(self) -> None:
        """SAP and -2 must not pull in DIN or -20, nor the interpreter."""
        code = (
            "import sys; from v2g.exi import codec; codec.decode('sap', bytes.fromhex('80400040'));"
            "codec.decode('iso2', bytes.fromhex('809802000000000000000011d018004488cd115400'));"
            "print([m for m in sys.modules if m.startswith('v2g') and ('iso20' in m or 'din' in m or 'reader' in m)])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestErrors:
    def test_are_of_the_house(self) -> None:
        assert issubclass(ExiError, PeerError)
        assert issubclass(EncodeError, LocalError)
        assert issubclass(UnknownSchemaError, LocalError)

    def test_empty(self) -> None:
        with pytest.raises(TruncatedError):
            codec.decode("iso2", b"")

    @pytest.mark.parametrize("first", [0x00, 0x81, 0xA0, 0x24])
    def test_header(self, first: int) -> None:
        with pytest.raises(EventError, match="header octet"):
            codec.decode("iso2", bytes([first, 0x98, 0x02]))

    def test_truncated_names_schema_field_and_bit(self) -> None:
        octets = codec.encode(demand())
        with pytest.raises(TruncatedError, match=r"iso2 V2G_Message/Body/CurrentDemandReq/.*, bit \d+") as caught:
            codec.decode("iso2", octets[:20])
        assert caught.value.received == octets[:20]
        assert 0 < caught.value.bit <= 160

    def test_every_truncation(self) -> None:
        octets = codec.encode(demand())
        for size in range(len(octets)):
            with pytest.raises(ExiError):
                codec.decode("iso2", octets[:size])

    def test_wrong_event_code(self) -> None:
        # Body with code 40 of 37 productions
        with pytest.raises(EventError, match=r"Body \(BodyType, at its start\), bit 94: event code 40"):
            codec.decode("iso2", bytes.fromhex("8098020000000000000000" + "1280"))

    def test_string_table_hit(self) -> None:
        with pytest.raises(ValueEncodingError, match="string-table"):
            codec.decode("sap", bytes.fromhex("800008") + bytes(20))

    def test_wildcard(self) -> None:
        """SE(*) in Transform."""
        from v2g.exi.generated.xmldsig.types import TransformsType, TransformType

        value = TransformsType(Transform=[TransformType(Algorithm="x")])
        octets = codec.encode_fragment("xmldsig", "Transforms", value)
        # after the attribute, EE is code 2 of 4 in 3 bits; the wildcard is 1
        notes, _ = annotate(SchemaSet.XMLDSIG, octets, fragment=True)
        end = next(note for note in notes if note.meaning == "event code 2: end of Transform")
        changed = int.from_bytes(octets, "big") ^ 3 << 8 * len(octets) - end.bit - end.width
        with pytest.raises(EventError, match="wildcard"):
            codec.decode_fragment("xmldsig", changed.to_bytes(len(octets), "big"))


class TestLimits:
    @pytest.mark.parametrize(
        ("broken", "where"),
        [
            (demand(soc=101), "DC_EVStatus/EVRESSSOC: 101 is above 100"),
            (demand(multiplier=4), "EVTargetVoltage/Multiplier: 4 is above 3"),
            (message(iso2.SessionSetupReqType(EVCCID=bytes(7))), "EVCCID: 7 octets, at most 6"),
            (message(iso2.SessionSetupResType(ResponseCode="OK", EVSEID="ABC")), "EVSEID: 3 characters, at least 7"),
        ],
    )
    def test_value(self, broken: iso2.V2G_Message, where: str) -> None:
        with pytest.raises(LimitError, match=where):
            codec.encode(broken)
        octets = codec.encode(broken, check=False)
        found = codec.decode("iso2", octets)
        assert found == broken
        (deviation,) = deviations(found)
        assert deviation.kind == "limit"
        assert deviation.bit > 90
        assert not deviations(codec.decode("iso2", octets, check=False))
        with pytest.raises(StrictError, match="limit"):
            codec.decode("iso2", octets, strict=True)
        assert codec.encode(found, check=False) == octets

    def test_check_lists_all(self) -> None:
        with pytest.raises(LimitError) as caught:
            codec.check(demand(soc=120, multiplier=-4))
        assert len(caught.value.broken) == 2
        codec.check(demand())

    def test_count(self) -> None:
        protocol = AppProtocolType(
            ProtocolNamespace="a", VersionNumberMajor=1, VersionNumberMinor=0, SchemaID=1, Priority=1
        )
        codec.encode(supportedAppProtocolReq(AppProtocol=[protocol] * 20))
        with pytest.raises(LimitError, match="21 of them, at most 20"):
            codec.encode(supportedAppProtocolReq(AppProtocol=[protocol] * 21))
        with pytest.raises(LimitError, match="0 of them, at least 1"):
            codec.encode(supportedAppProtocolReq(AppProtocol=[]))
        with pytest.raises(EncodeError, match="AppProtocol cannot stand here"):
            codec.encode(supportedAppProtocolReq(AppProtocol=[protocol] * 21), check=False)

    def test_more_than_a_full_list_is_no_event(self) -> None:
        """At maxOccurs the state has no code for one more."""
        protocol = AppProtocolType(
            ProtocolNamespace="a", VersionNumberMajor=1, VersionNumberMinor=0, SchemaID=1, Priority=1
        )
        octets = codec.encode(supportedAppProtocolReq(AppProtocol=[protocol] * 20), dialect=LIBCBV2G)
        assert [deviation.kind for deviation in deviations(codec.decode("sap", octets))] == ["padding"]
        assert codec.decode("sap", octets, dialect=LIBCBV2G) == supportedAppProtocolReq(AppProtocol=[protocol] * 20)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("EVRESSSOC", "50"), ("EVRESSSOC", 5.0), ("EVRESSSOC", None), ("EVErrorCode", "NOPE"), ("EVReady", 2)],
    )
    def test_wrong_type(self, field: str, value: object) -> None:
        broken = demand()
        assert isinstance(broken.Body.BodyElement, iso2.CurrentDemandReqType)
        setattr(broken.Body.BodyElement.DC_EVStatus, field, value)
        with pytest.raises(LimitError, match=field):
            codec.encode(broken)
        if value is not None:
            with pytest.raises(EncodeError):
                codec.encode(broken, check=False)

    def test_too_large_for_its_bits(self) -> None:
        with pytest.raises(EncodeError, match="128 cannot be written"):
            codec.encode(demand(soc=128), check=False)
        assert codec.decode("iso2", codec.encode(demand(soc=127), check=False), check=False) == demand(soc=127)

    def test_two_alternatives_of_a_choice(self) -> None:
        parameter = iso2.ParameterType(Name="x", boolValue=True, intValue=3)
        with pytest.raises(EncodeError, match="intValue cannot stand here"):
            codec.encode_fragment("iso2", "Parameter", parameter)

    def test_wrong_substitute(self) -> None:
        with pytest.raises(LimitError, match="may not stand here"):
            codec.encode(message(VOLT))  # type: ignore[arg-type]
        with pytest.raises(EncodeError, match="may not stand in BodyElement"):
            codec.encode(message(VOLT), check=False)  # type: ignore[arg-type]


class TestDeviations:
    def test_undefined_value(self) -> None:
        broken = message(iso2.SessionSetupResType(ResponseCode="OK", EVSEID="ABCDEFG"))
        assert isinstance(broken.Body.BodyElement, iso2.SessionSetupResType)
        broken.Body.BodyElement.ResponseCode = Undefined("#29")  # type: ignore[assignment]
        with pytest.raises(LimitError, match="#29"):
            codec.encode(broken)
        octets = codec.encode(broken, check=False)
        found = codec.decode("iso2", octets)
        assert found == broken
        assert deviations(found)[0].kind == "undefined value"
        assert codec.encode(found, check=False) == octets

    def test_untyped_value(self) -> None:
        broken = demand()
        assert isinstance(broken.Body.BodyElement, iso2.CurrentDemandReqType)
        broken.Body.BodyElement.DC_EVStatus.EVRESSSOC = Untyped("200")  # type: ignore[assignment]
        octets = codec.encode(broken, check=False)
        found = codec.decode("iso2", octets)
        assert found == broken
        assert [deviation.kind for deviation in deviations(found)] == ["untyped value"]

    def test_untyped_attribute(self) -> None:
        value = iso2.AuthorizationReqType(Id=Untyped("id1"))
        octets = codec.encode_fragment("iso2", "AuthorizationReq", value, check=False)
        element, found = codec.decode_fragment("iso2", octets)
        assert (element, found) == ("AuthorizationReq", value)
        assert deviations(found)[0].kind == "untyped attribute"

    @pytest.mark.parametrize("tail", ["00", "0000", "41"])
    def test_trailing(self, tail: str) -> None:
        octets = codec.encode(demand()) + bytes.fromhex(tail)
        found = codec.decode("iso2", octets)
        assert [deviation.kind for deviation in deviations(found)] == ["trailing"]
        assert deviations(found)[0].bit == 8 * (len(octets) - len(tail) // 2)
        assert codec.encode(found) == octets
        with pytest.raises(StrictError):
            codec.decode("iso2", octets, strict=True)

    def test_padding(self) -> None:
        octets = bytearray(codec.encode(message(iso2.SessionSetupReqType(EVCCID=bytes(6)))))
        octets[-1] |= 1
        found = codec.decode("iso2", bytes(octets))
        assert [deviation.kind for deviation in deviations(found)] == ["padding"]
        assert codec.encode(found) == bytes(octets)

    def test_part_of_a_deviating_message_keeps_its_bits(self) -> None:
        """What a signature covers is written as it came, out of the message that held it."""
        text = "80980200000000000000001" + "0000de2c1585898d0"
        found = codec.decode("iso2", bytes.fromhex(text))
        assert isinstance(found, iso2.V2G_Message)
        fragment = codec.encode_fragment("iso2", "AuthorizationReq", found.Body.BodyElement)
        element, again = codec.decode_fragment("iso2", fragment)
        assert element == "AuthorizationReq"
        assert [deviation.kind for deviation in deviations(again)] == ["text"]

    def test_abstract_head(self) -> None:
        """Real stations send the abstract SASchedules of DIN."""
        from v2g.exi.generated.din import types as din

        status = din.DC_EVSEStatusType(EVSEStatusCode="EVSE_Ready", NotificationMaxDelay=0, EVSENotification="None")
        volt = din.PhysicalValueType(Multiplier=0, Value=400)
        body = din.ChargeParameterDiscoveryResType(
            ResponseCode="OK",
            EVSEProcessing="Ongoing",
            SASchedules=din.SASchedulesType(),
            EVSEChargeParameter=din.DC_EVSEChargeParameterType(
                DC_EVSEStatus=status,
                EVSEMaximumCurrentLimit=volt,
                EVSEMaximumVoltageLimit=volt,
                EVSEMinimumCurrentLimit=volt,
                EVSEMinimumVoltageLimit=volt,
                EVSEPeakCurrentRipple=volt,
            ),
        )
        whole = din.V2G_Message(Header=din.MessageHeaderType(SessionID=bytes(8)), Body=din.BodyType(BodyElement=body))
        with pytest.raises(LimitError, match="abstract"):
            codec.encode(whole)
        octets = codec.encode(whole, check=False)
        found = codec.decode("din", octets)
        assert found == whole
        assert [deviation.kind for deviation in deviations(found)] == ["abstract"]
        assert codec.encode(found, check=False) == octets

    def test_values_with_redundant_bits(self) -> None:
        """A length of 7 written in two groups."""
        octets = codec.encode(supportedAppProtocolReq(AppProtocol=[protocol("abcde")]))
        bits = bin(int.from_bytes(octets, "big"))[2:]
        at = 8 + 2 + 1 + 1 + 1  # header, document, AppProtocol, ProtocolNamespace, CH
        assert bits[at : at + 8] == "00000111"
        longer = bits[:at] + "10000111" + "00000000" + bits[at + 8 :]
        longer = longer.rstrip("0")
        longer += "0" * (-len(longer) % 8)
        changed = int(longer, 2).to_bytes(len(longer) // 8, "big")
        found = codec.decode("sap", changed)
        assert found == supportedAppProtocolReq(AppProtocol=[protocol("abcde")])
        assert [deviation.kind for deviation in deviations(found)] == ["long form"]
        assert codec.encode(found) == changed

    def test_canonical_message_remembers_nothing(self) -> None:
        found = codec.decode("iso2", codec.encode(demand()))
        assert deviations(found) == ()
        assert not found.__dict__


def protocol(namespace: str) -> AppProtocolType:
    return AppProtocolType(
        ProtocolNamespace=namespace, VersionNumberMajor=1, VersionNumberMinor=0, SchemaID=1, Priority=1
    )


class TestDialects:
    def test_names(self) -> None:
        assert set(DIALECTS) == {"standard", "EXIficient", "libcbv2g", "EXICodec.jar"}

    @pytest.mark.parametrize("dialect", [EXIFICIENT, LIBCBV2G, EXICODEC_JAR])
    def test_ordinary_messages_are_alike(self, dialect: codec.Dialect) -> None:
        octets = codec.encode(demand())
        assert codec.encode(demand(), dialect=dialect) == octets
        assert codec.decode("iso2", octets, dialect=dialect) == demand()

    def test_empty_content(self) -> None:
        empty = message(iso2.SessionSetupReqType(EVCCID=b""))
        assert codec.encode(empty).hex().endswith("11d00000")
        assert codec.encode(empty, dialect=EXIFICIENT).hex().endswith("11d400")

    def test_full_lists(self) -> None:
        services = iso2.SelectedServiceListType(SelectedService=[iso2.SelectedServiceType(ServiceID=1)] * 16)
        octets = {
            dialect.name: codec.encode_fragment("iso2", "SelectedServiceList", services, dialect=dialect)
            for dialect in (STANDARD, EXICODEC_JAR, LIBCBV2G)
        }
        assert octets["EXICodec.jar"] == octets["libcbv2g"] != octets["standard"]
        for dialect in (STANDARD, EXICODEC_JAR, LIBCBV2G):
            found = codec.decode_fragment("iso2", octets[dialect.name], dialect=dialect)
            assert found == ("SelectedServiceList", services)

    def test_acdp_codes(self) -> None:
        header = common_types.MessageHeaderType(SessionID=bytes(8), TimeStamp=1)
        request = acdp.ACDP_ConnectReqType(Header=header, EVElectricalChargingDeviceStatus="State_B")
        standard = codec.encode(request, element="ACDP_DisconnectReq")
        swapped = codec.encode(request, element="ACDP_DisconnectReq", dialect=LIBCBV2G)
        assert (standard[1] >> 2, swapped[1] >> 2) == (2, 1)
        assert codec.element_name(codec.decode("iso20_acdp", swapped, dialect=LIBCBV2G)) == "ACDP_DisconnectReq"


class TestElements:
    def test_two_elements_of_one_class(self) -> None:
        header = common_types.MessageHeaderType(SessionID=bytes(8), TimeStamp=1)
        request = acdp.ACDP_ConnectReqType(Header=header, EVElectricalChargingDeviceStatus="State_B")
        assert codec.element_name(codec.decode("iso20_acdp", codec.encode(request))) == "ACDP_ConnectReq"
        octets = codec.encode(request, element="ACDP_DisconnectReq")
        found = codec.decode("iso20_acdp", octets)
        assert codec.element_name(found) == "ACDP_DisconnectReq"
        assert codec.encode(found) == octets

    def test_names_in_two_namespaces_want_the_namespace(self) -> None:
        with pytest.raises(UnknownSchemaError, match="several namespaces"):
            codec.encode_fragment("iso2", "ServiceID", 1)
        element = "{urn:iso:15118:2:2013:MsgBody}ServiceID"
        assert codec.decode_fragment("iso2", codec.encode_fragment("iso2", element, 1)) == (element, 1)

    def test_unknown_fragment(self) -> None:
        with pytest.raises(UnknownSchemaError, match="Nothing"):
            codec.encode_fragment("iso2", "Nothing", 1)


def test_annotate_covers_every_bit_and_stops_at_the_error() -> None:
    octets = codec.encode(demand())
    notes, error = annotate(SchemaSet.ISO2, octets)
    assert error is None
    assert notes[0].meaning.startswith("header")
    assert any(note.path.endswith("EVTargetVoltage/Value") and "400" in note.meaning for note in notes)
    notes, error = annotate(SchemaSet.ISO2, octets[:15])
    assert isinstance(error, TruncatedError)
    assert notes
