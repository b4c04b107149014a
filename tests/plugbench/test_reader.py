"""`plugbench reader`: cards on a pseudo-terminal, as from a USB-serial reader."""

from __future__ import annotations

import json
import os
import threading
import tty
from collections.abc import Callable, Iterator

import pytest

from plugbench.__main__ import main
from readers.pcsclite import PcscLite
from wire.rfid_frame import frame

UID, TAG = bytes.fromhex("04A2B3C4"), bytes.fromhex("010063E9AE")


@pytest.fixture
def line() -> Iterator[tuple[str, Callable[[bytes], None]]]:
    """Path of a port, and what writes to it again and again, as a reader does while a card lies there."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    path = os.ttyname(theirs)
    os.close(theirs)
    over = threading.Event()
    writers: list[threading.Thread] = []

    def write(octets: bytes) -> None:
        def repeat() -> None:
            while not over.wait(0.05):
                os.write(ours, octets)

        writers.append(threading.Thread(target=repeat))
        writers[-1].start()

    yield path, write
    over.set()
    for writer in writers:
        writer.join()
    os.close(ours)


def test_a_card_on_a_serial_line(line: tuple[str, Callable[[bytes], None]], capsys: pytest.CaptureFixture[str]) -> None:
    path, write = line
    write(b"04 A2 B3 C4\r\n")
    assert main(["reader", "watch", "--port", path, "--cards", "1", "--for", "20"]) == 0
    assert capsys.readouterr().out == "ISO14443 04A2B3C4\n"


def test_tags_in_frames_as_json(line: tuple[str, Callable[[bytes], None]], capsys: pytest.CaptureFixture[str]) -> None:
    path, write = line
    write(frame(TAG) + frame(UID))
    words = ["--port", path, "--protocol", "frame", "--kind", "UNDEFINED", "--cards", "2", "--for", "20", "--json"]
    assert main(["reader", "watch", *words]) == 0
    found = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert found == [{"reader": path, "kind": "UNDEFINED", "id": one.hex().upper()} for one in (TAG, UID)]


def test_a_tag_of_another_kind_is_a_failure(
    line: tuple[str, Callable[[bytes], None]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, write = line
    write(frame(TAG))
    assert main(["reader", "watch", "--port", path, "--protocol", "frame", "--for", "0.5"]) == 1
    assert "UID of 5 octets (010063E9AE), ISO14443 has 4 or 7 or 10" in capsys.readouterr().err


def test_nothing_came(line: tuple[str, Callable[[bytes], None]]) -> None:
    assert main(["reader", "watch", "--port", line[0], "--for", "0.1"]) == 3


def test_a_port_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reader", "watch", "--port", "/dev/no-such-port"]) == 2
    assert "reader /dev/no-such-port: serial port /dev/no-such-port is not there" in capsys.readouterr().err


def test_readers_of_this_machine(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PcscLite, "__init__", lambda _self: None)
    monkeypatch.setattr(PcscLite, "readers", lambda _self: ["ACS ACR122U 00 00"])
    monkeypatch.setattr(PcscLite, "close", lambda _self: None)
    assert main(["reader", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pcsc"] == ["ACS ACR122U 00 00"]
    assert main(["reader", "list"]) == 0
    assert "PC/SC   ACS ACR122U 00 00" in capsys.readouterr().out


def test_without_pcsc_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("readers.pcsclite._LIBRARY", "libno-such-thing.so.9")
    assert main(["reader", "list"]) == 0
    assert "libno-such-thing.so.9 is missing: install libpcsclite1 and pcscd" in capsys.readouterr().out
    assert main(["reader", "watch", "--pcsc", "--for", "1"]) == 2
