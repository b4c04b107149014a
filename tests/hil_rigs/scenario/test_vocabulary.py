"""What no run can show is refused by name, with what is near."""

from __future__ import annotations

import re

import pytest

from hil_rigs.scenario.channels import CHANNELS
from hil_rigs.scenario.vocabulary import fields_of, names_of, read_moment, read_pattern


@pytest.mark.parametrize(
    "text",
    [
        "wire.power contactor closed=true",
        "wire.power flow milliamperes.0>16000",
        "wire.power * watts>1",
        "wire.v2g * ResponseCode~FAILED",
        "wire.v2g ChargingStatusRes AC_EVSEStatus.NotificationMaxDelay=0 direction=tx",
        "wire.v2g supportedAppProtocolRes ResponseCode~OK",
        "wire.v2g tls.established version=1.3",
        "secc Ended outcome=terminated",
        "secc session outcome=begun",
        "evcc SessionStopRes ResponseCode=OK",
        "evcc tcp.close why=x",
        "store signed kind=Transaction.Begin",
        "store Sample.Periodic ST=G RV>0",
        "session authorised flags~RFID",
        "session ocsp status.anything=revoked",
        "ocpp TransactionEvent transactionInfo.transactionId=x message.3.seqNo=1",
        "ocpp BootNotificationResponse status=Accepted",
        "ocpp AuthorizeError anything=1",
        "csms transaction state=billed",
        "csms refused refusal=key",
        "csms refused status=401",
        "pool request operation=contract.request",
        "pool request namespace~iso",
        "operator mo.cdr.billed operator=x",
        "fault begun fault=line.drop times=3 bits=1",
        "session fault fault=GroundFailure active=false",
        "session fault fault~GroundFailur",
        "session fault fault=null",
        "wire.v2g * ResponseCode=OK_SuccessfulNegotiation",
        "wire.v2g PowerDeliveryRes AC_EVSEStatus.RCD=true",
        "store Transaction.End TX=L EF='' IS=true",
        "csms * status=out",
    ],
)
def test_what_can_be_seen(text: str) -> None:
    assert str(read_pattern(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("wire.power flw", 'wire.power never shows "flw"; did you mean flow?'),
        ("csms TransactionEvnt", "did you mean TransactionEvent "),
        ("wire.v2g SessionStopRe", "did you mean SessionStopRes "),
        ("wire.v2g ChargingStatusRes EVSEStatus.RCD=true", "did you mean AC_EVSEStatus?"),
        ("store Transaction.Middle", "store never shows"),
        ("wire.power flow milliampere>16000", 'has no field "milliampere"; did you mean milliamperes?'),
        ("wire.power * milliampere>16000", "did you mean milliamperes or amperes?"),
        ("wire.v2g SessionStopRes ResponsCode=OK", "did you mean ResponseCode?"),
        ("wire.v2g SessionStopRes Body.ResponsCode=OK", "did you mean ResponseCode?"),
        ("ocpp TransactionEvent seqno=1", "did you mean seqNo?"),
        ("session state x=1", "there are phase, state, transaction, why"),
        ("wire.power flow milliamperes>16000", "has a list of 3 in milliamperes: write milliamperes.0 for its first"),
        ("session authorised flags=x", "has a list in flags"),
        ("wire.power flow milliamperes[0]>16000", "write milliamperes.0 instead of milliamperes[0]"),
        ("session fault fault=GroundFailur", "session fault never has fault=GroundFailur; did you mean GroundFailure"),
        ("session fault fault!=GroundFailur", "did you mean GroundFailure"),
        ("wire.pilot state state=G", "there are A, B, C, D, E, F"),
        ("wire.power contactor closed=yes", "there are false, true"),
        ("wire.v2g SessionStopRes ResponseCode=FAILED_SequenceErr", "did you mean FAILED_SequenceError"),
        ("wire.v2g * ResponseCode=FALED", "did you mean FAILED"),
        (
            "wire.v2g ChargingStatusRes AC_EVSEStatus.EVSENotification=Stop",
            "there are None, ReNegotiation, StopCharging",
        ),
        ("store Transaction.End TX=Q", "there are A, B, C, E, L, P, R, S, T, X"),
        ("store signed kind=Transaction.Ende", "did you mean Transaction.End"),
        ("fault begun fault=line.corupt", "did you mean line.corrupt"),
        ("ocpp AuthorizeResponse idTokenInfo.status=Acepted", "did you mean Accepted"),
        ("ocpp TransactionEvent offline=maybe", "there are false, true"),
        ("wire.power flow watts>abc", '> compares numbers, and "abc" is none'),
    ],
)
def test_what_nobody_can_see(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        read_pattern(text)
    with pytest.raises(ValueError, match=re.escape(says)):
        read_moment(f"{text} + 5 s")


def test_moments_without_a_pattern_name_nothing() -> None:
    assert read_moment("start + 5 s").delay == 5
    assert read_moment("10 min").delay == 600


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_has_names_and_every_name_has_fields(channel: str) -> None:
    names = names_of(channel)
    assert names
    for name in names:
        fields = fields_of(channel, name)
        assert fields is not None
    assert fields_of(channel, "*") is not None
    assert fields_of(channel, "never heard of") is None
