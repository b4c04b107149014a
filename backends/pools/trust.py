"""Whether a chain is trusted now: built and checked once, asked again cheaply; revocation is asked every time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.pools.certificates import Chain, check_validity, path_to_root
from ports.clock import Clock

REMEMBERED = 512  # chains; some 50 kB each


class RevocationCheck(Protocol):
    """Asks OCSP responders or revocation lists."""

    async def __call__(self, path: Sequence[Certificate], field: str, /) -> None:
        """Return when every certificate of the path (leaf first, root last, itself not asked about) is good.

        field: of the refusal. Raises Refused (CERTIFICATE_REVOKED, STATUS_UNKNOWN).
        """


async def no_revocation_check(_path: Sequence[Certificate], _field: str) -> None:
    """For pools that are told to trust without asking."""


@dataclass(frozen=True, slots=True)
class _Path:
    certificates: tuple[Certificate, ...]
    root: bytes


class Trust:
    """Checks chains against roots that the caller hands in."""

    def __init__(self, clock: Clock, revocation: RevocationCheck = no_revocation_check) -> None:
        self._clock = clock
        self.revocation = revocation
        self._paths: OrderedDict[bytes, _Path] = OrderedDict()

    async def check(self, chain: Chain, roots: Iterable[Certificate]) -> Sequence[Certificate]:
        """The path, leaf first, root last. Raises Refused: validity, role, chain, then revocation.

        An OCSP answer means something only below a trusted root, and a request for it goes to an address that the
        certificate names: so the chain comes first.
        """
        path = self._path(chain, list(roots))
        await self.revocation(path, chain.field)
        return path

    async def check_known(self, fingerprint: bytes, root: bytes, field: str) -> Sequence[Certificate] | None:
        """As `check` for a chain that passed it below this root (DER) not long ago; None when it is not remembered.

        fingerprint: of the chain. It need not be parsed again.
        """
        known = self._paths.get(fingerprint)
        if known is None or known.root != root:
            return None
        check_validity(known.certificates, self._clock.now(), field)
        self._paths.move_to_end(fingerprint)
        await self.revocation(known.certificates, field)
        return known.certificates

    def _path(self, chain: Chain, roots: Sequence[Certificate]) -> Sequence[Certificate]:
        now = self._clock.now()
        key = chain.fingerprint
        known = self._paths.get(key)
        if known is not None and any(root.dump() == known.root for root in roots):
            check_validity(known.certificates, now, chain.field)
            self._paths.move_to_end(key)
            return known.certificates
        path = path_to_root(chain, roots, now)
        self._paths[key] = _Path(tuple(path), path[-1].dump())
        if len(self._paths) > REMEMBERED:
            self._paths.popitem(last=False)
        return path
