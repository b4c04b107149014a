"""Webhook endpoints: POST and GET /v1/webhook/endpoints, GET, PUT and DELETE /v1/webhook/endpoints/{id}."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response
from starlette.routing import Route

from backends.api.errors import json_response
from backends.api.operations import Api, Call
from backends.api.strict_json import MalformedBody
from backends.opcp.event_names import API, NAMES, event_kinds
from backends.pools.events import ENABLED
from backends.pools.webhooks import Endpoint, EndpointSettings, WebhookEndpoints

ENDPOINTS = "/v1/webhook/endpoints"
API_VERSION = "v1"


class EndpointRequest(msgspec.Struct, rename="camel"):
    """Body of POST and PUT; `events` is the name that the examples of answers use."""

    url: str
    enabled_events: list[str] | UnsetType = UNSET
    events: list[str] | UnsetType = UNSET
    api_version: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    status: str | UnsetType = UNSET


class EndpointResponse(msgspec.Struct, rename="camel"):
    """An endpoint as its owner sees it."""

    id: str
    api_version: str
    created: int
    description: str
    enabled_events: list[str]
    events: list[str]
    metadata: dict[str, Any]
    status: str
    url: str
    secret: str
    provider_ids: list[str]
    wmis: list[str]
    user_role: str
    user_name: str


def endpoint_response(endpoint: Endpoint) -> EndpointResponse:
    """An endpoint as OPCP shows it, the events under both names."""
    names = [NAMES[kind] for kind in endpoint.settings.events]
    return EndpointResponse(
        id=endpoint.id,
        api_version=API_VERSION,
        created=endpoint.created,
        description=endpoint.settings.description,
        enabled_events=names,
        events=names,
        metadata=dict(endpoint.settings.metadata),
        status=endpoint.settings.status,
        url=endpoint.settings.url,
        secret=endpoint.secret,
        provider_ids=list(endpoint.provider_ids),
        wmis=list(endpoint.wmis),
        user_role=endpoint.role,
        user_name=endpoint.owner,
    )


def changes_of(body: EndpointRequest) -> dict[str, Any]:
    """What the body says, as fields of EndpointSettings. Raises MalformedBody, Refused."""
    if body.api_version is not UNSET and body.api_version != API_VERSION:
        raise MalformedBody(f"apiVersion : must be {API_VERSION}", body.api_version[:64])
    changes: dict[str, Any] = {"url": body.url}
    names = body.enabled_events if body.enabled_events is not UNSET else body.events
    if names is not UNSET:
        changes["events"] = event_kinds(names)
    others = {"description": body.description, "metadata": body.metadata, "status": body.status}
    return changes | {field: value for field, value in others.items() if value is not UNSET}


def webhook_routes(api: Api, endpoints: WebhookEndpoints) -> list[Route]:
    """The routes of webhook endpoints."""

    async def add(call: Call[EndpointRequest]) -> Response:
        changes = changes_of(call.body)
        if "events" not in changes:
            raise MalformedBody("enabledEvents : must not be null")
        settings = EndpointSettings(**{"api": API, "status": ENABLED, **changes})
        return json_response(endpoint_response(await endpoints.add(settings, call.principal)), 201)

    async def list_all(call: Call[None]) -> Response:
        return json_response([endpoint_response(one) for one in await endpoints.list(call.principal)])

    async def get(call: Call[None]) -> Response:
        return json_response(endpoint_response(await endpoints.get(call.path("id"), call.principal)))

    async def change(call: Call[EndpointRequest]) -> Response:
        changed = await endpoints.change(call.path("id"), call.principal, **changes_of(call.body))
        return json_response(endpoint_response(changed))

    async def remove(call: Call[None]) -> Response:
        await endpoints.remove(call.path("id"), call.principal)
        return Response(status_code=200)

    return [
        api.route("POST", ENDPOINTS, "webhook", add, body=EndpointRequest),
        api.route("GET", ENDPOINTS, "webhook", list_all),
        api.route("GET", ENDPOINTS + "/{id}", "webhook", get),
        api.route("PUT", ENDPOINTS + "/{id}", "webhook", change, body=EndpointRequest),
        api.route("DELETE", ENDPOINTS + "/{id}", "webhook", remove),
    ]
