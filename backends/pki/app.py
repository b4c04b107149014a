"""All routes of the PKI in one list, to be mounted alone or beside the pools."""

from __future__ import annotations

from starlette.routing import Route

from backends.pki.authorities import CertificateAuthorities
from backends.pki.client_certificate import TrustedProxy
from backends.pki.est import Enrolment
from backends.pki.est_app import CheckToken, end_entity_routes, est_routes
from backends.pki.ocsp_app import crl_routes, ocsp_routes
from backends.pki.ocsp_responder import OcspResponder


def pki_routes(
    authorities: CertificateAuthorities,
    check_token: CheckToken,
    *,
    proxy: TrustedProxy | None = None,
    open_cacerts: bool = False,
) -> list[Route]:
    """Enrolment, announced stations, OCSP (/ocsp) and revocation lists (/crl); see the modules for each."""
    return [
        *est_routes(Enrolment(authorities), check_token, proxy=proxy, open_cacerts=open_cacerts),
        *end_entity_routes(authorities, check_token),
        *ocsp_routes(OcspResponder(authorities)),
        *crl_routes(authorities),
    ]
