"""The backend of the charge point operator, which takes the signed values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from hil_rigs.resources.field import EnvironmentName

TrustFile = Annotated[Path, Meta(description="PEM file of the certificates to trust instead of the system's")]


def _refuse_credentials(key: str, url: str) -> None:
    try:
        split = urlsplit(url)
        port = split.port  # raises when it is none
    except ValueError as error:
        raise ValueError(f"{key}: not a URL: {error}") from None
    if split.username is not None or split.password is not None:
        raise ValueError(f"{key}: credentials never stand in a rig file (the URL is not shown here)")
    if not split.hostname or port == 0:
        raise ValueError(f'{key}: expected a host in "{url}"')


class CpoRestResource(Struct, tag_field="kind", tag="cpo.rest", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CPO that takes signed values over HTTP."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^(embedded|https?://.+)$",
            description='"embedded": served by this run; else the URL of a server',
            examples=["embedded"],
        ),
    ] = "embedded"
    tls: Annotated[bool | None, Meta(description="whether the embedded one speaks HTTPS")] = None
    ca_file: TrustFile | None = None
    bearer_file: Annotated[Path, Meta(description="file that holds the bearer token")] | None = None
    bearer_env: EnvironmentName | None = None

    def __post_init__(self) -> None:
        """What belongs together."""
        if self.url == "embedded":
            for key in ("ca_file", "bearer_file", "bearer_env"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: the embedded CPO needs none")
            return
        _refuse_credentials("url", self.url)
        if self.tls is not None:
            raise ValueError("tls: goes with url: embedded; here the URL says it (https:)")
        if self.bearer_file is not None and self.bearer_env is not None:
            raise ValueError("expected one of bearer_file and bearer_env, found both")


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
        _refuse_credentials("broker", self.broker)
        if self.password_file is not None and self.password_env is not None:
            raise ValueError("expected one of password_file and password_env, found both")
