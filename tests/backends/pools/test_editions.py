import pytest

from backends.pools.editions import ISO2, ISO20, edition, edition_of_curve
from backends.refusals import Refusal, Refused


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        (None, ISO2),
        ("", ISO2),
        ("urn:iso:15118:2:2013:MsgDef", ISO2),
        ("urn:iso:15118:20:2022:MsgDef", ISO20),
        ("urn:iso:15118:20:2020:MsgDef", ISO20),
        ("urn:iso:std:iso:15118:-20:CommonMessages", ISO20),
    ],
)
def test_spellings(namespace: str | None, expected: str) -> None:
    assert edition(namespace) == expected


@pytest.mark.parametrize("namespace", ["x", "urn:iso:15118:2:2010:MsgDef", "URN:ISO:15118:2:2013:MSGDEF"])
def test_others_are_refused(namespace: str) -> None:
    with pytest.raises(Refused) as refused:
        edition(namespace)
    assert refused.value.reason is Refusal.NAMESPACE


def test_curves() -> None:
    assert [edition_of_curve(curve) for curve in ("secp256r1", "secp521r1", "ed448")] == [ISO2, ISO20, ISO20]
