import io
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil_rigs.evidence.archive import Archive, ArchiveError, write_archive
from hil_rigs.evidence.names import BadNameError, check_name
from ports.errors import PeerError

FILES = {"a.txt": b"first", "records/T1.ocmf": b"OCMF|{}|{}", "leer": b""}


def archive(files: dict[str, bytes] = FILES) -> bytes:
    target = io.BytesIO()
    write_archive(target, [(name, io.BytesIO(content)) for name, content in files.items()])
    return target.getvalue()


def read(octets: bytes) -> dict[str, bytes]:
    opened = Archive(io.BytesIO(octets))
    return {name: b"".join(opened.read(name)) for name in opened.entries}


def test_what_was_written_is_read() -> None:
    assert read(archive()) == FILES
    assert read(archive({})) == {}


def test_the_same_files_give_the_same_octets() -> None:
    assert archive() == archive()


def test_another_program_reads_it() -> None:
    with zipfile.ZipFile(io.BytesIO(archive())) as opened:
        assert opened.testzip() is None
        assert {info.filename: opened.read(info) for info in opened.infolist()} == FILES
        assert {info.external_attr >> 16 for info in opened.infolist()} == {0o100600}


@given(octets=st.binary(max_size=400))
def test_anything_is_read_or_refused(octets: bytes) -> None:
    for content in (octets, archive()[: len(octets)] + octets, archive() + octets):
        with suppress(PeerError):
            assert archive(read(content)) == content


@given(
    files=st.dictionaries(
        st.text(st.characters(whitelist_categories=("L", "N")), min_size=1, max_size=9), st.binary(), max_size=5
    )
)
@settings(max_examples=50)
def test_any_content_survives(files: dict[str, bytes]) -> None:
    try:
        octets = archive(files)
    except BadNameError:
        return
    if len({name.casefold() for name in files}) == len(files):
        assert read(octets) == files
    else:
        with pytest.raises(ArchiveError, match="one name"):
            read(octets)


def foreign(**fields: object) -> bytes:
    """As Python writes it: readable, but not in our form."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        info = zipfile.ZipInfo("a.txt")
        for name, value in fields.items():
            setattr(info, name, value)
        opened.writestr(info, b"content" * 100)
    return target.getvalue()


def twice() -> bytes:
    """Two entries of one name, each in our form."""
    target = io.BytesIO()
    write_archive(target, [("a", io.BytesIO(b"1")), ("a", io.BytesIO(b"2"))])
    return target.getvalue()


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "0 octets"),
        (archive()[:-1], "no end"),
        (archive() + b"\0", "no end"),
        (b"\0" + archive(), "no end"),
        (archive()[:20] + archive(), "no end"),
        (foreign(), "not as Plugbench writes it"),
        (foreign(compress_type=zipfile.ZIP_DEFLATED), "not as Plugbench writes it"),
        (foreign(comment=b"hidden"), "not as Plugbench writes it"),
        (foreign(extra=b"\x01\0\0\0"), "not as Plugbench writes it"),
        (twice(), "two files of one name"),
    ],
)
def test_another_form_is_refused(octets: bytes, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        read(octets)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../a", "a/../b", "/a", "a//b", "a/", "a/b/c/d/e"),
        *("a\\b", "C:a", "a\nb", "a.", "a ", "a\u202eb", "e\u0301", "x" * 201),
    ],
)
def test_bad_names(name: str) -> None:
    with pytest.raises(BadNameError):
        check_name(name)
    with pytest.raises(BadNameError):
        archive({name: b""})
    if not 0 < len(name.encode()) <= 200:
        return
    good = "0" * len(name.encode())
    hostile = archive({good: b""}).replace(good.encode(), name.encode())
    with pytest.raises(BadNameError):
        read(hostile)
