"""The worker from inside: error map, threads, re-initialisation, and the reasons for its rules."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
import threading
from types import SimpleNamespace

import pytest
from pkcs11 import exceptions
from pkcs11.exceptions import PKCS11Error

from hsm import worker
from hsm.worker import EXIT_LIBRARY_LOST, SIGN, TokenWorker, Trouble, answers, classify
from hsm.worker_process import decode_signatures, encode_signing


@pytest.fixture
def idle(monkeypatch):
    """A worker without a library, that counts only the threads of this test."""
    others = threading.active_count() - 1
    counted = SimpleNamespace(active_count=lambda: threading.active_count() - others)
    monkeypatch.setattr(worker, "threading", counted)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield TokenWorker(theirs, "pin")
    ours.close()
    theirs.close()


def ask(token_worker, operation, **arguments):
    (reply,) = answers(token_worker, json.dumps({"id": 7, "op": operation, "args": arguments}).encode())
    return json.loads(reply)


def ask_to_sign(token_worker, *digests):
    """The signatures of every packet, and the error of the last one, if it is one."""
    *packets, last = answers(token_worker, encode_signing(7, digests))
    if last[0] == SIGN:
        packets.append(last)
        last = b'{"id":7}'
    decoded = [decode_signatures(packet) for packet in packets]
    assert {number for number, _ in decoded} | {json.loads(last)["id"]} == {7}
    return [signatures for _, signatures in decoded], json.loads(last).get("error")


def test_the_error_map_names_exceptions_that_exist():
    for name in worker.ERRORS:
        assert issubclass(getattr(exceptions, name), PKCS11Error)
    assert {kind for _, kind in worker.ERRORS.values()} == {"retry", "reinit", "operator", "fatal"}


@pytest.mark.parametrize(
    ("error", "kind", "ckr"),
    [
        (exceptions.DeviceError(), "reinit", 0x30),
        (exceptions.DeviceRemoved(), "reinit", 0x32),
        (exceptions.SessionHandleInvalid(), "reinit", 0xB3),
        (exceptions.TokenNotPresent(), "reinit", 0xE0),
        (exceptions.GeneralError(), "reinit", 0x05),
        (exceptions.SessionCount(), "retry", 0xB1),
        (exceptions.PinIncorrect(), "operator", 0xA0),
        (exceptions.PinLocked(), "operator", 0xA4),
        (exceptions.MechanismInvalid(), "fatal", 0x70),
        (PKCS11Error("Unmapped error code 0x140"), "fatal", 0x140),
        (PKCS11Error("Unmapped error code 0x80000042"), "operator", 0x80000042),
        (PKCS11Error("something else"), "operator", None),
        (PKCS11Error("Initialisation error (not initialized). Should never see this."), "reinit", 0x190),
    ],
)
def test_error_map(error, kind, ckr):
    trouble = classify(error)
    assert (trouble.kind, trouble.ckr) == (kind, ckr)
    if ckr not in {None, 0x190}:
        assert f"0x{ckr:02X}" in trouble.text


def test_a_second_thread_is_refused(idle):
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert "2 threads" in ask(idle, "health")["error"]["text"]
    finally:
        stop.set()
        thread.join()
    assert ask(idle, "health")["result"]["threads"] == 1


class FakeLibrary:
    """reinitialize() fails as python-pkcs11's does when C_Finalize returns an error."""

    def __init__(self, initialises):
        self.initialises = initialises
        self.calls = []

    def reinitialize(self):
        self.calls.append("reinitialize")
        raise exceptions.DeviceError

    def initialize(self):
        self.calls.append("initialize")
        if not self.initialises:
            raise exceptions.GeneralError


def test_failed_finalize_is_followed_by_initialize(idle):
    idle.library = FakeLibrary(True)
    idle._initialise()
    assert idle.library.calls == ["reinitialize", "initialize"]


def test_library_that_cannot_be_initialised_again_ends_the_worker(idle, monkeypatch):
    codes = []
    monkeypatch.setattr(worker.os, "_exit", codes.append)
    idle.library = FakeLibrary(False)
    idle._initialise()
    assert codes == [EXIT_LIBRARY_LOST]


SIGNATURE = b"\x01" * 64


