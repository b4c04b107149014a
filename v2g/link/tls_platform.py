"""What this machine's OpenSSL can do for V2G, and the parts that Python's `ssl` leaves out.

trusted_ca_keys and OCSP stapling exist in OpenSSL but not in `ssl`: they are reached through ctypes, on the same
library and the same context. That works only where `_ssl` is linked to a shared libssl and where a context's pointer
is where CPython puts it; both are checked before the first use, and what is missing is said.
"""

from __future__ import annotations

import ctypes
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_MAPS = Path("/proc/self/maps")
_TRUSTED_CA_KEYS = 3  # RFC 6066 section 6
_IN_CLIENT_HELLO, _IN_TLS12_SERVER_HELLO = 0x0080, 0x0100  # openssl/ssl.h SSL_EXT_*
_GET_MIN_PROTO_VERSION = 130  # openssl/ssl.h SSL_CTRL_*
_SET_STATUS_CALLBACK, _SET_STATUS_TYPE, _GET_STATUS_RESPONSE, _SET_STATUS_RESPONSE = 63, 65, 70, 71
_STATUS_OCSP = 1  # openssl/tls1.h TLSEXT_STATUSTYPE_ocsp
_STAPLE_SENT, _NO_STAPLE, _ACCEPTED = 0, 3, 1  # SSL_TLSEXT_ERR_OK, SSL_TLSEXT_ERR_NOACK; a client's callback: 1

EPHEMERAL_ECDH_CIPHER, STATIC_ECDH_CIPHER = 0xC023, 0xC025  # RFC 5289 section 3.1
STATIC_ECDH = (
    "ECDH-ECDSA-AES128-SHA256 (static ECDH): OpenSSL removed it in 1.1.0; vehicles that offer nothing else cannot be "
    "served, all others agree on ECDHE-ECDSA-AES128-SHA256"
)
STATUS_V2 = "OCSP staples for sub-CA certificates (status_request_v2, RFC 6961): OpenSSL has no such extension"

_AddExtension = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.POINTER(ctypes.c_size_t),
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
    ctypes.c_void_p,
)  # SSL_custom_ext_add_cb_ex
_StatusCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Feature:
    """Something V2G asks of TLS. missing: "" when it is there, else why not and what to do."""

    name: str
    missing: str = ""


class LibraryMissingError(Exception):
    """Why ctypes cannot reach this process's OpenSSL; never leaves this module."""


class _Library:
    """libssl and libcrypto as `_ssl` uses them."""

    def __init__(self) -> None:
        if sys.implementation.name != "cpython" or object.__basicsize__ != 16 or not sys.version_info < (3, 15):
            raise LibraryMissingError(f"contexts of {sys.implementation.name} {sys.version.split()[0]} are unknown")
        self.ssl = ctypes.CDLL(_mapped("libssl"))
        self.crypto = ctypes.CDLL(_mapped("libcrypto"))
        self.crypto.OpenSSL_version_num.restype = ctypes.c_ulong
        if self.crypto.OpenSSL_version_num() != ssl.OPENSSL_VERSION_NUMBER:
            raise LibraryMissingError("the mapped libcrypto is not the one that Python uses")
        self.ssl.SSL_CTX_ctrl.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)
        self.ssl.SSL_CTX_ctrl.restype = ctypes.c_long
        self.ssl.SSL_ctrl.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)
        self.ssl.SSL_ctrl.restype = ctypes.c_long
        self.ssl.SSL_CTX_callback_ctrl.argtypes = (ctypes.c_void_p, ctypes.c_int, _StatusCallback)
        self.ssl.SSL_CTX_callback_ctrl.restype = ctypes.c_long
        self.ssl.SSL_CTX_add_custom_ext.argtypes = (
            ctypes.c_void_p,
            ctypes.c_uint,
            ctypes.c_uint,
            _AddExtension,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
        )
        self.ssl.SSL_CTX_add_custom_ext.restype = ctypes.c_int
        self.crypto.CRYPTO_malloc.argtypes = (ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int)
        self.crypto.CRYPTO_malloc.restype = ctypes.c_void_p
        probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        probe.minimum_version = ssl.TLSVersion.TLSv1_3
        if not _is_writable(self.pointer(probe)):
            raise LibraryMissingError("a context's pointer leads nowhere")
        if self.ssl.SSL_CTX_ctrl(self.pointer(probe), _GET_MIN_PROTO_VERSION, 0, None) != ssl.TLSVersion.TLSv1_3:
            raise LibraryMissingError("a context's pointer is not where CPython 3.11 to 3.14 puts it")

    @staticmethod
    def pointer(context: ssl.SSLContext) -> int:
        """SSL_CTX* of a context: the first field after the object header (Modules/_ssl.c, PySSLContext)."""
        return ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value or 0


@cache
def _library() -> _Library | LibraryMissingError:
    """Checked once."""
    try:
        return _Library()
    except (LibraryMissingError, OSError, AttributeError) as error:
        return LibraryMissingError(f"{error}; use Debian's python3, whose ssl is linked to the system's libssl")


