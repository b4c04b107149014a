"""`plugbench pki`: build a whole test PKI, issue, revoke, show and export certificates."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from backends.pki.authorities import CertificateAuthorities, Issued
    from backends.pki.folder import Settings
    from ports.clock import Clock

Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse gives its type no public name
ACTOR = "plugbench pki"


def add_commands(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add `pki` with its verbs."""
    pki = subparsers.add_parser("pki", help="build a test PKI; issue, revoke, show, export certificates")
    verbs = pki.add_subparsers(dest="verb", metavar="verb", required=True)

    init = verbs.add_parser("init", help="make a PKI for all roles: roots, sub-CAs, one leaf of each kind")
    _add_folder(init)
    init.add_argument("--preset", action="append", help="iso2-strict (default), iso20-strict, hubject-qa, rise; repeat")
    init.add_argument("--realm", default="", help="name of the set of roots (the preset's); one preset only")
    init.add_argument("--algorithm", default="", help="secp256r1, secp521r1 or ed448, as far as the preset has it")
    init.add_argument("--ocsp-url", default="", help="responder that certificates name")
    init.add_argument(
        "--bad", action="append", type=_pair, default=[], metavar="KIND=VARIANT", help="see `pki variants`"
    )
    init.add_argument(
        "--name", action="append", type=_pair, default=[], metavar="KIND=NAME", help="common name; repeat"
    )
    init.add_argument("--at", type=_moment, metavar="TIME", help="as if it were then (ISO 8601)")
    init.add_argument("--database", default="", metavar="URL", help="store elsewhere: an SQLAlchemy URL")
    secret = init.add_mutually_exclusive_group()
    secret.add_argument("--passphrase-file", default="", metavar="FILE", help="of the key files (a random one is made)")
    secret.add_argument("--passphrase-env", default="", metavar="NAME", help="environment variable with it")
    token = init.add_argument_group("CA keys in a PKCS#11 token")
    token.add_argument("--token", default="", metavar="LABEL", help="make CA keys there; it must exist (plugbench hsm)")
    token.add_argument("--module", type=Path, metavar="FILE", help="PKCS#11 library (that of SoftHSM, if installed)")
    token.add_argument("--softhsm", type=Path, metavar="FOLDER", help="SoftHSM with tokens of its own in this folder")
    token.add_argument("--pin-file", type=Path, metavar="FILE", help="file with the PIN, mode 0600")
    token.add_argument("--pin-env", default="", metavar="NAME", help="environment variable with the PIN")
    init.set_defaults(run=lambda args: asyncio.run(_init(args)))

    issue = verbs.add_parser("issue", help="issue one certificate")
    _add_folder(issue)
    issue.add_argument(
        "kind", help="secc, contract, provisioning, vehicle, cps, a sub-CA (mo-sub2) or a root (mo-root)"
    )
    _add_realm(issue)
    issue.add_argument("--name", default="", help="common name: EMAID, PCID, EVSEID ... (that of the profile)")
    issue.add_argument("--organisation", default="")
    issue.add_argument("--country", default="", help="two letters")
    issue.add_argument("--from", dest="valid_from", type=_moment, metavar="TIME", help="ISO 8601 (an hour ago)")
    issue.add_argument("--to", dest="valid_to", type=_moment, metavar="TIME", help="ISO 8601 (as the profile says)")
    issue.add_argument("--csr", type=Path, metavar="FILE", help="for the key of this request (PEM or DER)")
    issue.add_argument("--bad", default="", metavar="VARIANT", help="wrong on purpose, see `plugbench pki variants`")
    issue.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="where to write it (certs/<realm>)")
    issue.add_argument("--with-key", action="store_true", help="write its private key there too, without a passphrase")
    issue.set_defaults(run=lambda args: asyncio.run(_with(args, _issue)))

    revoke = verbs.add_parser("revoke", help="revoke a certificate")
    _add_folder(revoke)
    revoke.add_argument("which", help="fingerprint (8 digits suffice), serial, common name or kind")
    _add_realm(revoke)
    revoke.add_argument("--reason", default="unspecified", help="key_compromise, superseded ... (RFC 5280 5.3.1)")
    revoke.set_defaults(run=lambda args: asyncio.run(_with(args, _revoke)))

    show = verbs.add_parser("show", help="list certificates, or show one with its chain")
    _add_folder(show)
    show.add_argument("which", nargs="?", default="", help="fingerprint, serial, common name or kind")
    _add_realm(show)
    show.set_defaults(run=lambda args: asyncio.run(_with(args, _show)))

    export = verbs.add_parser("export", help="write certificates and keys as files for others")
    _add_folder(export)
    export.add_argument("output", type=Path, help="folder to write to")
    _add_realm(export)
    export.add_argument(
        "--layout", choices=("plain", "bundle", "josev", "crl"), default="plain", help="josev: PKI_PATH"
    )
    export.add_argument("--password-file", type=Path, metavar="FILE", help="encrypts key files (plain: not encrypted)")
    export.set_defaults(run=lambda args: asyncio.run(_with(args, _export)))

    variants = verbs.add_parser("variants", help="list the ways in which a certificate can be wrong on purpose")
    variants.add_argument("--json", action="store_true", help="one JSON object")
    variants.set_defaults(run=_variants)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the PKI's folder")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_realm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--realm", default="", help="which set of roots, if the folder has several")


