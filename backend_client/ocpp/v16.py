"""OCPP 1.6: what the link says in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec

from backend_client.ocpp import messages_16 as messages
from backend_client.ocpp.certificate_requests import STATION
from backend_client.ocpp.contracts import (
    VENDOR_ID_16,
    authorize_request,
    read_authorisation,
    read_authorisation_16,
)
from backend_client.ocpp.dialect import BootAnswer, Caller, message_id
from backend_client.ocpp.frames import Payload
from backend_client.ocpp.record_facts import BEGIN, END, RecordFacts, value_of
from backend_client.ocpp.schemas import check
from backend_client.ocpp.settings import OcppSettings, Version
from backend_client.ocpp.shared_messages import SharedMessages
from backend_client.ocpp.signed_values import signed_value
from backend_client.ocpp.signing import is_signed, key_for, known_transaction
from backend_client.ocpp.state_file import KnownTransaction, StateFile
from backend_client.ocpp.variables import Variables
from ocmf.terms import Tx
from ports.authorisation import Authorisation, AuthorisationRequest
from ports.errors import PeerError
from ports.station import ConnectorNews, StationIdentity


class Ocpp16(SharedMessages):
    """`Dialect` of 1.6."""

    def __init__(self, settings: OcppSettings, state: StateFile, variables: Variables, call: Caller) -> None:
        super().__init__(settings, state, variables, call)
        self._has_charged: set[int] = set()  # connectors, since they were free

    async def boot(self, identity: StationIdentity, reason: str) -> BootAnswer:  # noqa: ARG002 - 1.6 has no reason
        """BootNotification."""
        answer = await self._call("BootNotification", messages.boot(identity))
        return BootAnswer.of(answer)

    def station_status(self) -> dict[str, Any] | None:
        """Connector 0."""
        return {"connectorId": 0, "status": "Available", "errorCode": "NoError"}

    def connector_status(self, news: ConnectorNews) -> dict[str, Any]:
        """Of a connector; after charging a vehicle that stays is Finishing, not Preparing."""
        status = messages.connector_status(news)
        if status["status"] == "Available":
            self._has_charged.discard(news.number)
        elif news.charging in messages.CHARGED:
            self._has_charged.add(news.number)
        elif status["status"] == "Preparing" and news.number in self._has_charged:
            status["status"] = "Finishing"
        return status

    async def sign_certificate(self, kind: str, csr: str) -> bool:
        """SignCertificate; that of the security whitepaper knows the station's certificate only."""
        if kind == STATION:
            answer = await self._call("SignCertificate", {"csr": csr})
        else:
            answer = await self.plug_and_charge("SignCertificate", {"csr": csr, "certificateType": kind})
        return bool(answer["status"] == "Accepted")

    async def deliver(self, facts: RecordFacts, *, offline: bool) -> str:  # noqa: ARG002 - 1.6 cannot say it
        """StartTransaction, MeterValues or StopTransaction."""
        record = facts.record
        signed = is_signed(facts, self._variables.signing)
        if not record.transaction_id:
            await self._meter_values(facts, [self._signed(facts, record.public_key, "Other")], None)
            return ""
        known = await known_transaction(self._state, facts, signed)
        key = key_for(facts, known, self._variables.public_key)
        if record.context == BEGIN:
            return await self._begin(facts, known, self._signed(facts, key, BEGIN) if signed else None)
        if known.csms_id is None:
            raise PeerError(
                f"page {record.page}: {self._settings.name} has no transaction {record.transaction_id}, its "
                "StartTransaction was refused or the state file was lost; the record stays in the journal"
            )
        if record.context == END:
            await self._end(facts, known, key, signed=signed)
        else:
            samples = [self._signed(facts, key, record.context)] if signed else []
            raw = messages.raw_sample(facts.value, record.context)
            await self._meter_values(facts, [raw, *samples], known.csms_id)
        return ""

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        """Authorize; with a contract the message of 2.0.1, so that its certificate is judged."""
        if request.certificates:
            return read_authorisation(await self.plug_and_charge("Authorize", authorize_request(request)))
        return read_authorisation_16(await self._call("Authorize", {"idTag": messages.id_tag(request.id)}))

    async def plug_and_charge(self, action: str, payload: Payload) -> Payload:
        """DataTransfer with the body of 2.0.1 as JSON. Raises PeerError when the CSMS does not know it."""
        check(Version.V201, action, payload)
        data = msgspec.json.encode(payload).decode()
        answer = await self._call("DataTransfer", {"vendorId": VENDOR_ID_16, "messageId": action, "data": data})
        if answer["status"] != "Accepted":
            raise PeerError(
                f"{self._settings.name} answered {action} (DataTransfer {VENDOR_ID_16}) with {answer['status']}",
                repr(answer)[:2000],
            )
        try:
            body = json.loads(answer.get("data", ""))
        except (ValueError, RecursionError) as error:
            raise PeerError(
                f"the answer to {action} in DataTransfer is not JSON: {error}", repr(answer)[:2000]
            ) from error
        check(Version.V201, action, body, answer=True)
        return dict(body)

    async def _begin(self, facts: RecordFacts, known: KnownTransaction, signed: dict[str, Any] | None) -> str:
        status = "refused before"  # of a known one that is deauthorised: its answer came, and the values are sent again
        if known.csms_id is None:
            request = {
                "connectorId": facts.connector,
                "idTag": messages.id_tag(facts.user_id),
                "meterStart": facts.value.wh,
                "timestamp": facts.value.timestamp,
            }
            answer = await self._call(
                "StartTransaction", request, message_id(facts.record.record_id, "StartTransaction")
            )
            status = str(answer["idTagInfo"].get("status", "Accepted"))
            stops = status != "Accepted" and self._variables.stops_on_invalid_id
            known = replace(known, csms_id=answer["transactionId"], deauthorised=stops)
            await self._state.keep(known)  # a repetition after a lost answer to MeterValues has to know both
        if signed is not None and self._settings.separate_begin:
            await self._meter_values(facts, [messages.raw_sample(facts.value, BEGIN), signed], known.csms_id)
        return status if known.deauthorised else ""

    async def _end(self, facts: RecordFacts, known: KnownTransaction, key: str, *, signed: bool) -> None:
        tx = Tx(facts.value.tx)
        deauthorised = known.deauthorised and tx is Tx.END_REMOTE
        request: dict[str, Any] = {
            "transactionId": known.csms_id,
            "meterStop": facts.value.wh,
            "timestamp": facts.value.timestamp,
            "reason": "DeAuthorized" if deauthorised else messages.END_REASONS.get(tx, "Other"),
        }
        if tx is Tx.END_LOCAL:
            request["idTag"] = messages.id_tag(facts.user_id)
        if signed:
            data = [messages.meter_value(facts.value, [self._signed(facts, key, END)])]
            if self._settings.stop_format == "SR" and known.begin_ocmf:
                begin = signed_value(known.begin_ocmf, known.begin_key if key else "")
                sample = messages.signed_sample(begin, BEGIN)
                data.insert(0, messages.meter_value(value_of(known.begin_ocmf), [sample]))
            request["transactionData"] = data
        await self._call("StopTransaction", request, message_id(facts.record.record_id, "StopTransaction"))
        await self._state.end(known)

    async def _meter_values(self, facts: RecordFacts, samples: list[dict[str, Any]], csms_id: int | None) -> None:
        request: dict[str, Any] = {
            "connectorId": facts.connector,
            "meterValue": [messages.meter_value(facts.value, samples)],
        }
        if csms_id is not None:
            request["transactionId"] = csms_id
        await self._call("MeterValues", request, message_id(facts.record.record_id, "MeterValues"))

    def _signed(self, facts: RecordFacts, key: str, context: str) -> dict[str, Any]:
        return messages.signed_sample(signed_value(facts.record.ocmf, key), context)
