"""TLS without a socket: records in, clear octets out, and the other way round; the same in real and virtual time."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from ports.errors import PeerError
from v2g.client_hello import ClientHello, ClientHelloStream

ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    109: "missing_extension",
    110: "unsupported_extension",
    116: "certificate_required",
}  # IANA, TLS Alerts
_ALERT_RECORD, _ALERT_LENGTH = 21, 2
_READ_SIZE = 2**16


class TlsError(PeerError):
    """The handshake failed or a record is broken. alert: what we tell the other end, "" when nothing."""

    def __init__(self, message: str, received: bytes = b"", alert: str = "") -> None:
        super().__init__(message, received)
        self.alert = alert


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """What was agreed, and who is there. certificates: DER, leaf first; empty when the peer showed none."""

    version: str
    cipher: str
    certificates: tuple[bytes, ...]


class TlsChannel:
    """One connection. context: of a client, or for a server what picks one when the ClientHello is there."""

    def __init__(self, context: ssl.SSLContext | Callable[[ClientHello], ssl.SSLContext]) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._choose: Callable[[ClientHello], ssl.SSLContext] | None = None
        self._hello = ClientHelloStream()
        self.client_hello: ClientHello | None = None
        self.peer: TlsPeer | None = None
        self.peer_closed = False
        if isinstance(context, ssl.SSLContext):
            self._tls = context.wrap_bio(self._in, self._out)
        else:
            self._choose = context

    def start(self) -> None:
        """Put the ClientHello into `outgoing` (client); a server waits."""
        if self._tls is not None:
            self._handshake(b"")

    def receive(self, octets: bytes) -> bytes:
        """Records that came; returns the clear octets in them. Raises TlsError; `outgoing` then holds the alert."""
        self._in.write(octets)
        if self._tls is None:
            self._begin(octets)
        if self._tls is None or (self.peer is None and not self._handshake(octets)):
            return b""
        clear = []
        try:
            while piece := self._tls.read(_READ_SIZE):
                clear.append(piece)
            self.peer_closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.peer_closed = True
        except ssl.SSLError as error:
            raise self._failure(error, octets) from error
        return b"".join(clear)

    def send(self, clear: bytes) -> None:
        """Encrypt into `outgoing`; only once `peer` is there."""
        assert self._tls is not None  # noqa: S101 - there is a peer
        self._tls.write(clear)

    def outgoing(self) -> bytes:
        """Records to send now."""
        return self._out.read()

    def close(self) -> None:
        """Put close_notify into `outgoing`, when there is anything to close."""
        if self._tls is None or self.peer is None:
            return
        with contextlib.suppress(ssl.SSLError):  # the other end's close_notify is not waited for (RFC 5246 7.2.1)
            self._tls.unwrap()

    def _begin(self, octets: bytes) -> None:
        assert self._choose is not None  # noqa: S101 - a server
        self.client_hello = self._hello.receive(octets)
        if self.client_hello is not None:
            self._tls = self._choose(self.client_hello).wrap_bio(self._in, self._out, server_side=True)

    def _handshake(self, octets: bytes) -> bool:
        assert self._tls is not None  # noqa: S101 - begun
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise self._failure(error, octets) from error
        self.peer = TlsPeer(self._tls.version() or "", (self._tls.cipher() or ("", "", 0))[0], _certificates(self._tls))
        return True

    def _failure(self, error: ssl.SSLError, octets: bytes) -> TlsError:
        left = self._out.read()
        self._out.write(left)
        alert = _alert(left)
        reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
        if detail := getattr(error, "verify_message", None):
            reason += f" ({detail})"
        return TlsError(f"TLS: {reason}{f'; we sent the alert {alert}' if alert else ''}", octets, alert)


def _certificates(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """The chain as the peer sent it. Python names the method without underscore from 3.13 on."""
    found = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined] # noqa: SLF001 - see above
    return tuple(one if isinstance(one, bytes) else one.public_bytes(2) for one in found or ())  # 2: DER


def _alert(records: bytes) -> str:
    """Name of the alert in the clear that ends these records, "" when there is none."""
    last = records[-7:]
    if len(last) == 7 and last[0] == _ALERT_RECORD and int.from_bytes(last[3:5], "big") == _ALERT_LENGTH:
        return ALERTS.get(last[6], f"alert {last[6]}")
    return ""
