"""Issue tokens and read them back: the claims are those of the hosted ecosystem, under our own audience."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import sqlalchemy as sa
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError

from backends.access import Principal, Role
from backends.sealing import Sealer
from backends.store.database import Database
from backends.token.clients import find_client
from backends.token.keys import TokenKeys, load_keys
from ports.clock import Clock
from ports.errors import PeerError

TOKEN_LIFE_S = 86400  # OPCP accessToken.v1: expires_in 86400
SCOPE = "rcpservice ccpservice pcpservice cpservice pkigateway"
CACHED_TOKENS = 1024
MAX_TOKEN_LENGTH = 8192


class TokenRefused(PeerError):
    """No token, or one that does not hold (HTTP 401); the reason is for the log, not for the caller."""


class TokenService:
    """Issues and checks tokens for one audience."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock, issuer: str, audience: str) -> None:
        """issuer: URL of this service. audience: URL that prefixes the four claims of its own."""
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self.issuer = issuer
        self.audience = audience.rstrip("/")
        self._keys: TokenKeys | None = None
        self._reloaded = 0
        self._seen: OrderedDict[str, tuple[int, Principal]] = OrderedDict()

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    async def _current_keys(self, *, rotate: bool = False, reload: bool = False) -> TokenKeys:
        if self._keys is None or rotate or reload or self._keys.sign_until <= self._now():
            now = self._now()

            def work(connection: sa.Connection) -> TokenKeys:
                return load_keys(connection, self._sealer, now, TOKEN_LIFE_S, rotate=rotate)

            self._keys = await self._database.write(work)
        return self._keys

    async def rotate(self) -> None:
        """Sign with a new key from now on; tokens of the old one hold until they expire."""
        await self._current_keys(rotate=True)

    async def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517)."""
        keys = await self._current_keys()
        return {"keys": [key.as_dict(private=False) for key in keys.public.keys]}

    async def issue(self, client_id: str, secret: str) -> str | None:
        """A token for the client, None when client or secret are wrong."""
        principal = await self._database.read(lambda connection: find_client(connection, client_id, secret))
        if principal is None:
            return None
        keys = await self._current_keys()
        now = self._now()
        claims = {
            f"{self.audience}/role": sorted(principal.roles),
            f"{self.audience}/pcid": sorted(principal.wmis),
            f"{self.audience}/emaid": sorted(principal.provider_ids),
            f"{self.audience}/client_name": [principal.name],
            "iss": self.issuer,
            "sub": f"{client_id}@clients",
            "aud": self.audience,
            "iat": now,
            "exp": now + TOKEN_LIFE_S,
            "azp": client_id,
            "gty": "client-credentials",
            "scope": SCOPE,
            "permissions": SCOPE.split(),
        }
        return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": keys.signing.kid}, claims, keys.signing)

    async def check(self, token: str) -> Principal:
        """Who the token speaks for. Raises TokenRefused: signature, expiry, issuer or audience."""
        now = self._now()
        known = self._seen.get(token)
        if known is not None and now < known[0]:
            self._seen.move_to_end(token)
            return known[1]
        if len(token) > MAX_TOKEN_LENGTH:
            raise TokenRefused(f"token of {len(token)} characters, at most {MAX_TOKEN_LENGTH}")
        claims = await self._verified_claims(token)
        expires, principal = self._principal(claims, now)
        self._seen[token] = (expires, principal)
        if len(self._seen) > CACHED_TOKENS:
            self._seen.popitem(last=False)
        return principal

    def known_client(self, token: str) -> str:
        """The client of a token that `check` has accepted and remembers, "" of any other; costs nothing."""
        known = self._seen.get(token)
        return known[1].client_id if known is not None and self._now() < known[0] else ""

    async def _verified_claims(self, token: str) -> dict[str, Any]:
        keys = await self._current_keys()
        try:
            try:
                return jwt.decode(token, keys.public, algorithms=["RS256"]).claims
            except InvalidKeyIdError:
                # another server on the same database may have rotated: look again, once a second at most
                if self._reloaded == self._now():
                    raise
                self._reloaded = self._now()
                keys = await self._current_keys(reload=True)
                return jwt.decode(token, keys.public, algorithms=["RS256"]).claims
        except (JoseError, ValueError) as error:
            raise TokenRefused(f"token does not verify: {error}") from error

    def _principal(self, claims: dict[str, Any], now: int) -> tuple[int, Principal]:
        expires, audience = claims.get("exp"), claims.get("aud")
        if not isinstance(expires, int) or now >= expires:
            raise TokenRefused("token has expired")
        if claims.get("iss") != self.issuer or self.audience not in (
            audience if isinstance(audience, list) else [audience]
        ):
            raise TokenRefused("token was issued by or for somebody else")
        own = {name: claims.get(f"{self.audience}/{name}", []) for name in ("role", "pcid", "emaid")}
        try:
            roles = frozenset(Role(role) for role in own["role"])
            wmis, providers = (frozenset(str(item).upper() for item in own[name]) for name in ("pcid", "emaid"))
        except (TypeError, ValueError) as error:
            raise TokenRefused(f"token claims: {error}") from error
        names = claims.get(f"{self.audience}/client_name")
        name = str(names[0]) if isinstance(names, list) and names else ""
        return expires, Principal(str(claims.get("azp", "")), name, roles, wmis, providers)
