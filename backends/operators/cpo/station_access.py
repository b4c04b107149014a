"""Who may connect as which station: OCPP security profiles 1 to 3, never lower than before."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from functools import cached_property
from urllib.parse import unquote

from backends.operators.cpo.settings import SecurityProfile, StationAccount
from backends.operators.cpo.stations import StationBook
from backends.sealing import hash_secret, secret_matches
from ports.clock import Clock
from ports.errors import PeerError
from v2g.certificates import CertificateError, common_name, load

IDENTITY = re.compile(r"[A-Za-z0-9*\-_=:+|@.]{1,48}")  # OCPP 2.0.1 part 4, 3.1.1: identifierString, at most 48


class AccessRefused(PeerError):
    """The upgrade is refused with this HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def identity_of(path: str) -> str:
    """The station that a URL names by its last part. Raises AccessRefused (404)."""
    identity = unquote(path.partition("?")[0].rpartition("/")[2])
    if not IDENTITY.fullmatch(identity):
        raise AccessRefused(404, "the last part of the path is no identity of a station")
    return identity


class StationAccess:
    """Decides at every upgrade."""

    def __init__(
        self, accounts: Mapping[str, StationAccount], book: StationBook, clock: Clock, *, strangers: bool
    ) -> None:
        """strangers: let stations in that have no account, as they come."""
        self._accounts = accounts
        self._book = book
        self._clock = clock
        self._strangers = strangers
        self._remember = secrets.token_bytes(32)
        self._proven: dict[str, bytes] = {}  # keyed hashes: the slow one is asked once per password

    @cached_property
    def _decoy(self) -> str:
        """Of nobody: an unknown station takes as long as a wrong password."""
        return hash_secret(secrets.token_hex(16))

    def account(self, identity: str) -> StationAccount:
        """Of a station; a stranger's has nothing but its identity."""
        return self._accounts.get(identity) or StationAccount(identity=identity, profile=SecurityProfile.OPEN)

    async def admit(
        self, identity: str, authorization: str, *, tls: bool, certificate: bytes | None
    ) -> tuple[StationAccount, SecurityProfile]:
        """The account and the profile that the station uses now.

        authorization: the header. certificate: DER, its chain was verified by TLS. Raises AccessRefused (401).
        """
        account = self._accounts.get(identity)
        if account is None and self._strangers:
            await self._book.admitted(identity, SecurityProfile.OPEN)
            return self.account(identity), SecurityProfile.OPEN
        used = await self._used(identity, account, authorization, tls=tls, certificate=certificate)
        if account is None:
            raise AccessRefused(401, f"{identity} has no account here, or its credentials are wrong")
        lowest = max(account.profile, SecurityProfile(await self._book.profile(identity)))
        if used < lowest:
            raise AccessRefused(401, f"{identity} uses security profile {used:d}, it has to be {lowest:d} at least")
        await self._book.admitted(identity, used)
        return account, used

    async def _used(
        self, identity: str, account: StationAccount | None, authorization: str, *, tls: bool, certificate: bytes | None
    ) -> SecurityProfile:
        if certificate is not None and _names(certificate, identity):
            return SecurityProfile.TLS_CLIENT_CERTIFICATE
        if not authorization:
            return SecurityProfile.OPEN
        user, password = _basic(authorization)
        hashed = account.secret_hash if account is not None and account.secret_hash else self._decoy
        if not await self._matches(identity, password, hashed) or user != identity:
            raise AccessRefused(401, f"{identity} has no account here, or its credentials are wrong")
        return SecurityProfile.TLS_BASIC if tls else SecurityProfile.BASIC

    async def _matches(self, identity: str, password: str, hashed: str) -> bool:
        quick = hashlib.blake2b(f"{hashed}\0{password}".encode(), key=self._remember).digest()
        if hmac.compare_digest(self._proven.get(identity, b""), quick):
            return True
        with self._clock.hold():
            loop = asyncio.get_running_loop()
            matches = await loop.run_in_executor(None, secret_matches, password, hashed)
        if matches:
            self._proven[identity] = quick
        return matches


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, credentials = authorization.partition(" ")
    try:
        octets = base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        octets = b""
    if scheme.lower() != "basic" or b":" not in octets:
        raise AccessRefused(401, "the Authorization header is not of HTTP Basic")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        text = octets.decode("latin-1")  # OCPP 1.6: the key's octets as they are
    user, _, password = text.partition(":")
    return user, password


def _names(certificate: bytes, identity: str) -> bool:
    try:
        return common_name(load(certificate)) == identity
    except CertificateError:
        return False
