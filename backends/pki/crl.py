"""Certificate revocation lists (RFC 5280 section 5): complete ones, made when asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from asn1crypto import core, crl, x509  # type: ignore[import-untyped]

from backends.pki import certificate_store as store
from backends.pki.authorities import CertificateAuthorities
from backends.pki.certificate_store import StoredCertificate
from backends.pki.template import time_of

LIFETIME_S = 86400


async def sign_crl(
    authorities: CertificateAuthorities, issuer: StoredCertificate, lifetime_s: int = LIFETIME_S
) -> bytes:
    """DER of the list of one CA, valid from now for `lifetime_s`. Raises RigError when the CA's key is not usable."""
    revoked = await authorities.database.read(lambda connection: store.revoked_by(connection, issuer.fingerprint))
    key = await authorities.key_of(issuer)
    now = authorities.clock.now().astimezone(UTC)
    certificate = issuer.x509
    algorithm = {"algorithm": key.algorithm.signature}
    content = {
        "version": "v2",
        "signature": algorithm,
        "issuer": certificate.subject,
        "this_update": time_of(now),
        "next_update": time_of(now + timedelta(seconds=lifetime_s)),
        "crl_extensions": [
            {
                "extn_id": "authority_key_identifier",
                "extn_value": core.ParsableOctetString(
                    x509.AuthorityKeyIdentifier({"key_identifier": certificate.key_identifier}).dump()
                ),
            },
            # grows with time, also across servers: milliseconds since 1970
            {
                "extn_id": "crl_number",
                "extn_value": core.ParsableOctetString(core.Integer(int(now.timestamp() * 1000)).dump()),
            },
        ],
    }
    if revoked:  # an empty list is left out: RFC 5280 5.1.2.6
        content["revoked_certificates"] = [_entry(one) for one in revoked]
    tbs = crl.TbsCertList(content)
    signature = await key.sign(tbs.dump(), key.algorithm.signature)
    der: bytes = crl.CertificateList(
        {"tbs_cert_list": tbs, "signature_algorithm": algorithm, "signature": signature}
    ).dump()
    return der


def _entry(revoked: StoredCertificate) -> dict[str, object]:
    entry: dict[str, object] = {
        "user_certificate": int(revoked.serial, 16),
        "revocation_date": time_of(datetime.fromtimestamp(revoked.revoked or 0, UTC)),
    }
    if revoked.reason and revoked.reason != "unspecified":  # left out then: RFC 5280 5.3.1
        reason = core.ParsableOctetString(crl.CRLReason(revoked.reason).dump())
        entry["crl_entry_extensions"] = [{"extn_id": "crl_reason", "extn_value": reason}]
    return entry
