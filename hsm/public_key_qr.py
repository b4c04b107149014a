"""The public key as a QR code: for the label at the meter and for screens."""

from __future__ import annotations

import io

import segno

from ocmf.keys import PublicKey


def qr_code(key: PublicKey) -> segno.QRCode:
    """DER in upper case hex, which the alphanumeric mode holds compactly; error correction M."""
    return segno.make_qr(key.hex(), error="m")


def qr_svg(key: PublicKey) -> str:
    """A drawing for print and web, without XML declaration."""
    out = io.BytesIO()
    qr_code(key).save(out, kind="svg", xmldecl=False, scale=4)
    return out.getvalue().decode()


def qr_png(key: PublicKey) -> bytes:
    """A picture."""
    out = io.BytesIO()
    qr_code(key).save(out, kind="png", scale=4)
    return out.getvalue()


def qr_text(key: PublicKey) -> str:
    """For terminals."""
    out = io.StringIO()
    qr_code(key).terminal(out, compact=True)
    return out.getvalue()
