from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from backends.access import Principal, Role
from backends.pki.app import pki_routes
from backends.pki.build_realm import build_realm
from backends.pki.ca_keys import Passphrase
from backends.pki.folder import Settings, TokenSettings, create_folder, open_folder, read_settings
from backends.store.database import Database
from ports.errors import LocalError, RigError
from tests.doubles import ManualClock


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    settings = Settings(
        'http://x/"quoted"',
        "postgresql+psycopg://host/db",
        passphrase_env="P",
        token=TokenSettings("/lib/x.so", "cas", pin_env="PIN", environment={"SOFTHSM2_CONF": "/a b"}),
    )
    create_folder(tmp_path / "pki", settings)
    assert read_settings(tmp_path / "pki") == settings
    with pytest.raises(RigError, match=r"pki\.toml exists"):
        create_folder(tmp_path / "pki", settings)


@pytest.mark.parametrize("text", ["ocsp_url = 5", "nonsense", "unknown = 'x'", "[token]\nmodule = 'x'"])
def test_mistakes_in_the_settings_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "pki.toml").write_text(text)
    with pytest.raises(RigError, match=r"pki\.toml: "):
        read_settings(tmp_path)


def test_passphrases_that_are_not_secret_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "passphrase"
    with pytest.raises(RigError, match="No such file"):
        Passphrase(file).read()
    file.write_text("secret words\n")
    file.chmod(0o644)
    with pytest.raises(RigError, match="can be read by others") as raised:
        Passphrase(file).read()
    assert "secret" not in str(raised.value)
    file.chmod(0o600)
    assert Passphrase(file).read() == b"secret words"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(RigError, match="not UTF-8"):
        Passphrase(file).read()
    file.write_text("\n")
    with pytest.raises(RigError, match="holds no passphrase"):
        Passphrase(file).read()
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(RigError, match="NOT_SET holds no passphrase"):
        Passphrase(variable="NOT_SET").read()
    for both in ({}, {"file": file, "variable": "X"}):
        with pytest.raises(LocalError):
            Passphrase(**both)  # type: ignore[arg-type]


async def test_a_folder_opens_again_also_on_a_database_of_somebody_else(tmp_path: Path, clock: ManualClock) -> None:
    create_folder(tmp_path / "pki", Settings())
    async with open_folder(tmp_path / "pki", clock) as authorities:
        issued = await build_realm(authorities, "r", "iso2-strict")
        authorities.keys._opened.clear()
    async with open_folder(tmp_path / "pki", clock) as authorities:
        assert (await authorities.newest("r", "secc")).chain == issued["secc"].chain
        await authorities.key_of(issued["secc"].stored)
    database = Database(f"sqlite:///{tmp_path / 'pools.db'}", clock)
    async with open_folder(tmp_path / "pki", clock, database) as authorities:
        assert await authorities.realms() == []
    assert await database.read(lambda _: "still open") == "still open"
    await database.close()


async def test_all_routes_live_in_one_application(tmp_path: Path, clock: ManualClock) -> None:
    async def anybody(_: str) -> Principal:
        return Principal("x", "", frozenset(Role))

    create_folder(tmp_path / "pki", Settings())
    async with open_folder(tmp_path / "pki", clock) as authorities:
        issued = await build_realm(authorities, "r", "iso2-strict")
        app = Starlette(routes=pki_routes(authorities, anybody, open_cacerts=True))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pki.test") as client:
            assert (await client.get("/.well-known/est/cpo/cacerts")).status_code == 200
            assert (await client.get(f"/crl/{issued['v2g-root'].stored.fingerprint}.crl")).status_code == 200
            assert (await client.post("/ocsp", content=b"x")).status_code == 200
            assert (await client.get("/v1/vra/cpo/endEntities", headers={"authorization": "Bearer x"})).json() == []


def test_the_table_of_bad_variants_in_the_manual_is_complete() -> None:
    from backends.pki.bad_variants import BAD_VARIANTS

    manual = (Path(__file__).parents[3] / "docs" / "pki.md").read_text(encoding="utf-8")
    for name, one in BAD_VARIANTS.items():
        levels, everybody = ", ".join(sorted(one.levels)), ", ".join(sorted(one.refused_by_all)) or "-"
        assert f"| `{name}` | {one.text} | {levels} | {everybody} |" in manual
