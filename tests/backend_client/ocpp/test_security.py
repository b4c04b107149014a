"""Security profiles: what is configured is kept, whatever the other end would prefer."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.datastructures import Headers

from backend_client.credential import Credential
from backend_client.ocpp.security import CIPHERS, tls_context
from backend_client.ocpp.settings import OcppSettings, Version
from ocmf.terms import Tx
from ports.authorisation import AuthorisationRequest
from ports.errors import LocalError
from tests.backend_client.ocpp.bench import Bench
from tests.backend_client.ocpp.csms import QUIET
from tests.backend_client.ocpp.station import Maker
from tests.tls import tls_contexts, tls_files

PASSWORD = Credential(variable="OCPP_PASSWORD")
GOOD: dict[str, Any] = {
    "url": "wss://csms.example/ocpp",
    "identity": "GW1",
    "state_file": Path("state"),
    "security_profile": 2,
    "password": PASSWORD,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "ws://csms.example"}, r"profile 2 needs a wss://"),
        ({"security_profile": 1}, r"profile 1 needs a ws://"),
        ({"url": "https://csms.example"}, r"expected ws://"),
        ({"url": "wss://me:secret@csms.example"}, r"a password does not belong into the url"),
        ({"security_profile": 4}, r"there are 1, 2 and 3"),
        ({"password": None}, r"a password goes with profiles 1 and 2"),
        ({"security_profile": 3}, r"a password goes with profiles 1 and 2"),
        ({"security_profile": 3, "password": None}, r"profile 3 needs client_certificate"),
        ({"security_profile": 0, "password": None, "url": "ws://csms.example"}, r"OCPP 2\.0\.1 needs security"),
        ({"identity": "a/b"}, r"identity 'a/b'"),
        ({"identity": "a:b"}, r"identity 'a:b'"),
        ({"stop_format": "XR"}, r"SR or MR"),
    ],
)
def test_settings_that_are_weaker_than_they_say_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LocalError, match=message) as caught:
        OcppSettings(**GOOD | changes)
    assert "secret" not in str(caught.value)


def test_16_without_any_security_must_be_asked_for() -> None:
    settings = OcppSettings(
        **GOOD | {"url": "ws://csms.example", "security_profile": 0, "password": None, "version": Version.V16}
    )
    assert settings.endpoint == "ws://csms.example/GW1"


async def test_profile_2_checks_the_certificate_and_sends_the_password(bench: Bench) -> None:
    context, _ = tls_contexts()
    ca, _ = tls_files(bench.folder)
    csms = await bench.csms_of("2.0.1", ssl=context)
    link = await bench.link(url=f"wss://localhost:{csms.port}", security_profile=2, ca_file=ca)
    await link.deliver(Maker().make(Tx.BEGIN))
    assert str(csms.authorization[0]).startswith("Basic ")
    assert link.ocmf_flag == "OCPP_AUTH_TLS"


async def test_a_certificate_of_somebody_else_is_an_event(bench: Bench) -> None:
    context, _ = tls_contexts()
    csms = await bench.csms_of("2.0.1", ssl=context)
    link = await bench.link(url=f"wss://localhost:{csms.port}", security_profile=2)  # the system's roots
    down = await bench.until("ocpp.down")
    assert "CERTIFICATE_VERIFY_FAILED" in str(down.data["why"])
    assert csms.authorization == []
    assert [event[0] for event in link._presence._security_events] == ["StartupOfTheDevice", "InvalidCsmsCertificate"]


async def test_profile_3_shows_a_certificate_and_no_password(bench: Bench) -> None:
    certificate, key = tls_files(bench.folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    csms = await bench.csms_of("2.0.1", ssl=context)
    link = await bench.link(
        url=f"wss://localhost:{csms.port}",
        security_profile=3,
        ca_file=certificate,
        password=None,
        client_certificate=certificate,
        client_key=key,
    )
    await link.deliver(Maker().make(Tx.BEGIN))
    assert csms.authorization == [None]


def test_tls_is_1_2_or_newer_with_the_listed_suites() -> None:
    context = tls_context(OcppSettings(**GOOD))
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    old = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"}
    assert old == set(CIPHERS.split(":"))


async def test_an_installed_csms_root_is_trusted_too(bench: Bench) -> None:
    context, _ = tls_contexts()
    certificate, _ = tls_files(bench.folder)
    root = bench.folder / "roots" / "CSMSRootCertificate"
    root.mkdir(parents=True)
    (root / "one.pem").write_bytes(certificate.read_bytes())
    csms = await bench.csms_of("2.0.1", ssl=context)
    link = await bench.link(
        url=f"wss://localhost:{csms.port}", security_profile=2, certificate_folder=bench.folder / "roots"
    )
    request = AuthorisationRequest("c1", "DE*PLG*E1", "04A1B2C3", "ISO14443")
    assert (await link.authorise(request)).is_accepted


async def test_a_redirect_is_not_followed_and_a_wrong_protocol_is_left(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")

    def redirect(socket: ServerConnection, request: Request) -> Response | None:
        headers = Headers({"Location": csms.url + "/GW1", "Content-Length": "0"})
        return Response(HTTPStatus.TEMPORARY_REDIRECT, "moved", headers) if "moved" in request.path else None

    async def silent(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with serve(silent, "127.0.0.1", 0, process_request=redirect, logger=QUIET) as other:
        port = next(iter(other.sockets)).getsockname()[1]
        await bench.link(url=f"ws://127.0.0.1:{port}/moved", reconnect_first_s=3600.0)
        assert "307" in str((await bench.until("ocpp.down")).data["why"])
        bench.trace.clear()
        await bench.link(url=f"ws://127.0.0.1:{port}", state_file=bench.folder / "2", reconnect_first_s=3600.0)
        assert "does not speak ocpp2.0.1" in str((await bench.until("ocpp.down")).data["why"])
    assert csms.authorization == []
