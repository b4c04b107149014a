"""What a vehicle decides about its contract before a session."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from firmware_sim.vehicle.certificate_store import CertificateStore
from firmware_sim.vehicle.contract_choice import CONTRACT, EXTERNAL_PAYMENT, choose
from firmware_sim.vehicle.evcc_setup import EvccSetup, Plan
from ports.errors import RigError
from tests.v2g.session.pki import EMAID, OTHER_EMAID, make_pki
from tests.v2g.test_certificates import NOW
from v2g.link.interfaces import in_memory

END: datetime = make_pki().contract.built.not_valid_after_utc
DAY = timedelta(days=1)


def setup(*, stored: bool = True, provisioned: bool = True, **more: Any) -> EvccSetup:
    pki, store = make_pki(), CertificateStore()
    if stored:
        store.add_contract((pki.contract.der,), pki.contract.key)
    if provisioned:
        store.set_provisioning((pki.provisioning.der,), pki.provisioning.key)
    return EvccSetup(link=in_memory("fe80::1", "x"), payment=CONTRACT, store=store, **more)


CASES: dict[str, tuple[dict[str, Any], Plan, datetime, tuple[str, str, str]]] = {
    "a valid contract": ({}, Plan(), NOW, (CONTRACT, EMAID, "")),
    "it ends soon": ({}, Plan(), END - 13.9 * DAY, (CONTRACT, EMAID, "update")),
    "not so soon": ({}, Plan(), END - 14.1 * DAY, (CONTRACT, EMAID, "")),
    "soon is what is set": ({"update_before_s": 3600.0}, Plan(), END - 13.9 * DAY, (CONTRACT, EMAID, "")),
    "it has ended": ({}, Plan(), END + DAY, (CONTRACT, "", "install")),
    "none": ({"stored": False}, Plan(), NOW, (CONTRACT, "", "install")),
    "none and none can come": ({"stored": False, "provisioned": False}, Plan(), NOW, (EXTERNAL_PAYMENT, "", "")),
    "none and nothing ordered": ({"stored": False}, Plan(certificate_action=""), NOW, (EXTERNAL_PAYMENT, "", "")),
    "never update": ({}, Plan(certificate_action=""), END - DAY, (CONTRACT, EMAID, "")),
    "update now": ({"provisioned": False}, Plan(certificate_action="update"), NOW, (CONTRACT, EMAID, "update")),
    "install now": ({}, Plan(certificate_action="install"), NOW, (CONTRACT, EMAID, "install")),
    "by hand": ({"contract": make_pki().credentials(emaid="X")}, Plan(), END + DAY, (CONTRACT, "X", "")),
    "external payment": ({"payment": EXTERNAL_PAYMENT}, Plan(), END - DAY, (EXTERNAL_PAYMENT, EMAID, "")),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_chosen(case: str) -> None:
    more, plan, at, expected = CASES[case]
    payment = {"payment": more["payment"]} if "payment" in more else {}
    made = replace(setup(**{key: value for key, value in more.items() if key != "payment"}), **payment)
    found = choose(made, plan, at)
    assert (found.payment, found.contract.emaid if found.contract else "", found.action) == expected
    assert bool(found.why) == (bool(found.action) or (found.payment == EXTERNAL_PAYMENT and not payment))


def test_the_preferred_contract_goes_first() -> None:
    made = setup()
    pki = make_pki()
    made.store.add_contract((pki.new_contract.der,), pki.new_contract.key)
    for emaid in (EMAID, OTHER_EMAID):
        chosen = choose(replace(made, emaid=emaid), Plan(), NOW).contract
        assert chosen is not None
        assert chosen.emaid == emaid


@pytest.mark.parametrize(("stored", "expected"), [(True, (CONTRACT, "")), (False, (EXTERNAL_PAYMENT, ""))])
def test_after_a_failure_nothing_is_tried_again(stored: bool, expected: tuple[str, str]) -> None:
    found = choose(setup(stored=stored), Plan(certificate_action="install"), NOW, failed="the pool is away")
    assert (found.payment, found.action, found.why) == (*expected, "the pool is away")


def test_no_way_to_pay_is_a_rigs_error_that_names_the_contracts() -> None:
    made = setup(provisioned=False, fallback=False)
    with pytest.raises(RigError, match=rf"contract only: no contract is valid at .*: {EMAID} is valid 2025-06-01 to"):
        choose(made, Plan(), END + DAY)
