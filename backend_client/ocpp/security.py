"""What the security profiles ask of a connection: TLS 1.2 or newer with the listed suites, and who the station is."""

from __future__ import annotations

import base64
import ssl

from backend_client.ocpp.certificate_folder import CertificateFolder
from backend_client.ocpp.settings import OcppSettings
from ports.errors import RigError

# OCPP 2.0.1 part 2, A00.FR.318 / 1.6 security whitepaper table 2; TLS 1.3 brings its own
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-RSA-AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-GCM-SHA384"
)


def tls_context(settings: OcppSettings) -> ssl.SSLContext | None:
    """The client's context; None for profiles without TLS. Raises RigError for files that cannot be used."""
    if settings.security_profile < 2:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.certificate_folder is not None:
            for root in CertificateFolder(settings.certificate_folder).installed(["CSMSRootCertificate"]):
                context.load_verify_locations(root.path)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        if settings.client_certificate is not None:
            context.load_cert_chain(settings.client_certificate, settings.client_key)
    except (OSError, ssl.SSLError) as error:
        named = [settings.ca_file, settings.client_certificate, settings.client_key]
        raise RigError(f"cannot use {', '.join(str(file) for file in named if file)} for OCPP: {error}") from error
    return context


def headers(settings: OcppSettings) -> dict[str, str]:
    """HTTP Basic with the identity as user name. Raises RigError when the password cannot be read."""
    if settings.password is None:
        return {}
    pair = f"{settings.identity}:{settings.password.read()}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
