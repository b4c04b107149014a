"""The only process that touches a PKCS#11 module: started as `python -I worker.py SOCKET_FD PIN_FD`.

It answers packets of a SOCK_SEQPACKET socket, has one thread, and imports nothing of this project: python-pkcs11
crashes with two threads, and a C call that never returns can only be ended with its process.

Requests: sign in octets (see SIGN); open, public_key, inventory, health, generate, curves in JSON, one object per
packet. Answers carry the id of their request and either "result" or "error". Before the login of `open` it sends
{"event": "login"}: the parent counts attempts.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pkcs11
from pkcs11.exceptions import PKCS11Error
from pkcs11.types import Session, Token

MAX_PACKET = 1 << 16
FINALIZE_S = 2  # a token that hangs must not keep a process that nobody wants any more
EXIT_LIBRARY_LOST = 3  # the module can be used no more in this process

# A request to sign: this octet, its id (four octets), then every digest behind its length (one octet). The answers look
# alike, with r || s of the next digests in order: one packet while the token is quick, more when it is slow. An error
# (in JSON) is that of the first digest without an answer; those behind it were not begun.
SIGN = 0x53
GATHER_S = 0.0002  # how long a signature waits in here for the next ones

# exception of python-pkcs11: (CKR of PKCS#11 2.40, what to do)
# retry: ask again later. reinit: C_Finalize, C_Initialize and everything anew. operator: a person must look.
# fatal: the configuration is wrong.
ERRORS: dict[str, tuple[int, str]] = {
    "HostMemory": (0x02, "retry"),
    "SlotIDInvalid": (0x03, "reinit"),
    "GeneralError": (0x05, "reinit"),
    "FunctionFailed": (0x06, "reinit"),
    "ArgumentsBad": (0x07, "fatal"),
    "AttributeValueInvalid": (0x13, "fatal"),
    "DataLenRange": (0x21, "fatal"),
    "DeviceError": (0x30, "reinit"),
    "DeviceMemory": (0x31, "retry"),
    "DeviceRemoved": (0x32, "reinit"),
    "FunctionCancelled": (0x50, "retry"),
    "FunctionNotSupported": (0x54, "fatal"),
    "KeyHandleInvalid": (0x60, "reinit"),
    "KeyTypeInconsistent": (0x63, "fatal"),
    "MechanismInvalid": (0x70, "fatal"),
    "MechanismParamInvalid": (0x71, "fatal"),
    "ObjectHandleInvalid": (0x82, "reinit"),
    "OperationActive": (0x90, "reinit"),
    "OperationNotInitialized": (0x91, "reinit"),
    "PinIncorrect": (0xA0, "operator"),
    "PinInvalid": (0xA1, "operator"),
    "PinLenRange": (0xA2, "operator"),
    "PinExpired": (0xA3, "operator"),
    "PinLocked": (0xA4, "operator"),
    "SessionClosed": (0xB0, "reinit"),
    "SessionCount": (0xB1, "retry"),
    "SessionHandleInvalid": (0xB3, "reinit"),
    "TemplateInconsistent": (0xD1, "fatal"),
    "TokenNotPresent": (0xE0, "reinit"),
    "TokenNotRecognised": (0xE1, "reinit"),
    "TokenWriteProtected": (0xE2, "fatal"),
    "UserAlreadyLoggedIn": (0x100, "reinit"),
    "UserNotLoggedIn": (0x101, "reinit"),
    "UserPinNotInitialized": (0x102, "operator"),
    "DomainParamsInvalid": (0x130, "fatal"),
}
PIN_ERRORS = frozenset({0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0x102})
CURVE_NOT_SUPPORTED = 0x140


# What a new key may do, by maker of the library, as (public, private); None leaves an attribute out. tpm2-pkcs11 makes
# EC keys only where encryption is allowed too (attrs.c refuses any other combination).
_A = pkcs11.Attribute
_LEFT_OUT: dict[Any, Any] = {_A.WRAP: None, _A.UNWRAP: None, _A.DERIVE: None}
KEY_USE: dict[str, tuple[dict[Any, Any], dict[Any, Any]]] = {
    "": ({_A.VERIFY: True}, {_A.SIGN: True, _A.DERIVE: False}),
    "tpm2-software.github.io": (
        {_A.VERIFY: True, _A.ENCRYPT: True, **_LEFT_OUT},
        {_A.SIGN: True, _A.DECRYPT: True, **_LEFT_OUT},
    ),
}


class Trouble(Exception):
    """An error answer. kind: retry, operator or fatal (reinit is dealt with here)."""

    def __init__(self, kind: str, text: str, ckr: int | None = None) -> None:
        super().__init__(text)
        self.kind, self.text, self.ckr = kind, text, ckr


def classify(error: PKCS11Error) -> Trouble:
    """What to do about an exception of the binding; numbers it does not know are for a person to look at."""
    name = type(error).__name__
    if name in ERRORS:
        ckr, kind = ERRORS[name]
        return Trouble(kind, f"{name} (CKR 0x{ckr:02X}) {error}".rstrip(), ckr)
    _, unmapped, number = str(error).partition("Unmapped error code ")
    if unmapped:
        code = int(number, 16)
        kind = "fatal" if code == CURVE_NOT_SUPPORTED else "operator"
        return Trouble(kind, f"CKR 0x{code:X}", code)
    if "not initialized" in str(error):  # how the binding says CKR_CRYPTOKI_NOT_INITIALIZED
        return Trouble("reinit", str(error), 0x190)
    return Trouble("operator", f"{name} {error}".rstrip())


class TokenWorker:
    """One token, one session, one key; requests are its methods."""

    def __init__(self, channel: socket.socket, pin: str) -> None:
        self.channel = channel
        self.pin = pin
        self.library: Any = None
        self.session: Session | None = None
        self.key: Any = None
        self.config: dict[str, Any] = {}
        self.public: dict[str, str] = {}
        self.latched: Trouble | None = None
        self.openings = 0

    def open(self, config: dict[str, Any] | None = None) -> dict[str, Any]:
        """Find token and key, log in. config: module, token, key, key_id (hex, may be ""), expect (a point or "")."""
        if config is not None:
            self.config = config
        if self.latched is not None:
            raise self.latched
        self.session = self.key = None  # dropped, never closed: handle numbers may be those of new sessions by now
        self._initialise()
        token = self._token()
        self._find_public_key(token, logged_in=None)
        self._check_expected()
        self.channel.send(b'{"event":"login"}')
        try:
            session = token.open(user_pin=self.pin)
        except PKCS11Error as error:
            trouble = classify(error)
            if trouble.ckr in PIN_ERRORS:
                self.latched = trouble
            raise
        self.key = self._one(session, pkcs11.ObjectClass.PRIVATE_KEY, "private key")
        if self.key is None:
            raise Trouble("fatal", f"no private key {self._key_name()} on token {self.config['token']!r}")
        if not self.public:
            self._find_public_key(token, logged_in=session)
            self._check_expected()
        self.session = session
        self.openings += 1
        return {**self.public, "token": _describe(token), "library": _library(self.library)}

    def sign(self, digest: bytes) -> bytes:
        """Raw ECDSA over the digest, r || s. After a device error once more with everything opened anew."""
        if self.session is None:
            self.open()
        try:
            return self._sign(digest)
        except PKCS11Error as error:
            if classify(error).kind != "reinit":
                raise
        self.open()  # the token answered with an error: nothing was signed
        return self._sign(digest)

    def public_key(self) -> dict[str, Any]:
        """CKA_EC_PARAMS and CKA_EC_POINT in hex, as the token has them."""
        if self.session is None:
            self.open()
        return dict(self.public)

    def health(self) -> dict[str, Any]:
        """The state of this process."""
        return {
            "threads": threading.active_count(),
            "tasks": len(os.listdir("/proc/self/task")),  # noqa: PTH208 - nothing but the binding is imported
            "logged_in": self.session is not None,
            "openings": self.openings,
            "latched": self.latched.text if self.latched else "",
        }

    def inventory(self, module: str, login_token: str = "") -> dict[str, Any]:
        """Every token of a module and the EC keys seen on it; with a PIN, private keys of one token too."""
        self.config = {"module": module}
        self._initialise()
        tokens = []
        for token in self._tokens():
            with token.open(user_pin=self.pin if token.label == login_token else None) as session:
                tokens.append({**_describe(token), "keys": _keys(session)})
        return {"library": _library(self.library), "tokens": tokens}

    def generate(self, module: str, token: str, key: str, key_id: str, params: str) -> dict[str, Any]:
        """Make a key pair on the token; params: CKA_EC_PARAMS in hex. It never leaves: sensitive, not extractable."""
        self.config = {"module": module, "token": token, "key": key, "key_id": key_id}
        self._initialise()
        found = self._token()
        session = found.open(rw=True, user_pin=self.pin)
        if self._one(session, pkcs11.ObjectClass.PRIVATE_KEY, "private key") is not None:
            raise Trouble("fatal", f"token {token!r} has a key {self._key_name()} already")
        domain = _domain(session, params)
        public, private = self._key_use()
        domain.generate_keypair(
            store=True,
            label=key,
            id=bytes.fromhex(key_id),
            public_template={**public, pkcs11.Attribute.PRIVATE: False},
            private_template={
                **private,
                pkcs11.Attribute.SENSITIVE: True,
                pkcs11.Attribute.EXTRACTABLE: False,
                pkcs11.Attribute.PRIVATE: True,
            },
        )
        self._find_public_key(found, logged_in=session)
        return {**self.public, "token": _describe(found), "library": _library(self.library)}

    def curves(self, module: str, token: str, params: dict[str, str]) -> dict[str, Any]:
        """Which of these curves the token has: it is asked for a key pair of each that vanishes with the session."""
        self.config = {"module": module, "token": token}
        self._initialise()
        session = self._token().open(rw=True, user_pin=self.pin)
        refused: dict[str, str] = {}
        public, private = self._key_use()
        for name, encoded in params.items():
            try:
                pair = _domain(session, encoded).generate_keypair(public_template=public, private_template=private)
                for half in pair:
                    half.destroy()
            except PKCS11Error as error:
                refused[name] = classify(error).text
        return {"curves": [name for name in params if name not in refused], "refused": refused}

    def finish(self) -> None:
        """Log out and release the token, which keeps open sessions of processes that just vanish."""
        self.session = self.key = None
        with contextlib.suppress(PKCS11Error):
            if self.library is not None:
                self.library.finalize()

    def _key_use(self) -> tuple[dict[Any, Any], dict[Any, Any]]:
        return KEY_USE.get(self.library.manufacturer_id.strip(), KEY_USE[""])

    def _initialise(self) -> None:
        if self.library is None:
            self.library = pkcs11.lib(self.config["module"])
            return
        try:
            self.library.reinitialize()
        except PKCS11Error:
            try:
                self.library.initialize()  # C_Finalize failed, which leaves the library closed
            except PKCS11Error:
                os._exit(EXIT_LIBRARY_LOST)

    def _tokens(self) -> list[Token]:
        tokens = []
        for slot in self.library.get_slots(token_present=True):
            try:
                tokens.append(slot.get_token())
            except PKCS11Error:
                continue  # one bad slot does not hide the others
        return [token for token in tokens if pkcs11.TokenFlag.TOKEN_INITIALIZED in token.flags]

    def _token(self) -> Token:
        label = self.config["token"]
        tokens = [token for token in self._tokens() if token.label == label]
        if not tokens:
            raise Trouble("retry", f"no token {label!r} in {self.config['module']}", 0xE0)
        if len(tokens) > 1:
            raise Trouble("fatal", f"{len(tokens)} tokens are labelled {label!r}")
        return tokens[0]

    def _key_name(self) -> str:
        key_id = self.config.get("key_id")
        return f"{self.config['key']!r}" + (f" with id {key_id}" if key_id else "")

    def _one(self, session: Session, kind: pkcs11.ObjectClass, what: str) -> Any:
        search: dict[Any, Any] = {
            pkcs11.Attribute.CLASS: kind,
            pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC,
            pkcs11.Attribute.LABEL: self.config["key"],
        }
        if self.config.get("key_id"):
            search[pkcs11.Attribute.ID] = bytes.fromhex(self.config["key_id"])
        found: list[Any] = list(session.get_objects(search))  # exhausted: an open search blocks the session
        if len(found) > 1:
            ids = ", ".join(sorted(str(item.id.hex()) for item in found))
            raise Trouble("fatal", f"{len(found)} objects fit as {what} {self._key_name()} (ids {ids}): name the id")
        return found[0] if found else None

    def _find_public_key(self, token: Token, logged_in: Session | None) -> None:
        """Remember the public key; before the login where it is visible, so that no other token sees the PIN."""
        session = logged_in or token.open()
        key = self._one(session, pkcs11.ObjectClass.PUBLIC_KEY, "public key")
        self.public = {}
        if key is not None:
            self.public = {
                "params": key[pkcs11.Attribute.EC_PARAMS].hex(),
                "point": key[pkcs11.Attribute.EC_POINT].hex(),
            }
        if logged_in is None:
            session.close()
        elif key is None:
            raise Trouble("fatal", f"no public key {self._key_name()} beside the private one")

    def _check_expected(self) -> None:
        expected = self.config.get("expect")
        if self.public and expected and self.public["point"] != expected:
            raise Trouble("operator", f"token {self.config['token']!r} has another key now: it must not sign")
        if self.public:
            self.config["expect"] = self.public["point"]

    def _sign(self, digest: bytes) -> bytes:
        return bytes(self.key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))


def _domain(session: Session, params: str) -> Any:
    return session.create_domain_parameters(
        pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: bytes.fromhex(params)}, local=True
    )


def _describe(token: Token) -> dict[str, str]:
    return {
        "label": token.label,
        "serial": token.serial.decode(errors="replace").strip(),
        "model": token.model,
        "manufacturer": token.manufacturer_id,
    }


def _library(library: Any) -> str:
    version = ".".join(map(str, library.library_version))
    return f"{library.manufacturer_id.strip()} {library.library_description.strip()} {version}"


def _keys(session: Session) -> list[dict[str, str]]:
    keys = []
    for kind, name in ((pkcs11.ObjectClass.PUBLIC_KEY, "public"), (pkcs11.ObjectClass.PRIVATE_KEY, "private")):
        search = {pkcs11.Attribute.CLASS: kind, pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC}
        objects: list[Any] = list(session.get_objects(search))
        for key in objects:
            row = {"kind": name, "label": str(key.label or ""), "id": bytes(key.id or b"").hex()}
            if name == "public":
                row["params"] = key[pkcs11.Attribute.EC_PARAMS].hex()
                row["point"] = key[pkcs11.Attribute.EC_POINT].hex()
            keys.append(row)
    return keys


def answers(worker: TokenWorker, packet: bytes) -> Iterator[bytes]:
    """Do one request."""
    request: dict[str, Any] = {"id": int.from_bytes(packet[1:5], "big")} if packet[0] == SIGN else json.loads(packet)
    try:
        if threading.active_count() != 1:
            raise Trouble("fatal", f"{threading.active_count()} threads in the worker: python-pkcs11 allows one")
        if packet[0] == SIGN:
            yield from _signatures(worker, packet)
            return
        reply = {"result": getattr(worker, request["op"])(**request["args"])}
    except (PKCS11Error, Trouble) as error:
        trouble = error if isinstance(error, Trouble) else classify(error)
        if trouble.kind != "fatal":
            worker.session = worker.key = None  # the next request opens everything anew
        # a reinit was tried here already, in vain: for the parent it means later
        kind = "retry" if trouble.kind == "reinit" else trouble.kind
        latched = worker.latched is not None
        reply = {"error": {"kind": kind, "text": trouble.text, "ckr": trouble.ckr, "latched": latched}}
    yield json.dumps({"id": request["id"], **reply}).encode()


def _signatures(worker: TokenWorker, packet: bytes) -> Iterator[bytes]:
    """Sign the digests in order; what is signed is sent before an error is raised."""
    head, at = packet[:5], 5
    signed, since = head, time.monotonic()
    try:
        while at < len(packet):
            end = at + 1 + packet[at]
            signature = worker.sign(packet[at + 1 : end])
            signed += bytes((len(signature),)) + signature
            at = end
            if time.monotonic() - since > GATHER_S and at < len(packet):
                yield signed
                signed, since = head, time.monotonic()
    except (PKCS11Error, Trouble):
        if signed != head:
            yield signed
        raise
    yield signed


def main() -> None:
    """Serve until the parent closes the socket."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)  # a module may start helpers: they must not keep the socket open
    with os.fdopen(int(sys.argv[2]), encoding="utf-8") as secret:
        pin = secret.read()
    worker = TokenWorker(channel, pin)
    while packet := channel.recv(MAX_PACKET):
        for reply in answers(worker, packet):
            channel.send(reply)
    signal.alarm(FINALIZE_S)
    worker.finish()
    os._exit(0)


if __name__ == "__main__":
    main()
