"""An eMSP made of py_ocpi: runs in an environment of its own, not imported by tests. Arguments: port, file of CDRs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

PORT, CDRS = sys.argv[1:]
os.environ |= {"OCPI_HOST": f"127.0.0.1:{PORT}", "PROTOCOL": "http", "COUNTRY_CODE": "DE", "PARTY_ID": "PLB"}

import uvicorn  # noqa: E402
from py_ocpi.core.authentication.authenticator import Authenticator  # noqa: E402
from py_ocpi.core.crud import Crud  # noqa: E402
from py_ocpi.core.enums import ModuleID, RoleEnum  # noqa: E402
from py_ocpi.main import get_application  # noqa: E402
from py_ocpi.modules.versions.enums import VersionNumber  # noqa: E402

TOKEN = {
    "country_code": "DE",
    "party_id": "PLB",
    "uid": "04A1B2C3D4E5F6",
    "type": "RFID",
    "contract_id": "DEPLBC00000001",
    "issuer": "py_ocpi",
    "valid": True,
    "whitelist": "NEVER",
    "last_updated": "2026-01-01T00:00:00Z",
}


class Store(Crud):
    @classmethod
    async def get(cls, module, role, id, *args, **kwargs):  # noqa: A002 - names of py_ocpi
        return TOKEN if module is ModuleID.tokens and id.upper() == TOKEN["uid"] else None

    @classmethod
    async def list(cls, module, role, filters, *args, **kwargs):
        return [TOKEN], 1, True

    @classmethod
    async def create(cls, module, role, data, *args, **kwargs):
        kept = Path(CDRS)
        kept.write_text(kept.read_text() + json.dumps(data, default=str) + "\n")  # noqa: ASYNC240 - a script of tests
        return data

    @classmethod
    async def update(cls, module, role, data, id, *args, **kwargs):  # noqa: A002 - names of py_ocpi
        return data

    @classmethod
    async def delete(cls, module, role, id, *args, **kwargs):  # noqa: A002 - names of py_ocpi
        return None

    @classmethod
    async def do(cls, module, role, action, *args, data=None, **kwargs):
        return {"allowed": "ALLOWED", "token": TOKEN, "authorization_reference": "ref-1"}


class Tokens(Authenticator):
    @classmethod
    async def get_valid_token_c(cls):
        return ["token-of-the-cpo"]

    @classmethod
    async def get_valid_token_a(cls):
        return []


app = get_application(
    [VersionNumber.v_2_2_1], [RoleEnum.emsp], Store, [ModuleID.cdrs, ModuleID.tokens, ModuleID.sessions], Tokens
)
uvicorn.run(app, host="127.0.0.1", port=int(PORT), log_level="warning")
