"""Why a pool says no. The words for it are the facade's."""

from __future__ import annotations

from enum import StrEnum

from ports.errors import PeerError


class Refusal(StrEnum):
    """One per check of a pool; a facade has one status and one text for each."""

    PCID_FORMAT = "PCID format"
    EMAID_FORMAT = "EMAID format"
    CERTIFICATE_FORMAT = "certificate format"  # of the field that is named
    CERTIFICATE_NOT_YET_VALID = "certificate not yet valid"
    CERTIFICATE_EXPIRED = "certificate expired"
    CERTIFICATE_PROFILE = "certificate does not fit its role"
    CERTIFICATE_REVOKED = "certificate revoked"
    STATUS_UNKNOWN = "certificate status unknown"
    CHAIN = "no chain to a root of the pool"
    ROOT_UNKNOWN = "root unknown"
    ROOT_NOT_SELF_SIGNED = "root not self-signed"
    VEHICLE_UNKNOWN = "vehicle unknown"
    NAMESPACE = "namespace"
    ROOT_KEY_IDENTIFIER = "root key identifier"
    REVOCATION_FAILED = "revocation failed"
    CONTRACT_DATA_FORMAT = "contract data format"
    CONTRACT_DATA_SIGNATURE = "contract data signature"
    CONTRACT_ENDED = "contract ends in the past"  # as ordered
    CONTRACT_EXPIRED = "contract certificate expired"
    CONTRACT_OF_ANOTHER_VEHICLE = "EMAID used by another PCID"
    CONTRACT_PERIOD = "contract period"
    CONTRACT_UNKNOWN = "contract unknown"
    CONTRACT_UNKNOWN_TO_VEHICLE = "contract unknown to the vehicle"
    EMAID_MISMATCH = "EMAID is not the certificate's"
    KEY_ENVELOPE = "encrypted private key"
    ANSWER_TOO_LARGE = "answer too large for a station"
    MO_CA = "MO CA cannot issue"
    NOTHING_FOR_VEHICLE = "no contract for the vehicle"
    NOT_RENEWED_HERE = "contract of another PKI, or not the vehicle's newest"
    NO_COMMON_ROOT = "no contract signed below a root that the vehicle knows"
    REQUEST_FORMAT = "installation request format"
    REQUEST_SIGNATURE = "installation request signature"
    SESSION_ID_FORMAT = "session id format"
    SIGNER_UNKNOWN = "no CPS signer"
    VEHICLE_KEY = "vehicle's key takes no generated contract"
    VEHICLE_NOT_PROVISIONED = "vehicle not provisioned"
    ENDPOINT_UNKNOWN = "webhook endpoint unknown"
    ENDPOINT_URL = "webhook URL"
    ENDPOINT_EVENTS = "webhook events"
    ENDPOINT_STATUS = "webhook status"
    ENDPOINT_TOO_LARGE = "webhook too large"
    ENDPOINT_TOO_MANY = "too many webhooks"


class Refused(PeerError):
    """A pool refuses a request; nothing was changed.

    field: which part of the request, in the words of the domain ("" where there is one only). detail: what exactly.
    """

    def __init__(self, reason: Refusal, detail: str = "", *, field: str = "", received: bytes | str = b"") -> None:
        where = f" ({field})" if field else ""
        super().__init__(f"{reason}{where}{': ' if detail else ''}{detail}", received)
        self.reason = reason
        self.detail = detail
        self.field = field