def _pair(text: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND=VALUE")
    return left, right


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _clock(at: datetime | None = None) -> Clock:
    from hil_rigs.real_clock import RealClock

    class Then(RealClock):
        """Stands at one moment."""

        def now(self) -> datetime:
            return at or super().now()

    return Then()


async def _with(
    args: argparse.Namespace, work: Callable[[argparse.Namespace, CertificateAuthorities], Awaitable[int]]
) -> int:
    from backends.pki.folder import open_folder

    async with open_folder(args.folder, _clock()) as authorities:
        return await work(args, authorities)


async def _init(args: argparse.Namespace) -> int:
    """Make the folder if it is new, and its realms; 0."""
    from backends.pki.build_realm import build_realm
    from backends.pki.export import export_plain
    from backends.pki.folder import SETTINGS, create_folder, open_folder
    from backends.pki.profiles import load_profile
    from ports.errors import LocalError

    presets = args.preset or ["iso2-strict"]
    if args.realm and len(presets) > 1:
        raise LocalError("--realm names one realm: give one --preset")
    for preset in presets:
        load_profile(preset)
    if not (args.folder / SETTINGS).exists():
        create_folder(args.folder, _settings(args))
    elif any((args.ocsp_url, args.database, args.passphrase_file, args.passphrase_env, args.token)):
        raise LocalError(f"{args.folder / SETTINGS} exists: change the settings there")
    made: dict[str, dict[str, Issued]] = {}
    async with open_folder(args.folder, _clock(args.at)) as authorities:
        for preset in presets:
            usual = load_profile(preset).algorithms[0]
            realm = args.realm or preset + (f"-{args.algorithm}" if args.algorithm not in ("", usual) else "")
            done: list[str] = []

            def progress(issued: Issued, total: int, realm: str = realm, done: list[str] = done) -> None:
                done.append(issued.stored.kind)
                bad = f" ({issued.stored.bad})" if issued.stored.bad else ""
                print(f"{realm}: {len(done)}/{total} {issued.stored.kind}{bad}", file=sys.stderr)

            made[realm] = await build_realm(
                authorities,
                realm,
                preset,
                algorithm=args.algorithm,
                bad=dict(args.bad),
                names=dict(args.name),
                actor=ACTOR,
                on_issued=progress,
            )
            export_plain(made[realm], args.folder / "certs" / realm)
    if args.json:
        rows = {realm: [_row(one) for one in issued.values()] for realm, issued in made.items()}
        print(json.dumps({"folder": str(args.folder), "realms": rows}))
    else:
        for realm, issued in made.items():
            print(f"{args.folder}: realm {realm} with {len(issued)} certificates, see {args.folder / 'certs' / realm}")
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    from backends.pki.folder import OCSP_URL, Settings, TokenSettings

    token = None
    if args.token:
        from hsm.errors import Remedy, TokenError
        from hsm.softhsm import find_module, token_folder

        module = args.module or find_module()
        if module is None:
            raise TokenError(Remedy.FATAL, "no PKCS#11 module: name one with --module, or install softhsm2")
        pin_file = args.pin_file or (args.softhsm / "pin" if args.softhsm and not args.pin_env else None)
        token = TokenSettings(
            str(module.resolve()),
            args.token,
            str(pin_file.resolve()) if pin_file else "",
            args.pin_env,
            token_folder(args.softhsm.resolve()) if args.softhsm else {},
        )
    passphrase = str(Path(args.passphrase_file).resolve()) if args.passphrase_file else ""
    return Settings(args.ocsp_url or OCSP_URL, args.database, passphrase, args.passphrase_env, token)


async def _realm(args: argparse.Namespace, authorities: CertificateAuthorities) -> str:
    """The realm asked for, or the only one."""
    from ports.errors import LocalError, RigError

    names = [realm.realm for realm in await authorities.realms()]
    if args.realm:
        return (await authorities.realm(args.realm)).realm
    if len(names) != 1:
        if not names:
            raise RigError(f"{args.folder} has no realm yet: `plugbench pki init {args.folder}`")
        raise LocalError(f"{args.folder} has several realms, name one with --realm: {', '.join(names)}")
    return names[0]


async def _issue(args: argparse.Namespace, authorities: CertificateAuthorities) -> int:
    """Issue, write, print; 0."""
    from backends.pki.authorities import Order
    from backends.pki.export import export_plain

    spki = b""
    if args.csr:
        from backends.pki.csr import read_request

        spki = read_request(_read(args.csr)).public_key
    realm = await _realm(args, authorities)
    order = Order(
        realm=realm,
        kind=args.kind,
        common_name=args.name,
        organisation=args.organisation,
        country=args.country,
        valid_from=args.valid_from,
        valid_to=args.valid_to,
        public_key=spki,
        bad=args.bad,
    )
    issued = await authorities.issue(order, actor=ACTOR)
    name = f"{args.kind}-{issued.stored.fingerprint[:8]}"
    folder = args.output or args.folder / "certs" / realm
    written = export_plain({name: issued}, folder, authorities.keys if args.with_key else None)
    if args.json:
        print(json.dumps({**_row(issued), "files": [str(path) for path in written]}))
    else:
        print(_text(issued))
        for path in written:
            print(f"  {path}")
    return 0


async def _revoke(args: argparse.Namespace, authorities: CertificateAuthorities) -> int:
    """Revoke; 0."""
    found = await authorities.find(args.which, args.realm)
    revoked = await authorities.revoke(found.stored.fingerprint, args.reason, actor=ACTOR)
    print(json.dumps(_row(revoked)) if args.json else _text(revoked))
    return 0


async def _show(args: argparse.Namespace, authorities: CertificateAuthorities) -> int:
    """List, or show one with its chain; 0."""
    from backends.pki import certificate_store as store

    if args.which:
        found = await authorities.find(args.which, args.realm)
        chain = [type(found)(found.chain[n:]) for n in range(len(found.chain))]
        if args.json:
            print(json.dumps({**_row(found), "chain": [_row(one) for one in chain]}))
            return 0
        for depth, one in enumerate(chain):
            print("  " * depth + _text(one))
        return 0
    listed = await authorities.database.read(
        lambda connection: store.paths(connection, store.listed(connection, args.realm))
    )
    realms = await authorities.realms()
    issued = [_issued(chain) for chain in listed]
    if args.json:
        rows = [{"realm": one.realm, "preset": one.preset, "algorithm": one.algorithm} for one in realms]
        print(json.dumps({"realms": rows, "certificates": [_row(one) for one in issued]}))
        return 0
    for realm in realms:
        if args.realm in ("", realm.realm):
            print(f"realm {realm.realm}: preset {realm.preset}, {realm.algorithm}")
            for one in issued:
                if one.stored.realm == realm.realm:
                    print(f"  {_text(one)}")
    return 0


async def _export(args: argparse.Namespace, authorities: CertificateAuthorities) -> int:
    """Write the layout asked for; 0."""
    from backends.pki import export

    realm = await _realm(args, authorities)
    issued = await export.newest_of_realm(authorities, realm)
    password = _read(args.password_file).decode(errors="replace").strip() if args.password_file else ""
    if args.layout == "crl":
        from backends.pki.crl import sign_crl

        lists = {kind: one for kind, one in issued.items() if one.stored.kind not in export.LEAFS}
        written = [
            export.write(args.output / f"{kind}.crl", await sign_crl(authorities, one.stored))
            for kind, one in lists.items()
        ]
    elif args.layout == "josev":
        chosen = password or export.JOSEV_PASSWORD
        written = export.export_josev(issued, authorities.keys, args.output, password=chosen)
    elif args.layout == "bundle":
        written = export.export_bundle(issued, args.output)
    else:
        written = export.export_plain(issued, args.output, authorities.keys, password=password)
    if args.json:
        print(json.dumps({"realm": realm, "layout": args.layout, "files": [str(path) for path in written]}))
    else:
        print(f"{len(written)} files of realm {realm} in {args.output}")
    return 0


def _variants(args: argparse.Namespace) -> int:
    """Print the table; 0."""
    from backends.pki.bad_variants import BAD_VARIANTS

    if args.json:
        rows = {name: {"text": one.text, "levels": sorted(one.levels)} for name, one in BAD_VARIANTS.items()}
        print(json.dumps(rows))
        return 0
    for name, one in BAD_VARIANTS.items():
        print(f"{name:<28}{one.text} ({', '.join(sorted(one.levels))})")
    return 0


def _issued(chain: list[Any]) -> Issued:
    from backends.pki.authorities import Issued

    return Issued(tuple(chain))


def _row(issued: Issued) -> Mapping[str, object]:
    one = issued.stored
    return {
        "realm": one.realm,
        "kind": one.kind,
        "common_name": one.common_name,
        "serial": one.serial,
        "fingerprint": one.fingerprint,
        "issuer": issued.chain[1].common_name if len(issued.chain) > 1 else one.common_name,
        "valid_from": _utc(one.valid_from).isoformat(),
        "valid_to": _utc(one.valid_to).isoformat(),
        "revoked": _utc(one.revoked).isoformat() if one.revoked is not None else None,
        "reason": one.reason,
        "bad": one.bad or None,
        "key": "token" if one.key_reference.startswith("token:") else "file" if one.key_reference else "elsewhere",
        "octets": len(one.certificate),
    }


def _text(issued: Issued) -> str:
    one = issued.stored
    notes = [f"{one.reason} {_utc(one.revoked):%Y-%m-%d %H:%M:%S}"] if one.revoked is not None else []
    notes += [f"bad: {one.bad}"] if one.bad else []
    more = f"  [{'; '.join(notes)}]" if notes else ""
    dates = f"{_utc(one.valid_from):%Y-%m-%d} - {_utc(one.valid_to):%Y-%m-%d}"
    return f"{one.kind:<13}{one.fingerprint[:8]}  {dates}  {one.common_name}{more}"


def _utc(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)  # up to year 9999


def _read(path: Path) -> bytes:
    from ports.errors import RigError

    try:
        return path.read_bytes()
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from None
