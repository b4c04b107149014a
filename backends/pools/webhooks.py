"""Webhook endpoints: registered by their owners, seen by nobody else."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from backends.access import Principal
from backends.guarded_http import AddressRefused
from backends.pools.events import DISABLED, ENABLED, WAITING, EventKind
from backends.pools.webhook_target import TargetRules, check_target
from backends.refusals import Refusal, Refused
from backends.sealing import Sealer
from backends.store.audit import record
from backends.store.database import Database
from backends.store.ids import new_id
from backends.store.locks import lock
from backends.store.schema import DELIVERIES, WEBHOOK_ENDPOINTS
from ports.clock import Clock

PURPOSE = "webhook secret"
MAX_ENDPOINTS = 100  # of one client
MAX_DESCRIPTION = 2000
MAX_METADATA = 8000  # characters of JSON


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What the owner decides. api: facade and version that events are written in."""

    api: str
    url: str
    events: tuple[EventKind, ...]
    description: str = ""
    status: str = ENABLED
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registered endpoint. created: UTC seconds since 1970."""

    id: str
    settings: EndpointSettings
    secret: str
    created: int
    role: str
    owner: str
    wmis: tuple[str, ...]
    provider_ids: tuple[str, ...]


class WebhookEndpoints:
    """Adds, shows, changes and removes endpoints."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock, rules: TargetRules) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._rules = rules

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    async def add(self, settings: EndpointSettings, principal: Principal) -> Endpoint:
        """Register. Raises Refused: URL, events, status, size, number."""
        self._check(settings)
        unnamed = Endpoint(
            id="",
            settings=settings,
            secret=secrets.token_urlsafe(32),
            created=self._now(),
            role="+".join(sorted(principal.roles)),
            owner=principal.name,
            wmis=tuple(sorted(principal.wmis)),
            provider_ids=tuple(sorted(principal.provider_ids)),
        )
        row = {
            "encrypted_secret": self._sealer.seal(unnamed.secret.encode(), PURPOSE),
            "client_id": principal.client_id,
            "owner": unnamed.owner,
            "role": unnamed.role,
            "wmis": list(unnamed.wmis),
            "provider_ids": list(unnamed.provider_ids),
            "created": unnamed.created,
            **_columns(settings),
        }

        def work(connection: sa.Connection) -> Endpoint:
            lock(connection, f"webhooks:{principal.client_id}")
            if len(_ids(connection, principal.client_id)) >= MAX_ENDPOINTS:
                raise Refused(Refusal.ENDPOINT_TOO_MANY, f"at most {MAX_ENDPOINTS} of one client")
            endpoint = replace(unnamed, id=new_id(connection))
            connection.execute(WEBHOOK_ENDPOINTS.insert().values(id=endpoint.id, **row))
            self._note(connection, "webhook.add", principal, endpoint.id, after=_columns(settings))
            return endpoint

        return await self._database.write(work)

    async def list(self, principal: Principal) -> Sequence[Endpoint]:
        """All of the caller's, oldest first."""

        def work(connection: sa.Connection) -> Sequence[Any]:
            mine = sa.select(WEBHOOK_ENDPOINTS).where(WEBHOOK_ENDPOINTS.c.client_id == principal.client_id)
            return connection.execute(mine.order_by(WEBHOOK_ENDPOINTS.c.created, WEBHOOK_ENDPOINTS.c.id)).all()

        return [self._endpoint(row) for row in await self._database.read(work)]

    async def get(self, endpoint_id: str, principal: Principal) -> Endpoint:
        """One of the caller's. Raises Refused (ENDPOINT_UNKNOWN), for those of others, too."""
        return self._endpoint(await self._database.read(lambda connection: _find(connection, endpoint_id, principal)))

    async def change(self, endpoint_id: str, principal: Principal, **changes: Any) -> Endpoint:
        """Change some settings (fields of EndpointSettings); the secret stays. Raises Refused."""

        def work(connection: sa.Connection) -> Endpoint:
            before = self._endpoint(_find(connection, endpoint_id, principal))
            settings = replace(before.settings, **changes)
            self._check(settings)
            connection.execute(
                WEBHOOK_ENDPOINTS.update().where(WEBHOOK_ENDPOINTS.c.id == before.id).values(_columns(settings))
            )
            old, new = _columns(before.settings), _columns(settings)
            self._note(connection, "webhook.change", principal, before.id, before=old, after=new)
            return replace(before, settings=settings)

        return await self._database.write(work)

    async def remove(self, endpoint_id: str, principal: Principal) -> None:
        """Remove with all deliveries that still wait. Raises Refused (ENDPOINT_UNKNOWN)."""

        def work(connection: sa.Connection) -> None:
            before = self._endpoint(_find(connection, endpoint_id, principal))
            connection.execute(
                DELIVERIES.delete().where(DELIVERIES.c.endpoint_id == before.id, DELIVERIES.c.state == WAITING)
            )
            connection.execute(WEBHOOK_ENDPOINTS.delete().where(WEBHOOK_ENDPOINTS.c.id == before.id))
            self._note(connection, "webhook.remove", principal, before.id, before=_columns(before.settings))

        await self._database.write(work)

    def _check(self, settings: EndpointSettings) -> None:
        try:
            check_target(settings.url, self._rules)
        except AddressRefused as unfit:
            raise Refused(Refusal.ENDPOINT_URL, str(unfit), received=settings.url[:200]) from unfit
        if not settings.events:
            raise Refused(Refusal.ENDPOINT_EVENTS, "at least one is needed")
        if settings.status not in (ENABLED, DISABLED):
            raise Refused(Refusal.ENDPOINT_STATUS, received=settings.status[:64])
        if len(settings.description) > MAX_DESCRIPTION or len(json.dumps(settings.metadata)) > MAX_METADATA:
            raise Refused(Refusal.ENDPOINT_TOO_LARGE, f"at most {MAX_DESCRIPTION} and {MAX_METADATA} characters")

    def _note(
        self,
        connection: sa.Connection,
        operation: str,
        principal: Principal,
        endpoint_id: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        record(
            connection,
            at=self._now(),
            actor=principal.client_id,
            operation=operation,
            subject=endpoint_id,
            before=before,
            after=after,
        )

    def _endpoint(self, row: Any) -> Endpoint:
        return Endpoint(
            id=row.id,
            settings=EndpointSettings(
                api=row.api,
                url=row.url,
                events=tuple(EventKind(one) for one in row.enabled_events),
                description=row.description,
                status=row.status,
                metadata=row.metadata,
            ),
            secret=self._sealer.open(row.encrypted_secret, PURPOSE).decode(),
            created=row.created,
            role=row.role,
            owner=row.owner,
            wmis=tuple(row.wmis),
            provider_ids=tuple(row.provider_ids),
        )


def _columns(settings: EndpointSettings) -> dict[str, Any]:
    return {
        "api": settings.api,
        "url": settings.url,
        "enabled_events": [kind.value for kind in settings.events],
        "description": settings.description,
        "status": settings.status,
        "metadata": dict(settings.metadata),
    }


def _ids(connection: sa.Connection, client_id: str) -> Collection[str]:
    mine = sa.select(WEBHOOK_ENDPOINTS.c.id).where(WEBHOOK_ENDPOINTS.c.client_id == client_id)
    return connection.scalars(mine).all()


def _find(connection: sa.Connection, endpoint_id: str, principal: Principal) -> Any:
    mine = (WEBHOOK_ENDPOINTS.c.id == endpoint_id) & (WEBHOOK_ENDPOINTS.c.client_id == principal.client_id)
    row = connection.execute(sa.select(WEBHOOK_ENDPOINTS).where(mine)).one_or_none()
    if row is None:
        raise Refused(Refusal.ENDPOINT_UNKNOWN, received=endpoint_id[:64])
    return row
