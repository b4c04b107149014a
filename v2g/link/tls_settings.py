"""TLS of a station and of a vehicle: which files, which versions and ciphers, and the contexts made of them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from ports.errors import RigError
from v2g import certificates
from v2g.client_hello import ClientHello, trusted_ca_keys
from v2g.link import tls_platform

CIPHER = "ECDHE-ECDSA-AES128-SHA256"  # ISO 15118-2 table 7; the other one is static ECDH, which OpenSSL lacks
CURVE = "prime256v1"  # ISO 15118-2 [V2G2-006], secp256r1
CURVE_TLS13 = "secp521r1"  # ISO 15118-20 table 5
TLS13 = 0x0304
_NO_CHECK_TIME = 0x200000  # openssl/x509_vfy.h X509_V_FLAG_NO_CHECK_TIME
_TOKEN_KEY = b"PKCS#11 PROVIDER URI"


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate chain and its private key, as PEM files.

    certificates: leaf first, then sub-CAs. key: may be the same file; with pkcs11-provider a key in a token.
    root: of the chain, so that it can be picked by the vehicle's trusted_ca_keys. staple: DER OCSP response.
    """

    certificates: Path
    key: Path
    password: str | None = field(default=None, repr=False)
    root: Path | None = None
    staple: Path | None = None


@dataclass(frozen=True, slots=True)
class StationTls:
    """TLS of a station. chains: the first is the default.

    tls13: serve vehicles that offer TLS 1.3 with it (ISO 15118-20); it is mutual, so vehicle_roots must be there.
    key_log: lab only: where the session keys are written, in the SSLKEYLOG format that Wireshark reads.
    """

    chains: tuple[Chain, ...]
    tls13: bool = False
    vehicle_roots: tuple[Path, ...] = ()
    key_log: Path | None = None


@dataclass(frozen=True, slots=True)
class VehicleTls:
    """TLS of a vehicle. roots: V2G roots it trusts (PEM or DER). chain: vehicle certificate, ISO 15118-20 only.

    trust_any: lab only: do not verify the station. require_staple: refuse a station that sends no OCSP response;
    one that comes is judged in any case, for the SECC certificate (OpenSSL carries none for sub-CAs).
    named_roots: what trusted_ca_keys names; None names `roots`. cipher, curve: lab only: what it offers with TLS 1.2.
    """

    roots: tuple[Path, ...]
    trust_any: bool = False
    require_staple: bool = False
    chain: Chain | None = None
    tls13: bool = False
    named_roots: tuple[Path, ...] | None = None
    key_log: Path | None = None
    cipher: str = CIPHER
    curve: str = CURVE


def read_certificates(path: Path) -> list[Certificate]:
    """All certificates of a file. Raises RigError that names it."""
    try:
        return certificates.load_all(path.read_bytes())
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from error
    except certificates.CertificateError as error:
        raise RigError(f"{path}: {error}") from error


def validity_problem(chain: Sequence[Certificate], at: datetime) -> str:
    """ "" when every certificate is valid at a moment, else whose is not."""
    for one in chain:
        if at < one.not_valid_before:
            return f"{certificates.describe(one.subject)} is not valid before {one.not_valid_before:%Y-%m-%d %H:%M:%S}"
        if at > one.not_valid_after:
            return f"{certificates.describe(one.subject)} expired {one.not_valid_after:%Y-%m-%d %H:%M:%S}"
    return ""


class StationContexts:
    """Contexts of a station, made once; the vehicle's ClientHello picks one. Raises RigError for unusable files."""

    def __init__(self, settings: StationTls) -> None:
        if not settings.chains:
            raise RigError("a station with TLS needs a certificate chain and its key")
        if settings.tls13 and not settings.vehicle_roots:
            raise RigError("TLS 1.3 of ISO 15118-20 is mutual: give the roots that vehicle certificates come from")
        self.settings = settings
        self._chains = [_LoadedChain(chain, settings) for chain in settings.chains]

    def problem(self, at: datetime) -> str:
        """ "" when at least one chain is valid at a moment, else why none is."""
        problems = [validity_problem(chain.certificates, at) for chain in self._chains]
        return "" if "" in problems else "; ".join(problems)

    def choose(self, hello: ClientHello, at: datetime) -> tuple[ssl.SSLContext, str]:
        """The context for a vehicle, and one line that says why this chain.

        A chain whose root the vehicle names goes first, else the default; expired chains only when there is no other.
        """
        valid = [chain for chain in self._chains if not validity_problem(chain.certificates, at)] or self._chains
        named = [chain for chain in valid if chain.root is not None and hello.trusts(chain.root)]
        chosen = (named or valid)[0]
        if named:
            why = "the vehicle names its root"
        elif hello.trusted_ca_keys:
            why = f"default: the vehicle names {len(hello.trusted_ca_keys)} roots, none is ours"
        else:
            why = "default: the vehicle names no root"
        tls13 = self.settings.tls13 and TLS13 in hello.versions
        return chosen.context(tls13=tls13), f"{chosen.name}: {why}"


