"""The backend of the charge point operator, which takes the signed values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from hil_rigs.resources.field import EmbeddedOrHttp, EnvironmentName, TrustFile
from hil_rigs.resources.url import EMBEDDED, check_url, one_of, refuse_credentials


class CpoRestResource(Struct, tag_field="kind", tag="cpo.rest", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CPO that takes signed values over HTTP."""

    url: EmbeddedOrHttp = EMBEDDED
    tls: Annotated[bool | None, Meta(description="whether the embedded one speaks HTTPS")] = None
    ca_file: TrustFile | None = None
    bearer_file: Annotated[Path, Meta(description="file that holds the bearer token")] | None = None
    bearer_env: EnvironmentName | None = None

    def __post_init__(self) -> None:
        """What belongs together."""
        check_url(self, real_only=("ca_file", "bearer_file", "bearer_env"))
        if self.url != EMBEDDED and self.tls is not None:
            raise ValueError("tls: goes with url: embedded; here the URL says it (https:)")
        one_of(self, "bearer_file", "bearer_env")


class CpoMqttResource(Struct, tag_field="kind", tag="cpo.mqtt", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CPO that takes signed values over MQTT."""

    broker: Annotated[
        str,
        Meta(
            pattern=r"^(spawn|mqtts?://.+)$",
            description='"spawn": mosquitto, started and ended by the run; else mqtt://host or mqtts://host',
            examples=["spawn"],
        ),
    ] = "spawn"
    topic: Annotated[
        str, Meta(pattern=r"^[^#+\x00/][^#+\x00]*$", description="what all topics begin with", examples=["plugbench"])
    ] = "plugbench"
    username: str | None = None
    password_file: Annotated[Path, Meta(description="file that holds the password")] | None = None
    password_env: EnvironmentName | None = None
    ca_file: TrustFile | None = None

    def __post_init__(self) -> None:
        """What belongs together."""
        if self.broker == "spawn":
            for key in ("username", "password_file", "password_env", "ca_file"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: the broker that the run starts needs none")
            return
        refuse_credentials("broker", self.broker)
        one_of(self, "password_file", "password_env")
