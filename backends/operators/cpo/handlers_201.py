"""What the CSMS does with the calls of an OCPP 2.0.1 station: one function per action, one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from backends.operators.cpo.authorisation import ID_TYPES, Identification
from backends.operators.cpo.certificate_status import CertificateId
from backends.operators.cpo.csms import Csms, moment
from backends.operators.cpo.enrolment import STATION
from backends.operators.cpo.ledger import Effect
from backends.operators.cpo.link import StationLink
from backends.operators.cpo.signed_values import signed_values_201
from ports.authorisation import Authorisation
from ports.errors import PeerError

Payload = Mapping[str, Any]
Handler = Callable[[Csms, StationLink, Payload], Awaitable[Payload]]


async def boot_notification(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """A station has started or connected anew."""
    await csms.stations.booted(link.station, payload)
    return {"currentTime": csms.now(), "interval": csms.settings.heartbeat_s, "status": "Accepted"}


async def heartbeat(csms: Csms, _link: StationLink, _payload: Payload) -> Payload:
    """The time."""
    return {"currentTime": csms.now()}


async def status_notification(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """A connector has another status."""
    at = moment(payload["timestamp"])
    await csms.stations.connector(
        link.station, payload["evseId"], payload["connectorId"], payload["connectorStatus"], "", at
    )
    return {}


async def authorize(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """May somebody charge? With a contract: its chain (PEM) or the hashes of it."""
    token = payload["idToken"]
    try:
        hashes = tuple(CertificateId.of(one) for one in payload.get("iso15118CertificateHashData", ()))
    except PeerError:
        return {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertChainError"}
    asked = identification(csms, link, token, 0, payload.get("certificate", ""), hashes)
    answer = await csms.authorisation.authorise(asked)
    said: dict[str, Any] = {"idTokenInfo": {"status": answer.status.value}}
    if answer.contract is not None:
        said["certificateStatus"] = answer.contract.value
    return said


async def transaction_event(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """A transaction began, went on or ended. Takes effect once for its transaction and seqNo."""
    info, evse, token = payload["transactionInfo"], payload.get("evse", {}), payload.get("idToken")
    kind, transaction_id, at = payload["eventType"], info["transactionId"], moment(payload["timestamp"])
    effect = Effect(
        station=link.station,
        version=link.version.value,
        key=f"event:{transaction_id}:{payload['seqNo']}",
        action="TransactionEvent",
        payload={name: value for name, value in payload.items() if name != "offline"},  # a repeat may say so
        transaction_id=transaction_id,
        seq_no=payload["seqNo"],
        evse=evse.get("id", 0),
        connector=evse.get("connectorId", 0),
        id_token=token["idToken"] if token else "",
        id_type=ID_TYPES[token["type"]] if token else "",
        remote_start_id=info.get("remoteStartId"),
        began=at if kind == "Started" else "",
        ended=at if kind == "Ended" else "",
        stop_reason=info.get("stoppedReason", "Local") if kind == "Ended" else "",  # left out = Local: 2.0.1 part 2
    )
    known = await csms.transactions.repeated(effect)
    if known is not None:
        return known
    said: Payload = {}
    if token:
        asked = identification(csms, link, token, evse.get("id", 0))
        said = {"idTokenInfo": id_token_info(await csms.authorisation.of_transaction(asked))}
    return await csms.transactions.take(effect, signed_values_201(payload.get("meterValue", ())), lambda _id: said)


async def meter_values(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """Readings outside of transactions: nothing is billed from them, signed ones are kept."""
    await csms.transactions.keep_records(link.station, signed_values_201(payload["meterValue"]))
    return {}


async def get_15118_ev_certificate(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """A vehicle wants a contract certificate."""
    return await csms.contracts.answer(link.station, payload)


async def get_certificate_status(csms: Csms, _link: StationLink, payload: Payload) -> Payload:
    """The OCSP response for a certificate."""
    try:
        result = await csms.certificate_status.result(CertificateId.of(payload["ocspRequestData"]))
    except PeerError as error:
        return {"status": "Failed", "statusInfo": {"reasonCode": "OcspError", "additionalInfo": str(error)[:512]}}
    return {"status": "Accepted", "ocspResult": result}


async def sign_certificate(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """A station wants a certificate; it comes with CertificateSigned."""
    use = payload.get("certificateType", STATION)
    why = csms.enrolment.refusal(use, payload["csr"])
    if why:
        return {"status": "Rejected", "statusInfo": {"reasonCode": "CsrRefused", "additionalInfo": why[:512]}}
    csms.start(csms.enrolment.enrol(link, use, payload["csr"]))
    return {"status": "Accepted"}


async def security_event_notification(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """Kept for the operator."""
    await csms.stations.report(link.station, "security event", payload)
    return {}


async def notify_report(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """A part of the device model, kept for the operator."""
    await csms.stations.report(link.station, "device report", payload)
    return {}


async def notify_event(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """Something that a station watches has happened, kept for the operator."""
    await csms.stations.report(link.station, "event", payload)
    return {}


async def data_transfer(_csms: Csms, _link: StationLink, _payload: Payload) -> Payload:
    """No vendor's messages are known in this version."""
    return {"status": "UnknownVendorId"}


async def noted(_csms: Csms, _link: StationLink, _payload: Payload) -> Payload:
    """Acknowledged; it is in the trace."""
    return {}


HANDLERS: Mapping[str, Handler] = {
    "Authorize": authorize,
    "BootNotification": boot_notification,
    "ClearedChargingLimit": noted,
    "DataTransfer": data_transfer,
    "FirmwareStatusNotification": noted,
    "Get15118EVCertificate": get_15118_ev_certificate,
    "GetCertificateStatus": get_certificate_status,
    "Heartbeat": heartbeat,
    "LogStatusNotification": noted,
    "MeterValues": meter_values,
    "NotifyChargingLimit": noted,
    "NotifyEvent": notify_event,
    "NotifyReport": notify_report,
    "SecurityEventNotification": security_event_notification,
    "SignCertificate": sign_certificate,
    "StatusNotification": status_notification,
    "TransactionEvent": transaction_event,
}


def identification(
    csms: Csms,
    link: StationLink,
    token: Payload,
    evse: int,
    certificate: str = "",
    hashes: tuple[CertificateId, ...] = (),
) -> Identification:
    """Of an idToken; Authorize does not say at which EVSE, then it is the first."""
    evse_id = csms.account(link.station).evse_id(evse or 1)
    return Identification(link.station, evse_id, token["idToken"], ID_TYPES[token["type"]], certificate, hashes)


def id_token_info(answer: Authorisation) -> Payload:
    """IdTokenInfoType."""
    return {"status": answer.status.value}
