"""Stations that an operator announces before they enrol, as EVerest does (PUT /v1/vra/cpo/endEntities)."""

from __future__ import annotations

from typing import Annotated

import msgspec
import sqlalchemy as sa

from backends.access import Forbidden, Principal, require_role
from backends.store.audit import record
from backends.store.schema import PKI_END_ENTITIES
from v2g.identifiers import normalise

OPERATOR_LENGTH = 5  # country and operator of an EVSEID: ISO 15118-2 annex H.2
Short = Annotated[str, msgspec.Meta(max_length=64)]


class EndEntity(msgspec.Struct, rename="camel", omit_defaults=True):
    """Fields as EVerest's client sends them (lib/everest/opcp)."""

    common_name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    manufacture: Short = ""
    device_name: Short = ""
    evse_id: Annotated[list[Short], msgspec.Meta(max_length=100)] = msgspec.field(name="evseID", default_factory=list)
    evse_iso_version: Short = msgspec.field(name="evseISOversion", default="")


def check_operator(principal: Principal, entity: EndEntity) -> None:
    """Raises Forbidden when an id is not of the client's operators; a client without operators may announce any."""
    require_role(principal, "est.enroll.cpo")
    for identifier in (entity.common_name, *entity.evse_id):
        operator = normalise(identifier)[:OPERATOR_LENGTH]
        if principal.provider_ids and operator not in principal.provider_ids:
            raise Forbidden(f"{operator} is not an operator id of {principal.client_id}")


def put(connection: sa.Connection, entity: EndEntity, client_id: str, *, at: int) -> None:
    """Add or replace. Raises Forbidden when it is another client's."""
    owner = owner_of(connection, entity.common_name)
    if owner not in ("", client_id):
        raise Forbidden(f"{entity.common_name} was announced by another client")
    body = msgspec.to_builtins(entity)
    t = PKI_END_ENTITIES
    before = connection.execute(sa.select(t.c.body).where(t.c.common_name == entity.common_name)).scalar_one_or_none()
    connection.execute(t.delete().where(t.c.common_name == entity.common_name))
    connection.execute(t.insert().values(common_name=entity.common_name, client_id=client_id, body=body, stored=at))
    record(
        connection,
        at=at,
        actor=client_id,
        operation="pki.end_entity",
        subject=entity.common_name,
        before=before,
        after=body,
    )


def owner_of(connection: sa.Connection, common_name: str) -> str:
    """The client that announced the name; "" = nobody."""
    t = PKI_END_ENTITIES.c
    return connection.execute(sa.select(t.client_id).where(t.common_name == common_name)).scalar_one_or_none() or ""


def list_of(connection: sa.Connection, client_id: str) -> list[dict[str, object]]:
    """What a client has announced, oldest first."""
    t = PKI_END_ENTITIES.c
    rows = connection.execute(sa.select(t.body).where(t.client_id == client_id).order_by(t.stored, t.common_name))
    return [row.body for row in rows]
