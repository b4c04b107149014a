"""The PKI's store on both engines: issuing, revoking, answering, with two servers on one database."""

from __future__ import annotations

import asyncio
from pathlib import Path

from backends.pki.authorities import CertificateAuthorities, Order
from backends.pki.build_realm import build_realm
from backends.pki.ca_keys import FileKeys
from backends.pki.end_entities import EndEntity, list_of, put
from backends.pki.ocsp_responder import OcspResponder
from backends.pki.revocation import Status, ocsp_request, read_ocsp_response
from backends.store.database import Database
from tests.doubles import ManualClock
from tests.postgres import as_it_is


async def test_two_servers_share_one_store(store_url: str, keys: FileKeys, clock: ManualClock, tmp_path: Path) -> None:
    databases = [Database(store_url, clock, prepare=as_it_is) for _ in range(2)]
    one, two = [CertificateAuthorities(database, clock, keys, ocsp_url="http://x/ocsp") for database in databases]
    try:
        await build_realm(one, "r", "iso2-strict")
        made = await asyncio.gather(
            *(server.issue(Order(realm="r", kind="secc"), actor="t") for server in (one, two) * 10)
        )
        assert len({issued.stored.serial for issued in made}) == 20
        leaf = made[0]
        await one.revoke(leaf.stored.fingerprint, "superseded", actor="t")
        request = ocsp_request(leaf.certificate, leaf.sub_cas[0])
        for server in (one, two):
            answer = await OcspResponder(server).answer(request)
            verdict = await read_ocsp_response(answer.der, leaf.certificate, leaf.sub_cas[0], clock.now())
            assert verdict.status is Status.REVOKED
        assert (await two.find(leaf.stored.fingerprint[:12])).stored.reason == "superseded"
        await two.database.write(lambda c: put(c, EndEntity("DE*PLB*E1"), "cpo", at=1))
        assert await one.database.read(lambda c: list_of(c, "cpo")) == [{"commonName": "DE*PLB*E1"}]
    finally:
        for server in (one, two):
            await server.close()
            await server.database.close()
