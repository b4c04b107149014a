"""The file that says who reaches whom, and the secrets beside it."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.operators.connections import FILE, Folder, address, demo, party
from ports.errors import RigError


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.load() is None
    made = demo(folder, "127.0.0.1", 9310)
    folder.save(made)
    assert folder.load() == made
    assert [made.cpo.stations_url, made.hub.url] == ["ws://127.0.0.1:9310/", "http://127.0.0.1:9315"]
    ports = {address(url)[1] for url in (made.cpo.stations_url, made.cpo.api_url, made.mo.url, made.hub.url)}
    assert len(ports) == 4
    assert demo(folder, "::1", 9310).mo.url == "http://[::1]:9313"


def test_secrets_are_their_owners_alone_and_made_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    file = folder.make_secret("one")
    secret = folder.credential(file).read()
    assert len(secret) == 32
    assert folder.make_secret("one") == file
    assert folder.credential(file).read() == secret
    whole = folder.replace_secret("one", "another")
    assert (folder.credential(file).read(), stat.S_IMODE(whole.stat().st_mode)) == ("another", 0o600)
    folder.save(demo(folder, "127.0.0.1", 0))
    assert secret not in (tmp_path / FILE).read_text()


def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="no address of this machine"):
        demo(Folder(tmp_path), "192.0.2.1", 0)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["cpo", "mo", "url"]), inner),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_a_file_of_anything_is_read_or_refused(content: bytes) -> None:
    with TemporaryDirectory() as name:
        (Path(name) / FILE).write_bytes(content)
        with pytest.raises(RigError, match=FILE):
            Folder(Path(name)).load()


@given(st.text(max_size=20))
def test_addresses_and_parties_are_read_or_refused(text: str) -> None:
    for read in (address, party):
        try:
            read(text)
        except RigError as error:
            assert FILE in str(error)  # noqa: PT017 - most texts are refused, a few are not


def test_a_slip_of_the_pen_is_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.save(demo(folder, "127.0.0.1", 9310))
    file = tmp_path / FILE
    file.write_text(file.read_text().replace('"bills_to"', '"bill_to"'))
    with pytest.raises(RigError, match=r"unknown field `bill_to` - at `\$\.cpo`"):
        folder.load()
