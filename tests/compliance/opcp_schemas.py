"""The OPCP 1.0.0 OpenAPI files as they are, and where we take the liberty to differ: one table, a reason for each.

Files: hubject/opcp, OPCP-1.0.0/reference (CC BY-SA 4.0), found in ../shared/data/opcp/openapi.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "opcp" / "openapi"
REMOVE = object()


@dataclass(frozen=True, slots=True)
class Deviation:
    """A place in a file that does not hold. value: in its stead; REMOVE takes it out."""

    file: str
    place: tuple[str, ...]
    value: Any
    reason: str


ROOT_CERT = ("components", "schemas", "RootCertV2")
ROOT_PUT = ("paths", "/v1/root/rootCerts", "put")
PUT_BODY = (*ROOT_PUT, "requestBody", "content", "application/json", "schema", "properties", "caCertificate")
NAMESPACES = ["urn:iso:15118:2:2013:MsgDef", "urn:iso:15118:20:2022:MsgDef"]
PCP_DATA = ("components", "schemas", "ProvisioningCertificateData", "properties")
PCP_BODY = ("components", "schemas", "ProvisioningCertificate")
NO_CONTRACT = (
    "paths",
    "/v1/ccp/signedContractData",
    "post",
    "responses",
    "404",
    "content",
    "application/json",
    "schema",
)
NO_CONTRACT_FORMS = [{"required": ["CCPResponse"]}, {"$ref": "#/components/schemas/Error"}]

DEVIATIONS = (
    Deviation("rcp", (*ROOT_CERT, "maxProperties"), REMOVE, "at most one property, but two are required"),
    Deviation("rcp", (*ROOT_CERT, "minProperties"), REMOVE, "goes with maxProperties"),
    Deviation("rcp", (*ROOT_CERT, "properties", "caCertificate", "maxLength"), 4096, "its own examples have up to 828"),
    Deviation("rcp", (*PUT_BODY, "maxLength"), 4096, "its own examples have up to 872"),
    Deviation("pcp", (*PCP_BODY, "minProperties"), REMOVE, "the third property has a default"),
    Deviation("pcp", (*PCP_DATA, "xsdMsgDefNamespace", "enum"), NAMESPACES, "ISO 15118-20 vehicles are published, too"),
    Deviation("ccp", (*NO_CONTRACT, "required"), REMOVE, "one of its own examples is an error message"),
    Deviation("ccp", (*NO_CONTRACT, "anyOf"), NO_CONTRACT_FORMS, "goes with required"),
)

# Statuses that operations have beside those that their file lists, by file; "*" stands for every operation.
STATUSES: Mapping[tuple[str, str, str], Mapping[str, str]] = {
    ("*", "*", "*"): {
        "415": "another media type than JSON",
        "405": "RFC 9110 15.5.6",
        "404": "the path parameter is empty or has a NUL: no such path",
    },
    ("rcp", "/v1/root/rootCerts", "put"): {
        "400": "not a root certificate, or not a valid one",
        "401": "all other operations list it",
        "403": "for the administrator only",
    },
    ("ccp", "/v1/ccp/signedContractData/{pcid}", "get"): {
        "400": "not a PCID: as every other operation with one",
        "401": "all other operations list it",
        "403": "a vehicle of another OEM: as every other operation with a PCID",
    },
    ("rcp", "/v1/root/ctl", "get"): {"401": "all other operations list it", "403": "all other operations list it"},
}


def load_schema(name: str) -> dict[str, Any]:
    """A file with all deviations applied; raises KeyError when one has nothing to differ from."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.v1.json").read_text(encoding="utf-8"))
    for deviation in DEVIATIONS:
        if deviation.file == name:
            *above, last = deviation.place
            part = content
            for key in above:
                part = part[key]
            if deviation.value is REMOVE:
                del part[last]
            else:
                part[last] = deviation.value
    for path, item in content["paths"].items():
        for method, operation in item.items():
            if method in ("get", "put", "post", "delete"):
                for key in (("*", "*", "*"), (name, path, method)):
                    for status, reason in STATUSES.get(key, {}).items():
                        operation["responses"].setdefault(status, {"description": reason})
    return json.loads(
        json.dumps(content).replace('"./cps.v1.json#/components/schemas/Error"', '"#/components/schemas/Error"')
    )
