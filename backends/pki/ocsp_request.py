"""OCSP requests (RFC 6960 section 4.1) from strangers."""

from __future__ import annotations

from dataclasses import dataclass

from asn1crypto import ocsp  # type: ignore[import-untyped]

from backends.pki.der import check_der
from ports.errors import PeerError

MAX_OCTETS = 8192
MAX_CERTIFICATES = 16
MAX_NONCE = 128  # RFC 9654 2.1: 1 to 128
HASHES = ("sha1", "sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class CertificateId:
    """Whose status is asked for: hashes of the issuer's name and key, serial number; der: as received."""

    hash_name: str
    name_hash: bytes
    key_hash: bytes
    serial: int
    der: bytes

    @property
    def issuer(self) -> tuple[str, bytes, bytes]:
        """What says which CA it is about."""
        return self.hash_name, self.name_hash, self.key_hash


@dataclass(frozen=True, slots=True)
class OcspRequest:
    """A request. nonce: b"" when it has none."""

    certificates: tuple[CertificateId, ...]
    nonce: bytes


def read_ocsp_request(octets: bytes) -> OcspRequest:
    """Raises PeerError for everything that is not a request within the limits. A signature on it is not looked at."""
    check_der(octets, "OCSP request", MAX_OCTETS)
    try:
        tbs = ocsp.OCSPRequest.load(octets, strict=True)["tbs_request"]
        asked = tbs["request_list"]
        if not 1 <= len(asked) <= MAX_CERTIFICATES:
            raise PeerError(f"OCSP request for {len(asked)} certificates, at most {MAX_CERTIFICATES}", octets)
        certificates = tuple(_certificate_id(one["req_cert"]) for one in asked)
        nonce = b""
        for extension in tbs["request_extensions"] or ():
            if extension["extn_id"].native == "nonce":
                nonce = bytes(extension["extn_value"].parsed)
                if not 1 <= len(nonce) <= MAX_NONCE:
                    raise PeerError(f"OCSP nonce of {len(nonce)} octets, 1 to {MAX_NONCE} allowed", octets)
            elif extension["critical"].native:
                raise PeerError(f"OCSP request: unknown critical extension {extension['extn_id'].dotted}", octets)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise PeerError(f"OCSP request cannot be read: {text}", octets) from None
    return OcspRequest(certificates, nonce)


def _certificate_id(cert_id: ocsp.CertId) -> CertificateId:
    name = cert_id["hash_algorithm"]["algorithm"].native
    name_hash, key_hash = bytes(cert_id["issuer_name_hash"]), bytes(cert_id["issuer_key_hash"])
    if name not in HASHES:
        raise PeerError(f"OCSP request: hash algorithm {name}, known: {', '.join(HASHES)}")
    return CertificateId(name, name_hash, key_hash, cert_id["serial_number"].native, cert_id.dump())
