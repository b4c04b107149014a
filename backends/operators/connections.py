"""Who reaches whom: the file of a folder of operators, the secrets beside it, and the demo that a first start makes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from backend_client.credential import Credential
from backend_client.ocpi_session import Party
from ports.errors import RigError

FILE = "connections.json"
FIRST_PORT = 9310
STATION, EVSE = "CP1", "DE*PLC*E0001"
CUSTOMER, EMAID, CARD = "alice", "DEPLBC00000001", "04A1B2C3D4E5F6"
OWN_CARD = "04C0FFEE"  # the CPO knows it by itself, whoever else is away
PCID = "PLBPROVCERT000001"


class StationPlace(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A station that may connect. evse_ids: of EVSE 1, 2, ..."""

    identity: str
    password_file: str
    evse_ids: list[str] = []


class CpoPlace(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The CPO. party: country code and party id. bills_to: "mo" over OCPI, "hub" over OICP; they are asked, too.

    cards: that the CPO accepts by itself.
    """

    stations_url: str
    api_url: str
    ocpi_url: str
    api_token_file: str
    party: str = "DEPLC"
    stations: list[StationPlace] = []
    cards: list[str] = []
    bills_to: list[str] = msgspec.field(default_factory=lambda: ["mo"])


class MoPlace(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The mobility operator. cpo_token_file: what the CPO shows to it; own_token_file: what it shows to the CPO.

    ct_per_kwh, ct_fixed: what customers pay, without VAT.
    """

    url: str
    cpo_token_file: str
    own_token_file: str
    party: str = "DEPLB"
    ct_per_kwh: Decimal = Decimal(49)
    ct_fixed: Decimal = Decimal(35)


class OemPlace(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The manufacturer. webhooks: whether the pools may call it; without, it asks from time to time."""

    url: str
    webhooks: bool = True


class HubPlace(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The roaming hub."""

    url: str


class PoolsPlace(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The pools. clients_file: as `plugbench backends up` writes it."""

    url: str
    clients_file: str


class Connections(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Everybody. Relative files count from the folder; the host of a URL is the address to listen on."""

    cpo: CpoPlace
    mo: MoPlace
    oem: OemPlace
    hub: HubPlace
    pools: PoolsPlace | None = None


class Folder:
    """The folder of one set of operators. Secrets are files that only their owner reads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Several processes may share a folder; one at a time sets it up. Raises RigError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise RigError(f"{self.path}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def credential(self, file: str) -> Credential:
        """Of a file in it."""
        return Credential(self.path / file)

    def database(self, actor: str) -> str:
        """SQLAlchemy URL."""
        return f"sqlite:///{self.path / actor}.db"

    def make_secret(self, name: str) -> str:
        """A random secret; one that is there stays. Relative to the folder."""
        file = f"secrets/{name}"
        (self.path / "secrets").mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            # 32 characters: OCPP takes 16 to 40
            self._write(file, secrets.token_urlsafe(24) + "\n", os.O_EXCL)
        return file

    def replace_secret(self, name: str, secret: str) -> Path:
        """The same, but the new one counts. The whole path."""
        file = f"secrets/{name}"
        (self.path / "secrets").mkdir(mode=0o700, exist_ok=True)
        self._write(file, secret + "\n", os.O_TRUNC)
        return self.path / file

    def load(self) -> Connections | None:
        """None before the first start. Raises RigError."""
        path = self.path / FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=Connections)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RigError(f"{path}: {error.strerror}") from error
        except msgspec.MsgspecError as error:
            raise RigError(f"{path}: {error}; mend it, or delete it and a new one is made") from None

    def save(self, connections: Connections) -> None:
        """In one step: whoever reads it gets the old or the new one."""
        text = msgspec.json.format(msgspec.json.encode(connections), indent=2).decode()
        self._write(f"{FILE}.new", text + "\n", os.O_TRUNC)
        (self.path / f"{FILE}.new").replace(self.path / FILE)

    def _write(self, file: str, text: str, flags: int) -> None:
        handle = os.open(self.path / file, os.O_WRONLY | os.O_CREAT | flags, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)


def demo(folder: Folder, host: str, port: int) -> Connections:
    """CPO with one station, MO, OEM and hub that know each other. port: of the first of six; 0 = free ones."""
    at = [port + number for number in range(6)] if port else _free_ports(host, 6)
    name = f"[{host}]" if ":" in host else host
    stations, api, ocpi, mo, oem, hub = (f"{name}:{one}" for one in at)
    return Connections(
        cpo=CpoPlace(
            stations_url=f"ws://{stations}/",
            api_url=f"http://{api}",
            ocpi_url=f"http://{ocpi}/ocpi/versions",
            api_token_file=folder.make_secret("cpo-api.token"),
            stations=[
                StationPlace(
                    identity=STATION,
                    password_file=folder.make_secret(f"station-{STATION}.password"),
                    evse_ids=[EVSE],
                )
            ],
            cards=[OWN_CARD],
        ),
        mo=MoPlace(
            url=f"http://{mo}",
            cpo_token_file=folder.make_secret("cpo-at-mo.token"),
            own_token_file=folder.make_secret("mo-at-cpo.token"),
        ),
        oem=OemPlace(url=f"http://{oem}"),
        hub=HubPlace(url=f"http://{hub}"),
    )


def address(url: str) -> tuple[str, int]:
    """Where a URL of ours listens. Raises RigError."""
    try:
        found = urlsplit(url)
        if found.hostname and found.port and found.scheme in {"http", "ws"}:
            return found.hostname, found.port
    except ValueError:
        pass
    raise RigError(f"{FILE}: {url!r}: expected http://host:port or ws://host:port/")


def party(name: str) -> Party:
    """Raises RigError."""
    if len(name) != 5 or not name.isalnum():
        raise RigError(f"{FILE}: party {name!r}: expected country code and party id, e.g. DEPLB")
    return Party(name[:2], name[2:])


def _free_ports(host: str, count: int) -> list[int]:
    """All different: they are held until all are found."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(socket.create_server((host, 0), family=family)) for _ in range(count)]
            return [int(one.getsockname()[1]) for one in held]
    except OSError as error:
        raise RigError(f"{host}: no address of this machine: {error.strerror}") from error
