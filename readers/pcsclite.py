"""PC/SC through libpcsclite (Debian: libpcsclite1, pcscd): just what a card reader needs, by ctypes. Calls block.

Constants and structures: pcsclite.h and winscard.h of LudovicRousseau/PCSC.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_long, c_ubyte, c_ulong, c_void_p
from dataclasses import dataclass, field

from ports.errors import RigError
from wire.contactless_atr import GET_UID

_LIBRARY = "libpcsclite.so.1"
_SYSTEM, _SHARED, _ANY_PROTOCOL, _LEAVE_CARD = 2, 2, 3, 0  # SCARD_SCOPE_, SCARD_SHARE_, T0 | T1, SCARD_
_UNKNOWN, _UNAVAILABLE, _PRESENT, _MUTE = 0x0004, 0x0008, 0x0020, 0x0200  # SCARD_STATE_
_MAX_ATR, _MAX_ANSWER = 33, 264
_OK, _CANCELLED, _TIMEOUT = 0, 0x80100002, 0x8010000A
_GONE = frozenset({0x8010000C, 0x80100069, 0x80100068})  # no smart card, removed, reset
_NO_SERVICE, _NO_READERS = 0x8010001D, 0x8010002E


class _ReaderState(ctypes.Structure):
    _fields_ = (
        ("name", c_char_p),
        ("user_data", c_void_p),
        ("current", c_ulong),
        ("event", c_ulong),
        ("atr_length", c_ulong),
        ("atr", c_ubyte * _MAX_ATR),
    )


class _Protocol(ctypes.Structure):
    _fields_ = (("protocol", c_ulong), ("length", c_ulong))


class PcscError(RigError):
    """A call that failed. code: of winscard.h."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ReaderState:
    """What a reader sees. raw: to be handed in again. events: cards that came or went so far, modulo 2**16."""

    raw: int = 0
    atr: bytes = field(default=b"", repr=False)

    @property
    def has_card(self) -> bool:
        """Whether a card lies there."""
        return bool(self.raw & _PRESENT)

    @property
    def is_mute(self) -> bool:
        """Whether the card does not answer."""
        return bool(self.raw & _MUTE)

    @property
    def events(self) -> int:
        """Cards that came or went since the reader is there, modulo 2**16."""
        return self.raw >> 16 & 0xFFFF


class PcscLite:
    """One connection to pcscd. Raises RigError: no library, no daemon."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise RigError(f"PC/SC: {_LIBRARY} is missing: install libpcsclite1 and pcscd") from error
        self._library.pcsc_stringify_error.restype = c_char_p
        for name in ("EstablishContext", "ReleaseContext", "ListReaders", "GetStatusChange", "Cancel", "Connect"):
            getattr(self._library, f"SCard{name}").restype = c_long
        self._library.SCardTransmit.restype = self._library.SCardDisconnect.restype = c_long
        self._context = c_long()
        self._call("EstablishContext", c_ulong(_SYSTEM), None, None, byref(self._context))

    def readers(self) -> list[str]:
        """Names of the readers that are plugged in."""
        length = c_ulong()
        code = self._try("ListReaders", self._context, None, None, byref(length))
        if code == _NO_READERS:
            return []
        self._check("ListReaders", code)
        names = ctypes.create_string_buffer(length.value)
        if self._try("ListReaders", self._context, None, names, byref(length)) != _OK:
            return []  # plugged or unplugged meanwhile: the next look sees them
        return [name.decode(errors="replace") for name in names.raw.split(b"\0") if name]

    def wait(self, reader: str, known: ReaderState, seconds: float) -> ReaderState | None:
        """The reader's state once it differs from the known one; None after so many seconds, or when cancelled."""
        state = _ReaderState(name=reader.encode(), current=known.raw)
        code = self._try("GetStatusChange", self._context, c_ulong(round(seconds * 1000)), byref(state), c_ulong(1))
        if code in (_TIMEOUT, _CANCELLED):
            return None
        self._check("GetStatusChange", code)
        if state.event & (_UNKNOWN | _UNAVAILABLE):
            raise PcscError(f"PC/SC reader {reader} was unplugged: plug it in, it goes on by itself", code)
        return ReaderState(state.event & ~0x2, bytes(state.atr[: state.atr_length]))  # without SCARD_STATE_CHANGED

    def ask_uid(self, reader: str) -> bytes:
        """The card's answer to `GET_UID`; b"" when it has left."""
        card, protocol = c_long(), c_ulong()
        code = self._try(
            "Connect",
            self._context,
            reader.encode(),
            c_ulong(_SHARED),
            c_ulong(_ANY_PROTOCOL),
            byref(card),
            byref(protocol),
        )
        if code in _GONE:
            return b""
        self._check("Connect", code)
        try:
            sent = _Protocol(protocol.value, ctypes.sizeof(_Protocol))
            answer, length = (c_ubyte * _MAX_ANSWER)(), c_ulong(_MAX_ANSWER)
            code = self._try("Transmit", card, byref(sent), GET_UID, c_ulong(len(GET_UID)), None, answer, byref(length))
            if code in _GONE:
                return b""
            self._check("Transmit", code)
            return bytes(answer[: length.value])
        finally:
            self._try("Disconnect", card, c_ulong(_LEAVE_CARD))

    def cancel(self) -> None:
        """End `wait` in another thread."""
        self._try("Cancel", self._context)

    def close(self) -> None:
        """Release the connection."""
        self._try("ReleaseContext", self._context)

    def _call(self, name: str, *arguments: object) -> None:
        self._check(name, self._try(name, *arguments))

    def _try(self, name: str, *arguments: object) -> int:
        return int(getattr(self._library, f"SCard{name}")(*arguments)) & 0xFFFFFFFF

    def _check(self, name: str, code: int) -> None:
        if code == _OK:
            return
        if code == _NO_SERVICE:
            raise PcscError("PC/SC: pcscd does not run: `sudo systemctl start pcscd` (install pcscd)", code)
        text = self._library.pcsc_stringify_error(c_long(code)).decode(errors="replace").rstrip(".")
        raise PcscError(f"PC/SC: SCard{name}: {text} ({code:08X})", code)
