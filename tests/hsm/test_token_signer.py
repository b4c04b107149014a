"""The signer over a real SoftHSM token: it signs, and it survives what tokens do."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hil_rigs.real_clock import RealClock
from hil_rigs.virtual_clock import run_virtual
from hsm.errors import Remedy, TokenError
from hsm.pin import PinSource
from hsm.token_signer import TokenSigner
from ocmf.container import join
from ocmf.curves import CURVES
from ocmf.der import decode_signature, encode_signature
from ocmf.keys import decode_public_key
from ocmf.verify import verify_record, verify_signature
from ports.errors import LocalError

TABLE_22 = [curve.name for curve in CURVES.values() if curve.in_table]


def events(trace, kind):
    return [event for event in trace if event.kind == kind]


def kill(pid):
    """SIGKILL, and wait until it is dead (but not yet noticed by its parent)."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def proc(pid, name):
    return Path(f"/proc/{pid}/{name}").read_bytes()


@pytest.mark.parametrize("curve", TABLE_22)
async def test_every_curve_signs_records_that_verify_without_a_warning(tokens, new_signer, curve):
    signer = new_signer(tokens.key(curve))
    identity = await signer.identity()
    assert (identity.curve, identity.label, identity.is_hsm) == (curve, curve, True)
    assert identity.public_key == tokens.keys[curve].spki
    assert "token 'plugbench'" in identity.description
    payload = b'{"PG":"T1"}'
    for _ in range(4):
        signature = await signer.sign(payload)
        assert encode_signature(*decode_signature(signature)) == signature
        assert decode_signature(signature)[1] <= CURVES[curve].order // 2
        assert verify_record(join(payload, signature, curve), identity.public_key).findings == ()


async def test_many_callers_are_served_in_turn(tokens, new_signer):
    signer = new_signer(tokens.key())
    messages = [bytes([number]) for number in range(50)]
    signatures = await asyncio.gather(*map(signer.sign, messages))
    for message, signature in zip(messages, signatures, strict=True):
        verify_signature(message, signature, tokens.keys["billing"])
    assert signer.health().workers == 1


async def test_worker_has_one_thread_and_no_secret_in_sight(tokens, new_signer, monkeypatch):
    monkeypatch.setenv("TOKEN_PIN", "648219")
    signer = new_signer(tokens.key(pin=PinSource(variable="TOKEN_PIN")))
    await signer.sign(b"x")
    pid = signer.health().worker_pid
    answer = await signer._worker.ask("health", {}, 5)
    assert answer["result"]["threads"] == 1
    assert answer["result"]["tasks"] == 1
    assert answer["result"]["logged_in"]
    assert b"\0-I\0" in proc(pid, "cmdline")
    seen = proc(pid, "cmdline") + proc(pid, "environ")
    assert b"648219" not in seen
    assert b"TOKEN_PIN" not in seen
    # the module lives in the worker only
    assert b"softhsm" in proc(pid, "maps")
    assert b"softhsm" not in proc("self", "maps")


async def test_health_before_and_after(tokens, new_signer):
    signer = new_signer(tokens.key())
    before = signer.health()
    assert (before.present, before.logged_in, before.fingerprint, before.signature_age_s) == (False, False, "", None)
    await signer.sign(b"x")
    after = signer.health()
    assert after.present
    assert after.logged_in
    assert after.fingerprint == tokens.keys["billing"].fingerprint
    assert after.signature_age_s is not None
    assert after.signature_age_s >= 0
    assert after.latched == ""


async def test_killed_worker_fails_the_open_request_only(tokens, new_signer, trace):
    signer = new_signer(tokens.key())
    await signer.sign(b"x")
    os.kill(signer.health().worker_pid, signal.SIGSTOP)
    open_request = asyncio.ensure_future(signer.sign(b"open"))
    waiting = asyncio.ensure_future(signer.sign(b"waiting"))
    await asyncio.sleep(0)  # both have started, the first one holds the turn
    os.kill(signer.health().worker_pid, signal.SIGKILL)
    with pytest.raises(TokenError, match=r"sign: the worker gave no answer .* or ended") as error:
        await open_request
    assert error.value.remedy is Remedy.RETRY
    verify_signature(b"waiting", await waiting, tokens.keys["billing"])
    assert signer.health().workers == 2
    assert len(events(trace, "worker.lost")) == 1


