"""Everybody who takes part in the provisioning story, and what they do."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from backends.access import Role
from tests.backends.ecosystem import Ecosystem, Vehicle

PCID = "PLBPROVCERT000042"
EMAID, OTHER, SMALL = "DEPLBC00000042", "DEPLBC00000043", "DEPLCC00000001"
HOOK = "https://hook.example/"
EVENTS = [
    "mo.prov.cert.deleted",
    "mo.prov.cert.updated",
    "mo.contract.created.sent.to.oem",
    "mo.contract.updated.sent.to.oem",
    "mo.contract.deleted.sent.to.oem",
    "mo.contract.delivered.to.oem",
    "oem.contract.created",
    "oem.contract.updated",
    "oem.contract.deleted",
]


class Story:
    """Everybody who takes part."""

    def __init__(self, world: Ecosystem) -> None:
        self.world = world

    async def begin(self) -> None:
        """Clients; webhooks of the OEM and the MOs."""
        if not self.world.pki:
            await self.world.add_pki("iso2", "iso2-strict")
        self.oem = await self.world.client("oem", Role.OEM, wmis=["PLB"])
        self.mo = await self.world.client("mo", Role.MO_OWN_PKI, provider_ids=["DEPLB"])
        self.small_mo = await self.world.client("small-mo", Role.MO_V2G_PKI, provider_ids=["DEPLC"])
        self.cpo = await self.world.client("cpo", Role.CPO)
        self.cps = await self.world.client("cps", Role.CPS)

    async def listen(self) -> None:
        """Webhooks of the OEM and the MOs, a URL each."""
        for client, url in ((self.oem, "oem"), (self.mo, "mo"), (self.small_mo, "small-mo")):
            wanted = [event for event in EVENTS if event.startswith(url[-3:].strip("-"))]
            await client.add_endpoint(HOOK + url, wanted)

    async def vehicle(self, pcid: str = PCID) -> Vehicle:
        """A new vehicle, published by the OEM."""
        vehicle = await self.world.vehicle("iso2", pcid)
        await self.world.publish(self.oem, vehicle)
        return vehicle

    async def sign(self, emaid: str = EMAID, pcid: str = PCID, days: int = 90) -> ec.EllipticCurvePrivateKey:
        """The MO with a PKI: fetches the vehicle's certificate, wraps a key for it, has it signed and stored."""
        published = await self.mo.vehicle(pcid)
        data, key = await self.world.contract("iso2", emaid, published.certificate, days=days)
        signed = await self.mo.sign_contract(data, pcid=pcid)
        assert (signed.emaid, signed.pcid) == (emaid, pcid)
        return key

    async def ask(self, vehicle: Vehicle) -> bytes:
        """The vehicle asks through the CPO."""
        (answer,) = await self.cpo.request_contract(vehicle.request([self.world.root_id("iso2")]))
        return answer.message

    async def told(self, who: str) -> list[str]:
        """Webhooks that somebody got since the last look."""
        await self.world.deliveries()
        kinds = self.world.outside.kinds(HOOK + who)
        self.world.outside.sent = [one for one in self.world.outside.sent if one.url != HOOK + who]
        return kinds
