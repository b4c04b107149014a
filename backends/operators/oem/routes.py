"""HTTP of the manufacturer: webhooks of the pools, and what its vehicles ask for over the air."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from backend_client.cpo_messages import MessageError, decode
from backend_client.opcp_messages import OpcpError
from backends.faults import BackendFaults, FaultKind, no_backend_fault
from backends.operators.oem.contracts import Contracts, NoSuchContractError
from backends.operators.oem.vehicles import Vehicle, VehicleRefused, Vehicles
from backends.operators.request_body import BodyRefused, json_body, limited_body
from backends.store.database import StoreError
from backends.webhook_receiver import MAX_BODY, Receipt, WebhookForged, WebhookReceiver, WebhookRefused
from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer, no_trace

WEBHOOK_PATH = "/webhooks/opcp"
MAX_REQUEST = 16 * 1024


class CertificateMessage(msgspec.Struct, forbid_unknown_fields=True):
    """request: PKCS#10 of the vehicle's key, DER in base64."""

    request: str


Handler = Callable[[Request, Vehicle], Awaitable[object]]


class OemRoutes:
    """One method per route."""

    def __init__(
        self,
        vehicles: Vehicles,
        contracts: Contracts,
        clock: Clock,
        *,
        source: str,
        after_webhook: Callable[[], None],
        tracer: Tracer = no_trace,
        faults: BackendFaults = no_backend_fault,
    ) -> None:
        """after_webhook: called when a webhook had an effect. faults: of webhooks."""
        self.webhooks: WebhookReceiver | None = None
        self._vehicles = vehicles
        self._contracts = contracts
        self._clock = clock
        self._source = source
        self._after_webhook = after_webhook
        self._tracer = tracer
        self._faults = faults

    def routes(self) -> list[Route]:
        """All of them."""
        contract = "/v1/vehicles/{pcid}/contracts/{emaid}"
        return [
            Route(WEBHOOK_PATH, self._answered(self._webhook), methods=["POST"]),
            self._route("PUT", "/v1/vehicles/{pcid}/certificate", self._provision),
            self._route("GET", "/v1/vehicles/{pcid}/contracts", self._list),
            self._route("GET", contract, self._fetch),
            self._route("PUT", f"{contract}/installed", self._installed),
            self._route("PUT", f"{contract}/default", self._set_default),
        ]

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        """A request of a vehicle, which shows its token."""

        async def endpoint(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            shown = token.strip() if scheme.lower() == "bearer" else ""
            vehicle = await self._vehicles.of_token(request.path_params["pcid"], shown)
            return _json(await handler(request, vehicle))

        return Route(path, self._answered(endpoint), methods=[method])

    async def _webhook(self, request: Request) -> Response:
        """401 for a signature that does not hold; a webhook that is known is answered 200 without effect."""
        body = await limited_body(request, MAX_BODY)
        fault = self._faults()
        if fault.kind is FaultKind.ERROR:
            return _error(fault.status, "injected: error without effect")
        if fault.kind is FaultKind.SLOW:
            await self._clock.sleep(fault.seconds)
        for _ in range(2 if fault.kind is FaultKind.DUPLICATE else 1):
            receipt = await self._received(body, request.headers)
        if fault.kind is FaultKind.LOST_ACK:
            return _error(504, "injected: the answer was lost")
        return _json({"receipt": receipt.value})

    async def _received(self, body: bytes, headers: Mapping[str, str]) -> Receipt:
        if self.webhooks is None:
            raise WebhookForged("no webhook is expected")
        receipt = await self.webhooks.receive(body, headers)
        if receipt is Receipt.ACTED:
            self._after_webhook()
        return receipt

    async def _provision(self, request: Request, vehicle: Vehicle) -> object:
        message = decode(await json_body(request, MAX_REQUEST), CertificateMessage)
        chain = await self._vehicles.provision(vehicle, message.request)
        return {"certificates": [_text(one) for one in chain]}

    async def _list(self, _request: Request, vehicle: Vehicle) -> object:
        found = await self._contracts.of(vehicle.pcid)
        return {
            "contracts": [{"emaid": one.emaid, "default": one.is_default, "installed": one.delivered} for one in found]
        }

    async def _fetch(self, request: Request, vehicle: Vehicle) -> object:
        found = await self._contracts.fetch(vehicle.pcid, request.path_params["emaid"])
        return {"certificateInstallationRes": _text(found.message), "xsdMsgDefNamespace": found.namespace}

    async def _installed(self, request: Request, vehicle: Vehicle) -> object:
        await self._contracts.delivered(vehicle.pcid, request.path_params["emaid"])
        return {}

    async def _set_default(self, request: Request, vehicle: Vehicle) -> object:
        await self._contracts.set_default(vehicle.pcid, request.path_params["emaid"])
        return {}

    def _answered(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Every expected error becomes a JSON answer."""

        async def endpoint(request: Request) -> Response:
            response = await _guarded(handler, request)
            data = {"method": request.method, "path": request.url.path, "status": response.status_code}
            self._tracer(TraceEvent(self._clock.monotonic(), "backend", "oem.request", self._source, data))
            return response

        return endpoint


async def _guarded(handler: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await handler(request)
    except WebhookForged as error:
        return _error(401, str(error))
    except WebhookRefused as error:
        return _error(400, str(error))
    except (VehicleRefused, BodyRefused) as error:
        return _error(error.status, str(error))
    except NoSuchContractError as error:
        return _error(404, str(error))
    except MessageError as error:
        return _error(400, str(error))
    except StoreError:
        return _error(503, "the database is not available")
    except OpcpError as error:
        # what the pool refuses for good is the vehicle's to know; everything else may be better later
        return _error(error.status if 400 <= error.status < 500 and error.status != 401 else 502, str(error))
    except (PeerError, RigError) as error:
        return _error(502, str(error))
    except ClientDisconnect:
        return Response(status_code=400)


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, {"Cache-Control": "no-store"}, media_type="application/json")


def _error(status: int, text: str) -> Response:
    return _json({"error": text}, status)