class _LoadedChain:
    """A chain whose files have been read."""

    def __init__(self, chain: Chain, settings: StationTls) -> None:
        self._chain = chain
        self._settings = settings
        self.certificates = read_certificates(chain.certificates)
        self.name = certificates.describe(self.certificates[0].subject)
        self.root: bytes | None = None if chain.root is None else read_certificates(chain.root)[0].dump()
        if chain.staple is not None and not chain.staple.is_file():
            raise RigError(f"{chain.staple}: no such OCSP response")
        self._contexts = {False: self._make(tls13=False)}
        if settings.tls13:
            self._contexts[True] = self._make(tls13=True)

    def context(self, *, tls13: bool) -> ssl.SSLContext:
        return self._contexts[tls13]

    def _make(self, *, tls13: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _profile(context, tls13=tls13)
        _load_chain(context, self._chain)
        if tls13:
            _load_roots(context, self._settings.vehicle_roots)
            context.verify_mode = ssl.CERT_REQUIRED
        _key_log(context, self._settings.key_log)
        if self._chain.staple is not None:
            tls_platform.staple(context, self._chain.staple.read_bytes)
        return context


def vehicle_context(
    settings: VehicleTls, *, ignore_time: bool = False, take_staple: Callable[[bytes], object] | None = None
) -> ssl.SSLContext:
    """The context of one connection of a vehicle. Raises RigError for unusable files.

    ignore_time: do not judge validity by the machine's clock (virtual time: the caller judges).
    take_staple: gets the station's OCSP response (b"" when it sent none), where the platform allows.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _profile(context, tls13=settings.tls13, cipher=settings.cipher, curve=settings.curve)
    context.check_hostname = False  # a station is known by its chain, not by a name
    if settings.trust_any:
        context.verify_mode = ssl.CERT_NONE
    elif not settings.roots:
        raise RigError("a vehicle with TLS needs the V2G roots it trusts (or --trust-any in the lab)")
    _load_roots(context, settings.roots)
    if ignore_time:
        context.verify_flags |= _NO_CHECK_TIME
    if settings.chain is not None:
        _load_chain(context, settings.chain)
    named = settings.roots if settings.named_roots is None else settings.named_roots
    if named and not settings.tls13:
        roots = [one.dump() for path in named for one in read_certificates(path)]
        tls_platform.send_extension(context, trusted_ca_keys(roots))
    if take_staple is not None:
        tls_platform.ask_for_staple(context, take_staple)
    _key_log(context, settings.key_log)
    return context


def _profile(context: ssl.SSLContext, *, tls13: bool, cipher: str = CIPHER, curve: str = CURVE) -> None:
    version = ssl.TLSVersion.TLSv1_3 if tls13 else ssl.TLSVersion.TLSv1_2
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(cipher)
    context.set_ecdh_curve(CURVE_TLS13 if tls13 else curve)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def _load_chain(context: ssl.SSLContext, chain: Chain) -> None:
    for path in (chain.certificates, chain.key):
        if not path.is_file():
            raise RigError(f"{path}: no such file")
    if _TOKEN_KEY in chain.key.read_bytes() and tls_platform.token_key_provider() is None:
        missing = next(f.missing for f in tls_platform.features() if "token" in f.name)
        raise RigError(f"{chain.key}: the key is in a token: {missing}")
    try:
        # an empty password instead of None: OpenSSL would ask at the terminal
        context.load_cert_chain(chain.certificates, chain.key, chain.password or "")
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or str(error)
        hint = {
            "KEY_VALUES_MISMATCH": "the key does not belong to the first certificate",
            "PEM_LIB": "not PEM, or the password is wrong",
        }.get(reason.replace(" ", "_"), reason)
        raise RigError(f"{chain.certificates} with key {chain.key}: {hint}") from error


def _load_roots(context: ssl.SSLContext, roots: Sequence[Path]) -> None:
    for path in roots:
        for root in read_certificates(path):
            context.load_verify_locations(cadata=root.dump())


def _key_log(context: ssl.SSLContext, path: Path | None) -> None:
    if path is None:
        return
    try:
        path.touch(mode=0o600)
        context.keylog_filename = str(path)
    except OSError as error:
        raise RigError(f"{path}: the TLS key log cannot be written: {error.strerror}") from error
