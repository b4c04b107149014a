import pytest

from backends.access import OWNS_EMAID, OWNS_PCID, RIGHTS, Forbidden, Principal, Role, require_ownership, require_role

OEM = Principal("oem", "OEM", frozenset({Role.OEM}), wmis=frozenset({"HUB"}))
MO = Principal("mo", "MO", frozenset({Role.MO_OWN_PKI}), provider_ids=frozenset({"EMP99"}))
CPO = Principal("cpo", "CPO", frozenset({Role.CPO}))


@pytest.mark.parametrize("operation", RIGHTS)
@pytest.mark.parametrize("role", Role)
def test_the_table_decides_for_every_role(role: Role, operation: str) -> None:
    principal = Principal("x", "x", frozenset({role}))
    if role in RIGHTS[operation]:
        require_role(principal, operation)
    else:
        with pytest.raises(Forbidden, match=operation):
            require_role(principal, operation)


def test_ownership_is_asked_only_where_the_role_may_act() -> None:
    for owns in (OWNS_PCID, OWNS_EMAID):
        for operation, roles in owns.items():
            assert roles <= RIGHTS[operation]


def test_case_and_hyphens_do_not_matter() -> None:
    require_ownership(OEM, "provisioning.put", pcid="hubUsEaTest000003")
    require_ownership(MO, "contract.sign", emaid="emp-99C-QAPAB004")


def test_a_foreign_identifier_is_refused_by_name() -> None:
    with pytest.raises(Forbidden, match="WVW is not a WMI of oem"):
        require_ownership(OEM, "provisioning.put", pcid="WVWprov0000000001")
    with pytest.raises(Forbidden, match="DE8AA is not a provider id of mo"):
        require_ownership(MO, "contract.delete", emaid="DE8AACA2B3C4D5")


def test_a_cpo_looks_up_any_contract() -> None:
    require_ownership(CPO, "contract.lookup", emaid="DE8AACA2B3C4D5")