def _mapped(name: str) -> str:
    """Path of a shared library that this process has loaded."""
    for line in _MAPS.read_text(encoding="utf-8").splitlines():
        path = line.split(maxsplit=5)[-1]
        if Path(path).name.startswith(f"{name}.so"):
            return path
    raise LibraryMissingError(f"Python's ssl module is not linked to a shared {name}")


def _is_writable(address: int) -> bool:
    for line in _MAPS.read_text(encoding="utf-8").splitlines():
        area, flags = line.split(maxsplit=2)[:2]
        first, last = (int(each, 16) for each in area.split("-"))
        if first <= address < last:
            return flags.startswith("rw")
    return False


def _reach() -> _Library:
    library = _library()
    if isinstance(library, LibraryMissingError):
        raise library
    return library


def why_not_reached() -> str:
    """ "" when the missing parts of `ssl` can be reached, else the reason."""
    library = _library()
    return str(library) if isinstance(library, LibraryMissingError) else ""


def send_extension(context: ssl.SSLContext, content: bytes, kind: int = _TRUSTED_CA_KEYS) -> bool:
    """Send an extension in every ClientHello of this context; False where that cannot be done (`why_not_reached`)."""
    if why_not_reached():
        return False
    library = _reach()
    octets = ctypes.create_string_buffer(content, len(content))

    def add(_ssl: int, _kind: int, _context: int, out: Any, length: Any, *_rest: object) -> int:
        out[0] = ctypes.addressof(octets)
        length[0] = len(content)
        return 1

    callback = _AddExtension(add)
    where = _IN_CLIENT_HELLO | _IN_TLS12_SERVER_HELLO
    added = library.ssl.SSL_CTX_add_custom_ext(library.pointer(context), kind, where, callback, None, None, None, None)
    _keep(context, (callback, octets))
    return bool(added)


def staple(context: ssl.SSLContext, response: Callable[[], bytes]) -> bool:
    """Staple `response()` (DER OCSPResponse, b"" for none) whenever a vehicle asks; False where it cannot be done."""
    if why_not_reached():
        return False
    library = _reach()

    def answer(connection: int, _argument: int) -> int:
        octets = response()
        if not octets:
            return _NO_STAPLE
        copy = library.crypto.CRYPTO_malloc(len(octets), b"", 0)  # OpenSSL frees it
        ctypes.memmove(copy, octets, len(octets))
        library.ssl.SSL_ctrl(connection, _SET_STATUS_RESPONSE, len(octets), copy)
        return _STAPLE_SENT

    callback = _StatusCallback(answer)
    _keep(context, callback)
    return bool(library.ssl.SSL_CTX_callback_ctrl(library.pointer(context), _SET_STATUS_CALLBACK, callback))


def ask_for_staple(context: ssl.SSLContext, take: Callable[[bytes], object]) -> bool:
    """Ask the station for its OCSP response and hand it to `take` (b"" when none came); False where it cannot be."""
    if why_not_reached():
        return False
    library = _reach()

    def arrived(connection: int, _argument: int) -> int:
        octets = ctypes.c_void_p()
        length = library.ssl.SSL_ctrl(connection, _GET_STATUS_RESPONSE, 0, ctypes.addressof(octets))
        take(ctypes.string_at(octets.value, length) if octets.value and length > 0 else b"")
        return _ACCEPTED

    callback = _StatusCallback(arrived)
    _keep(context, callback)
    pointer = library.pointer(context)
    library.ssl.SSL_CTX_callback_ctrl(pointer, _SET_STATUS_CALLBACK, callback)
    return bool(library.ssl.SSL_CTX_ctrl(pointer, _SET_STATUS_TYPE, _STATUS_OCSP, None))


def token_key_provider() -> Path | None:
    """OpenSSL's pkcs11-provider, when it is installed where this machine's OpenSSL looks for modules."""
    try:
        crypto = ctypes.CDLL(_mapped("libcrypto"))
    except (LibraryMissingError, OSError):
        return None
    crypto.OpenSSL_version.restype = ctypes.c_char_p
    folder = (crypto.OpenSSL_version(9) or b"").decode()  # OPENSSL_MODULES_DIR: MODULESDIR: "/usr/lib/..."
    found = Path(folder.partition('"')[2].rstrip('"')) / "pkcs11.so"
    return found if found.is_file() else None


def features() -> list[Feature]:
    """Everything V2G asks of TLS beyond the plain handshake, and what is missing on this machine."""
    reached = why_not_reached()
    tokens = (
        ""
        if token_key_provider()
        else "install pkcs11-provider (a Debian 13 package) and name it in OPENSSL_CONF; until then keys are files"
    )
    return [
        Feature("trusted_ca_keys read from the vehicle's ClientHello"),
        Feature("trusted_ca_keys sent by our vehicle", reached),
        Feature("OCSP staple of the SECC certificate", reached),
        Feature("private key of TLS in a token", tokens),
        Feature("static ECDH", STATIC_ECDH),
        Feature("OCSP staples of sub-CAs", STATUS_V2),
    ]


def _keep(context: ssl.SSLContext, what: object) -> None:
    """C calls back into `what` as long as the context lives."""
    context.__dict__.setdefault("_v2g_kept", []).append(what)