async def test_workers_killed_at_any_moment_lose_only_what_they_say_they_lost(tokens, new_signer):
    signer = new_signer(tokens.key())
    await signer.identity()
    chance = random.Random(20261120)
    signed, remedies = 0, []
    for number in range(25):
        message = number.to_bytes(2, "big")
        request = asyncio.ensure_future(signer.sign(message))
        if number % 2:
            for _ in range(chance.randrange(12)):  # anywhere from before the packet to after the answer
                await asyncio.sleep(0)
            kill(signer.health().worker_pid)
        try:
            verify_signature(message, await request, tokens.keys["billing"])
            signed += 1
        except TokenError as error:
            remedies.append(error.remedy)
    assert signed + len(remedies) == 25
    assert set(remedies) <= {Remedy.RETRY}
    assert signed >= 13  # every even one: a kill between two requests is no error of the next
    verify_signature(b"end", await signer.sign(b"end"), tokens.keys["billing"])


async def test_a_lost_worker_fails_what_it_was_asked_together_and_nothing_else(tokens):
    def freeze_when_open(event):
        if event.kind == "token.opened" and signer.health().workers == 1:
            os.kill(signer.health().worker_pid, signal.SIGSTOP)

    signer = TokenSigner(tokens.key(), RealClock(), freeze_when_open)
    requests = [asyncio.ensure_future(signer.sign(bytes([number]))) for number in range(40)]
    while len(signer._under_way) < 32:  # noqa: ASYNC110 - no event to wait for
        await asyncio.sleep(0.001)
    requests[5].cancel()
    kill(signer.health().worker_pid)
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    assert isinstance(outcomes.pop(5), asyncio.CancelledError)
    assert all(outcome.remedy is Remedy.RETRY for outcome in outcomes[:31])
    for number, outcome in enumerate(outcomes[31:], start=32):
        verify_signature(bytes([number]), outcome, tokens.keys["billing"])
    assert signer.health().workers == 2
    await signer.close()


async def test_an_error_is_that_of_one_request_and_those_behind_it_are_signed(tokens, new_signer, monkeypatch):
    signer = new_signer(tokens.key())
    await signer.sign(b"x")
    worker, sign = signer._worker, signer._worker.sign
    asked = []

    def refuse_the_third(digests, seconds, on_answer):
        def after_two(answer):
            on_answer(answer)
            if len(signer._under_way) == 2:
                on_answer({"error": {"kind": "retry", "text": "busy", "ckr": 5, "latched": False}})

        asked.append(digests)
        if len(digests) == 4:
            sign(digests[:2], seconds, after_two)
        else:
            sign(digests, seconds, on_answer)

    monkeypatch.setattr(worker, "sign", refuse_the_third)
    messages = [b"alone", b"1", b"2", b"3", b"4"]
    outcomes = await asyncio.gather(*map(signer.sign, messages), return_exceptions=True)
    assert [len(digests) for digests in asked] == [1, 4, 1]
    assert asked[2] == asked[1][3:]  # not asked again for what was signed, nor for what was refused
    assert (outcomes[3].remedy, outcomes[3].ckr) == (Remedy.RETRY, 5)
    for number in (0, 1, 2, 4):
        verify_signature(messages[number], outcomes[number], tokens.keys["billing"])
    assert signer.health().workers == 1


async def test_what_cannot_be_a_digest_is_refused_before_it_is_sent(tokens, new_signer):
    with pytest.raises(LocalError, match="65 octets"):
        await new_signer(tokens.key()).sign_digest(bytes(65))


async def test_closing_answers_everybody_who_waits(tokens, new_signer):
    signer = new_signer(tokens.key())
    requests = [asyncio.ensure_future(signer.sign(b"x")) for _ in range(3)]
    await asyncio.sleep(0)
    await signer.close()
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    assert all(isinstance(outcome, bytes | TokenError) for outcome in outcomes)


