"""Faults of what proves who is speaking: signatures by another key, messages of another day.

`CONTRACT_FAULTS` are the attacks on Plug & Charge that a station has to withstand, ready to be given to a vehicle.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec

from ports.errors import LocalError
from v2g.exi.codec import decode
from v2g.exi.element import Element
from v2g.session.fault import Fault, ReplaceField, ReverseList
from v2g.signature_suites import P256, signer
from v2g.signed_elements import required_elements, schema_of
from v2g.xmldsig import sign_message

_CHAIN = "Body.BodyElement.ContractSignatureCertChain"


class OtherKey(Fault, frozen=True, tag="other key"):
    """The message is signed by a key that nobody knows; digests and all else are right."""

    def on_message(self, message: Element) -> list[Element]:
        if not required_elements(message) or cast("Any", message).Header.Signature is None:
            raise LocalError(f"fault on {self.message}: the message is not signed")
        changed = copy.deepcopy(message)
        sign_message(changed, signer(ec.generate_private_key(ec.SECP256R1())), P256)
        return [changed]


class Replay(Fault, frozen=True, tag="replay"):
    """An older message of the same name goes out instead, with its signature.

    exi: its EXI payload in hex; "" is the first of this name since the fault was set, so that nth has to be 2 or more.
    this_session: with the session id of now, as somebody does who knows that the header is not signed.
    """

    exi: str = ""
    this_session: bool = False

    def older(self, message: Element, first: Element) -> Element:
        """What goes out. first: of this name."""
        if not self.exi and first is message:
            raise LocalError(f"fault on {self.message}: it is the first, there is no older one: set nth or exi")
        old = decode(schema_of(message), bytes.fromhex(self.exi)) if self.exi else copy.deepcopy(first)
        if self.this_session:
            cast("Any", old).Header.SessionID = cast("Any", message).Header.SessionID
        return old


CONTRACT_FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "wrong challenge": ReplaceField(
            message="AuthorizationReq", field="Body.BodyElement.GenChallenge", value="hex:" + "a5" * 16, sign=True
        ),
        "changed after signing": ReplaceField(message="AuthorizationReq", field="Body.BodyElement.Id", value="id9"),
        "spoiled digest": ReplaceField(
            message="AuthorizationReq",
            field="Header.Signature.SignedInfo.Reference.0.DigestValue",
            value="hex:" + "00" * 32,
        ),
        "another key": OtherKey(message="AuthorizationReq"),
        "no signature": ReplaceField(message="AuthorizationReq", field="Header.Signature"),
        "another EMAID": ReplaceField(
            message="PaymentDetailsReq", field="Body.BodyElement.eMAID", value="DEXYZC00000009"
        ),
        "inverted chain": ReverseList(message="PaymentDetailsReq", field=f"{_CHAIN}.SubCertificates.Certificate"),
        "sub-CAs left out": ReplaceField(message="PaymentDetailsReq", field=f"{_CHAIN}.SubCertificates"),
        "unreadable certificate": ReplaceField(
            message="PaymentDetailsReq", field=f"{_CHAIN}.Certificate", value="hex:30030201"
        ),
        "replayed installation": Replay(message="CertificateInstallationReq", nth=2),
        "replayed installation in this session": Replay(message="CertificateInstallationReq", nth=2, this_session=True),
        "installation signed by another key": OtherKey(message="CertificateInstallationReq"),
        "tampered receipt": ReplaceField(
            message="MeteringReceiptReq", field="Body.BodyElement.MeterInfo.MeterReading", value=1
        ),
        "tampered receipt, signed": ReplaceField(
            message="MeteringReceiptReq", field="Body.BodyElement.MeterInfo.MeterReading", value=1, sign=True
        ),
    }
)
"""What a vehicle does wrong: {name: fault}."""
