"""Whom a TLS client trusts: the roots of a file, otherwise those of this machine."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

from ports.errors import RigError


def tls_trust(ca_file: Path | None = None, client_certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """ca_file: the only roots (PEM). client_certificate: files of certificate and key, shown to who asks.

    Raises RigError for files that cannot be used.
    """
    if ca_file is None and client_certificate is None:
        return _of_this_machine()
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if client_certificate is not None:
            context.load_cert_chain(*client_certificate)
    except (OSError, ssl.SSLError) as error:
        files = [ca_file, *(client_certificate or ())]
        raise RigError(f"cannot use {', '.join(str(file) for file in files if file)} for TLS: {error}") from error
    return context


@cache
def _of_this_machine() -> ssl.SSLContext:
    """Reading the roots takes 0.1 s, so it is done once."""
    return ssl.create_default_context()
