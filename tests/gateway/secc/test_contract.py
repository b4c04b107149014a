"""Plug & Charge through the gateway, and what it refuses: bad contracts, downgrades, foreign ciphers."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.vehicle.wish import Seconds
from gateway.transaction import State
from hil_rigs.virtual_loop import VirtualLoop
from tests.gateway.secc.bench import STATION, VEHICLE, Bench, on_bench
from tests.v2g.link.chains import write_chain
from tests.v2g.session.pki import EMAID, make_pki
from v2g.link.sdp_client import TlsWish, find_station
from v2g.link.sdp_server import TlsPolicy
from v2g.link.tls_settings import StationTls, VehicleTls
from v2g.sdp import Security
from v2g.session.vehicle_side import ContractCredentials

NOW = datetime.now(UTC).replace(microsecond=0)  # OpenSSL may judge by the machine's clock


def pnc(folder: Path, credentials: ContractCredentials | None = None, **secc: Any) -> dict[str, Any]:
    """Settings of a bench whose station takes contracts only, and of a vehicle with one."""
    chain, pki = write_chain(folder, "A"), make_pki()
    station = {
        "tls_policy": TlsPolicy.REQUIRED,
        "tls": StationTls((chain,)),
        "payments": ("Contract", "ExternalPayment"),
        "contract_roots": pki.mo_roots,
    }
    assert chain.root is not None
    vehicle = {
        "tls_wish": TlsWish.REQUIRED,
        "tls": VehicleTls((chain.root,)),
        "payment": "Contract",
        "contract": credentials or pki.credentials(),
    }
    return {"secc": station | secc, "evcc": vehicle, "start": NOW}


async def plug_and_wait(bench: Bench) -> None:
    """The driver does nothing else."""
    assert bench.evcc is not None
    await bench.plug(Seconds(30))
    await bench.clock.sleep(2)
    await bench.soon(bench.evcc.idle(), 300)
    await bench.clock.sleep(5)


def test_a_contract_pays_without_a_card(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.outcomes() == ["terminated"]
        assert bench.codes("PaymentDetailsRes") == ["OK"]
        assert bench.codes("AuthorizationRes")[-1] == "OK"
        payload = json.loads(bench.backend.records[0].ocmf.split("|")[1])
        assert (payload["IT"], payload["ID"], payload["IL"]) == ("EMAID", EMAID, "SECURE")
        assert "ISO15118_PNC" in payload["IF"]
        ((_, kwh),) = bench.verified_kwh().items()
        assert kwh is not None
        assert kwh > 0
        assert len(bench.told("session.authorised")) == 1

    on_bench(main, **pnc(tmp_path))


def test_a_contract_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    pki = make_pki()
    other = pki.credentials(pki.new_contract, "DEABCC999XYZ99")

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes("AuthorizationRes")[-1] == "FAILED"
        assert bench.told("session.refused")
        assert bench.backend.records == []
        assert not bench.told("power.contactor")

    on_bench(main, **pnc(tmp_path, other))


BAD = {
    "not a certificate": b"\x30\x03\x02\x01\x00",
    "no octets of DER": b"\xff" * 40,
    "cut in the middle": make_pki().contract.der[:200],
    "empty": b"",
}


@pytest.mark.parametrize("what", BAD)
def test_an_unparseable_contract_certificate_is_refused_and_the_next_session_works(tmp_path: Path, what: str) -> None:
    good = make_pki().credentials()
    bad = replace(good, certificates=(BAD[what], *good.certificates[1:]))

    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        await plug_and_wait(bench)
        assert bench.codes("PaymentDetailsRes") == ["FAILED_CertChainError"]
        assert bench.outcomes() == ["failed"]
        assert not bench.told("session.authorised")
        assert not bench.told("session.crash")
        assert bench.connector.machine.state is State.PLUGGED
        bench.evcc.setup = replace(bench.evcc.setup, contract=good)
        bench.evcc.try_again()
        await bench.charging()
        assert bench.codes("PaymentDetailsRes")[-1] == "OK"

    on_bench(main, **pnc(tmp_path, bad))


def test_a_station_for_contracts_never_says_that_there_is_no_tls(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        for wish in (TlsWish.OFF, TlsWish.PREFERRED, TlsWish.REQUIRED):
            answer = await find_station(VEHICLE, wish, bench.clock)
            assert answer.security == Security.TLS
        station = bench.secc.station
        assert station is not None
        assert set(station.ports()) == {Security.TLS}

    on_bench(main, **pnc(tmp_path), talks=False)


def test_contracts_are_never_offered_on_plain_tcp(tmp_path: Path) -> None:
    settings = pnc(tmp_path, tls_policy=TlsPolicy.OFFERED)
    settings["evcc"] |= {"tls_wish": TlsWish.OFF}

    async def main(bench: Bench) -> None:
        await bench.plug(Seconds(30))
        await bench.clock.sleep(2)
        found = [e.data for e in bench.told("v2g.StationFound")]
        assert [data["payments"] for data in found] == [["ExternalPayment"]]
        assert "PaymentDetailsReq" not in bench.messages()
        await bench.card()  # the vehicle fell back to it
        await bench.charging()

    on_bench(main, **settings)


def _client(**how: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = how.get("minimum", ssl.TLSVersion.TLSv1_2)
    context.maximum_version = how.get("maximum", ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(how.get("ciphers", "ECDHE-ECDSA-AES128-SHA256"))
    if "curve" in how:
        context.set_ecdh_curve(how["curve"])
    return context


OUTSIDE = {
    "another cipher": {"ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"},
    "another curve": {"curve": "secp384r1"},
    "TLS 1.3 only": {"minimum": ssl.TLSVersion.TLSv1_3, "maximum": ssl.TLSVersion.TLSv1_3},
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_what_the_profile_does_not_know_is_refused_with_an_alert(tmp_path: Path, what: str) -> None:
    async def main(bench: Bench) -> None:
        station = bench.secc.station
        assert station is not None
        assert isinstance(asyncio.get_running_loop(), VirtualLoop)
        with pytest.raises((ssl.SSLError, OSError)):
            await asyncio.open_connection(
                str(STATION.address), station.ports()[Security.TLS], ssl=_client(**OUTSIDE[what]), server_hostname=""
            )
        (failed,) = bench.told("tls.failed")
        assert failed.data["alert"]
        assert bench.messages() == []
        await bench.plug(Seconds(30))
        await bench.charging()

    on_bench(main, **pnc(tmp_path))