class FakeKey:
    """Errors to raise in turn; None is none."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.asked = []

    def sign(self, digest, mechanism):
        self.asked.append(digest)
        if self.errors and (error := self.errors.pop(0)):
            raise error
        return SIGNATURE


def test_wrong_mechanism_leaves_the_session_alone(idle):
    idle.session, idle.key = object(), FakeKey(exceptions.MechanismInvalid())
    signatures, error = ask_to_sign(idle, b"0")
    assert signatures == []
    assert (error["kind"], error["ckr"]) == ("fatal", 0x70)
    assert ask_to_sign(idle, b"0") == ([[SIGNATURE]], None)


def test_device_error_opens_everything_anew_and_signs(idle, monkeypatch):
    idle.session, idle.key = object(), FakeKey(exceptions.DeviceError())
    monkeypatch.setattr(idle, "open", lambda: setattr(idle, "opened", True))
    assert ask_to_sign(idle, b"0") == ([[SIGNATURE]], None)
    assert idle.opened


@pytest.mark.parametrize("error", [exceptions.SessionCount(), PKCS11Error("Unmapped error code 0x80000001")])
def test_other_errors_are_not_signed_again(idle, error):
    idle.session, idle.key = object(), FakeKey(error)
    assert ask_to_sign(idle, b"0")[1]["kind"] in {"retry", "operator"}
    assert idle.session is None
    assert idle.key is None


def test_second_device_error_means_later(idle, monkeypatch):
    idle.session, idle.key = object(), FakeKey(exceptions.DeviceError(), exceptions.DeviceError())
    monkeypatch.setattr(idle, "open", lambda: None)
    assert ask_to_sign(idle, b"0")[1]["kind"] == "retry"


def test_an_error_keeps_what_was_signed_and_begins_nothing_behind_it(idle):
    idle.session, idle.key = object(), FakeKey(None, None, exceptions.MechanismInvalid())
    signatures, error = ask_to_sign(idle, b"1", b"22", b"333", b"4444")
    assert signatures == [[SIGNATURE, SIGNATURE]]
    assert error["ckr"] == 0x70
    assert idle.key.asked == [b"1", b"22", b"333"]


def test_signatures_of_a_slow_token_are_not_kept_back(idle, monkeypatch):
    times = iter([0, 0.001, 0.002, 0.008, 0.008, 0.020, 0.020, 0.021])
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: next(times)))
    monkeypatch.setattr(worker, "GATHER_S", 0.005)
    idle.session, idle.key = object(), FakeKey()
    signatures, error = ask_to_sign(idle, b"1", b"2", b"3", b"4", b"5")
    assert [len(packet) for packet in signatures] == [3, 1, 1]
    assert error is None


def test_latched_worker_does_not_log_in(idle):
    idle.latched = Trouble("operator", "PinIncorrect", 0xA0)
    reply = ask(idle, "open", config={"module": "/nowhere"})
    assert reply["error"]["latched"]
    assert reply["error"]["ckr"] == 0xA0
    assert idle.library is None


def child(script, tokens, **options):
    """Run a script of its own on the binding itself."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tokens.module.path), "plugbench", "648219"],
        env=dict(tokens.module.environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


OPEN = """
import sys, threading, pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
library = pkcs11.lib(sys.argv[1])
token = library.get_token(token_label=sys.argv[2])
def open_key(session):
    return session.get_key(ObjectClass.PRIVATE_KEY, KeyType.EC, label="billing")
"""


def test_binding_wrong_mechanism_does_not_poison_the_session(tokens):
    run = child(
        OPEN
        + """
session = token.open(user_pin=sys.argv[3])
key = open_key(session)
try:
    key.sign(b"x", mechanism=Mechanism.ECDSA_SHA256)
except pkcs11.exceptions.MechanismInvalid:
    print(len(key.sign(bytes(32), mechanism=Mechanism.ECDSA)))
""",
        tokens,
    )
    assert run.stdout.split() == ["64"], run.stderr


def test_binding_second_login_and_unfinished_search(tokens):
    run = child(
        OPEN
        + """
session = token.open(user_pin=sys.argv[3])
try:
    token.open(user_pin=sys.argv[3])
except pkcs11.exceptions.UserAlreadyLoggedIn:
    print("logged in already")
print(len(open_key(token.open()).sign(bytes(32), mechanism=Mechanism.ECDSA)))
search = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
next(search)
try:
    list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY}))
except pkcs11.exceptions.OperationActive:
    print("search active")
sys.stdout.flush()
import os; os._exit(0)
""",
        tokens,
    )
    assert run.stdout.splitlines()[:2] == ["logged in already", "64"], run.stderr


def test_binding_private_key_stays_on_the_token(tokens):
    run = child(
        OPEN
        + """
key = open_key(token.open(user_pin=sys.argv[3]))
print(key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE])
try:
    print(key[Attribute.VALUE].hex())
except pkcs11.exceptions.AttributeSensitive:
    print("stays")
""",
        tokens,
    )
    assert run.stdout.split() == ["True", "False", "stays"], run.stderr


@pytest.mark.soak
def test_binding_two_threads_crash_which_is_why_the_worker_has_one(tokens):
    script = (
        OPEN
        + """
import time
session = token.open(user_pin=sys.argv[3])
def run():
    key = open_key(token.open())
    until = time.monotonic() + 2
    while time.monotonic() < until:
        key.sign(bytes(32), mechanism=Mechanism.ECDSA)
threads = [threading.Thread(target=run) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    )
    if not any(child(script, tokens).returncode < 0 for _ in range(5)):
        pytest.skip("python-pkcs11 did not crash with two threads this time")
