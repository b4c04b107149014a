"""Initialise a token: run as `python -I init_token.py` with a JSON object on stdin, so that no argument shows a PIN.

The binding has no C_InitToken and C_InitPIN; these few calls go through ctypes, in a process of their own.
stdin: {"module", "label", "so_pin", "pin"}. stdout: {"slot"} or {"ckr", "call"} or {"error"}.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

# places in CK_FUNCTION_LIST (PKCS#11 2.40, 3.3)
CALLS = {
    "C_Initialize": 0,
    "C_Finalize": 1,
    "C_GetSlotList": 4,
    "C_GetTokenInfo": 6,
    "C_InitToken": 9,
    "C_InitPIN": 10,
    "C_OpenSession": 12,
    "C_Login": 18,
    "C_Logout": 19,
}
CKF_TOKEN_INITIALIZED = 0x400
CKF_RW_SESSION, CKF_SERIAL_SESSION = 2, 4
CKU_SO = 0
_FLAGS_AT = 96  # in CK_TOKEN_INFO, after label, manufacturer, model and serial number
_Ulong = ctypes.c_ulong


class CallError(Exception):
    """A call returned something else than CKR_OK."""


class Module:
    """A PKCS#11 module, as far as this needs one."""

    def __init__(self, path: str) -> None:
        library = ctypes.CDLL(path)
        table = ctypes.c_void_p()
        library.C_GetFunctionList(ctypes.byref(table))
        size = ctypes.sizeof(ctypes.c_void_p)
        self._pointers = (ctypes.c_void_p * 64).from_address((table.value or 0) + size)  # after the padded version

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function; arguments are ctypes values, None or octets. Raises CallError."""
        types = [ctypes.c_void_p if argument is None else type(argument) for argument in arguments]
        address = self._pointers[CALLS[name]] or 0
        result = ctypes.CFUNCTYPE(_Ulong, *types)(address)(*arguments)
        if result:
            raise CallError(name, result)

    def slots(self) -> list[int]:
        """Slots with a token in them, initialised or not."""
        count = _Ulong()
        self.call("C_GetSlotList", ctypes.c_ubyte(1), None, ctypes.pointer(count))
        slots = (_Ulong * count.value)()
        self.call("C_GetSlotList", ctypes.c_ubyte(1), ctypes.pointer(slots), ctypes.pointer(count))
        return list(slots)[: count.value]

    def token(self, slot: int) -> tuple[str, bool]:
        """Label, and whether it is initialised."""
        info = ctypes.create_string_buffer(512)
        self.call("C_GetTokenInfo", _Ulong(slot), ctypes.pointer(info))
        flags = _Ulong.from_buffer(info, _FLAGS_AT).value
        return info.raw[:32].decode(errors="replace").strip(), bool(flags & CKF_TOKEN_INITIALIZED)


def initialise(module: str, label: str, so_pin: str, pin: str) -> int:
    """Initialise the first blank token of a module; returns its slot. Raises CallError, ValueError, OSError."""
    library = Module(module)
    library.call("C_Initialize", None)
    blank = None
    for slot in library.slots():
        found, initialised = library.token(slot)
        if initialised and found == label:
            raise ValueError(f"there is a token {label!r} already: it is not touched")
        if not initialised and blank is None:
            blank = slot
    if blank is None:
        raise ValueError("there is no blank token: an initialised one is not touched")
    secret, user = so_pin.encode(), pin.encode()
    padded = ctypes.create_string_buffer(label.encode().ljust(32), 32)
    so_buffer, user_buffer = ctypes.create_string_buffer(secret), ctypes.create_string_buffer(user)
    library.call("C_InitToken", _Ulong(blank), ctypes.pointer(so_buffer), _Ulong(len(secret)), ctypes.pointer(padded))
    # some modules move a fresh token to another slot
    slot = next((slot for slot in library.slots() if library.token(slot) == (label, True)), blank)
    session = _Ulong()
    flags = _Ulong(CKF_RW_SESSION | CKF_SERIAL_SESSION)
    library.call("C_OpenSession", _Ulong(slot), flags, None, None, ctypes.pointer(session))
    library.call("C_Login", session, _Ulong(CKU_SO), ctypes.pointer(so_buffer), _Ulong(len(secret)))
    library.call("C_InitPIN", session, ctypes.pointer(user_buffer), _Ulong(len(user)))
    library.call("C_Logout", session)
    library.call("C_Finalize", None)
    return slot


def main() -> None:
    """Do what stdin asks for."""
    request = json.load(sys.stdin)
    try:
        reply: dict[str, Any] = {"slot": initialise(**request)}
    except CallError as error:
        reply = {"call": error.args[0], "ckr": error.args[1]}
    except (ValueError, OSError) as error:
        reply = {"error": str(error)}
    sys.stdout.write(json.dumps(reply))


if __name__ == "__main__":
    main()