async def test_wrong_pin_is_tried_once_and_latched(tokens, new_signer, trace, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("999999", encoding="utf-8")
    wrong.chmod(0o600)
    signer = new_signer(tokens.key(pin=PinSource(wrong)))
    for _ in range(3):
        with pytest.raises(TokenError, match="PinIncorrect") as error:
            await signer.sign(b"x")
        assert error.value.remedy is Remedy.OPERATOR
        assert error.value.ckr == 0xA0
        assert "999999" not in str(error.value)
    assert "PinIncorrect" in signer.health().latched
    assert len(events(trace, "token.latched")) == 1
    assert len(events(trace, "worker.started")) == 1
    assert len(events(trace, "token.error")) == 1  # one answer of the token, the other calls did not reach it
    assert b"999999" not in repr(trace).encode()
    with pytest.raises(TokenError):
        await signer.identity()
    good = new_signer(tokens.key())
    assert await good.sign(b"x")


async def test_unanswered_logins_are_not_repeated_for_ever(tokens, new_signer, monkeypatch):
    signer = new_signer(tokens.key())
    signer._unanswered_logins = 2
    with pytest.raises(TokenError, match="2 logins unanswered") as error:
        await signer.sign(b"x")
    assert error.value.remedy is Remedy.OPERATOR
    assert signer.health().workers == 0


@pytest.mark.parametrize(
    ("changes", "match", "remedy"),
    [
        ({"token": "other"}, "no token 'other'", Remedy.RETRY),
        ({"key": "other"}, "no private key 'other'", Remedy.FATAL),
        ({"key_id": b"\x77"}, "with id 77", Remedy.FATAL),
        ({"module": Path("/nowhere/module.so")}, "/nowhere/module.so", Remedy.OPERATOR),
    ],
)
async def test_missing_things_are_named(tokens, new_signer, changes, match, remedy):
    with pytest.raises(TokenError, match=match) as error:
        await new_signer(tokens.key(**changes)).sign(b"x")
    assert error.value.remedy is remedy


async def test_two_keys_of_one_label_need_the_id(tokens, new_signer):
    second = tokens.module.generate_key("plugbench", "twin", CURVES["secp256r1"], tokens.pin, b"\x51")
    tokens.module.generate_key("plugbench", "twin", CURVES["secp256r1"], tokens.pin, b"\x50")
    with pytest.raises(TokenError, match=r"ids 50, 51.*name the id") as error:
        await new_signer(tokens.key("twin")).sign(b"x")
    assert error.value.remedy is Remedy.FATAL
    signer = new_signer(tokens.key("twin", key_id=b"\x51"))
    verify_signature(b"x", await signer.sign(b"x"), second)


async def test_another_token_of_the_same_name_never_signs(tokens, prepared, new_signer, trace, tmp_path):
    signer = new_signer(tokens.key())
    await signer.sign(b"x")
    ours, other = tokens.folder / "tokens", tmp_path / "other"
    ours.rename(other)
    ours.mkdir()
    tokens.module.init_token("plugbench", tokens.pin)
    tokens.module.generate_key("plugbench", "billing", CURVES["secp256r1"], tokens.pin)
    kill(signer.health().worker_pid)
    for _ in range(2):
        with pytest.raises(TokenError, match="another key") as error:
            await signer.sign(b"x")
        assert error.value.remedy is Remedy.OPERATOR
    shutil.rmtree(ours)
    other.rename(ours)
    verify_signature(b"x", await signer.sign(b"x"), tokens.keys["billing"])
    assert len(events(trace, "token.opened")) == 2


async def test_closed_signers_stay_closed(tokens, new_signer):
    signer = new_signer(tokens.key())
    await signer.sign(b"x")
    pid = signer.health().worker_pid
    await signer.close()
    await signer.close()
    with pytest.raises(FileNotFoundError):
        proc(pid, "cmdline")
    with pytest.raises(TokenError, match="closed"):
        await signer.sign(b"x")


async def test_cancelled_caller_does_not_disturb_the_next(tokens, new_signer):
    signer = new_signer(tokens.key())
    await signer.identity()
    for number in range(5):
        request = asyncio.ensure_future(signer.sign(b"given up"))
        for _ in range(number):
            await asyncio.sleep(0)
        request.cancel()
        verify_signature(b"next", await signer.sign(b"next"), tokens.keys["billing"])
    assert signer.health().workers == 1


def test_virtual_time_stands_still_while_the_token_works(tokens):
    async def program(clock):
        signer = TokenSigner(tokens.key(), clock)
        start = clock.monotonic()
        signature = await signer.sign(b"x")
        assert clock.monotonic() == start
        await clock.sleep(3600)
        age = signer.health().signature_age_s
        await signer.close()
        return signature, age, (await _identity(tokens, clock)).public_key

    signature, age, public = run_virtual(program, start=datetime(2026, 3, 1, tzinfo=UTC))
    verify_signature(b"x", signature, decode_public_key(public))
    assert age == 3600


async def _identity(tokens, clock):
    signer = TokenSigner(tokens.key(), clock)
    try:
        return await signer.identity()
    finally:
        await signer.close()


def test_hung_token_in_virtual_time_is_killed_in_real_time(tokens):
    async def program(clock):
        start = clock.monotonic()
        signer = TokenSigner(tokens.key(sign_s=0.2), clock)
        await signer.identity()
        os.kill(signer.health().worker_pid, signal.SIGSTOP)
        with pytest.raises(TokenError, match=r"within 0\.2 s"):
            await signer.sign(b"x")
        signature = await signer.sign(b"x")
        await signer.close()
        return signature, clock.monotonic() - start

    signature, passed = run_virtual(program, start=datetime(2026, 3, 1, tzinfo=UTC))
    verify_signature(b"x", signature, tokens.keys["billing"])
    assert passed == 0
