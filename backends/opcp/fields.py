"""Values as OPCP v1 writes them: base64 certificates, colon hex, times."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta

from backends.refusals import Refusal, Refused

MAX_CERTIFICATE = 4096  # characters; the schema's 800 is less than its own examples have
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)
_KEY_IDENTIFIER = re.compile(r"[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){0,31}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def certificate_octets(text: str, field: str) -> bytes:
    """Base64 DER without line breaks. field: of the refusal. Raises Refused (CERTIFICATE_FORMAT)."""
    if len(text) > MAX_CERTIFICATE:
        detail = f"{len(text)} characters, at most {MAX_CERTIFICATE} are taken"
        raise Refused(Refusal.CERTIFICATE_FORMAT, detail, field=field, received=text[:MAX_CERTIFICATE])
    if not text or not _BASE64.fullmatch(text):
        raise Refused(Refusal.CERTIFICATE_FORMAT, "not base64 of DER", field=field, received=text)
    return base64.b64decode(text)


def base64_text(octets: bytes) -> str:
    """Base64 without line breaks."""
    return base64.b64encode(octets).decode("ascii")


def colon_hex(key_identifier: str) -> str:
    """Hex of a key identifier with colons, lower case: "45:b8:40:9e:e1:38:f8:bf"."""
    return bytes.fromhex(key_identifier).hex(":")


def plain_hex(key_identifier: str) -> str:
    """Any spelling of a key identifier as plain lower-case hex. Raises Refused (ROOT_KEY_IDENTIFIER)."""
    if not _KEY_IDENTIFIER.fullmatch(key_identifier):
        raise Refused(Refusal.ROOT_KEY_IDENTIFIER, received=key_identifier[:200])
    return key_identifier.replace(":", "").lower()


def timestamp(seconds: int) -> str:
    """UTC seconds since 1970 as RFC 3339: "2019-01-10T12:54:26Z"."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
