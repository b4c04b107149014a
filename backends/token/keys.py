"""Keys that sign the tokens: made, used for a while, kept until the last token of theirs has expired."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import KeySet, RSAKey

from backends.sealing import Sealer
from backends.store.audit import record
from backends.store.schema import TOKEN_KEYS

RSA_BITS = 2048  # RFC 7518 section 3.3: at least 2048
SIGN_FOR_S = 30 * 86400
PURPOSE = "token key"


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The keys of one moment: `signing` for new tokens, `public` for checking old and new ones."""

    signing: RSAKey
    public: KeySet
    sign_until: int


def load_keys(
    connection: sa.Connection, sealer: Sealer, at: int, token_life_s: int, *, rotate: bool = False
) -> TokenKeys:
    """The keys valid at `at` (seconds since 1970); a new one is made when none may sign, or when `rotate` asks.

    Keys whose last token has expired are removed.
    """
    connection.execute(TOKEN_KEYS.delete().where(TOKEN_KEYS.c.verify_until < at))
    newest = sa.select(TOKEN_KEYS).order_by(TOKEN_KEYS.c.sign_until.desc(), TOKEN_KEYS.c.kid)
    rows = connection.execute(newest).all()
    if rotate or not rows or rows[0].sign_until <= at:
        _make_key(connection, sealer, at, token_life_s, after=rows[0].sign_until if rows else 0)
        rows = connection.execute(newest).all()
    signing = RSAKey.import_key(sealer.open(rows[0].encrypted_key, PURPOSE), {"kid": rows[0].kid, "use": "sig"})
    public = [
        RSAKey.import_key(
            serialization.load_der_public_key(row.public_key).public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            {"kid": row.kid, "use": "sig", "alg": "RS256"},
        )
        for row in rows
    ]
    return TokenKeys(signing, KeySet(list(public)), rows[0].sign_until)


def _make_key(connection: sa.Connection, sealer: Sealer, at: int, token_life_s: int, after: int) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    sign_until = max(at + SIGN_FOR_S, after + 1)  # the newest key is the one that signs longest
    kid = hashlib.sha256(public).hexdigest()[:16]
    made = {"kid": kid, "sign_until": sign_until}
    record(connection, at=at, actor="token service", operation="token.rotate", subject=kid, after=made)
    connection.execute(
        TOKEN_KEYS.insert().values(
            kid=kid,
            encrypted_key=sealer.seal(pem, PURPOSE),
            public_key=public,
            created=at,
            sign_until=sign_until,
            verify_until=sign_until + token_life_s,
        )
    )
