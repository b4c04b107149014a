"""Field types that several resources share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from hil_rigs.typed_yaml import path_unless

Real = Annotated[bool | None, Meta(description="true: hardware")]
External = Annotated[bool | None, Meta(description="true: a program outside this run")]
EnvironmentName = Annotated[
    str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="name of an environment variable", examples=["HSM_PIN"])
]
# "|" separates the sections of an OCMF record, and some readers split there even inside the payload
RECORD_TEXT = r"^[^|\x00-\x1f]+$"
Amperes = Annotated[float, Meta(gt=0, le=1000)]
Phases = Annotated[Literal[1, 3], Meta(description="how many phases")]
EnergyKind = Annotated[Literal["ac", "dc"], Meta(description="what flows through the plug")]
Auth = Annotated[Literal["eim", "pnc"], Meta(description="eim: a card at the reader; pnc: a contract (Plug & Charge)")]
PkiFolder = Annotated[
    str,
    Meta(
        min_length=1,
        description='"auto": a test PKI made by the run; else a folder as `plugbench pki export` writes it',
        extra=path_unless("auto"),
    ),
]
Bad = Annotated[str, Meta(description="how it is wrong on purpose, a name of `plugbench pki issue --bad`")]
TrustFile = Annotated[Path, Meta(description="PEM file of the certificates to trust instead of the system's")]
SecretFile = Annotated[Path, Meta(description="file that holds the secret in its first line")]
ClientId = Annotated[str, Meta(min_length=1, description="name of the client at the token service")]
EmbeddedOrHttp = Annotated[
    str,
    Meta(
        pattern=r"^(embedded|https?://.+)$",
        description='"embedded": served by this run; else the URL of a server',
        examples=["embedded"],
    ),
]
NetworkInterface = Annotated[
    str,
    Meta(
        # linux/if.h: IFNAMSIZ
        pattern=r"^[^/\s:]{1,15}$",
        description="network interface that leads to the cable (real time only); default: no cable, the loopback",
        examples=["eth1"],
    ),
]
TcpPort = Annotated[int, Meta(ge=1, le=65535)]
Curve = Annotated[
    Literal[
        "secp192k1",
        "secp256k1",
        "secp192r1",
        "secp256r1",
        "secp384r1",
        "secp521r1",
        "brainpoolP256r1",
        "brainpoolP384r1",
    ],
    Meta(description="curve of the key, by its OpenSSL name"),
]
