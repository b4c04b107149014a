"""What signs: a PKCS#11 token, or a key in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from hil_rigs.resources.field import Curve, EnvironmentName, External, Real
from hil_rigs.typed_yaml import path_unless


class Pkcs11Resource(Struct, tag_field="kind", tag="pkcs11", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key on a PKCS#11 token. `module: softhsm` without a PIN is a private token, made by the run."""

    module: Annotated[
        str, Meta(min_length=1, description='"softhsm", or the path of a PKCS#11 library', extra=path_unless("softhsm"))
    ]
    token: Annotated[str, Meta(min_length=1, max_length=32, description="label of the token")]
    key: Annotated[str, Meta(min_length=1, description="label of the key")]
    curve: Curve = "secp256r1"
    pin_file: Annotated[Path, Meta(description="file that holds the PIN")] | None = None
    pin_env: EnvironmentName | None = None
    real: Real = None
    external: External = None

    @property
    def is_softhsm(self) -> bool:
        """Whether the token is SoftHSM: a simulated one."""
        return self.module == "softhsm" or Path(self.module).name.startswith("libsofthsm")

    @property
    def is_private(self) -> bool:
        """Whether the run makes the token itself."""
        return self.module == "softhsm" and self.pin_file is None and self.pin_env is None

    def __post_init__(self) -> None:
        """What belongs together."""
        if self.pin_file is not None and self.pin_env is not None:
            raise ValueError("expected one of pin_file and pin_env, found both")
        if self.module != "softhsm" and self.pin_file is None and self.pin_env is None:
            raise ValueError("expected pin_file or pin_env: the run can log in to this token only with its PIN")


class FileKeyResource(Struct, tag_field="kind", tag="file_key", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key in a file: not an HSM, and shown as such everywhere."""

    file: Annotated[
        str,
        Meta(
            min_length=1,
            description='"auto": made by the run; else a PEM file, made when missing',
            extra=path_unless("auto"),
        ),
    ] = "auto"
    curve: Curve = "secp256r1"
