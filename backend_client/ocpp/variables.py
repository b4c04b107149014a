"""Variables of the device model (2.0.1) and configuration keys (1.6): one table for both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from backend_client.ocpp.settings import OcppSettings, PublicKeyPolicy, SignPolicy
from backend_client.ocpp.state_file import StateFile
from ports.clock import Clock
from ports.station import Station


class Access(StrEnum):
    """MutabilityEnumType."""

    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


class SetResult(StrEnum):
    """SetVariableStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    UNSUPPORTED_ATTRIBUTE = "NotSupportedAttributeType"


@dataclass(frozen=True, slots=True)
class Variable:
    """component, name: in 2.0.1; "" where it has none. key: in 1.6; "" where it has none. check: of a new value."""

    component: str
    name: str
    key: str
    default: str | Callable[[Variables], str]
    access: Access = Access.READ_ONLY
    check: Callable[[str], bool] = bool
    instance: str = ""


def _is_bool(text: str) -> bool:
    return text.lower() in {"true", "false"}


def _is_policy(text: str) -> bool:
    return text in set(PublicKeyPolicy)


def _is_interval(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= 7 * 86400


def _bool(value: bool) -> str:
    return str(value).lower()


_RO, _WO, _RW = Access
ENERGY = "Energy.Active.Import.Register"
MAX_VALUES = 64  # of one GetVariables or SetVariables

# OCPP 2.0.1 part 2 appendix "Referenced Components and Variables"; 1.6 chapter 9; OCA note on signed meter values
TABLE = (
    Variable("SampledDataCtrlr", "SignReadings", "SampledDataSignReadings",
             lambda own: _bool(own.settings.signing.sampled), _RW, _is_bool),
    Variable("SampledDataCtrlr", "SignStartedReadings", "SampledDataSignStartedReadings",
             lambda own: _bool(own.settings.signing.started), _RW, _is_bool),
    Variable("SampledDataCtrlr", "SignUpdatedReadings", "SampledDataSignUpdatedReadings",
             lambda own: _bool(own.settings.signing.updated), _RW, _is_bool),
    Variable("AlignedDataCtrlr", "SignReadings", "AlignedDataSignReadings",
             lambda own: _bool(own.settings.signing.aligned), _RW, _is_bool),
    Variable("AlignedDataCtrlr", "SignUpdatedReadings", "AlignedDataSignUpdatedReadings",
             lambda own: _bool(own.settings.signing.aligned_updated), _RW, _is_bool),
    Variable("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", "PublicKeyWithSignedMeterValue",
             lambda own: own.settings.public_key.value, _RW, _is_policy),
    Variable("OCPPCommCtrlr", "HeartbeatInterval", "HeartbeatInterval",
             lambda own: f"{own.settings.heartbeat_s:.0f}", _RW, _is_interval),
    Variable("OCPPCommCtrlr", "WebSocketPingInterval", "WebSocketPingInterval",
             lambda own: f"{own.settings.ping_s:.0f}"),
    Variable("OCPPCommCtrlr", "MessageTimeout", "", lambda own: f"{own.settings.message_timeout_s:.0f}",
             instance="Default"),
    Variable("OCPPCommCtrlr", "RetryBackOffWaitMinimum", "", lambda own: f"{own.settings.reconnect_first_s:.0f}"),
    Variable("OCPPCommCtrlr", "NetworkConfigurationPriority", "", "0"),
    Variable("OCPPCommCtrlr", "ActiveNetworkProfile", "", "0"),
    Variable("OCPPCommCtrlr", "FileTransferProtocols", "", "HTTPS"),
    Variable("OCPPCommCtrlr", "OfflineThreshold", "", "0"),
    Variable("OCPPCommCtrlr", "MessageAttempts", "TransactionMessageAttempts", "0", instance="TransactionEvent"),
    Variable("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionMessageRetryInterval", "0",
             instance="TransactionEvent"),
    Variable("OCPPCommCtrlr", "ResetRetries", "ResetRetries", "0"),
    Variable("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", "UnlockConnectorOnEVSideDisconnect", "true"),
    Variable("SecurityCtrlr", "SecurityProfile", "SecurityProfile", lambda own: str(own.settings.security_profile)),
    Variable("SecurityCtrlr", "BasicAuthPassword", "AuthorizationKey", "", _WO, lambda _: False),
    Variable("SecurityCtrlr", "Identity", "", lambda own: own.settings.identity),
    Variable("SecurityCtrlr", "OrganizationName", "CpoName", lambda own: own.settings.organisation),
    Variable("AuthCtrlr", "AuthorizeRemoteStart", "AuthorizeRemoteTxRequests", "false"),
    Variable("AuthCtrlr", "LocalAuthorizeOffline", "LocalAuthorizeOffline", "true"),
    Variable("AuthCtrlr", "LocalPreAuthorize", "LocalPreAuthorize", "true"),
    Variable("TxCtrlr", "StopTxOnEVSideDisconnect", "StopTransactionOnEVSideDisconnect", "true"),
    Variable("TxCtrlr", "StopTxOnInvalidId", "StopTransactionOnInvalidId", "true", _RW, _is_bool),
    Variable("TxCtrlr", "TxStartPoint", "", "DataSigned"),
    Variable("TxCtrlr", "TxStopPoint", "", "PowerPathClosed"),
    Variable("SampledDataCtrlr", "TxStartedMeasurands", "StartTxnSampledData", ENERGY),
    Variable("SampledDataCtrlr", "TxUpdatedMeasurands", "MeterValuesSampledData", ENERGY),
    Variable("SampledDataCtrlr", "TxEndedMeasurands", "StopTxnSampledData", ENERGY),
    Variable("AlignedDataCtrlr", "Measurands", "MeterValuesAlignedData", ""),
    Variable("AlignedDataCtrlr", "TxEndedMeasurands", "StopTxnAlignedData", ""),
    Variable("AlignedDataCtrlr", "Interval", "ClockAlignedDataInterval", "0"),
    Variable("DeviceDataCtrlr", "ItemsPerMessage", "GetConfigurationMaxKeys", str(MAX_VALUES), instance="GetVariables"),
    Variable("DeviceDataCtrlr", "ItemsPerMessage", "", str(MAX_VALUES), instance="SetVariables"),
    Variable("DeviceDataCtrlr", "BytesPerMessage", "", lambda own: str(own.settings.max_message),
             instance="GetVariables"),
    Variable("DeviceDataCtrlr", "BytesPerMessage", "", lambda own: str(own.settings.max_message),
             instance="SetVariables"),
    Variable("ClockCtrlr", "DateTime", "", lambda own: own.clock.now().isoformat(timespec="seconds")),
    Variable("ClockCtrlr", "TimeSource", "", "NTP"),
    Variable("", "", "NumberOfConnectors", lambda own: str(len(own.station.connectors()) if own.station else 1)),
    Variable("", "", "ConnectorPhaseRotation", "NotApplicable"),
    Variable("", "", "SupportedFeatureProfiles", "Core,RemoteTrigger"),
    Variable("", "", "StopTransactionSignatureFormat", lambda own: own.settings.stop_format),
    Variable("", "", "StopTransactionSignatureContexts", "Transaction.Begin,Transaction.End"),
    Variable("", "", "MeterValuesSignatureContexts",
             lambda own: ",".join(c for c in ("Transaction.Begin", "Sample.Periodic") if own.signing.signs(c))),
)  # fmt: skip


class Variables:
    """Their values: what the CSMS has set, else what the settings say."""

    settings: OcppSettings
    clock: Clock
    station: Station | None
    on_change: Callable[[], None]

    def __init__(self, settings: OcppSettings, state: StateFile, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.station = None
        self.on_change = _nothing
        self._state = state
        self._by_key = {variable.key.lower(): variable for variable in TABLE if variable.key}
        self._by_name = {_place(v.component, v.name, v.instance): v for v in TABLE if v.component}

    @property
    def signing(self) -> SignPolicy:
        """What is signed now."""
        names = ("", "Started", "Updated")
        sampled, started, updated = (self._is_on("SampledDataCtrlr", f"Sign{name}Readings") for name in names)
        aligned, aligned_updated = (self._is_on("AlignedDataCtrlr", f"Sign{name}Readings") for name in ("", "Updated"))
        return SignPolicy(
            sampled=sampled, started=started, updated=updated, aligned=aligned, aligned_updated=aligned_updated
        )

    @property
    def public_key(self) -> PublicKeyPolicy:
        """How often the key goes along."""
        return PublicKeyPolicy(self._text("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue"))

    @property
    def heartbeat_s(self) -> float:
        """What the CSMS has asked for last; 0 = none."""
        return float(self._text("OCPPCommCtrlr", "HeartbeatInterval"))

    @property
    def stops_on_invalid_id(self) -> bool:
        """Whether a transaction ends when the CSMS refuses its user afterwards."""
        return self._is_on("TxCtrlr", "StopTxOnInvalidId")

    def find(self, component: str, name: str, instance: str = "") -> Variable | None:
        """A variable of 2.0.1; names are compared without case (part 2, 2.1.3)."""
        return self._by_name.get(_place(component, name, instance)) or self._meter_key(component, name, instance)

    def find_key(self, key: str) -> Variable | None:
        """A configuration key of 1.6."""
        return self._by_key.get(key.lower()) or self._meter_key_16(key)

    def has_component(self, component: str) -> bool:
        """Whether any variable is of this component."""
        return component.lower() in {place[0] for place in self._by_name} | {"fiscalmetering"}

    def keys(self) -> list[Variable]:
        """All that 1.6 can ask for."""
        meters = [found for name in self._state.variables if (found := self._meter_key_16(name)) is not None]
        return [*(variable for variable in TABLE if variable.key), *meters]

    def value(self, variable: Variable) -> str:
        """What it is now."""
        kept = self._state.variables.get(_name(variable))
        if kept is not None:
            return kept
        return variable.default(self) if callable(variable.default) else variable.default

    async def set(self, variable: Variable, value: str) -> SetResult:
        """Keep a new value. Raises RigError when it cannot be kept."""
        if variable.access is Access.READ_ONLY or not variable.check(value):
            return SetResult.REJECTED
        await self._state.set_variable(_name(variable), value)
        self.on_change()
        return SetResult.ACCEPTED

    async def set_heartbeat(self, seconds: float) -> None:
        """What the answer to a BootNotification asks for. Raises RigError."""
        await self._state.set_variable("OCPPCommCtrlr.HeartbeatInterval.", f"{seconds:.0f}")

    async def note_meter_key(self, connector: int, spki_hex: str) -> None:
        """The public key of a connector's records, for FiscalMetering.PublicKey and MeterPublicKey<n>."""
        name = f"MeterPublicKey{connector}"
        if self._state.variables.get(name) != spki_hex:
            await self._state.set_variable(name, spki_hex)

    def _meter_key(self, component: str, name: str, instance: str) -> Variable | None:
        """FiscalMetering.PublicKey of one EVSE, whose number comes as the instance."""
        if (component.lower(), name.lower()) != ("fiscalmetering", "publickey"):
            return None
        return self._meter_key_16(f"MeterPublicKey{instance or 1}")

    def _meter_key_16(self, key: str) -> Variable | None:
        name = f"MeterPublicKey{key[len('MeterPublicKey') :]}"
        if not key.lower().startswith("meterpublickey") or name not in self._state.variables:
            return None
        return Variable("", "", name, self._state.variables[name])

    def _is_on(self, component: str, name: str) -> bool:
        return self._text(component, name).lower() == "true"

    def _text(self, component: str, name: str) -> str:
        return self.value(self._by_name[_place(component, name, "")])


def _place(component: str, name: str, instance: str) -> tuple[str, str, str]:
    return component.lower(), name.lower(), instance.lower()


def _name(variable: Variable) -> str:
    """Under which a value is kept, the same for both versions."""
    return f"{variable.component}.{variable.name}.{variable.instance}" if variable.component else variable.key


def _nothing() -> None:
    """Nobody listens."""
