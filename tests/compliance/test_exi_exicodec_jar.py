"""The dialect of EXICodec.jar: what PyPI iso15118 writes on the wire, list by list.

Provenance: the PyPI package iso15118 0.31.2 in an environment of its own, asked through its own py4j codec class.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from benchmarks.exi import Peer
from v2g.exi import codec
from v2g.exi.dialects import EXICODEC_JAR, STANDARD
from v2g.exi.element import Element
from v2g.exi.generated.iso2 import types as iso2
from v2g.exi.generated.iso20_common import types as common
from v2g.exi.generated.iso20_common_types import types as common_types
from v2g.exi.generated.sap import types as sap
from v2g.exi.json_form import to_json
from v2g.exi.schemas import schema

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer() as found:
        yield found


def body(element: iso2.BodyBaseType) -> iso2.V2G_Message:
    return iso2.V2G_Message(Header=iso2.MessageHeaderType(SessionID=bytes(8)), Body=iso2.BodyType(BodyElement=element))


def handshake(count: int) -> Element:
    protocol = sap.AppProtocolType(
        ProtocolNamespace="a", VersionNumberMajor=1, VersionNumberMinor=0, SchemaID=1, Priority=1
    )
    return sap.supportedAppProtocolReq(AppProtocol=[protocol] * count)


def selection(count: int) -> Element:
    services = iso2.SelectedServiceListType(SelectedService=[iso2.SelectedServiceType(ServiceID=1)] * count)
    return body(iso2.PaymentServiceSelectionReqType(SelectedPaymentOption="Contract", SelectedServiceList=services))


def details(count: int) -> Element:
    values = [common.ParameterType(Name="x", intValue=number) for number in range(count)]
    sets = common.ServiceParameterListType(ParameterSet=[common.ParameterSetType(ParameterSetID=1, Parameter=values)])
    header = common_types.MessageHeaderType(SessionID=bytes(8), TimeStamp=1)
    return common.ServiceDetailResType(Header=header, ResponseCode="OK", ServiceID=1, ServiceParameterList=sets)


# (message of a list's length, lengths, whether the full list ends as the standard has it)
LISTS = {
    "SAP AppProtocol": (handshake, (1, 19, 20), True),
    "-2 SelectedService": (selection, (1, 15, 16), False),
    "-20 Parameter": (details, (1, 31, 32), True),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists(peer: Peer, name: str) -> None:
    make, counts, standard = LISTS[name]
    for count in counts:
        message = make(count)
        namespace = schema(codec.schema_of(message)).namespace
        text = json.dumps(to_json(message))
        octets = bytes.fromhex(peer.ask(task="encode", namespace=namespace, message=text, repeat=1)["result"])
        assert codec.encode(message, dialect=EXICODEC_JAR) == octets
        assert codec.decode(codec.schema_of(message), octets, dialect=EXICODEC_JAR) == message
        assert (codec.encode(message, dialect=STANDARD) == octets) == (standard or count < counts[-1])
