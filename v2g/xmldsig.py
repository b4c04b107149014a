"""XML signatures as V2G uses them: digests over EXI fragments (ISO 15118-2 7.9.2.4, ISO 15118-20 7.9.2.4).

A reference names an element by its Id; its digest is over the element's EXI fragment in the grammar of the message.
The signature is over the SignedInfo's fragment in the grammar of XMLDSig alone. Both are encoded again from the
decoded message: nothing on the wire is aligned to octets.

Peers deviate; a verifier accepts these *dialects* and says which one it met: SignedInfo in the message's grammar
instead of XMLDSig's own, and fragments as other codecs write them (`v2g.exi.dialects`; -2's eMAID of libcbv2g).
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature

from ports.errors import LocalError, PeerError
from v2g.exi import dialects
from v2g.exi.codec import encode_fragment
from v2g.exi.dialects import DIALECTS
from v2g.exi.element import Element
from v2g.exi.errors import EncodeError
from v2g.exi.generated.xmldsig.types import (
    CanonicalizationMethodType,
    DigestMethodType,
    ReferenceType,
    SignatureMethodType,
    SignatureType,
    SignatureValueType,
    SignedInfoType,
    TransformsType,
    TransformType,
)
from v2g.signature_suites import ALL_SUITES, SUITES, PublicKey, Sign, Suite
from v2g.signed_elements import Named, elements_of, message_name, required_elements, schema_of

CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"
STANDARD = "standard"
SIGNED_INFO_IN_MESSAGE_GRAMMAR = "SignedInfo in the message's grammar"


class SignatureError(PeerError):
    """A signature that does not verify; the message says which reference or value, `received` holds the octets."""


@dataclass(frozen=True, slots=True)
class VerifiedReference:
    """An element that is covered. dialect: how its fragment was encoded."""

    id: str
    name: str
    dialect: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a signature covers. dialect: how the SignedInfo was encoded."""

    suite: Suite
    references: tuple[VerifiedReference, ...]
    dialect: str

    @property
    def dialects(self) -> list[str]:
        """Every deviation that was met; empty for a signature by the standard."""
        met = [reference.dialect for reference in self.references] + [self.dialect]
        return sorted({dialect for dialect in met if dialect != STANDARD})


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A signature that lacks its value: hand `octets` to the signer, give its answer to `complete`."""

    signed_info: SignedInfoType
    suite: Suite

    @property
    def octets(self) -> bytes:
        """What is signed: the SignedInfo as a fragment. The signer hashes it (SHA-256 for P-256, SHA-512 for P-521)."""
        return encode_fragment("xmldsig", "SignedInfo", self.signed_info)

    def complete(self, answer: bytes) -> SignatureType:
        """The signature. answer: DER or raw. Raises LocalError when it is neither."""
        value = SignatureValueType(value=self.suite.raw_value(answer))
        return SignatureType(SignedInfo=self.signed_info, SignatureValue=value)


def prepare_message(message: Element, suite: Suite, *, check: bool = True) -> Unsigned:
    """The signature that the standard wants on a message, for a signer that takes its time:

        unsigned = prepare_message(message, P256)
        message.Header.Signature = unsigned.complete(await token.sign(unsigned.octets))

    Elements without Id get "id1", "id2", ... check: as `encode` has it.
    Raises LocalError when the message has nothing to sign.
    """
    elements = required_elements(message)
    if not elements:
        raise LocalError(f"{message_name(message)} has no element that is signed")
    if getattr(message, "Header", None) is None:
        raise LocalError(f"{message_name(message)} has no Header to hold the signature")
    taken = {str(getattr(found.element, "Id", None)) for found in elements_of(message)}
    free = (name for number in range(1, len(taken) + len(elements) + 1) if (name := f"id{number}") not in taken)
    for _, element in elements:
        if not getattr(element, "Id", None):
            element.Id = next(free)  # type: ignore[attr-defined]
    return prepare_elements(elements, suite, schema_of(message), check=check)


def prepare_elements(elements: Iterable[Named], suite: Suite, schema: str, *, check: bool = True) -> Unsigned:
    """A signature over elements, each with an Id; schema: the set whose grammar they are in."""
    references = [
        ReferenceType(
            URI=f"#{_id_of(found)}",
            Transforms=TransformsType(Transform=[TransformType(Algorithm=CANONICAL_EXI)]),
            DigestMethod=DigestMethodType(Algorithm=suite.digest_method),
            DigestValue=suite.hash(encode_fragment(schema, found.name, found.element, check=check)),
        )
        for found in elements
    ]
    signed_info = SignedInfoType(
        CanonicalizationMethod=CanonicalizationMethodType(Algorithm=CANONICAL_EXI),
        SignatureMethod=SignatureMethodType(Algorithm=suite.signature_method),
        Reference=references,
    )
    return Unsigned(signed_info, suite)


def sign_message(message: Element, sign: Sign, suite: Suite) -> None:
    """Sign what the standard wants signed in a message and put the signature into its header."""
    unsigned = prepare_message(message, suite)
    message.Header.Signature = unsigned.complete(sign(unsigned.octets))  # type: ignore[attr-defined]


def sign_elements(elements: Iterable[Named], sign: Sign, suite: Suite, schema: str) -> SignatureType:
    """A signature over elements, each with an Id."""
    unsigned = prepare_elements(elements, suite, schema)
    return unsigned.complete(sign(unsigned.octets))


def verify_message(message: Element, key: PublicKey, suites: Collection[Suite] = ALL_SUITES) -> Verified:
    """Verify the signature in a message's header, and that it covers everything the standard wants covered.

    Raises SignatureError, which names the message and the reference.
    """
    name = message_name(message)
    signature = getattr(getattr(message, "Header", None), "Signature", None)
    if not isinstance(signature, SignatureType):
        raise SignatureError(f"{name} carries no signature")
    try:
        verified = verify_elements(signature, elements_of(message), key, schema_of(message), suites)
    except SignatureError as error:
        raise SignatureError(f"{name}: {error}", error.received) from error
    covered = {reference.id for reference in verified.references}
    for found in required_elements(message):
        if str(getattr(found.element, "Id", None)) not in covered:
            raise SignatureError(f"{name}: the signature does not cover {found.name}")
    return verified


def verify_elements(
    signature: SignatureType,
    elements: Iterable[Named],
    key: PublicKey,
    schema: str,
    suites: Collection[Suite] = ALL_SUITES,
) -> Verified:
    """Verify a signature whose references point into these elements.

    schema: the set whose grammar they are in. suites: what is accepted. Raises SignatureError.
    """
    _check_complete(signature)
    signed_info = signature.SignedInfo
    suite = _suite_of(signed_info, key, suites)
    by_id = _by_id(elements)
    references = tuple(_verify_reference(reference, by_id, suite, schema) for reference in signed_info.Reference)
    value = signature.SignatureValue.value
    if len(value) != suite.value_length:
        raise SignatureError(f"SignatureValue has {len(value)} octets, {suite.name} has {suite.value_length}", value)
    for dialect, octets in _signed_info_forms(signed_info, schema):
        try:
            suite.check(key, value, octets)
        except InvalidSignature:
            continue
        return Verified(suite, references, dialect)
    raise SignatureError(f"the signature value does not verify with the key given ({suite.name})", value)


def _check_complete(signature: SignatureType) -> None:
    """A decoder lets elements pass that lack mandatory fields or hold text instead of octets."""
    info, value = signature.SignedInfo, signature.SignatureValue
    required: list[tuple[str, object, type]] = [
        ("SignedInfo", info, SignedInfoType),
        ("SignatureValue", getattr(value, "value", None), bytes),
        ("CanonicalizationMethod", getattr(info, "CanonicalizationMethod", None), CanonicalizationMethodType),
        ("SignatureMethod", getattr(info, "SignatureMethod", None), SignatureMethodType),
    ]
    for reference in getattr(info, "Reference", None) or []:
        required += [
            ("DigestMethod", reference.DigestMethod, DigestMethodType),
            ("DigestValue", reference.DigestValue, bytes),
        ]
    for name, found, kind in required:
        if not isinstance(found, kind):
            raise SignatureError(f"the signature has no usable {name}")


def _suite_of(signed_info: SignedInfoType, key: PublicKey, suites: Collection[Suite]) -> Suite:
    canonicalization = signed_info.CanonicalizationMethod.Algorithm
    if canonicalization != CANONICAL_EXI:
        raise SignatureError(f"CanonicalizationMethod {canonicalization!r}, expected {CANONICAL_EXI}")
    method = str(signed_info.SignatureMethod.Algorithm)
    suite = SUITES.get(method)
    if suite is None or suite not in suites:
        raise SignatureError(f"SignatureMethod {method!r}, accepted: {', '.join(s.signature_method for s in suites)}")
    if not suite.fits(key):
        raise SignatureError(f"SignatureMethod {method!r} does not fit the key, which is of another curve")
    if not signed_info.Reference:
        raise SignatureError("SignedInfo has no reference")
    return suite


def _by_id(elements: Iterable[Named]) -> dict[str, Named]:
    found: dict[str, Named] = {}
    for named in elements:
        identifier = getattr(named.element, "Id", None)
        if identifier is None:
            continue
        identifier = str(identifier)  # a decoder may have marked it as text that is no ID
        if identifier in found:
            raise SignatureError(f"Id {identifier!r} stands twice: in {found[identifier].name} and {named.name}")
        found[identifier] = named
    return found


def _verify_reference(
    reference: ReferenceType, by_id: dict[str, Named], suite: Suite, schema: str
) -> VerifiedReference:
    uri = str(reference.URI or "")
    named = by_id.get(uri.removeprefix("#")) if uri.startswith("#") else None
    if named is None:
        raise SignatureError(f"reference {uri!r} names no element; Ids: {', '.join(by_id) or 'none'}")
    where = f"reference {uri!r} ({named.name})"
    method = reference.DigestMethod.Algorithm
    if method != suite.digest_method:
        raise SignatureError(f"{where}: DigestMethod {method!r}, expected {suite.digest_method}")
    for transform in (reference.Transforms.Transform if reference.Transforms else None) or []:
        if transform.Algorithm != CANONICAL_EXI or transform.XPath:
            raise SignatureError(f"{where}: transform {transform.Algorithm!r}, expected {CANONICAL_EXI}")
    for dialect, octets in _element_forms(named, schema):
        if hmac.compare_digest(suite.hash(octets), reference.DigestValue):
            return VerifiedReference(uri.removeprefix("#"), named.name, dialect)
    raise SignatureError(f"{where}: the digest does not match", reference.DigestValue)


def _signed_info_forms(signed_info: SignedInfoType, schema: str) -> Iterator[tuple[str, bytes]]:
    named = Named("SignedInfo", signed_info)
    yield STANDARD, _fragment(named, "xmldsig")
    yield SIGNED_INFO_IN_MESSAGE_GRAMMAR, _fragment(named, schema)


def _element_forms(named: Named, schema: str) -> Iterator[tuple[str, bytes]]:
    """The fragment in every dialect, each form once, the standard's first."""
    seen = set()
    for dialect in DIALECTS.values():
        octets = _fragment(named, schema, dialect)
        if octets not in seen:
            seen.add(octets)
            yield STANDARD if dialect is dialects.STANDARD else f"{named.name} as {dialect.name} writes it", octets


def _fragment(named: Named, schema: str, dialect: dialects.Dialect = dialects.STANDARD) -> bytes:
    """Without the schema's limits: what was received is hashed as it is."""
    try:
        return encode_fragment(schema, named.name, named.element, check=False, dialect=dialect)
    except EncodeError as error:
        raise SignatureError(f"{named.name} cannot be encoded as a fragment: {error}") from error


def _id_of(named: Named) -> str:
    identifier = getattr(named.element, "Id", None)
    if not identifier:
        raise LocalError(f"{named.name} has no Id, which a signature needs")
    return str(identifier)
