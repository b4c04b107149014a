"""The vehicle's way to a contract: chosen, installed, updated, kept; and what it does when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from firmware_sim.charger.settings import ChargerSettings
from firmware_sim.circuit import Circuit
from firmware_sim.vehicle.certificate_store import CertificateStore
from firmware_sim.vehicle.communication import Communication
from firmware_sim.vehicle.evcc_setup import EvccSetup, Plan
from firmware_sim.vehicle.wish import Seconds
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.charge_control import PilotState
from ports.trace import TraceEvent
from tests.v2g.link.chains import write_chain
from tests.v2g.session.pki import EMAID, OTHER_EMAID, make_pki
from tests.v2g.test_certificates import Issued
from v2g.certificates import load
from v2g.exi.codec import decode
from v2g.link.connection import Connection, LinkSettings
from v2g.link.interfaces import in_memory
from v2g.link.sdp_client import TlsWish
from v2g.link.sdp_server import TlsPolicy
from v2g.link.simple_station import AC_MODES, SimpleStation
from v2g.link.station import Station
from v2g.link.tls_settings import StationTls, VehicleTls
from v2g.session.events import AuthorizationWanted, CertificateWanted, Event, PowerWanted
from v2g.session.secc import Secc
from v2g.session.station_side import CERTIFICATE_SERVICE, CertificateAnswer, StationState

T = TypeVar("T")
NOW = datetime.now(UTC).replace(microsecond=0)  # OpenSSL may judge by the machine's clock
STATION, VEHICLE = in_memory("fe80::5e", "station"), in_memory("fe80::e0", "vehicle")
CONTRACT, EXTERNAL = "Contract", "ExternalPayment"


class Cable:
    """A station that says yes to all, with a pool behind it, and one vehicle. has_contract: the pool gives one."""

    def __init__(self, clock: VirtualClock, folder: Path, **evcc: Any) -> None:
        self.clock = clock
        self.trace: list[TraceEvent] = []
        self.asked: list[CertificateWanted] = []
        self.payments: list[tuple[str, str]] = []
        self.has_contract = self.installs = True
        self.chain = write_chain(folder, "A")
        assert self.chain.root is not None
        self.plant = Circuit(clock)
        self.outlet = self.plant.add_connector("c1", ChargerSettings(tethered=True))
        self.vehicle = self.plant.add_vehicle("ev")
        store = evcc.pop("store", None) or CertificateStore()
        store.add_root(load(make_pki().v2g_root.der))
        setup = EvccSetup(
            link=VEHICLE,
            payment=CONTRACT,
            tls_wish=TlsWish.REQUIRED,
            tls=VehicleTls((self.chain.root,)),
            store=store,
        )
        self.evcc = Communication(self.vehicle, replace(setup, **evcc), clock, self.trace.append)
        self._sides: dict[Connection, SimpleStation] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Cable:
        self.plant.start()
        settings = LinkSettings(self.clock, self.trace.append)
        tls = StationTls((self.chain,))
        self.station = await Station.open(
            STATION, settings, self._make, self._event, policy=TlsPolicy.REQUIRED, tls=tls
        )
        self.evcc.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.evcc.close()
        await self.station.close()
        await asyncio.gather(*self._tasks)
        await self.plant.close()

    def _make(self, connection: Connection, now: float) -> Secc:
        services = (CERTIFICATE_SERVICE,) if self.installs else ()
        state = StationState(modes=AC_MODES, payments=(CONTRACT, EXTERNAL), services=services)
        self._sides[connection] = SimpleStation(state, self.clock)
        return Secc(state, now=now, tls=connection.is_tls)

    def _event(self, connection: Connection, event: Event) -> None:
        side = self._sides[connection]
        match event:
            case CertificateWanted(action=action, exi=exi) if self.has_contract:
                self.asked.append(event)
                kind = {"install": "CertificateInstallationRes", "update": "CertificateUpdateRes"}[action]
                session = decode("iso2", exi).Header.SessionID  # type: ignore[attr-defined]
                side.state.certificate_answer = CertificateAnswer(make_pki().installation(kind, session))
                connection.changed()
                return
            case CertificateWanted():
                self.asked.append(event)
            case AuthorizationWanted():
                self.payments.append((event.payment, event.emaid))
            case PowerWanted(on=on):
                self._tasks.append(asyncio.create_task(self._switch(on)))
        side.handle(connection, event)

    async def _switch(self, on: bool) -> None:
        while on and (await self.outlet.charger.status()).pilot is not PilotState.C:
            await self.clock.sleep(0.1)
        await self.outlet.charger.set_contactor(on)

    async def session(self, seconds: float = 5) -> None:
        """Plug in, let the vehicle do what it does, unplug."""
        self.vehicle.want(Seconds(seconds))
        self.vehicle.plug_in(self.outlet)
        await self.outlet.charger.offer_duty(5)
        async with asyncio.timeout(300):
            await self.clock.sleep(2)
            await self.evcc.idle()
        await self.clock.sleep(6)
        self.vehicle.unplug()
        await self.outlet.charger.offer_duty(100)
        await self.clock.sleep(1)

    @property
    def outcomes(self) -> list[str]:
        return [one.outcome for one in self.evcc.outcomes]

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [dict(event.data) for event in self.trace if event.kind == kind]


def at_cable(main: Callable[[Cable], Awaitable[T]], folder: Path, start: datetime = NOW, **evcc: Any) -> T:
    async def run(clock: VirtualClock) -> T:
        async with Cable(clock, folder, **evcc) as cable:
            return await main(cable)

    return run_virtual(run, start=start)


def store(folder: Path | None = None, *, contract: Issued | None = None, provisioned: bool = True) -> CertificateStore:
    pki, made = make_pki(), CertificateStore(folder)
    if provisioned:
        made.set_provisioning((pki.provisioning.der,), pki.provisioning.key)
    if contract is not None:
        made.add_contract((contract.der, pki.mo_sub_2.der, pki.mo_sub_1.der), contract.key)
    return made


def test_a_contract_is_installed_kept_and_pays_in_the_next_session_and_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "store"

    async def first(cable: Cable) -> None:
        await cable.session()
        assert [one.action for one in cable.asked] == ["install"]
        await cable.session()
        assert len(cable.asked) == 1
        assert cable.payments == [(CONTRACT, OTHER_EMAID)] * 2
        assert (cable.outcomes, cable.evcc.problem, cable.evcc.contract_problem) == (["terminated"], "", "")
        actions = [(one["payment"], one["emaid"], one["action"]) for one in cable.told("evcc.payment")]
        assert actions == [(CONTRACT, "", "install"), (CONTRACT, OTHER_EMAID, "")]
        request: Any = decode("iso2", cable.asked[0].exi)
        (root,) = request.Body.BodyElement.ListOfRootCertificateIDs.RootCertificateID
        assert root.X509IssuerName == "DC=V2G,O=Test,CN=V2G Root"
        assert root.X509SerialNumber == make_pki().v2g_root.built.serial_number

    async def again(cable: Cable) -> None:
        await cable.session()
        assert cable.asked == []
        assert cable.payments == [(CONTRACT, OTHER_EMAID)]

    at_cable(first, tmp_path, store=store(folder))
    at_cable(again, tmp_path, store=CertificateStore(folder))


@pytest.mark.parametrize("action", ["update", "install", ""])
def test_a_plan_orders_what_happens_to_the_contract(tmp_path: Path, action: str) -> None:
    async def main(cable: Cable) -> None:
        cable.evcc.plan = Plan(certificate_action=action)
        await cable.session()
        assert [one.action for one in cable.asked] == ([action] if action else [])
        assert cable.payments == [(CONTRACT, OTHER_EMAID if action else EMAID)]
        assert cable.evcc.problem == ""

    at_cable(main, tmp_path, store=store(contract=make_pki().contract))


def test_a_station_that_installs_nothing_is_paid_otherwise(tmp_path: Path) -> None:
    async def main(cable: Cable) -> None:
        cable.installs = False
        await cable.session()
        assert cable.payments == [(EXTERNAL, "")]
        assert cable.outcomes == ["terminated"]

    at_cable(main, tmp_path, store=store())


def test_a_failed_installation_leaves_all_as_it_was_and_the_driver_pays_otherwise(tmp_path: Path) -> None:
    async def main(cable: Cable) -> None:
        cable.has_contract = False
        await cable.session()
        assert cable.outcomes == ["failed", "terminated"]
        assert cable.payments == [(EXTERNAL, "")]
        assert cable.evcc.problem == ""
        assert cable.evcc.contract_problem == (
            "CertificateInstallationReq: CertificateInstallationRes: FAILED_NoCertificateAvailable"
        )
        assert cable.told("evcc.contract") == [{"emaid": "", "problem": cable.evcc.contract_problem}]
        assert cable.evcc.setup.store.contracts == ()
        cable.has_contract = True
        await cable.session()
        assert cable.outcomes == ["terminated"]
        assert cable.payments[1:] == [(CONTRACT, OTHER_EMAID)]
        assert cable.evcc.contract_problem == ""

    at_cable(main, tmp_path, store=store())


def test_a_failed_update_leaves_the_old_contract_which_pays(tmp_path: Path) -> None:
    async def main(cable: Cable) -> None:
        cable.has_contract = False
        cable.evcc.plan = Plan(certificate_action="update")
        await cable.session()
        assert cable.outcomes == ["failed", "terminated"]
        assert cable.payments == [(CONTRACT, EMAID)]
        assert [one.emaid for one in cable.evcc.setup.store.contracts] == [EMAID]
        assert cable.told("evcc.payment")[1]["why"] == cable.evcc.contract_problem

    at_cable(main, tmp_path, store=store(contract=make_pki().contract))


def test_who_may_pay_by_contract_only_does_not_charge_without_one(tmp_path: Path) -> None:
    async def main(cable: Cable) -> None:
        cable.has_contract = False
        await cable.session()
        assert cable.outcomes == ["failed"]
        assert cable.payments == []
        assert cable.evcc.problem.startswith("the vehicle pays by contract only: CertificateInstallationReq:")

    at_cable(main, tmp_path, store=store(), fallback=False)


@pytest.mark.parametrize(
    ("evcc", "plan", "text"),
    [
        ({"fallback": False}, Plan(), r"pays by contract only: no contract is valid at .*: there is none"),
        ({}, Plan(certificate_action="install"), "has no provisioning certificate"),
        ({}, Plan(certificate_action="update"), "orders to update the contract: no contract is valid"),
    ],
)
def test_what_cannot_be_is_said_before_the_session(tmp_path: Path, evcc: dict[str, Any], plan: Plan, text: str) -> None:
    async def main(cable: Cable) -> None:
        cable.evcc.plan = plan
        await cable.session()
        assert cable.outcomes == []
        with pytest.raises(AssertionError, match=text):
            raise AssertionError(cable.evcc.problem)

    at_cable(main, tmp_path, store=store(provisioned=False), **evcc)


def test_a_request_for_a_contract_names_roots(tmp_path: Path) -> None:
    async def main(cable: Cable) -> None:
        cable.evcc.setup = replace(cable.evcc.setup, store=store(), tls=VehicleTls((), trust_any=True))
        await cable.session()
        assert cable.evcc.problem == "to install a contract the vehicle needs V2G roots: put one into its store"

    at_cable(main, tmp_path)


def test_a_contract_installed_before_a_pause_pays_after_it(tmp_path: Path) -> None:
    async def main(cable: Cable) -> None:
        cable.evcc.plan = Plan(pause_after_s=2.0, pause_s=10.0)
        await cable.session(60)
        assert cable.outcomes == ["paused", "terminated"]
        assert [one.action for one in cable.asked] == ["install"]
        assert cable.payments == [(CONTRACT, OTHER_EMAID)] * 2

    at_cable(main, tmp_path, store=store())


def test_without_any_certificate_it_pays_at_the_station(tmp_path: Path) -> None:
    async def main(cable: Cable) -> None:
        await cable.session()
        assert cable.payments == [(EXTERNAL, "")]
        assert "no contract is valid" in cable.told("evcc.payment")[0]["why"]

    at_cable(main, tmp_path, store=store(provisioned=False))


def test_a_contract_given_by_hand_is_shown_although_it_has_expired(tmp_path: Path) -> None:
    pki = make_pki()
    old = Issued(EMAID, "MO", "contract", pki.mo_sub_2, start=NOW - timedelta(days=800), years=1)

    async def main(cable: Cable) -> None:
        await cable.session()
        assert cable.evcc.problem == "PaymentDetailsRes: FAILED_CertificateExpired"

    at_cable(main, tmp_path, store=store(contract=pki.new_contract), contract=pki.credentials(old))


def test_an_installed_contract_that_cannot_be_written_pays_until_the_vehicle_is_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store(tmp_path / "store")

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    async def main(cable: Cable) -> None:
        monkeypatch.setattr("firmware_sim.vehicle.private_files.os.fsync", full)
        await cable.session()
        await cable.session()
        monkeypatch.undo()
        assert cable.payments == [(CONTRACT, OTHER_EMAID)] * 2
        assert len(cable.asked) == 1
        assert "No space left" in cable.told("evcc.contract")[0]["problem"]
        assert CertificateStore(tmp_path / "store").contracts == ()

    at_cable(main, tmp_path, store=kept)


def test_no_private_key_in_the_trace(tmp_path: Path) -> None:
    async def main(cable: Cable) -> None:
        await cable.session()
        text = "".join(repr(event) for event in cable.trace)
        key = make_pki().new_contract.key.private_numbers().private_value
        assert format(key, "064x") not in text
        assert str(key) not in text
        assert "PRIVATE" not in text

    at_cable(main, tmp_path, store=store())
