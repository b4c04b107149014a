"""OCPP 2.0.1: what the link says in it."""

from __future__ import annotations

from typing import Any

from backend_client.ocpp import messages_201 as messages
from backend_client.ocpp.contracts import authorize_request, read_authorisation
from backend_client.ocpp.dialect import BootAnswer, message_id
from backend_client.ocpp.frames import Payload
from backend_client.ocpp.record_facts import BEGIN, END, RecordFacts, value_of
from backend_client.ocpp.settings import TooLong
from backend_client.ocpp.shared_messages import SharedMessages
from backend_client.ocpp.signed_values import chunks, fits, refuse_too_long, signed_value
from backend_client.ocpp.signing import is_signed, key_for, known_transaction
from backend_client.ocpp.state_file import KnownTransaction
from ocmf.container import parse
from ports.authorisation import Authorisation, AuthorisationRequest
from ports.backend import SignedRecord
from ports.errors import PeerError
from ports.station import ConnectorNews, StationIdentity


class Ocpp201(SharedMessages):
    """`Dialect` of 2.0.1."""

    async def boot(self, identity: StationIdentity, reason: str) -> BootAnswer:
        """BootNotification."""
        answer = await self._call("BootNotification", messages.boot(identity, reason))
        return BootAnswer.of(answer)

    def station_status(self) -> dict[str, Any] | None:
        """2.0.1 has none."""
        return None

    def connector_status(self, news: ConnectorNews) -> dict[str, Any]:
        """One connector per EVSE."""
        return {"connectorStatus": news.availability.value, "evseId": news.number, "connectorId": 1}

    async def sign_certificate(self, kind: str, csr: str) -> bool:
        """SignCertificate."""
        answer = await self._call("SignCertificate", {"csr": csr, "certificateType": kind})
        return bool(answer["status"] == "Accepted")

    async def deliver(self, facts: RecordFacts, *, offline: bool) -> str:
        """TransactionEvent; MeterValues for a record outside of transactions."""
        record = facts.record
        signed = is_signed(facts, self._variables.signing)
        if signed and self._settings.too_long is TooLong.REFUSE:
            refuse_too_long(record)
        if not record.transaction_id:
            value = messages.meter_value(facts.value, "Other", await self._signed(record, record.public_key))
            payload: dict[str, Any] = {"evseId": facts.connector, "meterValue": [value]}
            await self._call("MeterValues", payload, message_id(record.record_id, "MeterValues"))
            return ""
        known = await known_transaction(self._state, facts, signed)
        key = key_for(facts, known, self._variables.public_key)
        values = [messages.meter_value(facts.value, record.context, await self._signed(record, key) if signed else {})]
        if record.context == END and signed and known.begin_ocmf:
            values.insert(0, self._begin_again(known, known.begin_key if key else ""))
        event = messages.transaction_event(facts, known, values, offline=offline)
        answer = await self._call("TransactionEvent", event, message_id(record.record_id, "TransactionEvent"))
        if record.context == END:
            await self._state.end(known)
        status = str(answer.get("idTokenInfo", {}).get("status", "Accepted"))
        return "" if record.context == END or status == "Accepted" else status

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        """Authorize."""
        return read_authorisation(await self._call("Authorize", authorize_request(request)))

    async def plug_and_charge(self, action: str, payload: Payload) -> Payload:
        """As it is."""
        return await self._call(action, payload)

    def _begin_again(self, known: KnownTransaction, key: str) -> dict[str, Any]:
        """The signed begin, next to the end; a begin that is too long went out in chunks before."""
        begin = known.begin_ocmf
        signature = {"signedMeterValue": signed_value(begin, key)} if fits(begin) else self._in_chunks(begin)
        return messages.meter_value(value_of(begin), BEGIN, signature)

    async def _signed(self, record: SignedRecord, key: str) -> dict[str, Any]:
        """What a sample carries: its signature, or where to find it after chunks of it went out in DataTransfer."""
        if fits(record.ocmf):
            return {"signedMeterValue": signed_value(record.ocmf, key)}
        pieces = chunks(record.ocmf)
        for index, piece in enumerate(pieces):
            data = {"recordId": record.record_id, "index": index, "count": len(pieces), "signedMeterData": piece}
            transfer = {"vendorId": self._settings.vendor_id, "messageId": "SignedMeterData", "data": data}
            answer = await self._call("DataTransfer", transfer, message_id(record.record_id, f"chunk {index}"))
            if answer["status"] != "Accepted":
                raise PeerError(
                    f"page {record.page} is too long for signedMeterData, and {self._settings.name} answered its chunk "
                    f"{index + 1} of {len(pieces)} (DataTransfer {self._settings.vendor_id}) with {answer['status']}",
                    repr(answer),
                )
        return self._in_chunks(record.ocmf)

    def _in_chunks(self, ocmf: str) -> dict[str, Any]:
        return {"customData": {"vendorId": self._settings.vendor_id, "recordId": parse(ocmf).record_id}}
