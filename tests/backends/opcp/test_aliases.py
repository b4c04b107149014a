import pytest

from backends.opcp.aliases import ALIASES, published_path


@pytest.mark.parametrize(
    ("path", "published"),
    [
        ("/v1/cps/signer", "/cps/signer"),
        ("/v1/cps/signer/", "/cps/signer"),
        ("/cps/signer/", "/cps/signer"),
        ("/cps/signer", "/cps/signer"),
        ("/v1/oauth/token", "/oauth/token"),
        ("/v1/root/rootCerts/", "/v1/root/rootCerts"),
        ("/v1/root/rootCerts/x", "/v1/root/rootCerts/x"),
        ("/oem/cacerts/ISO15118-2/secp256r1/", "/oem/cacerts/ISO15118-2/secp256r1/"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_what_answers(path: str, published: str) -> None:
    assert published_path(path) == published


def test_no_alias_of_an_alias() -> None:
    assert not set(ALIASES) & set(ALIASES.values())
