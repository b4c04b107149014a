"""The code letters and words of OCMF, as enumerations (OCMF 1.4.1 tables 7 and 11 to 24)."""

from __future__ import annotations

from enum import StrEnum


class Tx(StrEnum):
    """Reason of a reading within its transaction (table 7, TX)."""

    BEGIN = "B"
    CHARGING = "C"
    EXCEPTION = "X"
    END = "E"
    END_LOCAL = "L"
    END_REMOTE = "R"
    ABORT = "A"
    POWER_FAILURE = "P"
    SUSPENDED = "S"
    TARIFF_CHANGE = "T"


TX_ENDS = frozenset({Tx.END, Tx.END_LOCAL, Tx.END_REMOTE, Tx.ABORT, Tx.POWER_FAILURE})


class Level(StrEnum):
    """Identification level (table 11, IL)."""

    NONE = "NONE"
    HEARSAY = "HEARSAY"
    TRUSTED = "TRUSTED"
    VERIFIED = "VERIFIED"
    CERTIFIED = "CERTIFIED"
    SECURE = "SECURE"
    MISMATCH = "MISMATCH"
    INVALID = "INVALID"
    OUTDATED = "OUTDATED"
    UNKNOWN = "UNKNOWN"


LEVEL_ERRORS = frozenset({Level.MISMATCH, Level.INVALID, Level.OUTDATED, Level.UNKNOWN})


class IdType(StrEnum):
    """Kind of the user's identification (table 17, IT)."""

    NONE = "NONE"
    DENIED = "DENIED"
    UNDEFINED = "UNDEFINED"
    ISO14443 = "ISO14443"
    ISO15693 = "ISO15693"
    EMAID = "EMAID"
    EVCCID = "EVCCID"
    EVCOID = "EVCOID"
    ISO7812 = "ISO7812"
    CARD_TXN_NR = "CARD_TXN_NR"
    CENTRAL = "CENTRAL"
    CENTRAL_1 = "CENTRAL_1"
    CENTRAL_2 = "CENTRAL_2"
    LOCAL = "LOCAL"
    LOCAL_1 = "LOCAL_1"
    LOCAL_2 = "LOCAL_2"
    PHONE_NUMBER = "PHONE_NUMBER"
    KEY_CODE = "KEY_CODE"


class PointType(StrEnum):
    """Kind of the charge point's identification (table 18, CT)."""

    EVSEID = "EVSEID"
    CBIDC = "CBIDC"


# tables 13 to 16; at most one of each group stands in IF
IDENTIFICATION_FLAGS: dict[str, frozenset[str]] = {
    "RFID": frozenset({"RFID_NONE", "RFID_PLAIN", "RFID_RELATED", "RFID_PSK"}),
    "OCPP": frozenset(
        {
            "OCPP_NONE",
            "OCPP_RS",
            "OCPP_AUTH",
            "OCPP_RS_TLS",
            "OCPP_AUTH_TLS",
            "OCPP_CACHE",
            "OCPP_WHITELIST",
            "OCPP_CERTIFIED",
        }
    ),
    "ISO15118": frozenset({"ISO15118_NONE", "ISO15118_PNC"}),
    "PLMN": frozenset({"PLMN_NONE", "PLMN_RING", "PLMN_SMS"}),
}

UNITS = frozenset({"kWh", "Wh", "mOhm", "uOhm"})  # table 20
CURRENT_TYPES = frozenset({"AC", "DC"})  # table 21
ERROR_FLAGS = frozenset("Et")  # table 7, EF
